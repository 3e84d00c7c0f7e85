# What the tree of a simulated board is worth, each time an application's main.py is about to
# start: two digests of every file that either release knows, found by name (a FAT folder whose
# growth was cut cannot be listed). The second leaves out boot.py.
#
# A boot.py that stands in for the release's own counts as the one that it runs, which the plan
# in the state folder names.
import hashlib

_MARK = b"SaguarOTA: stands in"


def judge(paths, buf):
    whole = hashlib.sha256()
    rest = hashlib.sha256()
    paths.seek(0)
    for line in paths:
        path = line.rstrip("\n")
        d = digest(path, buf)
        whole.update(path)
        whole.update(d)
        if path != "boot.py":
            rest.update(path)
            rest.update(d)
    return whole.digest(), rest.digest()


def digest(path, buf):
    mv = memoryview(buf)
    h = hashlib.sha256()
    try:
        if path == "boot.py":
            real = behind(buf)
            if real is None:
                return b"absent"
            path = real
        with open("/" + path, "rb") as f:
            while True:
                n = f.readinto(buf)
                if not n:
                    return h.digest()
                h.update(mv[:n])
    except OSError:
        return b"absent"


# The path of the boot.py that runs, None if none does.
def behind(buf):
    head = start_of("/boot.py", buf)
    if _MARK not in head:
        return "boot.py"
    folder = str(head.split(b"'")[1], "utf-8")  # of sys.path.insert(0, '…')
    with open("/" + folder + "/plan") as f:
        for line in f:
            f = line.rstrip("\n").split("\t")
            if f[-1].lstrip("/").lower() == "boot.py" and f[0] in "rak":
                return "%s/%s.%s" % (folder, f[1], "o" if f[0] == "k" else "n")


def start_of(path, buf):
    try:
        with open(path, "rb") as f:
            return bytes(memoryview(buf)[: f.readinto(buf)])
    except OSError:
        return b""


def stands_in(buf):
    return _MARK in start_of("/main.py", buf)


# Whether boot.py is there but has nothing in it, or is not there.
def bootless(buf):
    return not start_of("/boot.py", buf)
