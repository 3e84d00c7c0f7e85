"""Signed documents: the statement about a release, and keysets. docs/PROTOCOL.md has the formats.

Pure functions on a whole file (bytes). What statement() and keyset() return was checked
for its form only: nobody may act on it until verify() has found the signatures good.
"""

from binascii import a2b_base64, b2a_base64, hexlify, unhexlify
from hashlib import sha256
from micropython import const

_MAX_INT = const(0x7FFFFFFFFFFFFFFF)
_MAX_LISTED = const(16)
_MAX_KEYS = const(64)  # of an object: each is held in memory, to find those given twice
_MAX_DEPTH = const(8)  # of values that nobody here reads: each level takes stack


class StatementError(Exception):
    """A document that must not be followed; code says why in one word: format, signature,
    threshold, sequence, app, channel, board, mpy, micropython, expired or rollback."""

    def __init__(self, code, message):
        super().__init__(message)
        self.code = code


def _bad(why="line 2 is not JSON"):
    raise StatementError("format", why)


# JSON, because json.loads takes much that is none, the last of two equal keys, and memory
# for whatever a server sends. Each function returns a value and where the next byte is. The
# newline that ends the line is allowed nowhere in it, so no index gets past the end.


def _string(s, i):
    """None for those of more than 64 bytes, which no key is and no key asks for."""
    out = bytearray()
    high = 0  # half of a surrogate pair, whose other half may be next
    while True:
        i += 1
        c = s[i]
        if c == 34:
            return out.decode() if len(out) <= 64 else None, i + 1
        if c < 32:
            _bad()
        if c == 92:
            i += 1
            c = s[i]
            at = b'"\\/bfnrtu'.find(s[i : i + 1])
            if at < 0:
                _bad()
            if at == 8:
                c = 0
                for i in range(i + 1, i + 5):
                    d = b"0123456789abcdef".find(s[i : i + 1].lower())
                    if d < 0:
                        _bad()
                    c = c << 4 | d
                if high and c >> 10 == 0x37:
                    out = out[:-3]
                    c = 0x10000 + ((high & 1023) << 10 | c & 1023)
                high = c if c >> 10 == 0x36 else 0
                if len(out) <= 64:
                    out.extend(chr(0xFFFD if c >> 11 == 0x1B else c).encode())
                continue
            c = b'"\\/\b\f\n\r\t'[at]
        high = 0
        if len(out) <= 64:
            out.append(c)


def _number(s, i):
    """None for those that are not just digits, which no key asks for."""
    start = i
    if s[i] == 45:
        i += 1
    v = None
    for mark in (b"", b".", b"eE"):
        if mark:
            if s[i] not in mark:
                continue
            i += 1
            if mark == b"eE" and s[i] in b"+-":
                i += 1
            v = None
        first = i
        while s[i] in b"0123456789":
            i += 1
        if i == first or not mark and s[first] == 48 and i > first + 1:
            _bad()
        if first == start and i < start + 20:
            v = int(s[start:i])
    return v, i


def _blanks(s, i):
    while s[i] in b" \t\r":
        i += 1
    return i


def _value(s, i, keep, depth):
    """keep: the keys of an object to keep with their values, None for nothing at all."""
    i = _blanks(s, i)
    c = s[i]
    if c == 34:
        return _string(s, i)
    if c != 123 and c != 91:
        for word, v in ((b"true", True), (b"false", False), (b"null", None)):
            if s[i : i + len(word)] == word:
                return v, i + len(word)
        return _number(s, i)
    if depth == _MAX_DEPTH:
        _bad("line 2 is nested too deep")
    v = {} if c == 123 else []
    i = _blanks(s, i + 1)
    more = s[i] != c + 2  # the bracket that closes
    if not more:
        i += 1
    while more:
        inner = keep
        if c == 123:
            i = _blanks(s, i)
            if s[i] != 34:
                _bad()
            key, i = _string(s, i)
            if key is None:
                _bad("line 2 is too long")
            if keep is not None:
                if key in v:
                    _bad("two values of " + key)
                if len(v) == _MAX_KEYS:
                    _bad("more than 64 keys")
                inner = ("sha256", "size") if key in keep else None
            i = _blanks(s, i)
            if s[i] != 58:
                _bad()
            i += 1
        elif keep is not None and len(v) == _MAX_LISTED:
            _bad("line 2 is too long")
        x, i = _value(s, i, inner, depth + 1)
        if keep is None:
            pass
        elif c == 91:
            v.append(x)
        else:
            v[key] = None if inner is None else x
        i = _blanks(s, i)
        more = s[i] != c + 2
        if more and s[i] != 44:
            _bad()
        i += 1
    return v, i


