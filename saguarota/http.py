"""A board's HTTP/1.1 client: one kept-alive connection, bodies read into the caller's buffer.

    c = Client(timeout_s=5)
    c.get("http://host/ota/versions.json")
    if c.status == 200:
        n = c.readinto(buf)  # 0 at the end

The server is not trusted: every line, header and wait is bounded, and a body that ends before its
length or last chunk is an error. How large a body may be is the caller's to say; so is whether it
is whole where it has neither and ends with the connection: even over TLS, MicroPython does not tell
a proper end from a cut.

The socket never blocks. So readinto() hands over what has arrived instead of waiting for a full
buffer, and a server that drips byte by byte cannot stretch a header past the time limit. With
.background set, getting() and ready() yield the milliseconds to wait instead of waiting.

Heap is dear while this is loaded. Error texts are few because a string costs a board 32 bytes besides
its letters. Those of up to 10 letters cost less, but for ever: they are names, and no name is freed.
"""
from micropython import const

import utime as time

_LINE = const(1024)  # longest header or chunk-size line, bytes
_HEAD = const(8192)  # all headers of an answer together, all trailers together
_TICK = const(5)  # milliseconds between two looks at a socket
_DRAIN = const(1024)  # a rest of a body up to this is read to keep the connection
_IN = const(1)  # select.POLLIN
_OUT = const(4)  # select.POLLOUT

# The headers that matter: one constant instead of seven, and where each name is in it.
_NAMES = ":content-length:transfer-encoding:content-encoding:connection:content-range:location:etag:saguarota-poll:"
_LENGTH = const(0)
_CODING = const(15)
_CONTENT = const(33)
_CONNECTION = const(50)
_RANGE = const(61)
_LOCATION = const(75)
_ETAG = const(84)
_WAIT = const(89)

_RESERVED = "!$%&'()*+,/:;=?@[]"


class HTTPError(Exception):
    """What failed, with which host, and why."""

    status = 0  # the answer's, where there was one


def quote(path, safe="/"):
    """Percent-encode path as UTF-8, except letters, digits, "-._~" and what is in safe."""
    out = ""
    for b in path.encode():
        c = chr(b)
        if not (c.isalpha() or c.isdigit() or c in "-._~" or c in safe):  # ASCII's, in MicroPython
            c = "%%%02X" % b
        out += c
    return out


def _cut(s, sep):
    # What is before and after sep; None for the latter if it is not there. (The ESP8266 has no
    # str.partition.)
    i = s.find(sep)
    return (s, None) if i < 0 else (s[:i], s[i + len(sep) :])


def _number(digits):
    # Stricter than int(): no sign, blank or "_". Up to 9 digits are a small int on every board.
    return int(digits) if digits and digits.isdigit() and len(digits) < 10 else None


def _split(url):
    # -> is it https, host, port, the target to ask for (spaces and non-ASCII encoded).
    scheme, rest = _cut(url, "://")
    tls = scheme.lower() == "https"
    ok = rest and (tls or scheme.lower() == "http")
    rest = _cut(rest or "", "#")[0]
    host = _cut(_cut(rest, "?")[0], "/")[0]
    target = rest[len(host) :]
    if host[:1] == "[":
        host, port = _cut(host[1:], "]")
        ok = ok and port is not None and port[:1] in ":"
        port = ok and port[1:]
    else:
        host, port = _cut(host, ":")
    port = _number(port) if port else 443 if tls else 80
    # A control character could end the request line and begin a request of its own.
    if not ok or not host or quote(host, ":") != host or not port or port > 65535 or min(url) < " ":
        raise HTTPError("not http(s)://host[:port]/path: %r" % url)
    return tls, host.lower(), port, quote(target if target[:1] == "/" else "/" + target, _RESERVED)


def _join(url, path):
    # The absolute URL that a Location header means.
    if "://" in _cut(path, "?")[0]:
        return path
    scheme, rest = _cut(url, "://")
    if path[:2] == "//":
        return scheme + ":" + path
    rest = _cut(_cut(rest, "#")[0], "?")[0]
    if path[:1] == "/":
        rest = _cut(rest, "/")[0]
    elif path[:1] != "?":
        rest = (rest[: max(0, rest.rfind("/"))] or rest) + "/"
    return scheme + "://" + rest + path


