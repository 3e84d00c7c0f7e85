"""Take over a board whose last update was made by the original library.

It knew one text file as its state and a tree of old files in the backup folder. Loaded
while the journal has no entry yet: the first one ends that story.
"""

import os

from .recover import exists, reset
from .stage import live_path


def take_over(ota, j):
    """Set the journal's state to what the original's state file says."""
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


def restore(ota, folder=""):
    """Copy the original's backup tree over the live one."""
    from .undo import copy

    for item in os.ilistdir(ota.backup_dir + folder):
        path = folder + "/" + item[0]
        if item[1] & 0x4000:
            restore(ota, path)
        else:
            copy(ota.backup_dir + path, live_path(ota, path[1:]))
