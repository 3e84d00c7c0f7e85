"""Make room for an update, and refuse one that cannot fit before anything is touched."""

import uos as os

from .error import OTAError
from .recover import exists, remove
from .stage import extension, live_path, moves, no_room, space, staged_path, todo

_HOLD = 16  # names held in memory at once


def make_room(ota, id=None):
    """Remove what earlier updates left behind, then refuse what cannot fit.

    id: of the release, where it is known. Returns how many bytes are left for a pack.
    """
    _check_folder(ota.dest_dir)
    try:
        yield from _sweep(ota)
    except (OSError, ValueError) as e:
        print("OTA: warning: cannot clean up {}: {!r}".format(ota.backup_dir, e))
        from .damage import spare

        if len(spare(ota.backup_dir)) > 1:
            raise OSError(5)  # begin a new one
    return _check_space(ota, id)


def _check_folder(top):
    """Refuse to update a folder from one below: what is there would have two names."""
    cwd = os.getcwd()
    if top[:1] == "/" and (cwd.rstrip("/") + "/").startswith(top.rstrip("/") + "/"):
        raise OTAError(
            "apply_failed",
            "dest_dir {0} has the working directory {1} in it; call os.chdir({0!r}) first".format(top, cwd),
        )


def _sweep(ota):
    folder = ota.backup_dir
    seen = ""
    while True:
        hold = []
        for item in os.ilistdir(folder):
            name = item[0]
            if name > seen and name not in ("s0", "s1", "k0", "k1", "todo", "pack"):
                hold.append(name)
                if len(hold) > _HOLD:
                    hold.sort()
                    hold.pop()
        if not hold:
            return
        seen = max(hold)
        for f in todo(folder):
            if f[1] + ".n" in hold:
                hold.remove(f[1] + ".n")
        for name in hold:
            _remove_tree(folder + "/" + name)
        yield 0


def _remove_tree(path):
    if not os.stat(path)[0] & 0x4000:
        os.remove(path)
        return
    for item in os.ilistdir(path):
        _remove_tree(path + "/" + item[0])
    os.rmdir(path)


def _check_space(ota, id):
    """Refuse what cannot fit; leave out optional backups where that makes it fit."""
    size, total, free = space(ota)
    if free * 10 < total * 4:
        print("OTA: warning: only {}% of the file system is free".format(free * 100 // total))
    by_copy = not moves(ota)

    def blocks(n):
        # littlefs keeps a small file inside its folder
        return 0 if n <= size // 8 and not by_copy else (n + size - 1) // size

    need = 4  # the journal, the plan, a new folder
    if by_copy:
        # the plan beside the list, the stand-ins and the copies of recover and undo
        need += blocks(os.stat(ota.backup_dir + "/todo")[6]) + blocks(24 << 10)
    names = spare = 0
    above = []  # new files whose names are the beginning of the present one's
    for f in todo(ota.backup_dir):
        if f[0] == "a":
            while above and not f[8].startswith(above[-1]):
                above.pop()
            for path in above:
                if f[8].startswith(path + "/"):
                    raise OTAError("apply_failed", "the release has {} as a file and as a folder".format(path))
            above.append(f[8])
        new = int(f[3])
        names += 256  # in folders: of the new file, of its backup and of both when staged
        if f[0] in "ra" and new > 0:
            staged = staged_path(ota, f[1])
            need += blocks(new) - (blocks(os.stat(staged)[6]) if exists(staged) else 0)
        if by_copy and f[0] in "rad":
            # the backup, the room to undo, and for a while both releases
            old = os.stat(f[8])[6] if f[0] != "a" else 0
            keep = 2 * blocks(old) + (f[0] != "a")
            need += keep + blocks(max(0, new - old))
            if _optional(ota, f):
                spare += keep
            if f[8].lower()[-7:] in ("boot.py", "main.py"):
                need += blocks(new) + 1  # once more, for the end of the trial
    if by_copy:
        need += blocks(names)
        for name in ("boot.py", "main.py"):
            if exists(name):
                need += 2 * blocks(os.stat(name)[6])
    if need > free and exists(ota.backup_dir + "/pack"):
        remove(ota.backup_dir + "/pack")  # the update works without
        size, total, free = space(ota)
    if need > free:
        if need - spare > free:
            if id:
                # For check_room: what is needed, and what it cannot do without.
                try:
                    with open(ota.backup_dir + "/full", "w") as f:
                        f.write("{} {} {}".format(id, need * size, (need - spare) * size))
                except OSError:
                    pass  # there is not even room for that
            raise no_room(need * size, free * size)
        _drop_backups(ota)
        need -= spare
    return (free - need) * size


def _optional(ota, f):
    """True for a file that the skip lists allow to be replaced without a backup."""
    live = f[8]
    names = live.lower().split("/")
    path = live[len(live_path(ota, "")) :]
    skip = extension(path) in ota.backup_skip_extensions
    for prefix in ota.backup_skip_prefixes:  # before 1.25, startswith takes no tuple
        skip = skip or path.startswith(prefix)
    return (
        f[0] == "r"
        and names[-1] not in ("boot.py", "main.py")
        and "saguarota" not in names
        and f[1] != "manifest"
        and skip
    )


def _drop_backups(ota):
    print("OTA: warning: no room for backups of assets; they cannot be undone")
    folder = ota.backup_dir
    with open(folder + "/todo2", "w") as t:
        for f in todo(folder):
            if _optional(ota, f):
                f[0] = "R"
            t.write("\t".join(f) + "\n")
    from .undo import copy  # and no rename: FAT does not survive a cut in one

    copy(folder + "/todo2", folder + "/todo")
    os.remove(folder + "/todo2")