class Client:
    """timeout_s (None: no limit) bounds each connect, each request with its answer's headers, and
    each readinto. ca: trusted certificates, DER or PEM bytes; without it https is not verified."""

    background = False
    extra = ""  # more headers, each with its line end; a redirect ends that
    wait = None  # seconds until the next poll, if the server says so

    def __init__(self, timeout_s=5, name="saguarota", ca=None):
        self.timeout_s = timeout_s
        self._name = name
        self.ca = ca
        self._sock = self._raw = self._key = None
        self._done = True
        self._one = bytearray(1)
        self._ahead = 0  # is the body's next byte in there?

    def close(self):
        """Drop the connection, if there is one."""
        # A TLS socket whose handshake failed no longer closes the one below.
        for sock in (self._sock, self._raw):
            if sock:
                try:
                    sock.close()
                except OSError:
                    pass  # it is gone either way
        self._sock = self._raw = self._poll = None

    def get(self, url, start=0, etag=None):
        """getting(), waiting; returns self."""
        self._now(self.getting, url, start, etag)
        return self

    def getting(self, url, start=0, etag=None):
        """Ask for url from byte start on and read the answer's headers, following 5 redirects.

        Sets .status (404 and the like too), .length (of this body), .start (offset of its first
        byte: start or 0), .total (size of the whole), .etag; None where unknown.
        With etag, what has changed since then comes from byte 0. A generator: see .background.
        """
        for _ in range(6):
            tls, host, port, target = _split(url)
            name = "[%s]" % host if ":" in host else host
            at = "%s:%d" % (name, port)
            req = "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: %s\r\nAccept-Encoding: identity\r\n" % (
                target,
                name if port == (443 if tls else 80) else at,
                self._name,
            )
            req += self.extra
            if start:
                req += "Range: bytes=%d-\r\n" % start
                if etag and etag[0] == '"' and quote(etag, _RESERVED + '"') == etag:
                    req += "If-Range: %s\r\n" % etag
            kept = self._reusable((tls, at))
            self.status = 0
            while True:
                try:
                    if not kept:
                        yield from self._connect(tls, host, port)
                    location = yield from self._exchange(req + "\r\n", start)
                    break
                except HTTPError:
                    # A server may close an idle connection just as a request is on its way.
                    if not kept or not self._gone or self.status != 0:
                        raise
                    kept = False
            if self.status == 206 and etag and self.etag and self.etag != etag:
                start = 0  # it has changed, and the server overlooked If-Range
            elif location and 300 < self.status < 309 and self.status != 304:
                url = _join(url, location)
                self.extra = ""  # what is in it is not for another server
                if tls and url[:6].lower() != "https:":
                    raise self._error("redirect from https to http")
            else:
                return
        raise self._error("too many redirects")

    def ready(self):
        """In the background, yield until readinto() need not wait."""
        # It takes a byte to know: a part of a TLS record or of a chunk's length is no data.
        if self.background and self._sock and not self._done and not self._ahead:
            self._start("body")
            if self._chunked and not self._left:
                yield from self._chunk()
            if not self._done:
                self._ahead = yield from self._io(self._sock.readinto, self._one, 1)
                if not self._ahead:
                    self._cut()

    def _chunk(self):
        # The line before a chunk; after the last one, all that is left.
        line = yield from self._line()
        if self._inner:  # this line only ends the chunk before
            line = "" if line else (yield from self._line())
        self._inner = True
        size = _cut(line, ";")[0].strip()
        if not size or len(size) > 7 or size.lower().strip("0123456789abcdef"):
            raise self._error("bad chunk size")
        self._left = int(size, 16)
        if not self._left:
            self._room = _HEAD
            while (yield from self._line(True)):
                pass
            self._end()

    def _cut(self):
        # The connection ends: so does a body that has neither length nor chunks.
        if self._left is not None:
            raise self._error("cut short")
        return self._end()

    def readinto(self, buf):
        """Read the body's next bytes into buf; -> how many, up to len(buf), 0 at the true end."""
        if self._done:
            return 0
        if not self._sock:
            raise HTTPError("no body")
        self._start("body")
        if self._chunked and not self._left:
            self._now(self._chunk)
            if self._done:
                return 0
        n = len(buf)
        if self._left is not None:
            n = min(self._left, n)
        if self._ahead:
            buf[0] = self._one[0]
            self._ahead = 0
            try:
                n = 1 + (n > 1 and self._sock.readinto(memoryview(buf)[1:n]) or 0)
            except OSError as e:
                raise self._error(e)
        else:
            n = self._now(self._io, self._sock.readinto, buf, n)
            if not n:
                return self._cut()
        if self._left is not None:
            self._left -= n
            if not self._left and not self._chunked:
                self._end()
        return n

    def _now(self, step, *args):
        # What a generator returns, by waiting where it would yield.
        background = self.background
        self.background = False
        try:
            next(step(*args))
        except StopIteration as e:
            return e.value
        finally:
            self.background = background

    def _end(self):
        # The body has been read to its end.
        self._done = True
        if not self._keep:
            self.close()
        return 0

    def _reusable(self, key):
        # Is there an idle connection to key? A short rest of the last body is read away for it.
        if self._sock and key == self._key:
            try:
                buf = bytearray(64)
                n = 0
                while not self._done and self._left is not None and n + self._left <= _DRAIN:
                    n += self.readinto(buf)
                # Nothing may be there to read, neither the connection's end nor stray bytes.
                if self._done and self._sock and self._sock.readinto(buf) is None:
                    return True
            except (HTTPError, OSError):
                pass
        self.close()
        self._key = key
        return False

    def _connect(self, tls, host, port):
        import uselect as select
        from uerrno import EINPROGRESS

        import socket

        self._start("connecting")
        try:
            found = socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM)
        except OSError:
            raise HTTPError("cannot find host " + host)
        for ai in found:
            try:
                self._sock = self._raw = sock = socket.socket(ai[0], ai[1], ai[2])
                sock.settimeout(0 if self.background else self.timeout_s)
                sock.connect(ai[-1])
                break
            except OSError as e:
                if self.background and e.errno == EINPROGRESS:
                    break
                err = e
                self.close()
        if not self._sock:
            raise self._error(err)
        sock.setblocking(False)
        self._poll = select.poll()
        self._poll.register(sock, _OUT)
        while self.background and not self._poll.poll(0) and self._ms():
            yield _TICK
        if tls:
            try:
                self._sock = self._wrap(host)
            except (OSError, ValueError, ImportError) as e:
                raise self._error(e)
            self._poll.unregister(sock)
            self._poll.register(self._sock, _OUT)

    def _wrap(self, host):
        # The handshake is left to the first write, so that it is under the time limit too.
        import gc

        try:
            import tls
        except ImportError:
            import ssl as tls  # 1.22
        gc.collect()  # TLS wants large blocks
        ctx = tls.SSLContext(tls.PROTOCOL_TLS_CLIENT)
        ca = self.ca
        ctx.verify_mode = tls.CERT_NONE
        if ca is not None:
            ctx.verify_mode = tls.CERT_REQUIRED
            try:
                ctx.load_verify_locations(ca)
            except ValueError:
                # Many builds take DER only.
                from ubinascii import a2b_base64

                pem = ca.split(b"-----BEGIN CERTIFICATE-----")
                if len(pem) < 2:
                    raise
                for cert in pem[1:]:
                    ctx.load_verify_locations(a2b_base64(_cut(cert, b"-----END")[0]))
        return ctx.wrap_socket(self._sock, server_hostname=host, do_handshake_on_connect=False)

    def _exchange(self, req, start):
        # Send a request and read the answer up to its body; -> its Location. Until a status line
        # is complete, .status is 0 where nothing at all has come back, otherwise None.
        self.status = 0
        self._done = False
        self._ahead = 0
        self._room = _HEAD
        self._start("sending")
        self._poll.modify(self._sock, _OUT)
        req = memoryview(req.encode())
        while len(req):
            n = yield from self._io(self._sock.write, req)
            req = req[n:]
        self._poll.modify(self._sock, _IN)
        self._start("answer")
        status = 0
        while status < 200:  # 1xx: not yet the answer proper
            line = yield from self._line(True)
            status = _number(line[8:13].strip()) or 0
            if line[:7] != "HTTP/1." or not 99 < status < 600:
                raise self._error("this is not HTTP")
            self.status = status
            self._keep = line[7] != "0"
            self._chunked = self._inner = False
            location = length = etag = first = last = total = None
            while True:
                line = yield from self._line(True)
                if not line:
                    break
                name, value = _cut(line, ":")
                if value is None or not name or " " in name or "\t" in name:
                    raise self._error("bad header line")
                name = _NAMES.find(":" + name.lower() + ":")
                value = value.strip()
                if name == _LOCATION:
                    location = value
                elif name == _ETAG:
                    if quote(value, _RESERVED + '"') == value:
                        etag = value
                elif name == _WAIT:
                    self.wait = _number(value)
                elif name == _RANGE and value[:6] == "bytes ":
                    first, total = _cut(value[6:], "/")
                    first, last = _cut(first, "-")
                    first, last, total = _number(first), _number(last), _number(total)
                elif name == _CONNECTION:
                    if "close" in value.lower():
                        self._keep = False
                elif name == _LENGTH:
                    n = _number(value)
                    if n is None or length not in (None, n):
                        raise self._error("bad content length")
                    length = n
                elif name == _CODING:
                    if self._chunked or value.lower() != "chunked":
                        raise self._error("unknown encoding")
                    self._chunked = True
                elif name == _CONTENT:
                    if value and value.lower() != "identity":
                        raise self._error("unknown encoding")
        if self._chunked and length is not None:
            length = None
            self._keep = False  # one of the two is a lie, and the next answer may be part of this
        if status == 206:
            if not start or first != start or not last or last < first or (total and total <= last):
                raise self._error("bad content range")
            n = last + 1 - first
            if length is None and not self._chunked:
                length = n
            if length not in (None, n):
                raise self._error("bad content range")
        else:
            first = 0
            if status == 200:
                total = length
            elif status == 204 or status == 304:
                self._chunked = False
                length = 0
        self.length = length
        self.start = first
        self.total = total
        self.etag = etag
        self._left = 0 if self._chunked else length
        if self._left is None:
            self._keep = False  # the body ends with the connection
        if length == 0:
            self._end()
        return location

    def _line(self, head=False):
        # One line without its end. Of headers, all lines together must fit in self._room.
        line = b""
        while line[-1:] != b"\n":
            # Short pieces, because readline allocates all that it may read.
            part = yield from self._io(self._sock.readline, 128)
            if not part:
                raise self._error(OSError(104))
            line += part
            self.status = self.status or None
            if len(line) > _LINE:
                raise self._error("a line is too long")
        if head:
            self._room -= len(line)
            if self._room < 0:
                raise self._error("too many headers")
        try:
            line = line.decode()
        except ValueError:
            line = "".join(map(chr, line))  # not UTF-8: Latin-1
        return line.rstrip("\r\n")

    def _start(self, what):
        # Begin something that has a time limit.
        self._doing = what
        self._gone = False
        if self.timeout_s is not None:
            # Ticks wrap around after some days.
            self._limit = time.ticks_add(time.ticks_ms(), min(int(self.timeout_s * 1000), 86400000))

    def _ms(self):
        # The time that is left; -1: no limit.
        if self.timeout_s is None:
            return -1
        return max(0, time.ticks_diff(self._limit, time.ticks_ms()))

    def _io(self, op, *args):
        # Call op until it has something or the time is up.
        try:
            while True:
                n = op(*args)
                if n is not None:
                    return n
                ms = self._ms()
                if ms and self.background:
                    yield _TICK
                elif ms == 0 or not self._poll.poll(ms):
                    raise OSError(110)
        except (OSError, ValueError) as e:  # ValueError: the certificate is not accepted
            raise self._error(e)

    def _error(self, why):
        # Close, and -> the HTTPError for an exception of the network's or a fault of the answer.
        import uerrno as errno

        self.close()
        at = self._key[1]
        if isinstance(why, str):
            text = "bad answer from %s: %s" % (at, why)
        else:
            # Numbers differ by port: errno has this one's, the literals are its gaps and our own.
            no = why.args[0]
            why = why.args[-1]
            text = "%s: %s" % (at, str(errno.errorcode.get(why, why)).strip())
            if no in (110, errno.ETIMEDOUT, errno.EAGAIN, errno.EINPROGRESS):
                text = "no answer from %s within %s s" % (at, self.timeout_s)
            elif no == errno.ECONNREFUSED:
                text = "connection refused by " + at
            elif no in (104, 32, -29312, errno.ECONNRESET, errno.ECONNABORTED, errno.ENOTCONN):
                text = at + " closed the connection"  # -29312: during a TLS handshake
                self._gone = True
            elif "future" in text:
                text += " (is the clock set?)"
            text = "%s (%s)" % (text, self._doing)
        e = HTTPError(text)
        e.status = self.status or 0
        return e
