"""The pack decoder: makes the files of a release out of those before it and of a pack in flash.

docs/PACKS.md has the format and the reasons for it. A pack is not trusted: every number in it
is bounded before anything is done on its behalf, and whether a file came out right is for that
file's hash to say, later. It takes the window and about 3 kB of heap.
"""

import gc
from deflate import RAW, DeflateIO
from micropython import const

_PIECE = const(128)
_BATCH = const(1024)
_NAMES = const(512)
_MAX = const(0x3FFFFFFF)  # a small integer on every board
_GOES_ON = const(8)
_SHIFT = const(16)

# What is charged for a segment and for a record besides the bytes that it makes, so that those of
# no bytes come to an end, too. A file takes as much of the flash, and a segment makes 16 kB or more.
_SEGMENT = const(1024)
_RECORD = const(32)


def walk(first):
    """Walks through the functions of a compiled module: sent each byte, it yields what the next one is.

    first: bytes before the first function. Yields -1, or what to add to a byte below 128 to have the number
    of a name (the layout: py/bc.h and py/bc0.h of MicroPython). It goes on whatever it is sent.
    """
    while first:
        first -= 1
        yield -1
    while True:
        n = 0
        c = 128
        while c > 127:
            c = yield -1
            n = (n << 7 | c & 127) & 0xFFFFFF
        children = n & 4
        n >>= 3
        # The signature: how many arguments have names.
        c = yield -1
        names = 1 + (c & 3)
        i = 0
        while c > 127 and i < 4:
            c = yield -1
            names += ((c & 4) << i) + ((c & 8) >> 3 << i)
            i += 1
        n -= 1 + i
        # How long the rest of the prelude is: names, lines, cells.
        info = i = 0
        c = 128
        while c > 127 and i < 4:
            c = yield -1
            info += ((c & 126) >> 1 << 6 * i) + ((c & 1) << i)
            i += 1
        n -= i + info
        while names:
            names -= 1
            c = yield 0
            info -= 1
            while c > 127:
                c = yield (c & 3) << 7
                info -= 1
        while info > 0:
            info -= 1
            yield -1
        while n > 0:
            code = yield -1
            n -= 1
            i = 0x3A4 >> (code >> 4 << 1) & 3  # its operand: 0 none, 1 a name, 2 a number, 3 a jump
            if i:
                c = yield 0 if i == 1 else -1
                n -= 1
                while c > 127:
                    c = yield (c & 3) << 7 if i == 1 else -1
                    n -= 1
                    if i == 3:
                        break
            if not code & 0x9E:
                yield -1
                n -= 1
        c = 128 if children else 0
        while c > 127:
            c = yield -1


