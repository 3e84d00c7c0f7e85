"""Take over a board whose last update was made by the original library.

It knew one text file as its state and a tree of old files in the backup folder. Loaded
while the journal has no entry yet, and for backups that it has no plan for: in mode "o"
these are being put back.
"""

import uos as os

from .recover import exists, reset
from .stage import live_path


def take_over(ota, j):
    """Set the journal's state to what the original's state file says."""
    if j.mode == "o":
        revert(ota, j)
    j.state_file = ota.ota_state_file
    try:
        with open(j.state_file) as f:
            word = f.read(32).strip()
    except (OSError, ValueError):
        return
    if word == "confirm_pending":
        j.state = "T"
    elif word == "installing" and exists(ota.backup_dir):
        print("OTA: the installation was interrupted; undoing it")
        restore(ota)
        j.save("I")
        reset()


def revert(ota, j):
    """Go back to the original's backups and reset; a cut is followed by the rest of it."""
    j.mode = "o"
    j.save("U")
    restore(ota)
    discard(j.folder)
    j.mode = "-"
    j.save("I")
    reset()


def restore(ota, folder=""):
    """Copy the original's backup tree over the live one."""
    from .undo import copy, ensure_parent

    for name, is_folder in _backups(ota.backup_dir, folder):
        path = folder + "/" + name
        if is_folder:
            restore(ota, path)
        else:
            live = live_path(ota, path[1:])
            ensure_parent(live)
            copy(ota.backup_dir + path, live)


def discard(top, folder=""):
    """Remove the original's backup tree, but for the state folder itself."""
    for name, is_folder in list(_backups(top, folder)):
        path = folder + "/" + name
        if is_folder:
            discard(top, path)
            os.rmdir(top + path)
        else:
            os.remove(top + path)


def _backups(top, folder):
    for item in os.ilistdir(top + folder):
        if folder or item[0] not in ("s0", "s1"):  # our own, once it is confirmed
            yield item[0], item[1] & 0x4000
