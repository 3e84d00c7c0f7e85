"""Recovery: the part of the updater that a board runs first after power-up.

It reads the installer's journal; where that says that an update was interrupted, or that
its trial has run out, undo.py puts the old release back. Copies of these two files
(ota_recover, ota_undo) lie in the state folder while a release replaces the library
itself, so they import nothing else of the package.

State folder, <application_name>_backup. All names in it are flat: a FAT folder whose
growth was cut cannot be listed any more, but look-up by name works.

    s0 s1      the journal: two slots, each one checksummed line; the newest valid one wins
    plan       header line, then one line a file that the update changes
    <id>.n     new file, staged      <id>.o  old file, kept for undo
    boot main  stand-ins for boot.py and main.py; ota_recover, ota_undo: see above
    room       space kept free for undo on file systems where it copies
    todo       the plan before it is one

Slot line:  saguarota 1 <seq> <state> <installed> <target> <left> <tries> <bad> <crc32>
Plan lines: saguarota-plan 1 <m|c> <guard> <state file> <release before>
            <op> <id> <depth> <size> <sums> <from> <to> <index> <path>      (tab-separated)

States: I idle, S swapping, T trial, F finishing a confirmation, U undoing, C confirmed
with the backups kept. Mode m moves files (a rename is atomic: littlefs), c copies (FAT).
Ops: r replace, R replace without a backup, a add, d delete; and for a start file that the
release leaves alone, while a stand-in takes its place: k keep, x absent.
"""

import os
import sys

# A key in sys.modules, so that this module and its copy agree, within one run of the
# interpreter, on whether the start-up check was made.
_STARTED = "saguarota start-up"


def exists(path):
    try:
        os.stat(path)
        return True
    except OSError:
        return False


def remove(path):
    try:
        os.remove(path)
    except OSError:
        pass


def rank(path):
    """Order of the swap: 0 application, 1 library, 2 main.py, 3 boot.py."""
    path = path.lstrip("/")
    if path == "boot.py":
        return 3
    if path == "main.py":
        return 2
    return 1 if "/saguarota/" in "/" + path else 0


def reset():
    import machine

    if hasattr(machine, "reset"):
        machine.reset()
    raise SystemExit  # the unix port: whoever runs it starts it again


class Journal:
    """The installer's state, in the two slots of a state folder.

    installed, target: release ids, "-" for none. left: trial boots left.
    tries: interrupted installs of target. bad: ids not to be installed again.
    """

    def __init__(self, folder):
        self.folder = folder
        self.state = None  # no valid slot
        self.installed = self.target = "-"
        self.seq = self.left = self.tries = 0
        self.bad = []
        self.state_file = None
        for i in (0, 1):
            self._load(folder + "/s" + str(i))

    def _load(self, path):
        from binascii import crc32

        try:
            with open(path, "rb") as f:
                line = f.read(256)
            body, crc = line.rstrip().rsplit(b" ", 1)
            if int(crc, 16) != crc32(body):
                return
            f = body.decode().split(" ")
            if f[0] != "saguarota" or f[1] != "1" or int(f[2]) <= self.seq:
                return
            self.seq = int(f[2])
            self.state, self.installed, self.target = f[3:6]
            self.left = int(f[6])
            self.tries = int(f[7])
            self.bad = [x for x in f[8].split(",") if x != "-"]
        except (OSError, ValueError, IndexError):
            pass

    def save(self, state):
        """Go to a state: one write of the slot that is not the newest."""
        from binascii import crc32

        self.state = state
        self.seq += 1
        body = "saguarota 1 {} {} {} {} {} {} {}".format(
            self.seq,
            state,
            self.installed,
            self.target,
            self.left,
            self.tries,
            ",".join(self.bad) or "-",
        )
        with open(self.folder + "/s" + str(self.seq & 1), "wb") as f:
            f.write("{} {:08x}\n".format(body, crc32(body.encode())))
        if self.state_file:
            self.tell()

    def tell(self):
        """Write the state where applications of the original library look for it."""
        word = {"S": "installing", "U": "installing", "T": "confirm_pending"}.get(
            self.state, "idle"
        )
        try:
            with open(self.state_file) as f:
                if f.read(32).strip() == word:
                    return
        except (OSError, ValueError):
            pass
        try:
            with open(self.state_file, "w") as f:
                f.write(word)
        except OSError:
            pass  # only a courtesy: nothing here reads it back


def start(folder):
    """The start-up check: count a trial boot, or undo and reset the board.

    Returns the Journal. Runs once in a run of the interpreter, wherever it is called
    first: in boot.py, in main.py, or in the stand-in of either.
    """
    j = Journal(folder)
    if _STARTED not in sys.modules:
        sys.modules[_STARTED] = j
        if j.state == "T" and j.left > 0 and exists(folder + "/plan"):
            j.left -= 1
            j.save("T")
        elif j.state != "C" and (j.state in ("S", "T", "U", "F") or exists(folder + "/plan")):
            undo = __import__(__name__.replace("recover", "undo"), None, None, ("recover",))
            undo.recover(j)
    return j
