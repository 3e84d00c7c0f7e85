"""Signed documents: the statement about a release, and keysets. docs/PROTOCOL.md has their form.

It leaves no choice, so that little code reads it, and nothing can be read in two ways. What
statement() and keyset() return was checked for its form only: nobody may act on it until
verify() has found the signatures good.

A board never frees a name that it has seen once, and each time that they have doubled, needs
some kilobytes in one piece for their table. Hence few names here, and some of them used before.
"""

from micropython import const
from ubinascii import a2b_base64, b2a_base64, hexlify, unhexlify
from uhashlib import sha256

from .error import OTAError

_MAX_INT = const(0x7FFFFFFFFFFFFFFF)
_MAX_TEXT = const(64)  # bytes
_MAX_LISTED = const(16)


# Each of these returns a value and where the next byte is, or raises ValueError. The newline
# that ends the line belongs to no value, so no index gets past it.


def _text(s, i):
    j = s.find(b'"', i + 1)
    v = s[i + 1 : j]
    if s[i] != 34 or j < 0 or not 0 < len(v) <= _MAX_TEXT:
        raise ValueError
    for c in v:
        if c < 32 or c == 92:  # no escapes: a text has one spelling
            raise ValueError
    return v.decode(), j + 1


def _number(s, i):
    j = i
    while 48 <= s[j] <= 57:
        j += 1
    v = int(s[i : min(j, i + 20)])
    if v > _MAX_INT or j - i != len(str(v)):
        raise ValueError
    return v, j


def _list(s, i):
    v = []
    c = 91
    while s[i] == c:
        text, i = _text(s, i + 1)
        if text in v or len(v) == _MAX_LISTED:
            raise ValueError
        v.append(text)
        c = 44
    if not v or s[i] != 93:
        raise ValueError
    return v, i + 1


def _digest(s, i):
    if s[i : i + 10] != b'{"sha256":':
        raise ValueError
    digits, i = _text(s, i + 10)
    v = unhexlify(digits)
    if len(v) != 32 or hexlify(v).decode() != digits or s[i : i + 8] != b',"size":':
        raise ValueError
    size, i = _number(s, i + 8)
    if s[i] != 125:
        raise ValueError
    return {"sha256": digits, "size": size}, i + 1


def _error(why):
    raise OTAError("statement_invalid", why)


def _read(data, kind, size, *fields):
    # fields: the keys in their order, each with the function that reads its value.
    i = 13 + len(kind)
    if len(data) > size:
        _error("longer than {} bytes".format(size))
    if data[:i] != b"saguarota-" + kind + b" 1\n":
        _error("line 1 is not that of a " + kind.decode())
    end = data.find(b"\n", i)
    if end < i + 2 or data[i] != 123 or data[end - 1] != 125:
        _error("line 2 is no object")
    d = {}
    c = b"{"
    for f in range(0, len(fields), 2):
        key = fields[f]
        head = c + b'"' + key.encode() + b'":'
        if data[i : i + len(head)] == head:
            try:
                d[key], i = fields[f + 1](data, i + len(head))
            except ValueError:
                _error("bad value of " + key)
            c = b","
        elif f < 10 and key != "name":
            _error("no value of {} in its place".format(key))
    # What is new to us may follow, but nothing that is not.
    if i != end - 1:
        if data[i : i + 2] != b',"':
            _error("line 2 goes on after its last value")
        for f in range(0, len(fields), 2):
            if data.find(b'"' + fields[f].encode() + b'":', i) > 0:
                _error("{} is not in its place".format(fields[f]))
    for key in ("keyset", "threshold", "time", "expires"):
        if d.get(key) == 0:
            _error("bad value of " + key)
    return d


def statement(data):
    """What a statement (bytes) says, as a dict of its known keys."""
    return _read(
        data, b"release", 4096,
        "app", _text, "version", _number, "name", _text, "manifest", _digest, "keyset", _number,
        "channels", _list, "boards", _list, "mpy", _text, "micropython", _text,
        "time", _number, "expires", _number,
    )  # fmt: skip


def keyset(data, old=None):
    """What a keyset (bytes) says, as a dict; its keys are bytes.

    It must be the next after the keyset old (a dict). Whether a key is a point of the curve is
    not asked: one that is none verifies nothing.
    """
    d = _read(
        data, b"keyset", 8192, "app", _text, "version", _number, "threshold", _number, "keys", _list
    )
    keys = []
    for text in d["keys"]:
        keys.append(_take(text.encode(), 32, a2b_base64, b2a_base64))
    d["keys"] = keys
    if not d["version"] or d["threshold"] > len(keys):
        _error("bad value of version or threshold")
    if old:
        if d["version"] != old["version"] + 1:
            _error("keyset {} is not next to {}".format(d["version"], old["version"]))
        if old["app"] not in (None, d["app"]):
            _error("the keyset is for {}, not {}".format(d["app"], old["app"]))
    return d


def _take(text, size, decode, encode):
    # The bytes of the one right text for so many of them.
    try:
        v = decode(text)
    except ValueError:
        v = b""
    if len(v) != size or encode(v).strip() != text:
        _error("bad key or signature")
    return v


def _stream(data):
    """Yield (key id, signature) for each of the lines from the third on."""
    at = data.find(b"\n", data.find(b"\n") + 1) + 1
    last = b""
    left = 32 if data[10] == 107 else 16  # 107: of a keyset
    while at < len(data):
        id = data[at : at + 16]
        if data[at + 16 : at + 17] + data[at + 105 : at + 106] != b" \n":
            _error("a line is no signature")
        _take(id, 8, unhexlify, hexlify)
        v = _take(data[at + 17 : at + 105], 64, a2b_base64, b2a_base64)
        if id <= last or not left:
            _error("signatures are too many, or not in order, each once")
        yield id, v
        last = id
        left -= 1
        at += 106


def verify(data, *keysets):
    """Verify a document (bytes) that was read, in steps (a generator).

    Of each of the keysets (dicts) as many keys must have signed as its threshold says. A key
    counts once. Signatures of other keys do not matter, but one of these that is wrong is an
    error, even if others would do: honest documents have none.
    """
    for _ in _stream(data):
        pass  # first of all, that each is one
    from .ed25519 import verify

    end = data.find(b"\n") + 1
    message = sha256(memoryview(data)[: data.find(b"\n", end) + 1]).digest()
    message = data[:end].replace(b" ", b"-") + message
    good = [0] * len(keysets)
    for id, signature in _stream(data):
        done = None
        for i in range(len(keysets)):
            for key in keysets[i]["keys"]:
                if hexlify(sha256(key).digest()[:8]) == id:
                    # One key may be in two keysets, and in one twice; two may have one id.
                    if key != done:
                        if not (yield from verify(key, message, signature)):
                            raise OTAError(
                                "statement_signature_invalid",
                                "wrong signature of key " + id.decode(),
                            )
                        done = key
                    good[i] += 1
                    break
    for i in range(len(keysets)):
        n = max(1, keysets[i]["threshold"])
        if good[i] < n:
            raise OTAError(
                "statement_signature_invalid",
                "signed by {} trusted keys, where it takes {}".format(good[i], n),
            )