def _exact(text, size, decode=a2b_base64, encode=b2a_base64):
    """The bytes of the one right text for so many of them; None for any other text."""
    try:
        v = decode(text)
    except ValueError:
        return None
    return v if len(v) == size and encode(v).strip() == text else None


def _signatures(data):
    """Yield (key id, signature) for each of the lines from the third on."""
    at = data.find(b"\n", data.find(b"\n") + 1) + 1
    last = b""
    while at < len(data):
        id = bytes(data[at : at + 16])
        v = _exact(bytes(data[at + 17 : at + 105]), 64)
        between = data[at + 16 : at + 17] + data[at + 105 : at + 106]
        if v is None or between != b" \n" or _exact(id, 8, unhexlify, hexlify) is None:
            _bad("a line is no signature")
        if id <= last:
            _bad("signatures are not in order, each once")
        yield id, v
        last = id
        at += 106


# Texts are looked at byte by byte: to iterate over a str would intern every character, which
# nothing ever frees.


def _utf8(s, i, end):
    """MicroPython itself does not mind surrogates and forms that are longer than need be."""
    while i < end:
        c = s[i]
        i += 1
        if c > 127:
            n = (c > 0xDF) + (c > 0xEF)
            v = c & 0x1F >> n if 0xBF < c < 0xF8 else -1
            for _ in range(n + 1):
                if s[i] >> 6 != 2:
                    _bad("not UTF-8")
                v = v << 6 | s[i] & 63
                i += 1
            if not (0x80, 0x800, 0x10000)[n] <= v <= 0x10FFFF or v >> 11 == 0x1B:
                _bad("not UTF-8")


def _text(v):
    b = v.encode() if isinstance(v, str) else b""
    last = 0
    for c in b:
        if c < 32 or c == 127 or last == 0xC2 and c < 0xA0:
            return False
        last = c
    return 1 <= len(b) <= 64 and "\ufffd" not in v


def _numbers(text, most):
    """[6, 3] for "6.3", None for what is not most numbers, or one less."""
    try:
        v = [int(part) for part in text.split(".")]
    except ValueError:
        return None
    # What int() takes beyond plain digits does not come out of str() again, but for a sign.
    if ".".join([str(n) for n in v]) != text or not most - 2 < len(v) <= most:
        return None
    return v if min(v) >= 0 and max(v) <= 999 else None


def _right(v, key, kind):
    if key in ("channels", "boards", "keys"):
        if not isinstance(v, list) or not v:
            return False
        for text in v:
            if not _text(text) or v.count(text) > 1:
                return False
        return True
    if key in ("version", "keyset", "threshold", "time", "expires", "size"):
        least = 0 if key == "size" or key == "version" and kind == "release" else 1
        return type(v) is int and least <= v <= _MAX_INT
    if key == "manifest":
        return (
            isinstance(v, dict)
            and _right(v.get("size"), "size", kind)
            and isinstance(v.get("sha256"), str)
            and _exact(v["sha256"].encode(), 32, unhexlify, hexlify) is not None
        )
    if not _text(v):
        return False
    return key not in ("mpy", "micropython") or _numbers(v, 2 + (key != "mpy")) is not None


def _read(data, kind, size, signatures, keys):
    """keys: those that are known; four of them are required."""
    i = 13 + len(kind)
    if data[:i] != b"saguarota-" + kind.encode() + b" 1\n":
        _bad("line 1 is not: saguarota-{} 1".format(kind))
    end = data.find(b"\n", i)
    if len(data) > size:
        _bad("too long")
    if end < i + 2 or data[i] != 123 or data[end - 1] != 125:
        _bad()
    for _ in _signatures(data):
        signatures -= 1
        if signatures < 0:
            _bad("too many signatures")
    _utf8(data, i, end)
    d, i = _value(data, i, keys, 0)
    if i != end:
        _bad()
    known = {}
    for key in keys:
        if key in d:
            if not _right(d[key], key, kind):
                _bad("bad value of " + key)
            known[key] = d[key]
        elif key in keys[:4]:
            _bad("no value of " + key)
    return known


def statement(data):
    """What a statement says, as a dict of its known keys. Raises StatementError."""
    d = _read(
        data, "release", 4096, 16,
        ("app", "version", "manifest", "keyset", "name", "channels", "boards", "mpy",
         "micropython", "time", "expires"),
    )  # fmt: skip
    m = d["manifest"]
    d["manifest"] = {"sha256": m["sha256"], "size": m["size"]}
    return d


