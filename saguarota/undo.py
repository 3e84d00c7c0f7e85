"""Undo: put the old release back, whole. See recover.py for the journal and the plan.

Undo is the only repair there is: it can be cut at any write and started again. Nothing
here lists a folder, and where files are copied nothing is renamed: neither survives a
cut on FAT.
"""

import uos as os
import sys

_recover = __import__(__name__.replace("undo", "recover"), None, None, ("start",))
exists = _recover.exists
remove = _recover.remove
reset = _recover.reset
start = _recover.start
feed = _recover.feed
builtin = _recover.builtin
RUN = _recover.RUN


def copy(path, live):
    """Copy a file to another, and read that back; OSError where what was written differs."""
    try:
        buf = bytearray(4096)  # a FAT cluster: shorter pieces move the sector buffer
    except MemoryError:
        buf = bytearray(512)
    mv = memoryview(buf)
    n = os.stat(path)[6]
    with open(path, "rb") as f, open(live, "wb") as g:
        if n > len(buf):
            g.seek(n - 1)  # as in stage.extend, which is not here when this is a copy
            g.write(b"\0")
            g.flush()
            g.seek(0)
        while True:
            n = f.readinto(buf)
            if not n:
                break
            g.write(mv[:n])
            feed()
    if not same(path, live, buf):
        raise OSError("read back wrong: " + live)


def same(path, live, buf=None):
    """True where both files exist and hold the same bytes."""
    buf = memoryview(buf or bytearray(1024))
    half = len(buf) // 2
    x = buf[:half]
    y = buf[half:]
    try:
        with open(path, "rb") as f, open(live, "rb") as g:
            while True:
                n = f.readinto(x)
                if g.readinto(y) != n or x[:n] != y[:n]:
                    return False
                if not n:
                    return True
    except OSError:
        return False


def plan(j):
    """Yield the plan's lines: [op, id, depth, size, sums, from, to, index, path]."""
    with open(j.folder + "/plan", "rb") as f:
        for line in f:
            try:
                f = line.decode().rstrip("\n").split("\t")
            except ValueError:
                continue  # no text: damaged
            if len(f) == 9:  # not so where its writing was cut
                yield f


def rank(path):
    """Order of the swap: 0 application, 1 library, 2 main.py, 3 boot.py."""
    path = path.lstrip("/")
    if path == "boot.py":
        return 3
    if path == "main.py":
        return 2
    path = "/" + path
    return 1 if "/saguarota/" in path or "/saguarota." in path else 0


def _rank(j, path):
    """rank(), also of a name in the wrong case where the file system finds it so."""
    return rank(path if j.mode[0] == "m" else path.lower())


def file(j, id, kind):
    """A file of the state folder; kind: n new, o old."""
    return "{}/{}.{}".format(j.folder, id, kind)


def save(j, state):
    """Journal.save"""
    from ubinascii import crc32

    before = _word(j.state)
    j.state = state
    j.seq += 1
    name = j.state_file
    line = "ota1\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}".format(
        j.seq, state, j.mode, j.installed, j.target, j.left, j.tries, j.why, j.timeout,
        "" if name == "ota_state.txt" else name, ",".join(j.bad),
    )  # fmt: skip
    with open(j.folder + "/s" + str(j.seq & 1), "wb") as f:
        f.write("{}\t{:08x}\n".format(line, crc32(line.encode())))
    # For applications that read the original library's state file; nothing here does.
    if _word(state) != before:
        try:
            with open(name, "w") as f:
                f.write(_word(state))
        except OSError:
            pass


def _word(state):
    """A state as the original library names it; None where there is none yet."""
    if state in ("S", "U"):
        return "installing"
    return "confirm_pending" if state == "T" else state and "idle"


def reject(j):
    """Remember the target as a release that must not be installed again."""
    if j.target != "-" and j.target not in j.bad:
        j.bad = j.bad[-3:] + [j.target]


def recover(j):
    """Bring the board to a whole release, whatever the journal and the plan say."""
    if not exists(j.folder + "/plan"):
        if j.mode != "o":  # original.py goes on with that
            j.save("I")  # somebody removed the plan: there is nothing to go by
        return
    if j.state == "I":
        cleanup(j)
        return
    if j.state == "T" and j.left > 0:
        j.left -= 1
        j.save("T")
        arm(j, j.timeout)
        return
    if j.state == "F":
        finish(j)
    elif j.state == "T":
        print("OTA: the update was not confirmed; undoing it")
        undo_trial(j, "t")
    elif j.state == "U":
        undo(j)
    else:
        # S; or both slots are lost, and to undo what was not done changes nothing
        print("OTA: the installation was interrupted; undoing it")
        undo_install(j)
    reset()


