"""Bring exactly the manifest that was signed into the state folder, by the cheapest way."""

import uos as os

from .error import OTAError
from .stage import check, pack_sums, staged_path
from .update import _forget, again, get


def manifest(ota, link, id, pin):
    """Stage the manifest with this pin ({"sha256", "size"}) of the release with this id."""
    if pin["size"] > ota.max_manifest_bytes:
        raise OTAError("manifest_fetch_failed", "the manifest is too long for this board")
    if _right(ota, pin):
        return  # from an update that was interrupted
    if link.packs and id:
        yield from _from_pack(ota, link, id, pin)
        if _right(ota, pin):
            return
    yield from again(ota, link.client(), "manifest_fetch_failed", _get, pin)
    if not _right(ota, pin):
        raise OTAError("manifest_mismatch", "the manifest is not the one that was signed")


def _right(ota, pin):
    sums = pack_sums("", pin["sha256"])
    return check(staged_path(ota, "manifest"), pin["size"], sums, bytearray(512))


def _from_pack(ota, link, id, pin):
    from .spool import bad, spool, unpacked

    st = os.statvfs(ota.backup_dir)
    at = yield from spool(ota, link, id, st[1] * st[3])
    if at is None:
        return
    from .unpack import manifest as unpack

    yield from unpacked(ota, link, unpack(ota, ota.backup_dir + "/pack", at, pin["size"]))
    unpack = None
    _forget("unpack", "pack")
    if link.packs and not _right(ota, pin):
        bad(ota, link, "the pack is of another release")


def _get(ota, c, pin):
    yield from get(c, ota.manifest_url)
    left = pin["size"]
    buf = bytearray(ota.io_chunk_size)
    mv = memoryview(buf)
    with open(staged_path(ota, "manifest"), "wb") as f:
        while True:
            yield from c.ready()
            n = c.readinto(buf)
            left -= n
            if not n or left < 0:
                return
            f.write(mv[:n])
            yield 0
