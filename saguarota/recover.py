"""Recovery: the part of the updater that a board runs first after power-up.

It reads the installer's journal; where that says that an update was interrupted, or that
its trial has run out, undo.py puts the old release back. Copies of these two files
(ota_recover, ota_undo) lie in the state folder while a release replaces the library
itself, so they import nothing else of the package.

State folder, <application_name>_backup. All names in it are flat: a FAT folder whose
growth was cut cannot be listed any more, but look-up by name works.

    s0 s1      the journal: two slots, each one checksummed line; the newest valid one wins
    plan       one line a file that the update changes
    <id>.n     new file, staged      <id>.o  old file, kept for undo
    boot main  stand-ins for boot.py and main.py; ota_recover, ota_undo: see above
    room       space kept free for undo on file systems where it copies
    todo       the plan before it is one
    full       which release did not fit, and the bytes it needs

Slot line:  ota1 <seq> <state> <mode> <installed> <target> <left> <tries> <why> <timeout>
            <state file, empty for ota_state.txt> <bad ids> <crc32>         (tab-separated)
Plan lines: <op> <id> <depth> <size> <sums> <from> <to> <index> <path>      (tab-separated)

States: I idle, S swapping, T trial, F finishing a confirmation, U undoing, C confirmed
with the backups kept. Mode: m where files are moved (a rename is atomic: littlefs) or c
where they are copied (FAT), then 1 where stand-ins guard the start files, or 0,
then o and n where the old boot.py and the new one call the updater; o alone while original.py
puts the original library's backups back.
Ops: r replace, R replace without a backup, a add, d delete; and for a start file that the
release leaves alone, while a stand-in takes its place: k keep, x absent.
"""

import uos as os
import sys

# What this module and its copy must agree on within one run of the interpreter is kept where
# both find it: the folders whose start-up check was made, the timer and the watchdog.
RUN = sys.modules.setdefault("saguarota run", {})


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


def builtin(name):
    """The firmware's module, also where a file of a release hides it.

    Unless that file, or what stands in for the module in a test, was imported before.
    """
    return sys.modules.get(name) or __import__("u" + name)


def reset():
    machine = builtin("machine")
    if hasattr(machine, "reset"):
        machine.reset()
    raise SystemExit  # the unix port: whoever runs it starts it again


class Journal:
    """The installer's state, in the two slots of a state folder.

    installed, target: release ids, "-" for none; in state C target is the release before.
    left: trial boots left. tries: interrupted installations of target. why: what became of
    the last target: t trial failed, r reverted, i interrupted, "-" confirmed. timeout: of a
    trial boot, in seconds, 0 for none. bad: ids that must not be installed again.
    """

    def __init__(self, folder):
        self.folder = folder
        self.state = None  # no valid slot
        self.mode = self.installed = self.target = self.why = "-"
        self.state_file = "ota_state.txt"
        self.seq = self.left = self.tries = self.timeout = 0
        self.bad = []
        for i in (0, 1):
            self._load(folder + "/s" + str(i))

    def _load(self, path):
        from ubinascii import crc32

        try:
            with open(path, "rb") as f:
                body, crc = f.read(512).rsplit(b"\t", 1)
            f = body.decode().split("\t")
            if int(crc, 16) != crc32(body) or f[0] != "ota1" or int(f[1]) <= self.seq:
                return
            self.state, self.mode, self.installed, self.target = f[2:6]
            self.left, self.tries, self.timeout = int(f[6]), int(f[7]), int(f[9])
            self.why = f[8]
            self.state_file = f[10] or self.state_file
            self.bad = f[11].split(",") if f[11] else []
            self.seq = int(f[1])
        except (OSError, ValueError, IndexError):
            pass

    def save(self, state):
        """Go to a state: one write of the slot that is not the newest."""
        _undo().save(self, state)


def _undo():
    # Its copy in the state folder where this is a copy. Not loaded where nothing is to do.
    return __import__(__name__.replace("recover", "undo"), None, None, ("save",))


def start(folder):
    """The start-up check: count a trial boot, or undo and reset the board.

    Returns the Journal. Runs once in a run of the interpreter, wherever it is called
    first: in boot.py, in main.py, or in the stand-in of either.
    """
    j = Journal(folder)
    if folder not in RUN:
        RUN[folder] = True
        if j.state not in ("I", "C", None) or (j.state != "C" and exists(folder + "/plan")):
            _undo().recover(j)
    return j


def feed():
    """Feed the watchdog, if one was asked for."""
    if "wdt" in RUN:
        RUN["wdt"].feed()
