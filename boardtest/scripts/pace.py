# Reads bodies under pace.py's bounds, by a clock that does what it is told. Each line of the input
# is a case: min_bytes_per_s, download_deadline_s, the tick at which the update and the body begin,
# and steps, of which each is the milliseconds that pass and the bytes that then arrive. Prints how
# many steps were taken, and the error that ended them.
import sys
from json import loads

import time as real


class Clock:
    now = 0

    def ticks_ms(self):
        return self.now

    def __getattr__(self, name):
        return getattr(real, name)


clock = sys.modules["time"] = Clock()

from saguarota.pace import paced  # noqa: E402


class Client:
    def readinto(self, buf):
        ms, n = self.steps[self.taken]
        clock.now = real.ticks_add(clock.now, ms)
        self.taken += 1
        return n


class Updater:
    pass


for line in sys.stdin:
    case = loads(line)
    ota = Updater()
    ota.min_bytes_per_s, ota.download_deadline_s = case["least"], case["deadline"]
    c = Client()
    c.steps, c.taken, c.got = case["steps"], 0, 0
    ota.began = c.began = clock.now = real.ticks_add(0, case["start"])
    read = paced(ota, c)
    error = None
    try:
        while c.taken < len(c.steps):
            read(None)
    except Exception as e:
        error = e
    print(c.taken, error)
