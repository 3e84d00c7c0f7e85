"""Writes testdata/vectors/ed25519/{hostile,flipped}.json: python3 release/testdata/ed25519.py

The arithmetic is that of RFC 8032, section 6, in affine coordinates, and shares nothing with the
implementations that the vectors test. Nothing is random: every number is a hash of a label.
"""

import json
from hashlib import sha256, sha512
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[2] / "testdata" / "vectors" / "ed25519"

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
ZERO = (0, 1)


def add(a, b):
    product = D * a[0] * b[0] * a[1] * b[1]
    x = (a[0] * b[1] + b[0] * a[1]) * pow(1 + product, -1, P)
    y = (a[1] * b[1] + a[0] * b[0]) * pow(1 - product, -1, P)
    return x % P, y % P


def mul(n, a):
    result = ZERO
    while n:
        if n & 1:
            result = add(result, a)
        a = add(a, a)
        n >>= 1
    return result


def neg(a):
    return -a[0] % P, a[1]


def x_of(y, sign):
    """The x of a point, or None if there is no such point."""
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if x * x % P != square:
        x = x * pow(2, (P - 1) // 4, P) % P
    if x * x % P != square:
        return None
    return x if x & 1 == sign else P - x


def encode(a):
    return (a[1] | (a[0] & 1) << 255).to_bytes(32, "little")


BASE = (x_of(4 * pow(5, -1, P) % P, 0), 4 * pow(5, -1, P) % P)
# A point of order 8: its double has y = 0, so d·y⁴ + 2y² - 1 = 0.
Y8 = 0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7
T8 = (x_of(Y8, 0), Y8)
assert mul(8, T8) == ZERO and mul(4, T8) == (0, P - 1) and mul(L, BASE) == ZERO

cases = []


def case(about, public, message, signature, valid):
    cases.append(
        {
            "about": about,
            "public": public.hex(),
            "message": message.hex(),
            "signature": signature.hex(),
            "valid": valid,
        }
    )


def write(name):
    text = json.dumps(cases, indent=2, ensure_ascii=False) + "\n"
    assert len(text) < 16000, (name, len(text))
    (FOLDER / name).write_text(text, encoding="utf-8")
    cases.clear()


def scalar(label):
    return int.from_bytes(sha512(label.encode()).digest(), "little") % L


def hash_of(r, a, message):
    """SHA-512 as a number, and that modulo L."""
    k = int.from_bytes(sha512(r + a + message).digest(), "little")
    return k, k % L


def find(label, r, a, want):
    """A message whose hash with r and a satisfies want(whole, reduced)."""
    for i in range(100000):
        message = b"%s %d" % (label.encode(), i)
        whole, k = hash_of(r, a, message)
        if want(whole, k):
            return message, k
    raise ValueError(label)


def s_bytes(s):
    return s.to_bytes(32, "little")


def key():
    """An honest private scalar and its public key."""
    a = scalar("private")
    return a, mul(a, BASE)


def sign(a, public, message, label):
    r = scalar(label)
    encoded = encode(mul(r, BASE))
    return encoded, (r + hash_of(encoded, public, message)[1] * a) % L


def hostile():
    a, point = key()
    public = encode(point)
    message = b"an honest message"
    r, s = sign(a, public, message, "honest")
    case("honest, by the arithmetic of this file", public, message, r + s_bytes(s), True)

    for n in 1, 2, 8, 15:
        case("S + %dL instead of S: equal modulo L" % n, public, message, r + s_bytes(s + n * L), False)
    identity = encode(ZERO)
    case("S = L where S = 0 would do", identity, message, identity + s_bytes(L), False)
    case("S with its top bit set", public, message, r + s_bytes(s | 1 << 255), False)

    # Keys of small order: k times the key is zero for one message in eight at least, so anybody
    # can make R and S without a private key.
    for i in range(8):
        weak = mul(i, T8)
        r0 = scalar("weak")
        r = encode(mul(r0, BASE))
        text, _ = find("key %d" % i, r, encode(weak), lambda _, k: k % 8 == 0)
        case("key of small order, %d·T8; the equation holds" % i, encode(weak), text, r + s_bytes(r0), False)
    zeros = bytes(32)
    text, _ = find("zeros", zeros, zeros, lambda _, k: k % 4 == 3)
    case("key, R and S all zeros; the equation holds", zeros, text, zeros + zeros, False)

    # The same in encodings that are not canonical.
    for about, y in (
        ("neutral element with y = p + 1", P + 1),
        ("order 4 with y = p", P),
        ("neutral element with the sign bit of x = 0", 1 | 1 << 255),
        ("order 2 with the sign bit of x = 0", P - 1 | 1 << 255),
        ("neutral element with y = p + 1 and the sign bit", P + 1 | 1 << 255),
        ("order 4 with y = p and the sign bit", P | 1 << 255),
    ):
        encoded = y.to_bytes(32, "little")
        r0 = scalar("weak")
        r = encode(mul(r0, BASE))
        text, _ = find(about, r, encoded, lambda _, k: k % 8 == 0)
        case("key: " + about, encoded, text, r + s_bytes(r0), False)
    for y in 3, 18:
        case("key: y = p + %d" % y, (P + y).to_bytes(32, "little"), message, r + s_bytes(s), False)
    case("key: y = 2^255 - 1", b"\xff" * 31 + b"\x7f", message, r + s_bytes(s), False)
    case("key: all bits set", b"\xff" * 32, message, r + s_bytes(s), False)
    y = next(y for y in range(2, 100) if x_of(y, 0) is None)
    case("key: no point has this y", y.to_bytes(32, "little"), message, r + s_bytes(s), False)

    # R of small order: whoever has the private key can do this, and so make more than one
    # signature of one kind.
    for about, encoded in (
        ("R is the neutral element", identity),
        ("R is the neutral element with y = p + 1", (P + 1).to_bytes(32, "little")),
        ("R is the neutral element with the sign bit of x = 0", (1 | 1 << 255).to_bytes(32, "little")),
    ):
        _, k = hash_of(encoded, public, message)
        case(about + "; the equation holds", public, message, encoded + s_bytes(k * a % L), False)
    mixed = add(point, T8)
    for i in 1, 2, 4:
        r = encode(mul(i, T8))
        text, k = find("R %d" % i, r, encode(mixed), lambda _, k, i=i: (k + i) % 8 == 0)
        assert encode(add(mul(k * a % L, BASE), neg(mul(k, mixed)))) == r
        case("R is %d·T8; the equation holds" % i, encode(mixed), text, r + s_bytes(k * a % L), False)
    case("R has no point", public, message, y.to_bytes(32, "little") + s_bytes(s), False)

    # A key with a part of small order is not weak. Whether its signature is valid shows which
    # equation is used: multiplied by 8 (then all are), with k reduced modulo L or not.
    encoded = encode(mixed)
    r0 = scalar("mixed")
    r = encode(mul(r0, BASE))
    for about, want, valid in (
        ("k divisible by 8", lambda whole, k: k % 8 == 0, True),
        ("k not divisible by 8: valid with cofactor only", lambda whole, k: k % 8 and whole % 8, False),
        ("k divisible by 8 before it is reduced only", lambda whole, k: k % 8 and whole % 8 == 0, False),
        ("k divisible by 8 after it is reduced only", lambda whole, k: k % 8 == 0 and whole % 8, True),
    ):
        text, k = find(about, r, encoded, want)
        case("key with a part of order 8, " + about, encoded, text, r + s_bytes((r0 + k * a) % L), valid)
    write("hostile.json")


def flipped():
    a, point = key()
    public = encode(point)
    message = sha256(b"flipped").digest()
    r, s = sign(a, public, message, "flipped")
    signature = r + s_bytes(s)
    case("as it was signed", public, message, signature, True)

    def flip(data, bit):
        data = bytearray(data)
        data[bit >> 3] ^= 1 << (bit & 7)
        return bytes(data)

    for bit in 0, 7, 8, 100, 255:
        case("bit %d of the message flipped" % bit, public, flip(message, bit), signature, False)
    for bit in 0, 1, 127, 128, 254, 255, 256, 257, 300, 383, 384, 507, 508, 509, 510, 511:
        case("bit %d of the signature flipped" % bit, public, message, flip(signature, bit), False)
    for bit in 0, 1, 128, 254, 255:
        case("bit %d of the key flipped" % bit, flip(public, bit), message, signature, False)
    case("a byte appended to the message", public, message + b"\0", signature, False)
    case("the last byte of the message gone", public, message[:-1], signature, False)
    case("no message", public, b"", signature, False)
    case("R and S swapped", public, message, signature[32:] + signature[:32], False)
    case("S of another message", public, message, r + s_bytes(sign(a, public, b"x", "flipped")[1]), False)
    case("signature of zeros", public, message, bytes(64), False)
    case("63 bytes of signature", public, message, signature[:-1], False)
    case("65 bytes of signature", public, message, signature + b"\0", False)
    case("no signature", public, message, b"", False)
    case("31 bytes of key", public[:-1], message, signature, False)
    case("33 bytes of key", public + b"\0", message, signature, False)
    write("flipped.json")


hostile()
flipped()
