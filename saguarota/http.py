"""A board's HTTP/1.1 client: one kept-alive connection, bodies read into the caller's buffer.

    c = Client(timeout_s=5)
    c.get("http://host/ota/versions.json")
    if c.status == 200:
        while n := c.readinto(buf):
            use(buf, n)

The server is not trusted: every line, header and wait is bounded, and a body that ends before its
length, last chunk or TLS close says so is an error. A body's size is for the caller to bound.

The socket does not block: readinto() hands over what has arrived instead of waiting for a full
buffer, and a server that drips one byte at a time cannot stretch a header past its time limit.
"""
import time
from micropython import const

_LINE = const(1024)  # longest header or chunk-size line, bytes
_HEAD = const(8192)  # all headers of an answer together, and all trailers
_DRAIN = const(1024)  # a rest of a body up to this is read to keep the connection
_REDIRECTS = const(5)


class HTTPError(Exception):
    """What failed, on which host and why; .status is the answer's status, 0 if there was none."""

    def __init__(self, message, status=0):
        super().__init__(message)
        self.status = status


def quote(path, safe="/"):
    """Percent-encode the UTF-8 of path, except letters, digits, "-._~" and what is in safe."""
    out = bytearray()
    for b in path.encode():
        c = chr(b)
        if b < 128 and (c.isalpha() or c.isdigit() or c in "-._~" or c in safe):
            out.append(b)
        else:
            out.extend(b"%%%02X" % b)
    return out.decode()


def _split(url):
    # -> (is https, host, port, request target). Spaces and non-ASCII are encoded, never sent raw;
    # a control character would end the request line and start another request.
    scheme, _, rest = url.partition("://")
    scheme = scheme.lower()
    if scheme not in ("http", "https"):
        raise HTTPError("not an http or https URL: %s" % url)
    for c in url:
        if ord(c) < 32 or ord(c) == 127:
            raise HTTPError("control character in URL")
    rest = rest.partition("#")[0]
    host = rest.partition("?")[0].partition("/")[0]
    target = rest[len(host) :]
    if "@" in host:
        raise HTTPError("user name in URL is not supported")
    if host.startswith("["):
        host, _, port = host[1:].partition("]")
        ok = not port or port[0] == ":"
        port = port[1:]
    else:
        host, ok, port = host.partition(":")
        ok = port or not ok
    port = _number(port.encode()) if port else 443 if scheme == "https" else 80
    if not ok or not port or port > 65535 or not host or quote(host, ":") != host:
        raise HTTPError("bad host or port in URL: %s" % url)
    if target[:1] != "/":
        target = "/" + target
    return scheme == "https", host.lower(), port, quote(target, "!$%&'()*+,/:;=?@[]")


def _join(url, ref):
    # The absolute URL that a Location header means.
    if ":" in ref.partition("?")[0].partition("/")[0]:
        return ref
    scheme, _, rest = url.partition("://")
    if ref.startswith("//"):
        return scheme + ":" + ref
    rest = rest.partition("#")[0].partition("?")[0]
    if ref.startswith("?"):
        return scheme + "://" + rest + ref
    host, _, path = rest.partition("/")
    if ref.startswith("/"):
        path = ""
    else:
        path = "/" + path
        path = path[: path.rfind("/") + 1]
        while ref.startswith("./") or ref.startswith("../"):
            if ref[1] == ".":
                path = path[: path.rfind("/", 0, -1) + 1] or "/"
            ref = ref.partition("/")[2]
    return scheme + "://" + host + path + ref


def _number(digits):
    # Strict, unlike int(): no sign, blanks or "_". At most 9 digits, so always a small int.
    return int(digits) if digits.isdigit() and len(digits) < 10 else None


def _etag(tag):
    # Kept by callers and sent back later, so nothing that could end a header line.
    return tag if tag and all(32 < ord(c) < 127 for c in tag) else None


