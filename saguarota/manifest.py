"""The manifest, read as a stream: heap depends on neither its size nor its order.

A manifest is JSON: {"version": n, "files": [{"path", "version", "md5", "size",
"sha256"}, …], "signature": hex}, in any key order, with any further keys. An entry
is the tuple (path, version, md5, size, sha256); what is not given is "" or -1.
"""

import ujson as json
from micropython import const

WINDOW = 1024  # bytes: the longest entry that is read, and the buffer for it
_MAX_PATH = const(255)
_MAX_INT = const(0x7FFFFFFFFFFFFFFF)


class ManifestError(ValueError):
    pass


def check_path(path):
    """Raise ManifestError unless path is a canonical relative one of at most 255 bytes."""
    if not isinstance(path, str) or not path:
        raise ManifestError("an entry has no path")
    if len(path.encode()) > _MAX_PATH:
        raise ManifestError("path is longer than 255 bytes: " + path[:40])
    for c in path:
        n = ord(c)
        if n < 32 or 127 <= n < 160 or c == "\\" or 0xD800 <= n < 0xE000 or n == 0xFFFD:
            raise ManifestError("forbidden character in path " + repr(path))
    if path[1:2] == ":":
        raise ManifestError("path has a drive letter: " + path)
    for part in path.split("/"):
        if part in ("", ".", ".."):
            raise ManifestError("path is not relative and canonical: " + path)


def integer(v, what):
    if type(v) is not int or not 0 <= v <= _MAX_INT:
        raise ManifestError(what + " is not a whole number: " + repr(v)[:40])
    return v


def _digest(v, digits, what, path):
    if not isinstance(v, str) or len(v) not in (0, digits):
        raise ManifestError("bad " + what + " of " + path)
    for c in v:
        if c not in "0123456789abcdefABCDEF":
            raise ManifestError("bad " + what + " of " + path)
    return v


def _entry(d):
    path = d.get("path")
    check_path(path)
    return (
        path,
        integer(d.get("version", 0), "version of " + path),
        _digest(d.get("md5", ""), 32, "md5", path),
        integer(d["size"], "size of " + path) if "size" in d else -1,
        _digest(d.get("sha256", ""), 64, "sha256", path),
    )


