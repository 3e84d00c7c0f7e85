# What the tree of a simulated board is worth, each time an application's main.py is about to
# start: the digest of every file that either release knows, found by name (a FAT folder whose
# growth was cut cannot be listed). A boot.py that stands in for the new release's own counts
# as "-": what it runs is in the state folder.
import hashlib


def judge(paths, buf):
    tree = hashlib.sha256()
    paths.seek(0)
    for line in paths:
        path = line.rstrip()
        h = hashlib.sha256()
        try:
            with open("/" + path, "rb") as f:
                while True:
                    n = f.readinto(buf)
                    if not n:
                        break
                    if path == "boot.py" and b"SaguarOTA: stands in" in buf:
                        h = None
                        break
                    h.update(memoryview(buf)[:n])
            tree.update(path + " ")
            tree.update(h.digest() if h else "-")
        except OSError:
            tree.update(path + " absent")
        tree.update("\n")
        for i in range(len(buf)):
            buf[i] = 0
    return tree.digest()


def stands_in(buf):
    try:
        with open("/main.py", "rb") as f:
            f.readinto(buf)
    except OSError:
        return False
    return b"SaguarOTA: stands in" in buf
