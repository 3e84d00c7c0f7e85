"""The state folder before an installation: the to-do list and the staged files.

todo has one line a file that the release changes; it becomes the plan (recover.py has the
fields). A staged file's name stands for what the file contains, so that one which a power
cut left half-finished is never taken for another, and a finished one is found again.
"""

import uos as os

from .error import OTAError
from .recover import exists, feed


def emit(ota, event, details):
    """Tell the application how far the update is."""
    if ota.progress_callback:
        try:
            ota.progress_callback(event, details)
        except Exception as e:
            print("OTA: progress_callback failed:", repr(e))


def live_path(ota, path):
    """Where a file of the release is on the board."""
    return ota.dest_dir.rstrip("/") + "/" + path if ota.dest_dir else path


def staged_path(ota, id):
    return "{}/{}.n".format(ota.backup_dir, id)


def make_folder(ota):
    try:
        os.mkdir(ota.backup_dir)
    except OSError:
        try:
            folder = os.stat(ota.backup_dir)[0] & 0x4000
        except OSError:
            folder = None
        if folder is None:
            raise
        if not folder:
            raise OTAError(
                "apply_failed",
                ota.backup_dir
                + " is a file; the updater keeps its state in a folder of that name: rename the file",
            )


def todo(folder):
    """Yield the lines of the to-do list: [op, id, depth, size, sums, from, to, index, path]."""
    with open(folder + "/todo") as f:
        for s in f:
            yield s.rstrip("\n").split("\t")


def line(t, ota, op, id, size, sums, old, new, index, live):
    """Add a line to the to-do list t; live: where the file is on the board."""
    parts = live.split("/")
    depth = len(parts) - 1
    while depth > 0:
        try:
            folder = "/".join(parts[:depth]) or "/"
            if os.stat(folder)[0] & 0x4000:
                break
        except OSError:
            depth -= 1
            continue
        raise OTAError("apply_failed", folder + " is a file; the release has a folder there")
    if op == "d":
        depth = ota.dest_dir.count("/") + 1 if ota.dest_dir else 0
    t.write(
        "{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\n".format(
            op, id, depth, size, sums, old, new, index, live
        )
    )


def op_for(live):
    """r where a file is in that place, a where none is."""
    try:
        mode = os.stat(live)[0]
    except OSError:
        return "a"
    if mode & 0x4000:
        raise OTAError("apply_failed", live + " is a folder; the release has a file there")
    return "r"


def name_for(*what):
    """40 bits of a hash, in 8 letters: with those, FAT needs one entry for a name, not three."""
    from uhashlib import sha256

    digest = sha256("\t".join(what)).digest()
    return "".join(["0123456789abcdefghijklmnopqrstuv"[n & 31] for n in digest[:8]])


def extension(path):
    name = path.rsplit("/", 1)[-1]
    return "." + name.rsplit(".", 1)[1].lower() if "." in name else ""


def own(ota, live):
    """True for the updater's state: no release may contain it, nothing deletes it."""
    live = live.lower()
    folder = ota.backup_dir.lower()
    if live in (ota.ota_state_file.lower(), ota.local_manifest_file.lower()):
        return True
    # With a number: what damage.py has left behind.
    return live.startswith(folder) and not live[len(folder) :].split("/")[0].rstrip("0123456789")


def pack_sums(md5, sha256):
    """"md5:sha256", from hexadecimal, as the to-do list has them: in base64 without padding."""
    from ubinascii import b2a_base64, unhexlify

    out = []
    for s in (md5, sha256):
        out.append(b2a_base64(unhexlify(s)).decode().rstrip("=\n"))
    return ":".join(out)


class Hashes:
    """The MD5 and SHA-256 of a stream, as far as they are wanted and this board has them.

    sums: as pack_sums makes them; either may be empty, or the beginning of one.
    """

    def __init__(self, sums):
        import uhashlib as hashlib

        self._want = []
        for name, digest in zip(("md5", "sha256"), sums.split(":")):
            if digest and hasattr(hashlib, name):
                self._want.append((getattr(hashlib, name)(), digest))

    def __bool__(self):
        return bool(self._want)

    def update(self, data):
        for h, _ in self._want:
            h.update(data)

    def match(self):
        from ubinascii import b2a_base64

        for h, digest in self._want:
            if b2a_base64(h.digest())[: len(digest)].decode() != digest:
                return False
        return True


def check(path, size, sums, buf):
    """True where a file has the size (-1: any) and the sums."""
    h = Hashes(sums)
    mv = memoryview(buf)
    try:
        if size >= 0 and os.stat(path)[6] != size:
            return False
        with open(path, "rb") as f:
            while True:
                n = f.readinto(buf)
                if not n:
                    return h.match()
                h.update(mv[:n])
                feed()
    except OSError:
        return False


def space(ota):
    """The size of a block, how many there are and how many are free."""
    st = os.statvfs(ota.backup_dir)
    return st[1], st[2], st[3] if 0 <= st[3] <= st[2] else 0  # more: seen on a full littlefs


def no_room(*what):
    return OTAError("apply_failed", "the update needs {} bytes and {} are free".format(*what))


def check_room(ota, id):
    """Refuse what did not fit before without a write, until there is room for it.

    id: the end of the release's: flash would wear out if each check tried anew.
    """
    try:
        with open(ota.backup_dir + "/full") as f:
            known, need, least = f.read().split()
        least = int(least)
        size, _, free = space(ota)
    except (OSError, ValueError):
        return
    if known.endswith(id) and size * free < least:
        raise no_room(need, size * free)


def sha256_of(path):
    """The SHA-256 of a file, in hexadecimal."""
    from ubinascii import hexlify
    from uhashlib import sha256

    h = sha256()
    buf = bytearray(512)
    mv = memoryview(buf)
    with open(path, "rb") as f:
        while True:
            n = f.readinto(buf)
            if not n:
                return hexlify(h.digest()).decode()
            h.update(mv[:n])
            feed()


def case_blind(folder):
    """True on FAT: there a name in the wrong case is found, and a rename is not atomic."""
    return exists(folder.upper() if folder != folder.upper() else folder.lower())


def extend(f, size):
    """Have a new file as large as it will be, before there is anything in it.

    On FAT a file must not grow once it has clusters: a sector of the table that is cut in the
    middle may give it those of another file. FAT chains them first, and names them last.
    """
    if size > 0:
        f.seek(size - 1)
        f.write(b"\0")
        f.flush()
        f.seek(0)


def moves(ota):
    """True where the swap may rename: within one file system, that does it atomically."""
    return not case_blind(ota.backup_dir) and os.statvfs(ota.backup_dir) == os.statvfs(
        ota.dest_dir or "."
    )
