# Stops while a pack is made into files, and goes on, at every so many steps. The argument is a JSON object, as
# scripts/unpack.py has them, with every: how many steps lie between two stops. Prints how many steps it takes
# without a stop; and for each stop how many it takes after it, and how many files are not right then.
import json
import os
import sys

import saguarota.plan
import saguarota.unpack
from saguarota import OTAUpdater
from saguarota.stage import check, staged_path, todo

plan = sys.modules["saguarota.plan"]
unpack = sys.modules["saguarota.unpack"]
job = json.loads(sys.argv[1])


class NoJournal:
    bad = ()


class Link:
    hole = None


def steps(generator):
    n = 0
    for _ in generator:
        n += 1
    return n


def prepare():
    folder = ota.backup_dir + "/"
    for name in os.listdir(folder):
        os.remove(folder + name)
    with open(job["pack"], "rb") as f, open(folder + "pack", "wb") as g:
        g.write(f.read())
    steps(unpack.unpack(ota, Link, 0, job))
    steps(plan.release(ota, NoJournal, "{}.{}".format(job["sha256"][:16], job["version"]), Link))


def wrong():
    return sum(
        not check(staged_path(ota, f[1]), int(f[3]), f[4], bytearray(512))
        for f in todo(ota.backup_dir)
        if f[1] != "manifest"
    )


os.chdir(job["dir"])
ota = OTAUpdater("http://nowhere/versions.json", "http://nowhere/")
os.mkdir(ota.backup_dir)
prepare()
total = steps(unpack.unpack(ota, Link, 0, None))
print(total, wrong())
for stop in range(1, total, job["every"]):
    prepare()
    work = unpack.unpack(ota, Link, 0, None)
    for _ in range(stop):
        next(work)
    work.close()
    print(steps(unpack.unpack(ota, Link, 0, None)), wrong())


class Worn:
    """A base that cannot be read from the second piece on."""

    def __init__(self, f):
        self.f = f
        self.left = 1

    def seek(self, n):
        return self.f.seek(n)

    def readinto(self, buf, n):
        self.left -= 1
        if self.left < 0:
            raise OSError(5)
        return self.f.readinto(buf, n)

    def close(self):
        self.f.close()


prepare()
real = unpack._open
unpack._open = lambda path: Worn(real(path))
print(steps(unpack.unpack(ota, Link, 0, None)), wrong())
