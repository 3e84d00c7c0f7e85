"""Install a staged release: verify, back up, swap, start the trial.

recover.py describes the journal and the plan, and is the only way back. The order
here is what makes every cut recoverable; each step says what a cut in it leaves.
"""

import uos as os

from .error import OTAError
from .recover import Journal, exists, remove
from .stage import check, extend, moves, todo
from .undo import _rank, copy, ensure_parent, file, plan

_STAND_IN = """\
# SaguarOTA: stands in for this file until the update is confirmed or undone.
import sys
sys.path.insert(0, {0!r})
try:
    import ota_undo as _ota
except ImportError:
    import saguarota.undo as _ota
sys.path.pop(0)
_ota.{1}
"""


def calls(path, whole=False):
    """True where a start file reaches the updater whatever else is on the flash.

    It does not if it imports or opens something first that a release may bring and break:
    a file may shadow a built-in module, too. Judged by the text, and rather False than
    wrong: then a stand-in guards the file. whole: the rest of its release is there, so that
    matters no longer, but the call must not be in a block.
    """
    # In one string, and few names: on a small heap each of them counts.
    stops = "import\topen(\texec\t.path\t;\tdef \tclass \tlambda\tif \twhile \t\"\"\"\t'''\t\\".split("\t")
    marks = "#\t.check_and_perform_ota(\t.confirm_update(".split("\t")
    try:
        with open(path) as f:
            for line in f:
                if line.startswith("# SaguarOTA: stands in"):
                    return True
                block = whole and line[:1] in " \t"
                line = line.strip()
                reached = False
                for mark in marks:
                    i = line.find(mark)
                    if i < 0:
                        continue
                    quoted = (line[:i].count('"') | line[:i].count("'")) & 1
                    if mark != "#":
                        reached = reached or not quoted
                    elif quoted:
                        return False  # or the comment begins behind it
                    else:
                        line = line[:i].strip()
                if line.startswith("from saguarota import ") or line == "import saguarota":
                    line = line[21:]
                for word in stops:
                    if word in line:
                        if not whole or word in stops[-3:]:
                            return False
                        block = True
                if reached and not block:
                    return True
    except (OSError, ValueError, TypeError):
        pass
    return False


def _stand_in(j):
    """Write the stand-ins into the state folder."""
    for name, text in (("boot", "boot({!r}, globals())"), ("main", "main({!r})")):
        if name == "boot" or j.mode[0] == "c":
            with open(j.folder + "/" + name, "w") as f:
                f.write(_STAND_IN.format(j.folder, text.format(j.folder)))


def _place_stand_ins(j, reach):
    """boot.py, and where files are copied main.py too, become stand-ins.

    Where a write can be cut half-way, the start file that leads to recovery on its own goes
    last: the other one's stand-in is complete by then. reach: what the mode has where that is
    the boot.py that is there now.
    """
    names = ("boot", "main")
    if j.mode[0] == "m":
        os.rename(j.folder + "/boot", "boot.py")
        return
    if reach in j.mode[2:]:
        names = ("main", "boot")
    for name in names:
        copy(j.folder + "/" + name, name + ".py")


