"""Fetch a pack into the state folder.

It lies there in the file "pack", after a line of its own, so that a download that was
interrupted goes on at the exact byte, also after a reboot:

    <name> <length of the pack> <how many bytes are there> <its ETag, or ->

The third is "-" where the file's size tells it: not on FAT, where it has its full size from the
beginning (stage.extend).
"""

import uos as os

from micropython import const

from .error import OTAError
from .recover import remove
from .stage import case_blind, emit, extend, make_folder
from .update import get

_LINE = const(256)
_COUNT = "{:08d}"


def kept(ota, name):
    """What is spooled of a pack: [offset of its first byte, bytes there, length, ETag], or None."""
    path = ota.backup_dir + "/pack"
    try:
        with open(path, "rb") as f:
            line = f.readline(_LINE)
        f = line.decode().rstrip("\n").split(" ", 3)
        if f[0] == name and line[-1:] == b"\n":
            have = os.stat(path)[6] - len(line) if f[2] == "-" else int(f[2])
            return [len(line), have, int(f[1]), f[3]]
    except (OSError, ValueError, IndexError):
        pass


def fetch(ota, c, link, name, room):
    """Spool a pack, of at most so many bytes of room."""
    path = ota.backup_dir + "/pack"
    url = "{}/packs/{}".format(ota.manifest_url.rsplit("/", 1)[0], name)
    k = kept(ota, name)
    have = 0
    etag = None
    if k and 0 < k[1] < k[2]:
        have = k[1]
        etag = k[3] if k[3] != "-" else None
    yield from get(c, url, have, etag)
    if c.status == 416 or (c.status == 206 and c.total != k[2]):
        yield from get(c, url)  # it is another one by now
    total = c.total
    if c.status == 200:
        make_folder(ota)
        remove(path)  # its room may be wanted
        if total is None or total > room:
            raise OTAError("pack_unavailable", "no room for {}".format(url))
    buf = link.hole
    mv = memoryview(buf)
    n = c.start
    at = k[0] if n else 0
    start = name + " " + str(total) + " "
    mode = "r+b" if case_blind(ota.backup_dir) else "ab"
    with open(path, mode if n else "wb") as f:
        if not n:
            etag = c.etag or "-"
            line = start + (_COUNT.format(0) if mode == "r+b" else "-") + " " + (etag if len(etag) < 99 else "-") + "\n"
            at = len(line)
            if mode == "r+b":
                extend(f, at + total)
            f.write(line)
        elif mode == "r+b":
            f.seek(at + n)
        try:
            while n < total:
                yield from c.ready()
                k = c.readinto(buf)
                if not k:
                    break
                f.write(mv[:k])
                n += k
                if n >> 13 != (n - k) >> 13 or n == total:  # 8 kB is what a power cut may cost
                    f.flush()
                    if mode == "r+b":
                        _note(f, start, n)
                        f.seek(at + n)
                    emit(ota, "download_progress", {"url": url, "bytes": n, "total": total})
                yield 0
        finally:
            if mode == "r+b":
                _note(f, start, n)


def _note(f, start, n):
    f.seek(len(start))
    f.write(_COUNT.format(n))
    f.flush()
