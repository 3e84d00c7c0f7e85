"""Leave a damaged state folder behind.

Where power is cut in the middle of a sector of FAT, a folder that was just growing may go on in
a cluster that is free, or that holds what some file left there. Names before that stay good;
what is written behind it is gone at once, or is part of another file. Nothing can repair such a
folder, and to delete it would free what is not its own, so it only gets another name.
"""

import uos as os

from .recover import exists
from .stage import case_blind
from .undo import copy, drop

_MOST = 4  # numbers; of one, the room is lost for good


def spare(folder):
    """The names that are left for state folders; none where such damage does not happen."""
    if not case_blind(folder):
        return []
    return [n for n in [folder + str(i) for i in range(_MOST)] if not exists(n)]


def renew(j):
    """Begin a new state folder where the present one does not keep what is written.

    Only on FAT, and only while nothing is installed or undone from it. What was downloaded
    has to be downloaded again.
    """
    folder = j.folder
    names = spare(folder)
    if j.state == "C" and names:
        drop(j)
    if not names or j.state not in (None, "I") or exists(folder + "/plan"):
        return
    if len(names) < 2:
        print("OTA: warning: {} is damaged, as others were: format the file system".format(folder))
        return
    new, old = names[:2]
    os.mkdir(new)
    for name in ("s0", "s1", "k0", "k1"):
        if exists(folder + "/" + name):
            copy(folder + "/" + name, new + "/" + name)
    os.rename(folder, old)
    os.rename(new, folder)
    print("OTA: warning: {} is damaged; it is {} now".format(folder, old))