class Installer:
    """One installation of what the to-do file of a state folder lists."""

    def __init__(self, ota, j):
        self.j = j
        self.ota = ota
        self.folder = j.folder
        self.moves = moves(ota)
        j.mode = "m" if self.moves else "c"
        boot = None
        self.has_main = False
        self.guard = not calls("boot.py")
        # Where files are copied, undo has to know which boot.py finds its way to it.
        self.reach = "o" if calls("boot.py", True) else ""
        new = "boot.py"
        self.dropped = False
        for f in todo(j.folder):
            if self._dropped(f):
                self.dropped = True
                continue
            r = _rank(j, f[8])
            if r == 3:
                boot = f[0]
                new = file(j, f[1], "n")
            elif r == 2:
                self.has_main = True
            if r in (1, 3):
                self.guard = True
        self.boot = boot
        if not self.moves and calls(new, True):
            self.reach += "n"

    def run(self, id):
        """A generator; ends in a reset, with the release id on trial."""
        j = self.j
        if j.target != id:
            j.tries = 0
        j.target = id
        j.mode = j.mode[0] + ("1" if self.guard else "0") + self.reach
        j.left = self.ota.trial_boots
        j.timeout = self.ota.confirm_timeout_s
        if not self.moves:
            # What is staged is worth keeping, and must be told from what a release left.
            j.save("I")
        yield from self._verify()
        yield from self._backup()
        yield from self._write_plan()
        # In both slots: of one that is lost later, the other must not say "I".
        j.save("S")
        j.save("S")
        if Journal(j.folder).state != "S":
            raise OSError(5)  # the slot was not kept: a damaged folder (damage.py)
        # From here on, start-up undoes.
        if self.guard:
            _place_stand_ins(j, "o")
        for r in (0, 1, 2):
            for f in plan(j):
                if _rank(j, f[8]) == r:
                    self._swap(f)
                    yield 0
        j.save("T")  # the commit point

    def _verify(self):
        """Every staged file once more: flash is not trusted to hold what was written."""
        buf = bytearray(self.ota.md5_chunk_size)
        for f in todo(self.folder):
            if f[0] in "raR" and not self._dropped(f):
                new = file(self.j, f[1], "n")
                if not check(new, int(f[3]), f[4], buf):
                    if not exists(new):
                        raise OSError(5)  # a damaged folder (damage.py)
                    raise OTAError("md5_mismatch", "staged file changed: " + f[8])
                yield 0

    def _dropped(self, f):
        """A file without sums that turned out to be no change, or could not be had."""
        return f[0] != "d" and f[4] == ":" and not exists(file(self.j, f[1], "n"))

    def _backup(self):
        """Copies for what the swap does not keep by renaming. A cut: not used yet."""
        j = self.j
        for f in todo(self.folder):
            r = _rank(j, f[8])
            if f[0] in "rd" and (not self.moves or r == 3) and not self._dropped(f):
                copy(f[8], file(j, f[1], "o"))
                yield 0
        if not self.guard:
            return
        if self.boot is None and exists("boot.py"):
            copy("boot.py", file(j, "boot", "o"))
        if not self.moves and not self.has_main and exists("main.py"):
            copy("main.py", file(j, "main", "o"))
        _stand_in(j)
        for name in ("recover", "undo"):
            source = __file__.replace("install.", name + ".")
            if exists(source):  # not so where the library is frozen into the firmware
                copy(source, "{}/ota_{}.{}".format(self.folder, name, source.rsplit(".", 1)[1]))
        yield 0

    def _write_plan(self):
        """Last before "S", so that whoever finds a plan finds the backups whole."""
        todo_file = self.folder + "/todo"
        plan_file = self.folder + "/plan"
        if not self.moves:
            self._reserve()
        if self.moves and not self.dropped:
            with open(todo_file, "a") as p:
                self._write_start_files(p)
            os.rename(todo_file, plan_file)
            return
        with open(plan_file, "w") as p:
            for f in todo(self.folder):
                if not self._dropped(f):
                    p.write("\t".join(f) + "\n")
                yield 0
            self._write_start_files(p)
        remove(todo_file)

    def _write_start_files(self, t):
        """Lines for the start files that the release leaves alone and stand-ins replace."""
        if not self.guard:
            return
        for name, listed in (("boot", self.boot), ("main", self.moves or self.has_main)):
            if not listed:
                op = "k" if exists(name + ".py") else "x"
                t.write("{0}\t{1}\t0\t-1\t:\t0\t0\t0\t{1}.py\n".format(op, name))

    def _reserve(self):
        """Keep room for undo: an application on trial may fill the file system."""
        room = 0
        cluster = os.statvfs(self.folder)[0]
        for f in todo(self.folder):
            if f[0] in "rd" and not self._dropped(f):
                room += os.stat(f[8])[6] + cluster
            if f[0] in "ra" and _rank(self.j, f[8]) > 1 and not self._dropped(f):
                room += os.stat(file(self.j, f[1], "n"))[6] + cluster  # to finish a confirmation
        if self.guard:
            for name in ("boot", "main"):  # those that the release leaves alone
                if exists(file(self.j, name, "o")):
                    room += os.stat(file(self.j, name, "o"))[6] + cluster
        with open(self.folder + "/room", "wb") as f:
            extend(f, room)

    def _swap(self, f):
        """Put one file in place. A cut at any write: undo puts the old one back."""
        op = f[0]
        path = f[8]
        new = file(self.j, f[1], "n")
        old = file(self.j, f[1], "o")
        if op in "aR":
            ensure_parent(path)
        if self.moves:
            if op == "d" or (op == "r" and exists(new)):
                os.rename(path, old)
            if op in "raR" and exists(new):
                os.rename(new, path)
        elif op in "raR":
            copy(new, path)
        elif op == "k":  # main.py, behind its stand-in until now
            copy(old, path)
        else:
            remove(path)

