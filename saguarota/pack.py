"""The pack decoder: makes the files of a release out of those before it and of a pack in flash.

docs/PACKS.md has the format and the reasons for it. A pack is not trusted: every number in it
is bounded before anything is done on its behalf, and whether a file came out right is for that
file's hash to say, later. It takes the window and about 1 kB of heap.
"""

import gc
from deflate import RAW, DeflateIO
from micropython import const

_PIECE = const(128)
_MAX = const(0x3FFFFFFF)  # a small integer on every board
_GOES_ON = const(8)

# What is charged for a segment and for a record besides the bytes that it makes, so that those of
# no bytes come to an end, too. A file takes as much of the flash, and a segment makes 16 kB.
_SEGMENT = const(1024)
_RECORD = const(32)


class PackError(ValueError):
    pass


class Unpacker:
    """Decodes a pack, from a file opened for reading at its beginning.

    most: bytes that it may make in all, with a little for each file and segment. target: an object with these methods:

    has(last, end): True where all files up to that index are there already (of the last one the
        first end bytes, unless end is 0), so that a segment can be left out.
    begin(index, start, size): the file to append that many bytes to at offset start, or None.
    base(index, kind, path): the old file, opened for reading, or None; kind: 2 of the same path,
        3 of that path in the old release, 4 of that path in the new one.
    end(index, whole): begin's file is closed; whole: False where its base was missing or short.
    """

    def __init__(self, f, target, most):
        self._f = f
        self._in = f  # or what inflates a segment of it
        self._target = target
        self._most = most
        self._one = bytearray(1)
        self._buf = bytearray(_PIECE)
        self._diff = bytearray(_PIECE)
        self._index = -1

    def run(self):
        """A generator of small pieces of work. PackError: the pack is not one, or damaged."""
        f = self._f
        head = f.read(9)
        if len(head) < 9 or head[:8] != b"otapack\x01" or not 10 <= head[8] <= 15:
            raise PackError("not a pack")
        while True:
            length = self._uv()
            if not length:
                return
            last = self._uv()
            end = self._uv()
            at = f.tell()
            if last < self._index:
                raise PackError("files out of order")
            self._spend(_SEGMENT)
            yield 0
            if self._target.has(last, end):
                self._index = last
            else:
                self._in = DeflateIO(f, RAW, head[8])
                yield from self._segment(last)
                # Nothing else refers to it: two windows at once would be too much.
                self._in = f
                gc.collect()
            f.seek(at + length)

    def _read(self, buf, n):
        # The inflater reports bad data as an OSError, and so does a file on bad flash: the pack
        # is of no use either way.
        try:
            if self._in.readinto(buf, n) == n:
                return
        except EOFError:
            pass
        except OSError as e:
            raise PackError("bad data: {!r}".format(e))
        raise PackError("cut short")

    def _spend(self, n):
        self._most -= n
        if self._most < 0:
            raise PackError("too long")

    def _uv(self):
        # An unsigned number in LEB128.
        one = self._one
        n = shift = 0
        while shift < 35:
            self._read(one, 1)
            n |= (one[0] & 127) << shift
            if one[0] < 128:
                if n > _MAX:
                    break
                return n
            shift += 7
        raise PackError("number out of range")

    def _segment(self, last):
        first = True
        while True:
            self._read(self._one, 1)
            kind = self._one[0]
            if not kind:
                break
            goes_on = kind & _GOES_ON
            kind -= goes_on
            step = self._uv()
            self._index += step
            if kind > 4 or not kind or (goes_on and not first):
                raise PackError("unknown record")
            if bool(goes_on) == bool(step) or self._index > last:
                raise PackError("files out of order")
            first = False
            path = self._path() if kind > 2 else None
            start = self._uv() if goes_on else 0
            size = self._uv()
            self._spend(size + _RECORD)
            if goes_on and not start:
                raise PackError("too long")
            yield 0
            yield from self._record(kind, path, start, size)
        if self._index != last:
            raise PackError("files out of order")

    def _path(self):
        n = self._uv()
        if not 0 < n < 256:
            raise PackError("bad path")
        path = bytearray(n)
        self._read(path, n)
        try:
            path = path.decode()
        except ValueError:
            path = ""
        for part in path.split("/"):
            if part in ("", ".", "..") or "\\" in part or "\0" in part:
                raise PackError("bad path")
        return path

    def _record(self, kind, path, start, size):
        base = None
        out = self._target.begin(self._index, start, size)
        try:
            if out and kind > 1:
                base = self._target.base(self._index, kind, path)
            whole = yield from self._make(out, base, size)
        finally:
            if base:
                base.close()
            if out:
                out.close()
        if out:
            self._target.end(self._index, whole)

    def _make(self, out, base, left):
        # Literals and copies in turn; returns whether the base was there for all copies. Where
        # nothing is to be written all is read nevertheless: what follows depends on it.
        buf = self._buf
        diff = self._diff
        mv = memoryview(buf)
        whole = True
        at = 0  # where in the base
        while left:
            n = self._uv()
            if n > left:
                raise PackError("too long")
            left -= n
            at += n
            while n:
                k = min(n, _PIECE)
                self._read(buf, k)
                if out:
                    out.write(mv[:k])
                n -= k
                yield 0
            if not left:
                break
            n = self._uv()
            add = n & 1
            n >>= 1
            if not 0 < n <= left:
                raise PackError("bad copy")
            left -= n
            seek = self._uv()
            at += (seek >> 1) ^ -(seek & 1)
            copying = base and 0 <= at <= _MAX
            if copying:
                base.seek(at)
            at += n
            while n:
                k = min(n, _PIECE)
                if add:
                    self._read(diff, k)
                copying = copying and base.readinto(buf, k) == k
                if copying:
                    if add:
                        for i in range(k):
                            buf[i] = (buf[i] + diff[i]) & 255
                    out.write(mv[:k])
                else:
                    whole = False
                n -= k
                yield 0
        return whole