class Client:
    """timeout_s (None: no limit) bounds each connect, each request with its answer's headers, and
    each readinto. ca: trusted certificates, DER or PEM bytes; without it https is not verified."""

    def __init__(self, timeout_s=5, user_agent="saguarota", ca=None):
        self._timeout = timeout_s
        self._agent = user_agent
        self._ca = ca
        self._sock = self._poll = self._key = None
        self._done = True
        self.status = 0

    def close(self):
        """Drop the connection, if there is one."""
        s = self._sock
        self._sock = self._poll = None
        if s:
            try:
                s.close()
            except OSError:
                pass  # it is gone either way

    def get(self, url, start=0, etag=None):
        """Ask for url from byte start on and read the answer's headers, following redirects.

        Returns self, with .status (any; also 404), .length (of this body; None: unknown), .start
        (its first byte's offset: what was asked for, or 0), .total (of the whole; None: unknown)
        and .etag. With etag, a resource that has changed since comes from byte 0.
        """
        for _ in range(_REDIRECTS + 1):
            tls, host, port, target = _split(url)
            name = "[%s]" % host if ":" in host else host
            at = "%s:%d" % (name, port)
            req = "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: %s\r\nAccept-Encoding: identity\r\n" % (
                target,
                name if port == (443 if tls else 80) else at,
                self._agent,
            )
            if start:
                req += "Range: bytes=%d-\r\n" % start
                if etag and etag[0] == '"' and _etag(etag):
                    req += "If-Range: %s\r\n" % etag
            kept = self._reusable((tls, at))
            while True:
                try:
                    if not kept:
                        self._connect(tls, host, port)
                    self._send(req)
                    location = self._head(start)
                    break
                except HTTPError:
                    # A server may close an idle connection just as the request is on its way.
                    if not (kept and self._gone) or self._seen:
                        raise
                    kept = False
            if self.status == 206 and etag and self.etag and self.etag != etag:
                start = 0  # changed, and the server overlooked If-Range
            elif self.status in (301, 302, 303, 307, 308):
                if location is None:
                    raise self._bad("redirect to nowhere")
                url = _join(url, location)
                if tls and not url.lower().startswith("https:"):
                    raise self._bad("redirect from https to %s" % url)
            else:
                return self
        raise self._bad("more than %d redirects" % _REDIRECTS)

    def readinto(self, buf):
        """Fill buf, or part of it, with the body's next bytes; -> how many, 0 at its true end."""
        if self._done:
            return 0
        if not self._sock:
            raise HTTPError("connection is closed", self.status)
        self._start("reading the body")
        if self._chunked and not self._left and not self._chunk():
            return 0
        n = len(buf) if self._left is None else min(self._left, len(buf))
        n = self._io(self._sock.readinto, buf, n)
        if self._left is None:
            if not n:
                self._end()
        elif not n:
            raise self._bad("closed the connection %d bytes early" % self._left)
        else:
            self._left -= n
            if not self._left and not self._chunked:
                self._end()
        return n

    def _chunk(self):
        # Step to the next chunk; -> its size.
        line = self._line()
        if self._inner:  # this line ends the chunk before
            if line:
                raise self._bad("malformed chunk")
            line = self._line()
        self._inner = True
        size = line.partition(b";")[0].strip()
        # int() would take signs, blanks and "_" as well; 7 digits are always a small int.
        if not size or len(size) > 7 or size.lower().strip(b"0123456789abcdef"):
            raise self._bad("malformed chunk")
        self._left = int(size, 16)
        if not self._left:
            self._room = _HEAD
            while self._line(True):
                pass
            self._end()
        return self._left

    def _end(self):
        self._done = True
        if not self._keep:
            self.close()

    def _reusable(self, key):
        # Is there an idle connection to key? A short rest of the last body is read away for it.
        if self._sock and key == self._key:
            try:
                buf = bytearray(64)
                n = 0
                while not self._done and self._left is not None and n + self._left <= _DRAIN:
                    n += self.readinto(buf)
                # Nothing may be there to be read: neither the connection's end nor stray bytes.
                if self._done and self._sock and self._sock.readinto(buf) is None:
                    return True
            except (HTTPError, OSError):
                pass
        self.close()
        self._key = key
        return False

    def _connect(self, tls, host, port):
        import select
        import socket

        self._start("connecting")
        self.status = 0
        try:
            found = socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM)
        except OSError:
            raise HTTPError("cannot find host %s" % host)
        for ai in found:
            try:
                self._sock = socket.socket(ai[0], ai[1], ai[2])
                self._sock.settimeout(self._timeout)
                self._sock.connect(ai[-1])
                break
            except OSError as e:
                err = e
                self.close()
        if not self._sock:
            raise self._error(err)
        self._sock.setblocking(False)
        if tls:
            try:
                self._sock = self._wrap(host)
            except (OSError, ValueError, ImportError) as e:
                raise self._error(e)
        self._poll = select.poll()
        self._poll.register(self._sock, select.POLLOUT)

    def _wrap(self, host):
        # The handshake happens inside the first write, so that it too has a time limit.
        import gc

        try:
            import tls
        except ImportError:
            import ssl as tls  # 1.22
        gc.collect()  # TLS wants large blocks
        ctx = tls.SSLContext(tls.PROTOCOL_TLS_CLIENT)
        if self._ca is None:
            ctx.verify_mode = tls.CERT_NONE
        else:
            ctx.verify_mode = tls.CERT_REQUIRED
            try:
                ctx.load_verify_locations(self._ca)
            except ValueError:
                # Many builds of mbedtls take DER only.
                from binascii import a2b_base64

                pem = self._ca.split(b"-----BEGIN CERTIFICATE-----")[1:]
                if not pem:
                    raise
                for cert in pem:
                    ctx.load_verify_locations(a2b_base64(cert.partition(b"-----END")[0]))
        return ctx.wrap_socket(self._sock, server_hostname=host, do_handshake_on_connect=False)

    def _send(self, req):
        import select

        self._start("sending the request")
        self._seen = False
        self.status = 0
        self._poll.modify(self._sock, select.POLLOUT)
        req = memoryview((req + "\r\n").encode())
        while len(req):
            req = req[self._io(self._sock.write, req) :]
        self._poll.modify(self._sock, select.POLLIN)

    def _head(self, start):
        # Read an answer up to its body; -> its Location header.
        self._start("waiting for the answer")
        self._room = _HEAD
        self._done = self._chunked = self._inner = False
        while True:
            line = self._line(True)
            self.status = _number(line[9:12]) or 0
            if not (line[:7] == b"HTTP/1." and line[7:9] in (b"0 ", b"1 ") and self.status > 99) or line[12:13].strip():
                self.status = 0
                raise self._bad("does not answer in HTTP/1.1")
            self._keep = line[7:8] == b"1"
            location = length = etag = first = last = total = None
            while True:
                line = self._line(True)
                if not line:
                    break
                name, colon, value = line.partition(b":")
                if not colon or not name or b" " in name or b"\t" in name:
                    raise self._bad("malformed header")
                name = name.lower()
                value = value.strip()
                if name == b"content-length":
                    n = _number(value)
                    if n is None or length not in (None, n):
                        raise self._bad("bad Content-Length")
                    length = n
                elif name == b"transfer-encoding":
                    if self._chunked or value.lower() != b"chunked":
                        raise self._bad("unknown Transfer-Encoding")
                    self._chunked = True
                elif name == b"content-encoding":
                    if value.lower() not in (b"", b"identity"):
                        raise self._bad("unwanted Content-Encoding")
                elif name == b"connection":
                    if b"close" in value.lower():
                        self._keep = False
                elif name == b"content-range":
                    first, _, total = value.partition(b"/")
                    first, _, last = first.partition(b" ")[2].partition(b"-")
                    first, last, total = _number(first), _number(last), _number(total)
                elif name in (b"location", b"etag"):
                    try:
                        value = value.decode()
                    except ValueError:
                        raise self._bad("malformed header")
                    if name == b"etag":
                        etag = _etag(value)
                    else:
                        location = value
            if self.status > 199 or self.status == 101:
                break
            self._chunked = False  # a 1xx: the answer proper follows
        if self._chunked and length is not None:
            length = None
            self._keep = False  # who sends both may be splitting our next answer
        if self.status in (204, 304):
            self._chunked = False
            length = 0
        elif self.status == 206:
            if not start or first != start or last is None or last < first or (total and total <= last):
                raise self._bad("sent another range than the one asked for")
            n = last + 1 - first
            if length is None and not self._chunked:
                length = n
            if length not in (None, n):
                raise self._bad("Content-Range and Content-Length differ")
        elif self.status == 200:
            total = length
        self.length = length
        self.start = first if self.status == 206 else 0
        self.total = total
        self.etag = etag
        self._left = 0 if self._chunked else length
        if length is None and not self._chunked:
            self._keep = False
        if length == 0:
            self._end()
        return location

    def _line(self, head=False):
        # One line without its end. Of headers, all lines together must fit in self._room.
        line = b""
        while line[-1:] != b"\n":
            # Short pieces, because readline allocates as much as it may read.
            part = self._io(self._sock.readline, 128)
            if not part:
                raise self._error(OSError(104))
            self._seen = True
            line += part
            if len(line) > _LINE:
                raise self._bad("sent too long a line")
        if head:
            self._room -= len(line)
            if self._room < 0:
                raise self._bad("sent too many headers")
        return line[: -2 if line[-2:] == b"\r\n" else -1]

    def _start(self, doing):
        # Begin something that has a time limit.
        self._doing = doing
        self._gone = False
        if self._timeout is not None:
            # Ticks wrap around after some days.
            self._limit = time.ticks_add(time.ticks_ms(), min(int(self._timeout * 1000), 86400000))

    def _io(self, op, *args):
        # Call op until it has something or the time is up.
        try:
            while True:
                n = op(*args)
                if n is not None:
                    return n
                ms = -1
                if self._timeout is not None:
                    ms = max(0, time.ticks_diff(self._limit, time.ticks_ms()))
                if not self._poll.poll(ms):
                    raise OSError(110)
        except (OSError, ValueError) as e:  # ValueError: a certificate that is not accepted
            raise self._error(e)

    def _bad(self, what):
        self.close()
        return HTTPError("%s %s" % (self._key[1], what), self.status)

    def _error(self, e):
        # -> the HTTPError for an exception of the network's. Numbers differ by port; errno has
        # this port's, the literals are ours and those that errno lacks.
        import errno

        self.close()
        at = self._key[1]
        why = e.args[0] if e.args else 0
        if why in (110, 115, errno.ETIMEDOUT, errno.EAGAIN, errno.EINPROGRESS):
            text = "no answer from %s within %s s" % (at, self._timeout)
        elif why == errno.ECONNREFUSED:
            text = "connection refused by %s" % at
        elif why == errno.EHOSTUNREACH or why == 101:
            text = "no route to %s" % at
        elif why in (104, 32, -29312, errno.ECONNRESET, errno.ENOTCONN, errno.ECONNABORTED):
            self._gone = True  # -29312: TLS ended without saying so
            text = "%s closed the connection" % at
        else:
            text = "%s: %s" % (at, e.args[-1] if e.args else e)
            if "future" in text:
                text += " (is the clock set?)"
        return HTTPError("%s while %s" % (text, self._doing), self.status)