class Reader:
    """Pull a manifest through one small buffer.

    readinto: a function that fills a buffer and returns the number of bytes, 0 at
    the end; limit: bytes at most; buf: a buffer of WINDOW bytes to use. spool: an open
    file that gets every byte read, or None.
    """

    def __init__(self, readinto, limit=_MAX_INT, buf=None):
        self._readinto = readinto
        self._buf = buf or bytearray(WINDOW)
        self._view = memoryview(self._buf)
        self._pos = self._end = 0
        self._limit = limit
        self.total = 0  # bytes read so far
        self.spool = None

    def seen(self):
        """All bytes read so far, or None where some have left the buffer."""
        return self._view[: self._end] if self.total == self._end else None

    def _fill(self):
        if self._pos:
            rest = bytes(self._view[self._pos : self._end])
            self._end = len(rest)
            self._view[: self._end] = rest
            self._pos = 0
        if self._end == WINDOW:
            raise ManifestError("a manifest entry is longer than {} bytes".format(WINDOW))
        # a short read where the buffer is nearly full: never more than fits
        n = self._readinto(self._view[self._end : min(self._end + 512, WINDOW)])
        if not n:
            return False
        if self.spool:
            self.spool.write(self._view[self._end : self._end + n])
        self._end += n
        self.total += n
        if self.total > self._limit:
            raise ManifestError("the manifest is longer than {} bytes".format(self._limit))
        return True

    def _peek(self):
        """The next byte that is not white space, unread; -1 at the end."""
        while True:
            while self._pos < self._end:
                c = self._buf[self._pos]
                if c > 32:
                    return c
                self._pos += 1
            if not self._fill():
                return -1

    def _expect(self, chars):
        c = self._peek()
        if c < 0:
            raise ManifestError("the manifest is cut short")
        if c not in chars:
            # Any one of these characters.
            raise ManifestError("not a manifest: {!r} expected at byte {}".format(
                chars.decode(), self.total - self._end + self._pos))
        self._pos += 1
        return c

    def _find(self, byte, at):
        """Offset of byte from self._pos + at on, reading more as needed."""
        while True:
            i = self._buf.find(byte, self._pos + at, self._end)
            if i >= 0:
                return i - self._pos
            at = self._end - self._pos
            if not self._fill():
                raise ManifestError("the manifest is cut short")

    def _take(self, n):
        """Parse the next n bytes as JSON and step over them."""
        try:
            v = json.loads(self._view[self._pos : self._pos + n])
        except ValueError:
            return None
        self._pos += n
        return v

    def _string(self):
        n = 1
        while True:
            n = self._find(b'"', n) + 1
            back = n - 2
            while self._buf[self._pos + back] == 92:
                back -= 1
            if (n - 2 - back) & 1 == 0:
                break
        v = self._take(n)
        if not isinstance(v, str):
            raise ManifestError("not a manifest: bad string")
        return v

    def _scalar(self):
        """A string, number, true, false or null; containers are stepped over."""
        c = self._peek()
        if c == 34:
            return self._string()
        if c in b"{[":
            self._skip()
            return None
        n = 0
        while True:
            while self._pos + n < self._end:
                if self._buf[self._pos + n] in b",]} \t\r\n":
                    v = self._take(n) if n else None
                    if v is None and n != 4:
                        raise ManifestError("not a manifest: bad value")
                    return v
                n += 1
            if not self._fill():
                raise ManifestError("the manifest is cut short")

    def _skip(self):
        """Step over an object or a list of any length and depth."""
        depth = 0
        quoted = False
        while True:
            while self._pos < self._end:
                c = self._buf[self._pos]
                self._pos += 1
                if quoted:
                    if c == 92:
                        if self._pos == self._end and not self._fill():
                            break
                        self._pos += 1
                    elif c == 34:
                        quoted = False
                elif c == 34:
                    quoted = True
                elif c in b"{[":
                    depth += 1
                elif c in b"}]":
                    depth -= 1
                    if not depth:
                        return
            if not self._fill():
                raise ManifestError("the manifest is cut short")

    def _object(self):
        """The next object, whole in the buffer, as a dict."""
        n = 0
        while True:
            n = self._find(b"}", n) + 1
            # Strings may hold braces: only an object that parses ends here.
            if self._buf.count(b"{", self._pos, self._pos + n) == 1:
                v = self._take(n)
            else:
                v = self._nested(n)
            if v is not None:
                return v

    def _nested(self, n):
        depth = 0
        quoted = False
        i = self._pos
        end = i + n
        while i < end:
            c = self._buf[i]
            if quoted:
                if c == 92:
                    i += 1
                elif c == 34:
                    quoted = False
            elif c == 34:
                quoted = True
            elif c == 123:
                depth += 1
            elif c == 125:
                depth -= 1
            i += 1
        return None if depth or quoted else self._take(n)

    def _files(self):
        self._expect(b"[")
        if self._peek() == 93:
            self._pos += 1
            return
        while True:
            if self._peek() != 123:
                self._expect(b"{")
            d = self._object()
            if not isinstance(d, dict):
                raise ManifestError("not a manifest: bad entry")
            yield _entry(d)
            if self._expect(b",]") == 93:
                return

    def items(self):
        """Yield (None, entry) for each file and (key, value) for each other scalar."""
        self._expect(b"{")
        more = self._peek() != 125
        if not more:
            self._pos += 1
        while more:
            if self._peek() != 34:
                self._expect(b'"')
            key = self._string()
            self._expect(b":")
            if key == "files":
                for e in self._files():
                    yield None, e
                yield "files", None
            else:
                yield key, self._scalar()
            more = self._expect(b",}") == 44
        if self._peek() != -1:
            raise ManifestError("bytes after the end of the manifest")


def version(path, buf):
    """The version of a manifest file: 0 where there is none or it is damaged."""
    try:
        with open(path, "rb") as f:
            for key, v in Reader(f.readinto, buf=buf).items():
                if key == "version":
                    return integer(v, "version")
    except (OSError, ValueError):
        pass
    return 0
