"""How a trial ends: confirmed or reverted; and what becomes of the backups."""

from .recover import reset
from .undo import cleanup, confirmed, finish, header, undo_trial


def confirm(j, drop):
    """The release on trial is what is installed; drop: without a way back."""
    if j.seq and header(j)[1]:
        # boot.py is a stand-in: the journal sees its replacement through
        j.left = 0 if drop else 1
        j.save("F")
        finish(j)
    else:
        confirmed(j, not drop)


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
        j.state_file = ota.ota_state_file
        cleanup(j)
        j.save("I")
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
        j.state_file = ota.ota_state_file
        if j.seq:
            if j.state == "C":
                j.target = j.installed
            undo_trial(j)
        else:
            from .original import restore

            restore(ota)
            j.save("I")
        reset()
    except Exception as e:
        ota._failed(e)
