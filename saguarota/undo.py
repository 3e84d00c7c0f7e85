"""Undo: put the old release back, whole. See recover.py for the journal and the plan.

Undo is the only repair there is: it can be cut at any write and started again. Nothing
here lists a folder, and where files are copied nothing is renamed: neither survives a
cut on FAT.
"""

import os
import sys

_recover = __import__(__name__.replace("undo", "recover"), None, None, ("start",))
exists = _recover.exists
rank = _recover.rank
remove = _recover.remove
reset = _recover.reset
start = _recover.start

_MAX_TRIES = 5
_MAX_BAD = 4


def copy(src, dst):
    """Copy a file and read it back; OSError where what was written differs."""
    try:
        buf = bytearray(4096)  # a FAT cluster: shorter pieces move the sector buffer
    except MemoryError:
        buf = bytearray(512)
    mv = memoryview(buf)
    with open(src, "rb") as f, open(dst, "wb") as g:
        while True:
            n = f.readinto(buf)
            if not n:
                break
            g.write(mv[:n])
    if not same(src, dst, buf):
        raise OSError("read back wrong: " + dst)


def same(a, b, buf=None):
    """True where both files exist and hold the same bytes."""
    buf = memoryview(buf or bytearray(1024))
    half = len(buf) // 2
    x = buf[:half]
    y = buf[half:]
    try:
        with open(a, "rb") as f, open(b, "rb") as g:
            while True:
                n = f.readinto(x)
                if g.readinto(y) != n or x[:n] != y[:n]:
                    return False
                if not n:
                    return True
    except OSError:
        return False


def plan(j):
    """Yield the plan's header fields, then each line's: [op, id, depth, ..., path]."""
    with open(j.folder + "/plan") as f:
        for line in f:
            yield line.rstrip("\n").split("\t")


def header(j):
    """(moves, guard, release before), from the plan's first line."""
    for f in plan(j):
        j.state_file = f[4]
        return f[2] == "m", f[3] == "1", f[5]


def file(j, id, kind):
    """A file of the state folder; kind: n new, o old."""
    return "{}/{}.{}".format(j.folder, id, kind)


def reject(j):
    """Remember the target as a release that must not be installed again."""
    if j.target != "-" and j.target not in j.bad:
        j.bad = j.bad[1 - _MAX_BAD :] + [j.target]


def recover(j):
    """Bring the board to a whole release, whatever the journal and the plan say."""
    if not exists(j.folder + "/plan"):
        j.save("I")  # somebody removed the plan: there is nothing to go by
        return
    if j.state == "I":
        cleanup(j)
        return
    if j.state == "F":
        finish(j)
    elif j.state == "T":
        print("OTA: the update was not confirmed; undoing it")
        undo_trial(j)
    elif j.state == "U":
        undo(j)
    else:
        # S; or both slots are lost, and to undo what was not done changes nothing
        print("OTA: the installation was interrupted; undoing it")
        undo_install(j)
    reset()


def undo_trial(j):
    """Decide against the release on trial, for good, and undo it."""
    reject(j)
    j.save("U")
    undo(j)


def undo_install(j):
    """Undo an installation that did not reach its trial; it may be tried again."""
    j.tries += 1
    if j.tries >= _MAX_TRIES:
        reject(j)
    j.save("U")
    undo(j)


def undo(j):
    """Put the old release back, whole; from any point of an install or of an undo."""
    folder = j.folder
    moves, _, j.installed = header(j)
    keep = j.target not in j.bad  # what is downloaded serves the next attempt
    remove(folder + "/room")
    for r in (2, 1, 0) if moves else (1, 0):
        for f in plan(j):
            if len(f) < 9 or rank(f[8]) != r or f[0] == "R":
                continue
            path = f[8]
            old = file(j, f[1], "o")
            new = file(j, f[1], "n")
            if f[0] == "a":
                if moves and keep and not exists(new) and exists(path):
                    os.rename(path, new)
                elif not moves or not exists(new):
                    remove(path)
                _prune(path, int(f[2]))
            elif not moves:
                if not same(old, path):
                    copy(old, path)
            elif exists(old):
                if keep and f[0] == "r" and not exists(new) and exists(path):
                    os.rename(path, new)
                os.rename(old, path)
    _start_files(j, moves, True)
    j.left = 0
    j.save("I")
    cleanup(j)


