# Reads a body of which the first bytes come at once and the rest only after a second URL was asked
# for: a client that waits for its buffer to be full would wait in vain.
import sys

from http import Client

client = Client(timeout_s=1)
client.get(sys.argv[1])
buf = bytearray(512)
n = client.readinto(buf)
while n < 2:
    n += client.readinto(memoryview(buf)[n:])
Client(timeout_s=1).get(sys.argv[2])
rest = b""
while True:
    got = client.readinto(memoryview(buf)[n:])
    if not got:
        break
    rest += buf[n : n + got]
print(bytes(buf[:n]), rest)
