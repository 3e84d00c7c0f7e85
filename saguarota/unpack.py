"""Make what a spooled pack holds into staged files.

Whatever goes wrong here costs bytes only: download.py checks every staged file against the
manifest and fetches on its own what is not there or not right.
"""

import uos as os

from .pack import Unpacker
from .recover import remove
from .stage import case_blind, check, extend, live_path, pack_sums, staged_path, todo


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


def _names(manifest, path):
    """True where a manifest has a path; False also where it spells it in another way."""
    path = b'"' + path.encode() + b'"'
    data = b""
    try:
        with open(manifest, "rb") as f:
            while True:
                s = f.read(256)
                if not s:
                    return False
                data = data[-len(path) :] + s
                if data.find(path) >= 0:
                    return True
    except OSError:
        return False


class _Target:
    """A file that a pack makes in parts."""

    def __init__(self, ota, link):
        self._ota = ota
        self._link = link
        self._fat = case_blind(ota.backup_dir)
        self._made = (None, 0)  # what this run made last, and how much of it

    def _part(self, path, start, size, total):
        """Open a file to write at start; None where it is not that far."""
        if start:
            made, n = self._made
            if made == path:
                if n != start:
                    return None
            elif self._fat or _size(path) < start:
                return None  # on FAT its size does not tell
        if self._fat and total < 0:
            return None  # nobody knows whether it goes on
        f = open(path, "r+b" if start else "wb")
        if start:
            f.seek(start)  # not to its end: another run may have been stopped within this part
        elif self._fat and size < total:
            extend(f, total)
        self._made = (path, start + size)
        return f


class _Manifest(_Target):
    """Takes the new manifest out of a pack."""

    def __init__(self, ota, link, pin):
        super().__init__(ota, link)
        self._size = pin["size"]
        self.path = staged_path(ota, "manifest")
        self.done = False

    def close(self):
        pass

    def has(self, last, end):
        self._link.hole = None  # what follows wants as much memory in one piece
        return self.done

    def begin(self, index, start, size):
        if index or self.done:
            self.done = True
            return None
        if start + size > self._size:
            raise ValueError("it is of another release")
        return self._part(self.path, start, size, self._size)

    def base(self, index, kind, path):
        return _open(self._ota.local_manifest_file) if kind == 2 else None

    def end(self, index, whole):
        self.done = self._made == (self.path, self._size)


class _Files(_Target):
    """Takes out of a pack what the to-do list names."""

    done = False

    def __init__(self, ota, link):
        super().__init__(ota, link)
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
        self._link.hole = None
        at = self._at
        while self._line and self._index <= last:
            f = self._line
            staged = staged_path(self._ota, f[1])
            if end and self._index == last:
                if not self._fat and _size(staged) >= end:
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
        total = int(self._line[3])
        if start + size > total >= 0:
            raise ValueError("too long")
        return self._part(staged_path(self._ota, self._line[1]), start, size, total)

    def base(self, index, kind, path):
        if kind == 2:
            return _open(self._line[8])
        # Not any file of the board: whoever sends packs could read the others out, by watching
        # whether a file that he knows came out right.
        manifest = self._ota.local_manifest_file
        if kind == 4:
            manifest = staged_path(self._ota, "manifest")
        if not _names(manifest, path) or path[0] == "/" or ".." in path or "\\" in path:
            return None
        live = live_path(self._ota, path)
        if kind == 4:
            for f in todo(self._ota.backup_dir):
                if f[8] == live:
                    return _open(staged_path(self._ota, f[1]))
        return _open(live)

    def end(self, index, whole):
        if not whole:
            self._made = (None, 0)
            remove(staged_path(self._ota, self._line[1]))


def _most(ota):
    # No release is larger than the flash, so nothing that ends in one makes more.
    st = os.statvfs(ota.backup_dir)
    return min(st[1] * st[2], 0x3FFFFFFF)


def unpack(ota, link, at, pin):
    """Stage the manifest of a spooled pack, which has to have a pin; or, without, its files.

    at: where the pack begins in its file.
    """
    with open(ota.backup_dir + "/pack", "rb") as f:
        f.seek(at)
        target = _Manifest(ota, link, pin) if pin else _Files(ota, link)
        steps = Unpacker(f, target, _most(ota)).run()
        try:
            for _ in steps:
                if target.done:
                    break
                yield 0
        finally:
            steps.close()  # and with it what it has open
            target.close()
    if not pin:
        remove(ota.backup_dir + "/pack")
    elif not check(target.path, pin["size"], pack_sums("", pin["sha256"]), bytearray(512)):
        raise ValueError("it is of another release")
