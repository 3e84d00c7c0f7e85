# Unpacks packs as an update does. Standard input has a JSON object a line:
#
#     dir      the root of a board's file system, with its release in it
#     pack     the file of the pack
#     size, sha256, version   of the manifest that is wanted
#     files    how many files of it differ
#
# Prints for each: "ok" where all of the release came out right, or what went wrong. All that is written
# is in the board's state folder, or this script ends.
import builtins
import json
import os
import sys

import saguarota.plan
import saguarota.unpack
from saguarota import OTAUpdater
from saguarota.error import OTAError
from saguarota.stage import check, staged_path, todo

plan = sys.modules["saguarota.plan"]
unpack = sys.modules["saguarota.unpack"]
real_open = builtins.open


def guarded_open(path, mode="r"):
    if mode not in ("r", "rb") and not path.startswith("saguarota_backup/"):
        print("wrote outside:", path)
        sys.exit(1)
    return real_open(path, mode)


for module in (plan, unpack):
    module.open = guarded_open


class NoJournal:
    bad = ()


class Link:
    hole = None


def drain(steps):
    for _ in steps:
        pass


def judge(job):
    os.chdir(job["dir"])
    ota = OTAUpdater("http://nowhere/versions.json", "http://nowhere/")
    buf = bytearray(512)
    try:
        os.mkdir(ota.backup_dir)
        with real_open(job["pack"], "rb") as f, real_open(ota.backup_dir + "/pack", "wb") as g:
            g.write(f.read())
        drain(unpack.unpack(ota, Link, 0, job))
        id = "{}.{}".format(job["sha256"][:16], job["version"])
        drain(plan.release(ota, NoJournal, id, Link))
        drain(unpack.unpack(ota, Link, 0, None))
    except ValueError as e:
        return "format: {}".format(e)
    except OTAError as e:
        return "{}: {}".format(e.code, e)
    found = 0
    for f in todo(ota.backup_dir):
        if f[1] != "manifest":
            found += 1
            if not check(staged_path(ota, f[1]), int(f[3]), f[4], buf):
                return "content: " + f[8]
    return "ok" if found == job["files"] else "ok, but {} files".format(found)


for line in sys.stdin:
    print(judge(json.loads(line)))
