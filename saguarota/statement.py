"""Signed documents: the statement about a release, and keysets. docs/PROTOCOL.md has the formats.

Pure functions on a whole file (bytes). What statement() and keyset() return was checked
for its form only: nobody may act on it until verify() has found the signatures good.
"""

from binascii import a2b_base64, b2a_base64, hexlify
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


def _bad(why):
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
            _bad("a control character in line 2, or a string without an end")
        if c == 92:
            i += 1
            c = s[i]
            at = b'"\\/bfnrtu'.find(s[i : i + 1])
            if at < 0:
                _bad("unknown escape in line 2")
            if at == 8:
                c = 0
                for i in range(i + 1, i + 5):
                    d = b"0123456789abcdef".find(s[i : i + 1].lower())
                    if d < 0:
                        _bad("unknown escape in line 2")
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
            _bad("no JSON value where one must be in line 2")
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
                _bad("no key where one must be in line 2")
            key, i = _string(s, i)
            if key is None:
                _bad("a key in line 2 is longer than 64 bytes")
            if keep is not None:
                if key in v:
                    _bad("the key {} is given twice".format(repr(key)[:40]))
                if len(v) == _MAX_KEYS:
                    _bad("line 2 has more than {} keys".format(_MAX_KEYS))
                inner = ("sha256", "size") if key in keep else None
            i = _blanks(s, i)
            if s[i] != 58:
                _bad("no : after a key in line 2")
            i += 1
        elif keep is not None and len(v) == _MAX_LISTED:
            _bad("a list has more than {} entries".format(_MAX_LISTED))
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
            _bad("no , between values in line 2")
        i += 1
    return v, i


def _hex(s, digits):
    for c in s:
        if c not in b"0123456789abcdef":
            return False
    return len(s) == digits


def _base64(text, size):
    """The bytes of the one right Base64 text for so many; None for any other text."""
    try:
        v = a2b_base64(text)
    except ValueError:
        return None
    return v if len(v) == size and b2a_base64(v)[:-1] == text else None


def _signatures(data):
    """Yield (key id, signature) for each of the lines from the third on."""
    at = data.find(b"\n", data.find(b"\n") + 1) + 1
    last = b""
    while at < len(data):
        end = data.find(b"\n", at)
        id = bytes(data[at : at + 16])
        v = _base64(bytes(data[at + 17 : end]), 64) if end == at + 105 else None
        if v is None or data[at + 16] != 32:
            _bad("a signature is not 16 hexadecimal digits, a space and the Base64 of 64 bytes")
        if not _hex(id, 16):
            _bad("a key id is not 16 hexadecimal digits in lower case")
        if id <= last:
            _bad("the signatures are not in ascending order of key ids, each once")
        yield id, v
        last = id
        at = end + 1


# Texts are looked at byte by byte: to iterate over a str would intern every character, which
# nothing ever frees.


def _utf8(s, i, end):
    """MicroPython itself does not mind surrogates and forms that are longer than need be."""
    while i < end:
        c = s[i]
        i += 1
        if c > 127:
            n = (c > 0xDF) + (c > 0xEF)
            v = c & 0x1F >> n if c > 0xBF else -1
            for _ in range(n + 1):
                if s[i] >> 6 != 2:
                    _bad("not UTF-8")
                v = v << 6 | s[i] & 63
                i += 1
            if not (0x80, 0x800, 0x10000)[n] <= v <= 0x10FFFF or v >> 11 == 0x1B:
                _bad("not UTF-8")


def _text(v, key):
    b = v.encode() if isinstance(v, str) else b""
    if not 1 <= len(b) <= 64:
        _bad(key + " must be a text of 1 to 64 bytes")
    last = 0
    for c in b:
        if c < 32 or c == 127 or last == 0xC2 and c < 0xA0:
            _bad(key + " has a control character")
        last = c
    if "\ufffd" in v:
        _bad(key + " is damaged")


def _numbers(text, key, least, most):
    """[6, 3] for "6.3"."""
    try:
        v = [int(part) for part in text.split(".")]
    except ValueError:
        v = ()
    # What int() takes beyond plain digits does not come out of str() again, but for a sign.
    if ".".join([str(n) for n in v]) != text or not least <= len(v) <= most:
        v = (-1,)
    if min(v) < 0 or max(v) > 999:
        _bad(key + " is not a version: " + text)
    return v


