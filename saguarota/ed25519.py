"""Ed25519 signatures (RFC 8032), verified in plain MicroPython.

Signing is the host's business. Everything here is public (key, message, signature), so
nothing tries to take the same time for different values.

Stricter than the RFC asks, so that one signature is never both good and bad to two
readers: S is less than the group's order, the y of key and R is less than the field's,
neither point is of small order, and S*B = R + k*A must hold as it stands (no cofactor).
"""

from micropython import const

_P = const(0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFED)  # the field
_L = const(0x1000000000000000000000000000000014DEF9DEA2F79CD65812631A5CF5D3ED)  # order of B
_D = const(0x52036CEE2B6FFE738CC740797779E89800700A4D4141D8AB75EB4DCA135978A3)
_I = const(0x2B8324804FC1DF0B2B4D00993DFBD7A72F431806AD2FE478C4EE1B274A0EA0B0)  # sqrt(-1)
_X = const(0x216936D3CD6E53FEC0A4E231FDD6DC5C692CC7609525A7B2C9562D608F25D51A)  # of B
_Y = const(0x6666666666666666666666666666666666666666666666666666666666666658)
_M = const(0xFFFFFFFFFFFFFFFF)

# SHA-512's constants, big-endian. As bytes they are one object; as numbers they would be 88.
_K = (
    b"\x42\x8a\x2f\x98\xd7\x28\xae\x22\x71\x37\x44\x91\x23\xef\x65\xcd"
    b"\xb5\xc0\xfb\xcf\xec\x4d\x3b\x2f\xe9\xb5\xdb\xa5\x81\x89\xdb\xbc"
    b"\x39\x56\xc2\x5b\xf3\x48\xb5\x38\x59\xf1\x11\xf1\xb6\x05\xd0\x19"
    b"\x92\x3f\x82\xa4\xaf\x19\x4f\x9b\xab\x1c\x5e\xd5\xda\x6d\x81\x18"
    b"\xd8\x07\xaa\x98\xa3\x03\x02\x42\x12\x83\x5b\x01\x45\x70\x6f\xbe"
    b"\x24\x31\x85\xbe\x4e\xe4\xb2\x8c\x55\x0c\x7d\xc3\xd5\xff\xb4\xe2"
    b"\x72\xbe\x5d\x74\xf2\x7b\x89\x6f\x80\xde\xb1\xfe\x3b\x16\x96\xb1"
    b"\x9b\xdc\x06\xa7\x25\xc7\x12\x35\xc1\x9b\xf1\x74\xcf\x69\x26\x94"
    b"\xe4\x9b\x69\xc1\x9e\xf1\x4a\xd2\xef\xbe\x47\x86\x38\x4f\x25\xe3"
    b"\x0f\xc1\x9d\xc6\x8b\x8c\xd5\xb5\x24\x0c\xa1\xcc\x77\xac\x9c\x65"
    b"\x2d\xe9\x2c\x6f\x59\x2b\x02\x75\x4a\x74\x84\xaa\x6e\xa6\xe4\x83"
    b"\x5c\xb0\xa9\xdc\xbd\x41\xfb\xd4\x76\xf9\x88\xda\x83\x11\x53\xb5"
    b"\x98\x3e\x51\x52\xee\x66\xdf\xab\xa8\x31\xc6\x6d\x2d\xb4\x32\x10"
    b"\xb0\x03\x27\xc8\x98\xfb\x21\x3f\xbf\x59\x7f\xc7\xbe\xef\x0e\xe4"
    b"\xc6\xe0\x0b\xf3\x3d\xa8\x8f\xc2\xd5\xa7\x91\x47\x93\x0a\xa7\x25"
    b"\x06\xca\x63\x51\xe0\x03\x82\x6f\x14\x29\x29\x67\x0a\x0e\x6e\x70"
    b"\x27\xb7\x0a\x85\x46\xd2\x2f\xfc\x2e\x1b\x21\x38\x5c\x26\xc9\x26"
    b"\x4d\x2c\x6d\xfc\x5a\xc4\x2a\xed\x53\x38\x0d\x13\x9d\x95\xb3\xdf"
    b"\x65\x0a\x73\x54\x8b\xaf\x63\xde\x76\x6a\x0a\xbb\x3c\x77\xb2\xa8"
    b"\x81\xc2\xc9\x2e\x47\xed\xae\xe6\x92\x72\x2c\x85\x14\x82\x35\x3b"
    b"\xa2\xbf\xe8\xa1\x4c\xf1\x03\x64\xa8\x1a\x66\x4b\xbc\x42\x30\x01"
    b"\xc2\x4b\x8b\x70\xd0\xf8\x97\x91\xc7\x6c\x51\xa3\x06\x54\xbe\x30"
    b"\xd1\x92\xe8\x19\xd6\xef\x52\x18\xd6\x99\x06\x24\x55\x65\xa9\x10"
    b"\xf4\x0e\x35\x85\x57\x71\x20\x2a\x10\x6a\xa0\x70\x32\xbb\xd1\xb8"
    b"\x19\xa4\xc1\x16\xb8\xd2\xd0\xc8\x1e\x37\x6c\x08\x51\x41\xab\x53"
    b"\x27\x48\x77\x4c\xdf\x8e\xeb\x99\x34\xb0\xbc\xb5\xe1\x9b\x48\xa8"
    b"\x39\x1c\x0c\xb3\xc5\xc9\x5a\x63\x4e\xd8\xaa\x4a\xe3\x41\x8a\xcb"
    b"\x5b\x9c\xca\x4f\x77\x63\xe3\x73\x68\x2e\x6f\xf3\xd6\xb2\xb8\xa3"
    b"\x74\x8f\x82\xee\x5d\xef\xb2\xfc\x78\xa5\x63\x6f\x43\x17\x2f\x60"
    b"\x84\xc8\x78\x14\xa1\xf0\xab\x72\x8c\xc7\x02\x08\x1a\x64\x39\xec"
    b"\x90\xbe\xff\xfa\x23\x63\x1e\x28\xa4\x50\x6c\xeb\xde\x82\xbd\xe9"
    b"\xbe\xf9\xa3\xf7\xb2\xc6\x79\x15\xc6\x71\x78\xf2\xe3\x72\x53\x2b"
    b"\xca\x27\x3e\xce\xea\x26\x61\x9c\xd1\x86\xb8\xc7\x21\xc0\xc2\x07"
    b"\xea\xda\x7d\xd6\xcd\xe0\xeb\x1e\xf5\x7d\x4f\x7f\xee\x6e\xd1\x78"
    b"\x06\xf0\x67\xaa\x72\x17\x6f\xba\x0a\x63\x7d\xc5\xa2\xc8\x98\xa6"
    b"\x11\x3f\x98\x04\xbe\xf9\x0d\xae\x1b\x71\x0b\x35\x13\x1c\x47\x1b"
    b"\x28\xdb\x77\xf5\x23\x04\x7d\x84\x32\xca\xab\x7b\x40\xc7\x24\x93"
    b"\x3c\x9e\xbe\x0a\x15\xc9\xbe\xbc\x43\x1d\x67\xc4\x9c\x10\x0d\x4c"
    b"\x4c\xc5\xd4\xbe\xcb\x3e\x42\xb6\x59\x7f\x29\x9c\xfc\x65\x7e\x2a"
    b"\x5f\xcb\x6f\xab\x3a\xd6\xfa\xec\x6c\x44\x19\x8c\x4a\x47\x58\x17"
    # The hash before any block.
    b"\x6a\x09\xe6\x67\xf3\xbc\xc9\x08\xbb\x67\xae\x85\x84\xca\xa7\x3b"
    b"\x3c\x6e\xf3\x72\xfe\x94\xf8\x2b\xa5\x4f\xf5\x3a\x5f\x1d\x36\xf1"
    b"\x51\x0e\x52\x7f\xad\xe6\x82\xd1\x9b\x05\x68\x8c\x2b\x3e\x6c\x1f"
    b"\x1f\x83\xd9\xab\xfb\x41\xbd\x6b\x5b\xe0\xcd\x19\x13\x7e\x21\x79"
)

