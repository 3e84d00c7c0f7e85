# Unpacks damaged packs, each into the state folder of the same board. The arguments: the root of the
# board's file system, the SHA-256 and the version of the manifest that is wanted, how many packs to
# damage; then the packs.
#
# A damaged pack makes every file right, or ends in a PackError, or makes a file that its hash tells from
# the right one: then an update fetches that file whole. Anything else, a write outside the state folder
# and work without end stop this script with a traceback. Prints how often each came.
import builtins
import os
import sys

import saguarota.plan
import saguarota.unpack
from saguarota import OTAUpdater
from saguarota.pack import PackError
from saguarota.stage import check, staged_path, todo

MOST = 20000  # pieces of work: more than any pack here can make of its bytes

root, sha, version, count = sys.argv[1:5]
packs = sys.argv[5:]
os.chdir(root)
plan = sys.modules["saguarota.plan"]
unpack = sys.modules["saguarota.unpack"]
real_open = builtins.open
seed = 1


def guarded_open(path, mode="r"):
    if mode not in ("r", "rb") and not path.startswith("saguarota_backup/"):
        raise Exception("writes to " + path)
    return real_open(path, mode)


unpack.open = guarded_open


class NoJournal:
    bad = ()


class Link:
    hole = None


def random(n):
    # Numerical Recipes' generator: the same damage on every machine.
    global seed
    seed = (seed * 1664525 + 1013904223) & 0xFFFFFFFF
    return (seed >> 8) % n


def drain(steps):
    n = 0
    for _ in steps:
        n += 1
        if n > MOST:
            raise Exception("work without end")


def damage(data):
    data = bytearray(data)
    for _ in range(1 + random(3)):
        at = random(len(data))
        # The numbers of the first segment are at the beginning: every other blow is aimed at these.
        if random(2):
            at = min(at, random(16))
        kind = random(6)
        if kind == 0:
            data[at] ^= 1 << random(8)
        elif kind == 1:
            data[at] = random(256)
        elif kind == 2:
            data = data[:at] or bytearray(1)
        elif kind == 3:
            data = data[:at] + data[at + 1 + random(8) :] or bytearray(1)
        elif kind == 4:
            n = 1 + random(5)
            data = data[:at] + bytearray([random(256) for _ in range(n)]) + data[at:]
        else:
            data[at] = (0, 127, 128, 255)[random(4)]
    return data


ota = OTAUpdater("http://nowhere/versions.json", "http://nowhere/")
id = "{}.{}".format(sha[:16], version)
path = ota.backup_dir + "/pack"
right = real_open(staged_path(ota, "manifest"), "rb").read()
pin = {"size": len(right), "sha256": sha}
originals = [real_open(p, "rb").read() for p in packs]
drain(plan.release(ota, NoJournal, id, Link))
names = [(staged_path(ota, f[1]), int(f[3]), f[4]) for f in todo(ota.backup_dir) if f[1] != "manifest"]
buf = bytearray(512)
told = [0, 0, 0, 0, 0]
for n in range(int(count)):
    with real_open(path, "wb") as f:
        f.write(damage(originals[n % len(originals)]))
    for name, _, _ in names:
        try:
            os.remove(name)
        except OSError:
            pass
    try:
        drain(unpack.unpack(ota, Link, 0, pin))
    except (PackError, MemoryError):
        told[3] += 1
    try:
        drain(unpack.unpack(ota, Link, 0, None))
    except PackError:
        told[1] += 1
        continue
    except MemoryError:
        told[2] += 1  # a window that is larger than this heap
        continue
    if all([check(name, size, sums, buf) for name, size, sums in names]):
        told[0] += 1
    else:
        told[4] += 1
print("whole {} refused {} too large {} wrong {} manifest {}".format(
    told[0], told[1], told[2], told[4], told[3]))