def finish(j):
    """Complete a confirmation: the start files of the new release take their places."""
    _start_files(j, header(j)[0], False)
    confirmed(j, j.left)


def confirmed(j, keep):
    """The target is what is installed; keep: leave the backups for revert_update."""
    j.installed = j.target
    j.target = "-"
    j.left = j.tries = 0
    j.save("C" if keep else "I")
    if not keep:
        cleanup(j)


def _prune(path, depth):
    """Remove the empty folders above path that are deeper than depth."""
    parts = path.split("/")
    while len(parts) - 1 > depth:
        parts.pop()
        try:
            os.rmdir("/".join(parts))
        except OSError:
            return


def _start_files(j, moves, old):
    """Set boot.py and main.py to the old release's (old) or to the new one's.

    At every instant one of the two leads to recovery: where writes are not
    atomic, main.py is a stand-in before boot.py is touched.
    """
    want = {2: None, 3: None}  # rank -> (path, source or None for "must not exist")
    for f in plan(j):
        r = rank(f[8]) if len(f) > 8 else 0
        if r > 1:
            op = f[0]
            source = None
            if op == "k" or (op in "rd" and old):
                source = file(j, f[1], "o")
            elif op in "ra" and not old:
                source = file(j, f[1], "n")
            want[r] = (f[8], source)
    boot = want[3]
    main = want[2]
    if moves:
        # main.py was moved with the other files
        if boot:
            path, source = boot
            if source is None:
                remove(path)
            elif exists(source):
                os.rename(source, path)
        return
    if boot and not _is(boot):
        stub = j.folder + "/main"
        if main and exists(stub) and calls(boot[1]):
            if not same(stub, main[0]):
                copy(stub, main[0])
            _put(boot)
            _put(main)
            return
        if main:
            _put(main)
        _put(boot)
    elif main:
        _put(main)


def calls(path):
    """True where a start file mentions the updater."""
    if path is None:
        return False
    try:
        with open(path) as f:
            for line in f:
                if "saguarota" in line:
                    return True
    except (OSError, ValueError):
        pass
    return False


def _is(item):
    path, source = item
    return not exists(path) if source is None else same(path, source)


def _put(item):
    if not _is(item):
        if item[1] is None:
            remove(item[0])
        else:
            copy(item[1], item[0])


def cleanup(j):
    """Remove what an ended update left in the state folder; the plan last."""
    staged = j.target == "-" or j.target in j.bad
    try:
        for f in plan(j):
            if len(f) > 8:
                remove(file(j, f[1], "o"))
                if staged:
                    remove(file(j, f[1], "n"))
                if f[0] == "d" and j.target == "-":
                    _prune(f[8], int(f[2]))
    except (OSError, ValueError):
        pass
    for name in ("room", "boot", "main", "ota_recover.py", "ota_undo.py"):
        remove(j.folder + "/" + name)
        remove(j.folder + "/" + name.replace(".py", ".mpy"))
    remove(j.folder + "/plan")


def boot(folder, names):
    """What the stand-in for boot.py does: supervise, then run the boot.py on trial."""
    try:
        j = start(folder)
        for f in plan(j):
            if len(f) > 8 and rank(f[8]) == 3 and f[0] in "rak":
                with open(file(j, f[1], "o" if f[0] == "k" else "n")) as f:
                    code = f.read()
                exec(compile(code, "boot.py", "exec"), names)
                return
    except Exception as e:
        # Firmware would not start main.py now: let this boot count as failed.
        sys.print_exception(e)
        reset()


def main(folder):
    """What the stand-in for main.py does: it runs only where boot.py could not."""
    start(folder)
    reset()
