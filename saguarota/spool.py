"""Fetch a pack into the state folder, and stage what it has of a release.

It lies there in the file "pack", after a line of its own, so that a download that was
interrupted goes on at the exact byte, also after a reboot:

    <name> <length of the pack> <its ETag, or ->

A pack only saves bytes. Whatever is wrong with it, the update goes on without it.
"""

import uos as os

from micropython import const

from .error import OTAError
from .recover import remove
from .stage import emit, make_folder, sha256_of, todo, staged_path
from .update import _forget, again, get

_SYNC = const(8192)  # bytes that a power cut may cost
_LINE = const(256)


def name_of(ota, id):
    """The name of the pack that leads from what is installed to a release."""
    to = id.split(".")[0]
    try:
        have = sha256_of(ota.local_manifest_file)[:16]
    except OSError:
        have = to
    # Where all files are wanted anew, none of those that are here can be a base.
    return to if ota.force_update or have == to else have + "-" + to


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


def discard(ota):
    remove(ota.backup_dir + "/pack")


def staged(ota):
    """True where all files of the to-do list lie in the state folder, as far as sizes tell."""
    for f in todo(ota.backup_dir):
        if f[0] in "raR":
            try:
                if os.stat(staged_path(ota, f[1]))[6] != int(f[3]) >= 0:
                    return False
            except OSError:
                return False
    return True


def spool(ota, link, id, room):
    """Have the pack for a release in flash; returns where it begins in its file, or None.

    room: bytes that it may take.
    """
    try:
        import deflate
    except ImportError:
        print("OTA: this firmware has no deflate module: files are fetched whole")
        return None
    del deflate
    name = name_of(ota, id)
    k = kept(ota, name)
    if not k or k[1] != k[2]:
        try:
            yield from again(ota, link.client(), "pack_unavailable", _fetch, name, room)
        except OTAError as e:
            # What there is of it is kept: the next attempt goes on there.
            failed(ota, link, e.code, str(e))
            return None
        # From here on it is the flash's turn, and TLS wants a lot of memory.
        link.close()
        k = kept(ota, name)
    link.park()
    return k and k[0]


def take(ota, link, id, room):
    """Stage what the to-do list names, as far as there is a pack that has it."""
    if link.packs and not staged(ota):
        at = yield from spool(ota, link, id, room)
        if at is None:
            return
        from .unpack import files

        yield from unpacked(ota, link, files(ota, ota.backup_dir + "/pack", at))
        files = None
        _forget("unpack", "pack")
    discard(ota)


def unpacked(ota, link, steps):
    """Do these steps of the unpacker; what they fail in costs bytes only."""
    try:
        yield from steps
    except (ValueError, MemoryError) as e:
        bad(ota, link, "bad pack: {}".format(e))


def bad(ota, link, message):
    discard(ota)
    failed(ota, link, "pack_invalid", message)


def failed(ota, link, code, message):
    """Tell that this update has to do without a pack."""
    link.packs = False
    ota.last_error_code = code
    ota.last_error_message = message
    print("OTA: {}; fetching files whole".format(message))
    emit(ota, "pack_failed", {"error": message})


def _fetch(ota, c, name, room):
    path = ota.backup_dir + "/pack"
    url = "{}/packs/{}".format(ota.manifest_url.rsplit("/", 1)[0], name)
    k = kept(ota, name)
    have = etag = None
    if k:
        if 0 < k[1] < k[2]:
            have = k[1]
            etag = k[3] if k[3] != "-" else None
    yield from get(c, url, have or 0, etag)
    if c.status == 416 or (c.status == 206 and c.total != k[2]):
        yield from get(c, url)  # it is another one by now
    if c.status == 200:
        make_folder(ota)
        remove(path)  # its room may be wanted
        if c.total is None or c.total > room:
            raise OTAError("pack_unavailable", "no room for {}".format(url))
    total = c.total
    buf = bytearray(ota.io_chunk_size)
    mv = memoryview(buf)
    n = c.start
    with open(path, "ab" if c.status == 206 else "wb") as out:
        if not n:
            out.write("{} {} {}\n".format(name, total, c.etag or "-"))
        synced = n
        while n < total:
            yield from c.ready()
            k = c.readinto(buf)
            if not k:
                break
            n += k
            out.write(mv[:k])
            if n - synced >= _SYNC or n == total:
                out.flush()
                synced = n
                emit(ota, "download_progress", {"url": url, "bytes": n, "total": total})
            yield 0
