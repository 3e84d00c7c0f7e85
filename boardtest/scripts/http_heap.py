# Prints what the HTTP client costs: heap in use by the module alone, then with a client that has
# read the URL in the first argument and keeps the connection open.
import gc
import sys

gc.collect()
before = gc.mem_alloc()
import http

gc.collect()
module = gc.mem_alloc() - before
client = http.Client()
client.get(sys.argv[1])
client.readinto(bytearray(64))
gc.collect()
print(module, gc.mem_alloc() - before)
