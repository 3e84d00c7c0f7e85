"""What a pack has of a release is staged out of it; the rest is fetched as files.

A pack only saves bytes. Whatever is wrong with it, the update goes on without it.
"""

import uos as os

from micropython import const

from .error import OTAError
from .recover import remove
from .stage import emit, sha256_of, space, staged_path, todo
from .update import _forget, again

_HOLE = const(5888)


def begin(ota, link, id, pin):
    """Before the release is compared: have its pack in flash, and out of it the manifest.

    pin: what the manifest must be; without one it is there already. The pack is fetched now
    because later the heap is in too many pieces.
    """
    size, _, free = space(ota)
    # The manifest and the to-do list come before anybody can tell what else needs room.
    room = size * (free - 8) - 3 * (pin["size"] if pin else os.stat(staged_path(ota, "manifest"))[6])
    if not pin:
        yield from _spool(ota, link, id, room)
        return
    from .pinned import fetch, right

    if not right(ota, pin):
        fetch = right = None
        _forget("pinned")
        at = yield from _spool(ota, link, id, room)
        if at:
            yield from _unpack(ota, link, at, pin)
        from .pinned import fetch, right

        if not right(ota, pin):
            yield from again(ota, link.client(), "manifest_fetch_failed", fetch, pin)
    fetch = right = None
    link.park()
    _forget("pinned")


def files(ota, link, id, room):
    """Stage what the to-do list names; a pack that is not there yet may take so many bytes of room."""
    if _staged(ota):
        remove(ota.backup_dir + "/pack")
        return
    at = yield from _spool(ota, link, id, room)
    if at:
        yield from _unpack(ota, link, at, None)


def _staged(ota):
    """True where all of the to-do list is in the state folder, as far as sizes tell."""
    for f in todo(ota.backup_dir):
        if f[0] in "raR":
            try:
                if os.stat(staged_path(ota, f[1]))[6] != int(f[3]) >= 0:
                    return False
            except OSError:
                return False
    return True


def _spool(ota, link, id, room):
    """Have the pack in flash; returns where it begins in its file, or None."""
    at = None
    if not link.packs:
        return at
    try:
        import deflate
    except ImportError:
        print("OTA: this firmware has no deflate module: files are fetched whole")
        link.packs = False
        return at
    name = _name(ota, id)
    try:
        # What inflates it needs so much of the heap in one piece; until then that is a buffer.
        link.hole = None
        link.hole = bytearray(_HOLE)
        from .spool import fetch, kept

        k = kept(ota, name)
        if not k or k[1] < k[2]:
            yield from again(ota, link.client(), "pack_unavailable", fetch, link, name, room)
            # From here on it is the flash's turn, and TLS takes a lot of memory.
            link.close()
            k = kept(ota, name)
        at = k and k[0]
    except (OTAError, MemoryError, OSError) as e:
        fetch = kept = None
        _failed(ota, link, e)
    fetch = kept = None
    link.park()
    _forget("spool")
    return at


def _name(ota, id):
    to = id.split(".")[0]
    try:
        have = sha256_of(ota.local_manifest_file)[:16]
    except OSError:
        have = to
    # Where all files are wanted anew, none of those that are here can be a base.
    return to if ota.force_update or have == to else have + "-" + to


def _unpack(ota, link, at, pin):
    try:
        from .unpack import unpack

        yield from unpack(ota, link, at, pin)
    except (ValueError, MemoryError, OSError) as e:
        unpack = None
        _failed(ota, link, e)
    unpack = link.hole = None
    _forget("unpack", "pack")


def _failed(ota, link, e):
    """Tell that this update has to do without a pack."""
    full = isinstance(e, OSError)
    if full and e.errno not in (13, 28):  # FAT's EACCES: no room for a name
        raise e
    link.packs = False
    link.hole = None
    link.park()
    _forget("spool", "unpack", "pack")
    code = getattr(e, "code", None)
    if not code:
        # Otherwise what there is of it is kept: the next attempt goes on there.
        remove(ota.backup_dir + "/pack")
    ota.last_error_code = code or ("pack_unavailable" if full else "pack_invalid")
    ota.last_error_message = message = "the file system is full" if full else str(e) or repr(e)
    print("OTA: no pack: {}; fetching files whole".format(message))
    emit(ota, "pack_failed", {"error": message})