def _sha512(data):
    """SHA-512 of data (bytes) as a little-endian number, in steps: one a block."""
    n = len(data)
    data += b"\x80" + bytes(111 - n & 127) + (n * 8).to_bytes(16, "big")
    s = [int.from_bytes(_K[i : i + 8], "big") for i in range(640, 704, 8)]
    w = [0] * 16
    for at in range(0, len(data), 128):
        a, b, c, d, e, f, g, h = s
        for i in range(80):
            # Numbers may have more than 64 bits in between. A word written twice in a row
            # rotates by one shift.
            j = i & 15
            if i < 16:
                t = int.from_bytes(data[at + i * 8 : at + i * 8 + 8], "big")
            else:
                x = w[i + 1 & 15]
                y = w[i + 14 & 15]
                t = x << 64 | x
                t = w[j] + w[i + 9 & 15] + (t >> 1 ^ t >> 8 ^ x >> 7)
                x = y << 64 | y
                t = t + (x >> 19 ^ x >> 61 ^ y >> 6) & _M
            w[j] = t
            x = a << 64 | a
            y = e << 64 | e
            t += h + int.from_bytes(_K[i * 8 : i * 8 + 8], "big")
            t += (y >> 14 ^ y >> 18 ^ y >> 41) + (g ^ e & (f ^ g))
            h = g
            g = f
            f = e
            e = d + t & _M
            d = c
            c = b
            b = a
            a = t + (x >> 28 ^ x >> 34 ^ x >> 39) + (b & c | d & (b | c)) & _M
        i = 0
        for x in (a, b, c, d, e, f, g, h):
            s[i] = s[i] + x & _M
            i += 1
        yield 0
    n = 0
    for x in s:
        n = n << 64 | x
    return int.from_bytes(n.to_bytes(64, "big"), "little")


