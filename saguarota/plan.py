"""Decide what a release changes on this board: write the to-do list."""

import uos as os

from .compare import Manifest
from .manifest import ManifestError
from .error import OTAError
from .recover import exists
from .stage import (
    Hashes, case_blind, check, emit, extension, line, live_path, name_for, op_for, own, pack_sums,
    sha256_of, staged_path,
)  # fmt: skip
from .update import check_rejected

_HOLD = 16  # names held in memory at once


def open_manifest(ota, buf=None):
    """The fetched manifest, checked: its form, its signature, that it names files."""
    m = Manifest(staged_path(ota, "manifest"), ota.manifest_signature_field, buf)
    if ota.manifest_auth_key is not None:
        if not ota.manifest_auth_key:
            raise OTAError("manifest_signature_invalid", "manifest_auth_key is empty")
        if m.signature is None:
            raise OTAError("manifest_signature_invalid", "the manifest is not signed")
        if not m.authentic(ota.manifest_auth_key):
            raise OTAError("manifest_signature_invalid", "the signature is not by our key")
    if not m.count:
        raise ManifestError("the manifest lists no files")
    return m


def release(ota, j, id, link):
    """Compare the fetched manifest with the installed one and the files on the board."""
    check_rejected(j, id)
    try:
        m = open_manifest(ota, link.hole)
        if str(m.version) != id.split(".")[1]:
            raise ManifestError("the manifest is of version {}, not as announced".format(m.version))
        if ota.public_keys and ota.app and m.app not in (None, ota.app):
            raise OTAError("manifest_mismatch", "the manifest is for " + str(m.app))
        with open(ota.backup_dir + "/todo", "w") as t:
            yield from _changes(ota, m, t, bytearray(1 << 10))
            try:
                yield from _extras(ota, m, t)
            except (OSError, ValueError) as e:
                raise OTAError("delete_extraneous_failed", repr(e))
            # The manifest is installed like a file of the release, and undone like one.
            name = ota.local_manifest_file
            sha = sha256_of(staged_path(ota, "manifest"))
            if sha[:16] != id.split(".")[0]:
                raise OTAError("manifest_mismatch", "the manifest changed on its way over the flash")
            sums = pack_sums("", sha)
            line(t, ota, op_for(name), "manifest", -1, sums, 0, 0, m.count, name)
    except ManifestError as e:
        raise OTAError("manifest_fetch_failed", str(e))


def _changes(ota, m, t, spare):
    old = None
    try:
        old = Manifest(ota.local_manifest_file, ota.manifest_signature_field, spare)
    except (OSError, ValueError):
        pass  # a new board, or a damaged file: the files themselves are compared
    index = 0
    buf = bytearray(ota.md5_chunk_size)
    for e, o in m.versus(old):
        index += 1
        path, new, md5, size, sha = e
        live = live_path(ota, path)
        if own(ota, live):
            raise ManifestError("the manifest names the updater's own " + path)
        if ota.manifest_auth_key and not Hashes(pack_sums(md5, "")):
            # The HMAC covers a file's MD5 alone: another sum proves nothing.
            raise OTAError(
                "manifest_signature_invalid", "no MD5 to hold {} to its signature".format(path)
            )
        if ota.public_keys and not sha:
            raise OTAError("manifest_mismatch", "no SHA-256 to hold {} to what was signed".format(path))
        op = op_for(live)
        if op == "a" or ota.force_update or _differs(e, o, live, buf):
            # Beside a SHA-256, the beginning of the MD5 will do, but where a signature is over it.
            sums = pack_sums(md5[:12] if sha and not ota.manifest_auth_key else md5, sha)
            if not Hashes(sums):
                print("OTA: warning: nothing to verify {} by".format(path))
                sums = ":"
            id = name_for(path, str(new), sums)
            if not ota.progress_callback:
                o = new = None  # nobody will ask for the versions: fewer bytes to flash
            line(t, ota, op, id, size, sums, o[1] if o else 0, new or 0, index, live)
        else:
            emit(ota, "file_update_skip", {"path": path, "index": index, "total": m.count})
        yield 0
    if case_blind(ota.backup_dir):
        old = buf = None
        yield from _collisions(m, spare)


def _collisions(m, bits):
    """Where case does not tell names apart, refuse two paths that differ in nothing else.

    bits: a buffer of 1 kB to use.
    """
    from ubinascii import crc32

    parts = m.count // 256 | 1  # of the names, so that few of a part share a bit by chance
    for part in range(parts):
        for i in range(len(bits)):
            bits[i] = 0
        twice = []
        for e in m.entries():
            h = crc32(e[0].lower().encode()) & 0x3FFFFFFF
            if h % parts == part:
                i = h >> 17
                if bits[i >> 3] & 1 << (i & 7):
                    twice.append(i)
                bits[i >> 3] |= 1 << (i & 7)
            yield 0
        if not twice:
            continue
        names = {}
        for e in m.entries():
            low = e[0].lower()
            h = crc32(low.encode()) & 0x3FFFFFFF
            if h % parts == part and h >> 17 in twice:
                if low in names:
                    raise ManifestError("two paths differ in case only: " + e[0])
                names[low] = None
            yield 0


def _differs(e, o, live, buf):
    """True where a file that is there must be replaced.

    A file whose version did not grow is left alone, as in the original library, also
    where it was edited on the board, unless the two manifests' sums differ.
    """
    if o and e[1] <= o[1]:
        for i in (2, 4):
            if e[i] and o[i] and e[i].lower() != o[i].lower():
                return True
        return False
    sums = pack_sums(e[2], e[4])
    return not (Hashes(sums) and check(live, e[3], sums, buf))


def _extras(ota, m, t):
    """List files that are on the board and not in the manifest, by the delete policy."""
    policy = ota.delete_files_not_in_manifest_policy
    if policy == "never" or (ota.dest_dir and not exists(ota.dest_dir)):
        return
    exts = ota.delete_files_not_in_manifest_extensions
    if policy == "manifest_extensions":
        used = set()
        for e in m.entries():
            used.add(extension(e[0]))
        exts = [x for x in exts if x in used]
    hold = []
    for path in _walk(ota, ""):
        if policy == "all" or extension(path) in exts:
            hold.append(path)
            if len(hold) == _HOLD:
                _list_deletes(ota, m, t, hold)
                hold.clear()
        yield 0
    _list_deletes(ota, m, t, hold)


def _walk(ota, rel):
    """Every file below dest_dir, as paths of a release, but for what nobody may delete:
    the updater, its state, and the two files that start a board."""
    top = live_path(ota, rel)
    for item in os.ilistdir(top[:-1] if len(top) > 1 else top or "."):
        path = rel + item[0]
        live = live_path(ota, path)
        if own(ota, live) or live.lstrip("/").lower() in ("boot.py", "main.py"):  # FAT: BOOT.PY
            continue
        if not item[1] & 0x4000:
            yield path
        elif not _is_library(live):
            yield from _walk(ota, path + "/")


def _is_library(live):
    """True for the folder that the running library was imported from."""
    return __file__.lstrip("/").startswith(live.lstrip("/") + "/plan.")


def _list_deletes(ota, m, t, hold):
    for e in m.entries():
        if e[0] in hold:
            hold.remove(e[0])
    for path in hold:
        line(t, ota, "d", name_for("delete", path), -1, ":", 0, 0, m.count, live_path(ota, path))
        emit(ota, 
            "file_delete_extra",
            {"path": path, "policy": ota.delete_files_not_in_manifest_policy},
        )
