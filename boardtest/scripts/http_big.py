# Downloads the URL in the first argument through a 512-byte buffer, twice over one connection, and
# prints its size and SHA-256, then whether the heap in use grew between the two.
import gc
import hashlib
import sys

from http import Client

client = Client()
buf = bytearray(512)
view = memoryview(buf)
used = []
for _ in range(2):
    client.get(sys.argv[1])
    sha = hashlib.sha256()
    size = 0
    while True:
        n = client.readinto(buf)
        if not n:
            break
        sha.update(view[:n])
        size += n
    print(size, "".join("%02x" % b for b in sha.digest()))
    gc.collect()
    used.append(gc.mem_alloc())
print("flat", used[1] - used[0] < 256)