def arm(j, timeout):
    """Reset the board after this time unless the release on trial is confirmed.

    The timer fires at the REPL, too, where an exception in main.py leaves a board.
    """
    if not timeout or "timer" in RUN:
        return
    for id in (-1, 3, 2, 1, 0):  # a virtual one, or what an application takes last
        try:
            Timer = builtin("machine").Timer
            timer = Timer(id)
            timer.init(period=timeout * 1000, mode=Timer.ONE_SHOT, callback=_expired)
        except Exception:
            continue
        RUN["timer"] = timer
        return
    print("OTA: warning: no timer is free for confirm_timeout_s")


def _expired(_):
    print("OTA: not confirmed in time; restarting")
    reset()


def disarm():
    if "timer" in RUN:
        RUN.pop("timer").deinit()


def undo_trial(j, why):
    """Decide against the release on trial, for good, and undo it."""
    j.why = why
    reject(j)
    # In both slots: of one that is lost later, the other must not let the release run on.
    j.save("U")
    j.save("U")
    undo(j)


def undo_install(j):
    """Undo an installation that did not reach its trial; it may be tried again."""
    j.tries += 1
    j.why = "i"
    if j.tries >= 5:
        reject(j)
    j.save("U")
    undo(j)


def undo(j):
    """Put the old release back, whole; from any point of an install or of an undo."""
    folder = j.folder
    moves = j.mode[0] == "m"  # not so where the journal is lost: copies work in any case
    keep = j.target not in j.bad  # what is downloaded serves the next attempt
    remove(folder + "/room")
    for r in (2, 1, 0) if moves else (1, 0):
        for f in plan(j):
            if _rank(j, f[8]) != r or f[0] == "R":
                continue
            feed()
            path = f[8]
            old = file(j, f[1], "o")
            new = file(j, f[1], "n")
            if f[0] == "a":
                if moves and keep and not exists(new) and exists(path):
                    os.rename(path, new)
                else:
                    remove(path)
                _prune(path, int(f[2]))
                continue
            if not exists(old):
                continue  # not moved yet
            ensure_parent(path)  # an application on trial may have tidied up
            if not moves:
                if not same(old, path):
                    copy(old, path)
            else:
                if keep and f[0] == "r" and not exists(new) and exists(path):
                    os.rename(path, new)
                os.rename(old, path)
    _start_files(j, True)
    j.left = 0
    j.save("I")
    cleanup(j)


def finish(j):
    """Complete a confirmation: the start files of the new release take their places."""
    remove(j.folder + "/room")
    _start_files(j, False)
    confirmed(j, j.left)


def confirmed(j, keep):
    """The target is what is installed; keep: leave the backups for revert_update."""
    disarm()
    j.installed, j.target = j.target, j.installed
    j.left = j.tries = 0
    j.why = "-"
    if keep:
        j.save("C")
    else:
        drop(j)


def drop(j, keep=None):
    """Give up the way back. keep: a staged file that is the next update's already."""
    j.target = "-"
    j.save("I")
    cleanup(j, keep)


def ensure_parent(path):
    """Make the folders above path."""
    i = path.find("/", 1)
    while i > 0:
        try:
            os.mkdir(path[:i])
        except OSError:
            if not exists(path[:i]):
                raise
        i = path.find("/", i + 1)


def _prune(path, index):
    """Remove the empty folders above path that are deeper than index."""
    parts = path.split("/")
    while len(parts) - 1 > index:
        parts.pop()
        try:
            os.rmdir("/".join(parts))
        except OSError:
            return


def _start_files(j, old):
    """Set boot.py and main.py to the old release's (old) or to the new one's.

    At every instant one of the two leads to recovery: where writes are not
    atomic, main.py is a stand-in before boot.py is touched.
    """
    want = {2: None, 3: None}  # rank -> (path, source or None for "must not exist")
    for f in plan(j):
        r = _rank(j, f[8])
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
    if j.mode[0] == "m":
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
        if main and exists(stub) and ("o" if old else "n") in j.mode[2:]:
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


def _is(what):
    path, source = what
    if source is None:
        return not exists(path)
    return not exists(source) or same(path, source)  # it was moved there already


def _put(what):
    if not _is(what):
        if what[1] is None:
            remove(what[0])
        else:
            copy(what[1], what[0])


def cleanup(j, keep=None):
    """Remove what an ended update left in the state folder; the plan last."""
    # Where files are moved, a confirmed release has left nothing staged; what there is
    # belongs to an installation that was cut before it began.
    staged = j.target in j.bad or (j.target == "-" and j.mode[0] == "c")
    try:
        for f in plan(j):
            remove(file(j, f[1], "o"))
            if staged and f[1] != keep:
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
            if _rank(j, f[8]) == 3 and f[0] in "rak":
                with open(file(j, f[1], "o" if f[0] == "k" else "n")) as f:
                    code = f.read()
                exec(compile(code, "boot.py", "exec"), names)
                return
    except Exception as e:
        # Firmware would not start main.py now: let this boot count as failed.
        sys.print_exception(e)
        if exists(folder + "/plan"):  # not so where somebody removed it
            reset()


def main(folder):
    """What the stand-in for main.py does: it runs only where boot.py could not."""
    start(folder)
    reset()