def keyset(data):
    """What a keyset says, as a dict; its keys are bytes. Raises StatementError.

    Whether a key is a point of the curve is not asked: one that is none verifies nothing.
    """
    d = _read(data, "keyset", 8192, 32, ("app", "version", "threshold", "keys"))
    d["keys"] = [_exact(text.encode(), 32) for text in d["keys"]]
    if None in d["keys"]:
        _bad("bad value of keys")
    if d["threshold"] > len(d["keys"]):
        _bad("bad value of threshold")
    return d


def verify(data, trusted):
    """Verify a document that statement() or keyset() has read, in steps (a generator).

    trusted: pairs (keys, threshold), keys as bytes. Of the keys of each pair as many must have
    signed as its threshold says. A key counts once. Signatures of other keys do not matter,
    but one of a trusted key that is wrong is an error, even if others would do: honest
    documents have none. Raises StatementError.
    """
    from .ed25519 import verify_steps

    end = data.find(b"\n") + 1
    message = sha256(memoryview(data)[: data.find(b"\n", end) + 1]).digest()
    message = bytes(data[:end]).replace(b" ", b"-") + message
    good = [0] * len(trusted)
    for id, signature in _signatures(data):
        verified = None
        for i in range(len(trusted)):
            for key in trusted[i][0]:
                if hexlify(sha256(key).digest()[:8]) == id:
                    # One key may be in two pairs, and in one twice; two may have one id.
                    if key != verified:
                        if not (yield from verify_steps(key, message, signature)):
                            id = id.decode()
                            raise StatementError("signature", "wrong signature of key " + id)
                        verified = key
                    good[i] += 1
                    break
    for i in range(len(trusted)):
        n = max(1, trusted[i][1])
        if good[i] < n:
            raise StatementError(
                "threshold", "signed by {} trusted keys, where it takes {}".format(good[i], n)
            )


def follow(data, before):
    """Verify the keyset that follows the keyset before (a dict), in steps; returns it as a dict.

    It must be signed by the threshold of the one before and by its own.
    """
    d = keyset(data)
    if d["version"] != before["version"] + 1:
        raise StatementError(
            "sequence", "keyset {} is not next to {}".format(d["version"], before["version"])
        )
    if before["app"] not in (None, d["app"]):
        raise StatementError(
            "sequence", "the keyset is for {}, not {}".format(d["app"], before["app"])
        )
    yield from verify(data, ((before["keys"], before["threshold"]), (d["keys"], d["threshold"])))
    return d


def fits(d, app, channel, names, mpy, micropython, now, installed):
    """Raise StatementError unless a statement (a dict) is for this board, now.

    names: of the board, any of which may be in boards. mpy: (6, 3), of the format that it
    loads. micropython: its version as three numbers. now: seconds since 1970. installed: the
    statement of the release that runs, or None. What else is None is not asked for.
    """
    if app is not None and d["app"] != app:
        raise StatementError("app", "it is for the application {}, not {}".format(d["app"], app))
    if installed and d["keyset"] < installed["keyset"]:
        raise StatementError(
            "rollback", "keyset {} after keyset {}".format(d["keyset"], installed["keyset"])
        )
    if channel is not None and channel not in d.get("channels", (channel,)):
        raise StatementError("channel", "it is not for the channel " + channel)
    if names is not None and "boards" in d:
        for name in names:
            if name in d["boards"]:
                break
        else:
            raise StatementError("board", "it is not for this board, " + " or ".join(names))
    if mpy is not None and "mpy" in d:
        v = _numbers(d["mpy"], 2)
        if v != list(mpy[: len(v)]):
            raise StatementError("mpy", "it needs the .mpy format " + d["mpy"])
    if micropython is not None and "micropython" in d:
        if _numbers(d["micropython"], 3) > list(micropython[:3]):
            raise StatementError("micropython", "it needs MicroPython " + d["micropython"])
    if now is not None and now > d.get("expires", now):
        raise StatementError("expired", "it expired at {}, and it is {}".format(d["expires"], now))
    if installed and d["keyset"] == installed["keyset"]:
        if d["version"] < installed["version"]:
            raise StatementError(
                "rollback", "version {} after version {}".format(d["version"], installed["version"])
            )
        if d["version"] == installed["version"] and d["manifest"] != installed["manifest"]:
            raise StatementError(
                "rollback", "version {} again, with another manifest".format(d["version"])
            )
