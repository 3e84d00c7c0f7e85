"""Fetch a pack into the state folder.

It lies there in the file "pack", after a line of its own, so that a download that was
interrupted goes on at the exact byte, also after a reboot:

    <name> <length of the pack> <its ETag, or ->
"""

import uos as os

from micropython import const

from .error import OTAError
from .recover import remove
from .stage import emit, make_folder
from .update import get

_SYNC = const(8192)  # bytes that a power cut may cost
_LINE = const(256)


def kept(ota, name):
    """What is spooled of a pack: [offset of its first byte, bytes there, length, ETag], or None."""
    path = ota.backup_dir + "/pack"
    try:
        with open(path, "rb") as f:
            line = f.readline(_LINE)
        f = line.decode().rstrip("\n").split(" ", 2)
        if f[0] == name and line[-1:] == b"\n":
            return [len(line), os.stat(path)[6] - len(line), int(f[1]), f[2]]
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
    n = synced = c.start
    with open(path, "ab" if n else "wb") as f:
        if not n:
            etag = c.etag or "-"
            f.write("{} {} {}\n".format(name, total, etag if len(etag) < 99 else "-"))
        while n < total:
            yield from c.ready()
            k = c.readinto(buf)
            if not k:
                break
            n += k
            f.write(mv[:k])
            if n - synced >= _SYNC or n == total:
                f.flush()
                synced = n
                emit(ota, "download_progress", {"url": url, "bytes": n, "total": total})
            yield 0
