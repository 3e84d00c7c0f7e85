"""How a trial ends: confirmed or reverted; and what becomes of the backups."""

import uos as os

from .recover import exists, remove, reset
from .undo import _rank, arm, confirmed, copy, drop, file, finish, plan, same, undo_trial


def pending(ota, j):
    """A check for updates while a release is on trial."""
    print("OTA: an update waits for confirm_update(); not looking for another")
    arm(j, ota.confirm_timeout_s)
    if ota.device_id:
        from .report import send

        send(ota, j)


def confirm(j, keep):
    """The release on trial is what is installed; keep: with a way back."""
    if j.mode[1:2] == "1":
        # boot.py is a stand-in: the journal sees its replacement through
        j.left = int(keep)
        j.save("F")
        finish(j)
        return
    plan = exists(j.folder + "/plan")
    confirmed(j, keep)
    if not plan and not keep:
        _discard(j)


def _discard(j):
    from .original import discard

    discard(j.folder)


def cleanup_files(ota):
    """Drop the backups of a confirmed update.

    Returns False while confirmation is pending and where there were none. Never raises.
    """
    try:
        j = ota._recover()
        if j.state == "T":
            print("OTA: backups are kept until confirm_update()")
        if j.state != "C":
            return False
        if not exists(j.folder + "/plan"):
            _discard(j)
        drop(j)
        return True
    except Exception as e:
        ota._failed(e)
        return False


def _reserve(j):
    """Room for undo where it copies, as an installation has kept it: or do not begin."""
    from .stage import extend

    room = 0
    for f in plan(j):
        old = file(j, f[1], "o")
        if f[0] != "a" and exists(old):
            room += os.stat(old)[6] + os.statvfs(j.folder)[0]
    try:
        with open(j.folder + "/room", "wb") as f:
            extend(f, room)
    except OSError:
        remove(j.folder + "/room")
        raise


def _guard(j):
    """Have stand-ins again, as in the trial, before a confirmed release is undone.

    State F, in which a confirmation gives them up, begins with them: so to go back to it is to
    be cut at any point, and comes to what was confirmed.
    """
    from .install import _place_stand_ins, _stand_in

    for f in plan(j):
        if _rank(j, f[8]) > (2 if j.mode[0] == "m" else 1) and f[0] in "rak":
            if not exists(f[8]):
                open(f[8], "w").close()  # somebody removed it: this does as much
            source = file(j, f[1], "o" if f[0] == "k" else "n")
            if not same(f[8], source):
                copy(f[8], source)
    _stand_in(j)
    j.left = 1
    # In both slots: of one that is lost later, the other must not say "C".
    j.save("F")
    j.save("F")
    try:
        _place_stand_ins(j, "n")
    except Exception:
        finish(j)
        raise


def revert_update(ota):
    """Go back to the release before: from a trial, or while its backups are kept.

    Resets the board; the release is remembered and not installed again. Does nothing
    where there is nothing to go back to. Never raises.
    """
    try:
        j = ota._recover()
        if j.state not in ("T", "C"):
            print("OTA: no update to revert")
            return
        if exists(j.folder + "/plan"):
            if j.state == "C":
                j.installed, j.target = j.target, j.installed
                if j.mode[0] == "c":
                    _reserve(j)
                if j.mode[1:2] == "1":
                    _guard(j)
            undo_trial(j, "r")
        else:
            from .original import revert

            revert(ota, j)
        reset()
    except Exception as e:
        ota._failed(e)