class Unpacker:
    """Decodes a pack, from a file opened for reading at its beginning.

    most: bytes that it may make in all, with a little for each file and segment. target: an object with these methods:

    has(last, end): True where all files up to that index are there already (of the last one the
        first end bytes, unless end is 0), so that a segment can be left out.
    begin(index, start, size): the file to append that many bytes to at offset start, or None.
    base(index, kind, path): the old file, opened for reading, or None; kind: 2 of the same path,
        3 of that path in the old release, 4 of that path in the new one. The path is any text that is not empty.
    end(index, whole): begin's file is closed; whole: False where its base was missing or short.
    """

    def __init__(self, f, target, most):
        self._f = f
        self._in = f  # or what inflates a segment of it
        self._target = target
        self._most = most
        # next, end and map are names that every interpreter has: others would cost heap.
        self._numbers = bytearray(_BATCH)
        self.next = 0  # of these bytes
        self.end = 0
        self.map = bytearray(_NAMES)  # by how much the number of each name moves
        self._buf = bytearray(_PIECE)
        self._diff = bytearray(_PIECE)
        self._index = -1

    def run(self):
        """A generator of small pieces of work. ValueError: the pack is not one, or damaged."""
        f = self._f
        head = f.read(9)
        if len(head) < 9 or head[:8] != b"otapack\x01" or not 10 <= head[8] <= 15:
            raise ValueError("not a pack")
        while True:
            length = self._uv()
            if not length:
                return
            last = self._uv()
            end = self._uv()
            at = f.tell()
            self._spend(_SEGMENT)
            yield 0
            if self._target.has(last, end):
                self._index = last
            else:
                self._in = DeflateIO(f, RAW, head[8])
                goes_on = _GOES_ON  # only the first record can
                while True:
                    kind = self._uv()
                    if not kind:
                        break
                    yield from self._record(kind, goes_on, last)
                    goes_on = 0
                # Nothing else refers to it: two windows at once would be too much.
                self._in = f
                self.end = self.next
                gc.collect()
            if self._index != last:
                raise ValueError("files out of order")
            f.seek(at + length)

    def _read(self, buf, n):
        # The inflater reports bad data as an OSError, and so does a file on bad flash: the pack
        # is of no use either way.
        try:
            if self._in.readinto(buf, n) == n:
                return
        except (EOFError, OSError):
            pass
        raise ValueError("bad data")

    def _spend(self, n):
        self._most -= n
        if self._most < 0:
            raise ValueError("too long")

    def _uv(self):
        # An unsigned number in LEB128. In a segment there are batches of them, outside of it one byte is
        # read at a time.
        numbers = self._numbers
        n = shift = 0
        while shift < 35:
            if self.next == self.end:
                c = 1
                if self._in is not self._f:
                    self._read(numbers, 2)
                    c = numbers[0] | numbers[1] << 8
                    if not 0 < c <= _BATCH:
                        raise ValueError("bad batch")
                self._read(numbers, c)
                self.next = 0
                self.end = c
            c = numbers[self.next]
            self.next += 1
            n |= (c & 127) << shift
            if c < 128:
                if n > _MAX:
                    break
                return n
            shift += 7
        raise ValueError("number out of range")

    def _names(self):
        # By how much the number of each name moves: for each change of it, how far on it is.
        at = by = 0
        while at < _NAMES:
            n = self._uv()
            if at + n >= _NAMES:
                raise ValueError("unknown name")
            end = at + n if n else _NAMES
            while at < end:
                self.map[at] = by
                at += 1
            if n:
                n = self._uv()
                by = (by + (n >> 1 ^ -(n & 1))) & 127

    def _record(self, kind, goes_on, last):
        goes_on &= kind
        walker = kind & _SHIFT
        kind -= goes_on + walker
        if not (walker > 0) < kind <= 4:
            raise ValueError("unknown record")
        step = self._uv()
        self._index += step
        if (goes_on > 0) == (step > 0) or self._index > last:
            raise ValueError("files out of order")
        path = None
        if kind > 2:
            n = self._uv()
            if not 0 < n < 256:
                raise ValueError("bad path")
            path = bytearray(n)
            self._read(path, n)
            path = path.decode()  # UnicodeError is a ValueError
        start = self._uv() if goes_on else 0
        left = self._uv()
        self._spend(left + _RECORD)
        if goes_on and not start:
            raise ValueError("too long")
        if walker:
            walker = walk(min(self._uv(), left))
            self._names()
        yield 0
        # Literals and copies in turn. Where nothing is to be written all is read nevertheless: what follows
        # depends on it.
        buf = self._buf
        diff = self._diff
        mv = memoryview(buf)
        base = None
        whole = True  # the base was there for all copies
        at = 0  # where in the base
        place = next(walker) if walker else -1
        out = self._target.begin(self._index, start, left)
        try:
            if out and kind > 1:
                base = self._target.base(self._index, kind, path)
            while left:
                n = self._uv()
                add = n & 1
                seek = n & 2
                n >>= 2
                if n > left:
                    raise ValueError("too long")
                left -= n
                at += n
                while n:
                    k = min(n, _PIECE)
                    self._read(buf, k)
                    if out:
                        out.write(mv[:k])
                        if walker:
                            for i in range(k):
                                place = walker.send(buf[i])
                    n -= k
                    yield 0
                if not left:
                    break
                n = self._uv()
                if not 0 < n <= left:
                    raise ValueError("bad copy")
                left -= n
                if seek:
                    seek = self._uv()
                    at += (seek >> 1) ^ -(seek & 1)
                copying = base and 0 <= at <= _MAX
                try:
                    if copying:
                        base.seek(at)
                except OSError:
                    copying = False
                at += n
                while n:
                    k = min(n, _PIECE)
                    if add:
                        self._read(diff, k)
                    try:
                        copying = copying and base.readinto(buf, k) == k
                    except OSError:  # of flash that is worn, the whole file comes from the server
                        copying = False
                    if copying:
                        if add or walker:
                            for i in range(k):
                                c = buf[i]
                                if place >= 0 and c < 128:
                                    c = (c + self.map[place | c]) & 127
                                if add:
                                    c = (c + diff[i]) & 255
                                buf[i] = c
                                if walker:
                                    place = walker.send(c)
                        out.write(mv[:k])
                    else:
                        whole = False
                    n -= k
                    yield 0
        finally:
            if base:
                base.close()
            if out:
                out.close()
        if out:
            self._target.end(self._index, whole)
