"""How a trial ends: confirmed or reverted; and what becomes of the backups."""

from .recover import remove, reset
from .undo import cleanup, confirmed, finish, header, undo_trial


def confirm(ota, j, drop):
    if j.state != "T":
        return False
    if j.seq and header(j)[1]:
        # boot.py is a stand-in: the journal sees its replacement through
        j.left = 0 if drop else 1
        j.save("F")
        finish(j)
    else:
        confirmed(j, not drop)
    return True


def drop_backups(ota, j):
    if j.state != "C":
        print("OTA: backups are kept until confirm_update()")
        return False
    cleanup(j)
    j.save("I")
    return True


def revert(ota, j):
    if j.state == "T" and not j.seq:
        from .original import restore

        restore(ota)
        j.save("I")
    else:
        if j.state == "C":
            j.target = j.installed
        undo_trial(j)
    reset()
