"""How a trial ends: confirmed or reverted; and what becomes of the backups."""

from .recover import exists, reset
from .undo import arm, confirmed, drop, finish, undo_trial


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
            undo_trial(j, "r")
        else:
            from .original import revert

            revert(ota, j)
        reset()
    except Exception as e:
        ota._failed(e)