def _power(a):
    """a ** (2**250 - 1): all but the last step of a square root or an inversion."""
    for n in (1, 5, 25):
        b = a
        a = pow(a, 1 << n, _P) * a % _P
        a = pow(a, 1 << 2 * n, _P) * a % _P
        a = pow(a, 1 << n, _P) * b % _P
        yield 0
    return pow(a, 1 << 125, _P) * a % _P


def _y(key):
    """The y of an encoded point, a key or R; None where it is no canonical one or of small order."""
    y = int.from_bytes(key, "little") & (1 << 255) - 1
    yy = y * y
    # The eight points of small order: y is 0, 1, -1 or a root of the last factor.
    if y < _P and y * (yy - 1) * ((_D * yy + 2) % _P * yy - 1) % _P:
        return y


# A point is (x/z, y/z), with x*y = z*e*h. That product is left to who needs it: adding
# does, doubling does not.


def _double(p):
    """Twice a point: (x, y, z, e, h). dbl-2008-hwcd of the Explicit-Formulas Database."""
    x = p[0]
    y = p[1]
    z = p[2]
    e = x * (y + y) % _P
    x *= x
    y *= y
    z *= z
    f = (z + z + x - y) % _P
    g = (y - x) % _P
    h = (x + y) % _P
    return e * f % _P, g * h % _P, f * g % _P, e, h


def _add(p, k, i):
    """Add an odd multiple of a point: i is 1 to 7, or 9 to 15 for -7 to -1. k: _multiples() of
    the point. add-2008-hwcd-3."""
    x, y, z, e, h = p
    s = i > 8
    k = k[(16 - i if s else i) >> 1]
    t = e * h % _P * k[2]
    z *= k[3]
    if s:
        t = -t
    f = (z - t) % _P
    g = (z + t) % _P
    t = (y - x) * k[s]
    x = (y + x) * k[1 - s]
    e = (x - t) % _P
    h = (x + t) % _P
    return e * f % _P, g * h % _P, f * g % _P, e, h


def _multiples(x, y):
    """(y - x, y + x, 2*d*e*h, 2*z) of 1, 3, 5 and 7 times a point."""
    p = _double((x, y, 1))
    k = []
    twice = None
    for _ in range(5):
        a, b, c, e, h = p
        k.append((b - a, b + a, e * h % _P * _D * 2 % _P, c + c))
        if twice is None:
            twice = k
            k = []
            p = x, y, 1, x, y
        elif len(k) < 4:
            p = _add(p, twice, 1)
    return k


def verify(key, message, signature):
    """Whether signature (64 bytes) is that of the public key (32 bytes) for message, in steps.

    A generator, for who has other work to do in between: it yields 0, which in this package is
    the time to wait, and returns the verdict. That is False for whatever is not bytes or
    bytearray of these lengths. Nothing is raised, unless memory runs out.
    """
    for v in (key, message, signature):
        if not isinstance(v, (bytes, bytearray)):
            return False
    if len(key) != 32 or len(signature) != 64:
        return False
    ay = _y(key)
    ry = _y(signature[:32])
    s = int.from_bytes(signature[32:], "little")
    if ay is None or ry is None or s >= _L:
        return False

    # The key's x, from its y: the root of u/v, which is u * v**3 * (u * v**7) ** ((p - 5) / 8).
    x = ay * ay % _P
    u = x - 1
    v = (_D * x + 1) % _P
    x = v * v % _P * v % _P
    y = u * x % _P  # u * v**3
    z = y * x % _P * v % _P  # u * v**7
    x = pow((yield from _power(z)), 4, _P) * z % _P * y % _P
    v = v * x % _P * x
    if (v - u) % _P:
        if (v + u) % _P:
            return False
        x = x * _I % _P
    if x & 1 == key[31] >> 7:
        x = _P - x  # of -A, as R must be S*B + k*(-A)
    yield 0

    # S and k in digits from -7 to 7, of which four fifths are 0 and the others odd, as a
    # 4-bit number: S in the upper half of an element, k in the lower.
    digits = bytearray(256)
    n = s
    for shift in (4, 0):
        n = n.to_bytes(33, "little")
        v = n[0]
        for i in range(256):
            if not i & 7:
                v += n[(i >> 3) + 1] << 8
            if v & 1:
                u = v & 15
                digits[i] |= u << shift
                v -= u
                if u > 8:
                    v += 16
            v >>= 1
        if shift:
            n = (yield from _sha512(bytes(signature[:32]) + key + message)) % _L

    a = _multiples(x, ay)
    b = _multiples(_X, _Y)
    p = 0, 1, 1, 0, 1
    for i in range(255, -1, -1):
        if i & 15 == 15:
            yield 0
        p = _double(p)
        v = digits[i]
        if v & 15:
            p = _add(p, a, v & 15)
        if v > 15:
            p = _add(p, b, v >> 4)
    x, y, z = p[:3]
    if (y - ry * z) % _P:
        return False
    z = pow((yield from _power(z)), 32, _P) * pow(z, 11, _P) % _P  # 1 / z
    return x * z % _P & 1 == signature[31] >> 7
