# Verifies a statement, as the first thing that a board with little memory does. Arguments: its
# file, and one with the 32 bytes of each trusted key. All must have signed it. Prints the number
# of steps and, in microseconds, the shortest of some runs.
import sys
import time

from saguarota.statement import statement, verify

with open(sys.argv[1], "rb") as f:
    data = f.read()
with open(sys.argv[2], "rb") as f:
    keys = f.read()
keys = [keys[i : i + 32] for i in range(0, len(keys), 32)]
best = None
for _ in range(10):
    start = time.ticks_us()
    d = statement(data)
    steps = 0
    for _ in verify(data, {"keys": keys, "threshold": len(keys)}):
        steps += 1
    t = time.ticks_diff(time.ticks_us(), start)
    if best is None or t < best:
        best = t
print(d["app"], steps, best)
