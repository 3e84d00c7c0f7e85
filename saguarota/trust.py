"""What decides whether a release is ours: HMAC-SHA256 (RFC 2104) over the manifest."""

from ubinascii import hexlify
from uhashlib import sha256


class HMAC:
    """A running HMAC-SHA256; key: bytes."""

    def __init__(self, key):
        if len(key) > 64:
            key = sha256(key).digest()
        pad = bytearray(64)
        pad[: len(key)] = key
        for i in range(64):
            pad[i] ^= 0x36
        self._inner = sha256(pad)
        for i in range(64):
            pad[i] ^= 0x36 ^ 0x5C
        self._outer = sha256(pad)

    def update(self, data):
        self._inner.update(data)

    def hexdigest(self):
        """The code as 64 hexadecimal digits (str); ends the computation."""
        self._outer.update(self._inner.digest())
        return hexlify(self._outer.digest()).decode()


def equal(a, b):
    """Compare two strings in time that does not depend on where they differ."""
    if len(a) != len(b):
        return False
    d = 0
    for i in range(len(a)):
        d |= ord(a[i]) ^ ord(b[i])
    return d == 0
