"""Make what a spooled pack holds into staged files.

Whatever goes wrong here costs bytes only: download.py checks every staged file against the
manifest and fetches on its own what is not there or not right.
"""

import uos as os

from .pack import PackError, Unpacker
from .recover import remove
from .stage import check, live_path, staged_path, todo


def _size(path):
    try:
        return os.stat(path)[6]
    except OSError:
        return -1


def _open(path):
    try:
        return open(path, "rb")
    except OSError:
        return None  # changed or removed on this board


class _ManifestOnly:
    """Takes the new manifest out of a pack."""

    def __init__(self, ota, size):
        self._ota = ota
        self._path = staged_path(ota, "manifest")
        self._size = size
        self.done = False

    def has(self, last, end):
        return self.done

    def begin(self, index, start, size):
        if index or self.done:
            self.done = True
            return None
        if start + size > self._size or (start and start != _size(self._path)):
            raise PackError("of another release")
        return open(self._path, "ab" if start else "wb")

    def base(self, index, kind, path):
        return _open(self._ota.local_manifest_file) if kind == 2 else None

    def end(self, index, whole):
        self.done = _size(self._path) == self._size


class _Files:
    """Takes out of a pack what the to-do list names."""

    def __init__(self, ota):
        self._ota = ota
        self._todo = open(ota.backup_dir + "/todo", "rb")
        self._next()

    def close(self):
        self._todo.close()

    def _next(self):
        # Go on to the next line that a pack may have.
        while True:
            self._at = self._todo.tell()
            s = self._todo.readline()
            f = s.decode().rstrip("\n").split("\t")
            if not s or (f[0] in "raR" and f[1] != "manifest"):
                self._line = f if s else None
                self._index = int(f[7]) if s else -1
                return

    def has(self, last, end):
        at = self._at
        while self._line and self._index <= last:
            f = self._line
            staged = staged_path(self._ota, f[1])
            if end and self._index == last:
                if _size(staged) >= end:
                    return True
            elif check(staged, int(f[3]), f[4], bytearray(self._ota.md5_chunk_size)):
                self._next()
                continue
            self._todo.seek(at)
            self._next()
            return False
        return True

    def begin(self, index, start, size):
        while self._line and self._index < index:
            self._next()
        if not self._line or self._index != index:
            return None
        whole = int(self._line[3])
        if start + size > whole >= 0:
            raise PackError("too long")
        staged = staged_path(self._ota, self._line[1])
        if start and start != _size(staged):
            return None
        return open(staged, "ab" if start else "wb")

    def base(self, index, kind, path):
        if kind == 2:
            return _open(self._line[8])
        live = live_path(self._ota, path)
        if kind == 4:
            for f in todo(self._ota.backup_dir):
                if f[8] == live:
                    return _open(staged_path(self._ota, f[1]))
        return _open(live)

    def end(self, index, whole):
        if not whole:
            remove(staged_path(self._ota, self._line[1]))


def _most(ota):
    # No release is larger than the flash, so nothing that ends in one makes more.
    st = os.statvfs(ota.backup_dir)
    return min(st[1] * st[2], 0x3FFFFFFF)


def manifest(ota, path, at, size):
    """Stage the manifest of the pack that lies in a file from an offset on; size: the manifest's."""
    with open(path, "rb") as f:
        f.seek(at)
        target = _ManifestOnly(ota, size)
        for _ in Unpacker(f, target, _most(ota)).run():
            if target.done:
                break
            yield 0


def files(ota, path, at):
    """Stage the files of the pack that lies in a file from an offset on."""
    target = _Files(ota)
    try:
        with open(path, "rb") as f:
            f.seek(at)
            yield from Unpacker(f, target, _most(ota)).run()
    finally:
        target.close()