def _read(data, kind, size, signatures, required, optional):
    if len(data) > size:
        _bad("longer than {} bytes".format(size))
    i = 13 + len(kind)
    if data[:i] != b"saguarota-" + kind.encode() + b" 1\n":
        _bad("line 1 is not: saguarota-{} 1".format(kind))
    end = data.find(b"\n", i)
    if end < i + 2 or data[i] != 123 or data[end - 1] != 125:
        _bad("line 2 is not one JSON object")
    for _ in _signatures(data):
        signatures -= 1
        if signatures < 0:
            _bad("too many signatures")
    _utf8(data, i, end)
    d, i = _value(data, i, required + optional, 0)
    if i != end:
        _bad("there is something after the object in line 2")
    for key in required:
        if key not in d:
            _bad("the key {} is missing".format(key))
    known = {}
    for key in required + optional:
        if key in d:
            v = known[key] = d[key]
            if key in ("channels", "boards", "keys"):
                if not isinstance(v, list) or not v:
                    _bad(key + " must be a list of texts")
                for text in v:
                    _text(text, key)
                    if v.count(text) > 1:
                        _bad("{} has {} twice".format(key, text))
            elif key in ("version", "keyset", "threshold", "time", "expires"):
                least = 0 if key == "version" and kind == "release" else 1
                if type(v) is not int or not least <= v <= _MAX_INT:
                    _bad("{} must be a whole number from {} on".format(key, least))
            elif key != "manifest":
                _text(v, key)
    return known


def statement(data):
    """What a statement says, as a dict of its known keys. Raises StatementError."""
    d = _read(
        data, "release", 4096, 16,
        ("app", "version", "manifest", "keyset"),
        ("name", "channels", "boards", "mpy", "micropython", "time", "expires"),
    )  # fmt: skip
    if "mpy" in d:
        _numbers(d["mpy"], "mpy", 1, 2)
    if "micropython" in d:
        _numbers(d["micropython"], "micropython", 2, 3)
    m = d["manifest"]
    if not isinstance(m, dict):
        _bad("manifest must be an object")
    v = m.get("sha256")
    if not isinstance(v, str) or not _hex(v.encode(), 64):
        _bad("manifest.sha256 must be 64 hexadecimal digits in lower case")
    n = m.get("size")
    if type(n) is not int or n > _MAX_INT:
        _bad("manifest.size must be a whole number")
    d["manifest"] = {"sha256": v, "size": n}
    return d


def keyset(data):
    """What a keyset says, as a dict; its keys are bytes. Raises StatementError.

    Whether a key is a point of the curve is not asked: one that is none verifies nothing.
    """
    d = _read(data, "keyset", 8192, 32, ("app", "version", "threshold", "keys"), ())
    d["keys"] = [_base64(text.encode(), 32) for text in d["keys"]]
    if None in d["keys"]:
        _bad("a key is not the Base64 of 32 bytes")
    if d["threshold"] > len(d["keys"]):
        _bad("the threshold is {} and there are {} keys".format(d["threshold"], len(d["keys"])))
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
    ids = {}
    for keys, _ in trusted:
        for key in keys:
            ids[hexlify(sha256(key).digest()[:8])] = key
    good = []
    for id, signature in _signatures(data):
        if id in ids:
            if not (yield from verify_steps(ids[id], message, signature)):
                raise StatementError("signature", "wrong signature of key " + id.decode())
            good.append(ids[id])
    for keys, threshold in trusted:
        n = len([key for key in good if key in keys])
        if n < max(1, threshold):
            raise StatementError(
                "threshold", "signed by {} trusted keys, where it takes {}".format(n, threshold)
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
        v = _numbers(d["mpy"], "mpy", 1, 2)
        if v != list(mpy[: len(v)]):
            raise StatementError("mpy", "it needs the .mpy format " + d["mpy"])
    if micropython is not None and "micropython" in d:
        if _numbers(d["micropython"], "micropython", 2, 3) > list(micropython[:3]):
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
