"""The manifest that was signed, and no other, in the state folder."""

from .error import OTAError
from .stage import check, pack_sums, staged_path
from .update import get


def right(ota, pin):
    """True where the staged manifest has this pin: {"sha256", "size"}."""
    if pin["size"] > ota.max_manifest_bytes:
        raise OTAError("manifest_fetch_failed", "the manifest is too long for this board")
    sums = pack_sums("", pin["sha256"])
    return check(staged_path(ota, "manifest"), pin["size"], sums, bytearray(512))


def fetch(ota, c, pin):
    """Stage the manifest whole."""
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
                break
            f.write(mv[:n])
            yield 0
    if not right(ota, pin):
        raise OTAError("manifest_mismatch", "the manifest is not the one that was signed")
