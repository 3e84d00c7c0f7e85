# Hands damaged input to the verifiers, which must refuse all of it in their own way: anything
# but False or a OTAError ends this script with a traceback. The argument is the file of a
# statement with one signature; the last 32 bytes of the file are the key. Prints how many pieces
# were refused, and at which place something was not.
import sys

from saguarota.ed25519 import verify
from saguarota.error import OTAError
from saguarota.statement import keyset, statement
from saguarota.statement import verify as verify_document

refused = 0


def random_bytes(n, state=[1]):
    b = bytearray(n)
    for i in range(n):
        state[0] = (state[0] * 1103515245 + 12345) & 0x7FFFFFFF
        b[i] = state[0] >> 16 & 255
    return bytes(b)


def signature(key, message, sig, what):
    global refused
    steps = verify(key, message, sig)
    try:
        while True:
            next(steps)
    except StopIteration as e:
        good = e.value
    if good is False:
        refused += 1
    else:
        print("accepted:", what)


def document(data, what):
    global refused
    try:
        statement(data)
        for _ in verify_document(data, {"keys": keys, "threshold": 1}):
            pass
        print("accepted:", what)
    except OTAError as e:
        # Each has a code for programs and something to say to people.
        if e.code and str(e):
            refused += 1


def check_keyset(data, what):
    global refused
    try:
        keyset(data)
        print("accepted:", what)
    except OTAError:
        refused += 1


with open(sys.argv[1], "rb") as f:
    data = f.read()
keys = [data[-32:]]
data = data[:-32]
statement(data)
for _ in verify_document(data, {"keys": keys, "threshold": 1}):
    pass

for n in range(200):
    if n != 32:
        signature(random_bytes(n), b"", bytes(64), "key of {} bytes".format(n))
    if n != 64:
        signature(keys[0], b"", random_bytes(n), "signature of {} bytes".format(n))
    signature(random_bytes(32), random_bytes(n), random_bytes(63) + b"\0", "noise {}".format(n))
for v in (None, 1, 2.5, "x" * 32, "x" * 64, [1] * 32, memoryview(bytes(64)), True):
    signature(v, b"", bytes(64), "another type of key")
    signature(keys[0], v, bytes(64), "another type of message")
    signature(keys[0], b"", v, "another type of signature")
for c in (0, 1, 127, 128, 236, 237, 238, 255):
    for n in range(65):
        s = bytes([c]) * n + b"\xff" * (64 - n)
        signature(s[:32], b"", s, "{} times {}".format(n, c))

for n in range(len(data)):
    document(data[:n], "the first {}".format(n))
    document(data[n + 1 :], "all but the first {}".format(n + 1))
    document(data[:n] + bytes([data[n] ^ 1 << (n & 7)]) + data[n + 1 :], "byte {}".format(n))
    document(data[:n] + random_bytes(1 + n % 7), "noise after {}".format(n))
    document(random_bytes(n), "noise")
    document(data[:20] + random_bytes(n) + b"\n", "a line of noise")
    check_keyset(random_bytes(n), "noise")
    check_keyset(b"saguarota-keyset 1\n{" + random_bytes(n) + b"}\n", "an object of noise")
for s in (b"[", b"{", b'{"a":', b'"', b"\\", b'"\\u', b"1", b"-", b" ", b",", b"\xf0", b"\x80"):
    for n in (1, 2, 100, 4000, 8200):
        bomb = (s * (n // len(s) + 1))[:n]
        document(b"saguarota-release 1\n{" + bomb + b"}\n", "a bomb")
        document(b'saguarota-release 1\n{"x":' + bomb + b"}\n", "a bomb")
        check_keyset(b'saguarota-keyset 1\n{"keys":' + bomb + b"}\n", "a bomb")
print("refused", refused)
