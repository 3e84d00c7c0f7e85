# One power cycle of a simulated board: mounts the flash image at "/", gives the board a
# `machine`, runs boot.py and main.py as the firmware does, and leaves the process with what
# became of it:
#
#	0  at the REPL (boot.py or main.py ended or raised)
#	3  machine.reset(), or a watchdog that was not fed
#	4  a soft reset: machine.soft_reset() or sys.exit()
#	5  switched off: main.py has run for as long as it was to, or the board went to sleep
#
# The board's console is standard output. Standard error gets lines for the driver.
#
# This shares the heap with what is measured on it, so it is small: what is needed once is
# done at import and collected, timers are loaded when they are used (timers.py), and the
# block device allocates nothing when it reads or writes.
#
# Arguments (key=value): image, fs (littlefs or fat), block (its size in bytes), log (a file
# that every write is appended to), ro (1: read-only), cause (of the reset before), id (of the
# chip, hexadecimal), repl (how long the board sits at the REPL, in ms), verbose (1: say how
# much heap is taken), net (the port of the only server there is, 0 for none; without it, the
# host's network is the board's), paths (a file with a path a line: before main.py starts, say
# what the tree of these files is, see judge.py, and how much room there was at the mount),
# devices (1: stand-ins for hardware, and a clock that does not wait, see devices.py), settle (how
# long main.py runs then, in ms).
import ffi, gc, os, sys, vfs
import machine as _real

options = dict(a.split("=", 1) for a in sys.argv[1:])
sys.argv.clear()

# Leaves at once, as a reset does: no `except`, no `finally` sees it, and no file is closed.
_libc = ffi.open(None)
_exit = _libc.func("v", "_exit", "i")


def leave(status, line):
    sys.stderr.write("board: " + line + "\n")
    _exit(status)


# The image is mapped, not read: a file system reads a few bytes at a time.
_mmap = _libc.func("P", "mmap", "pLiiil")
_memcpy = _libc.func("v", "memcpy", "ppL")
_memset = _libc.func("v", "memset", "piL")


class Flash:
    def __init__(self, image, size):
        f = open(image, "r+b")
        length = f.seek(0, 2)
        self.at = _mmap(0, length, 3, 1, f.fileno(), 0)  # read and write, shared
        if self.at in (0, -1, 0xFFFFFFFFFFFFFFFF):
            raise OSError("cannot map " + image)
        f.close()
        self.size = size
        self.count = length // size

    def readblocks(self, n, buf, off=0):
        _memcpy(buf, self.at + n * self.size + off, len(buf))

    def writeblocks(self, n, buf, off=0):
        _memcpy(self.at + n * self.size + off, buf, len(buf))

    def ioctl(self, op, arg):
        if op == 4:
            return self.count
        if op == 5:
            return self.size
        if op == 6:
            _memset(self.at + arg * self.size, 255, self.size)
            return 0


if "log" in options:

    class LoggedFlash(Flash):
        def __init__(self, image, size, log):
            super().__init__(image, size)
            self.log = open(log, "ab")
            self.head = bytearray(13)

        # A record: "W" or "E", then block, offset and length as little-endian 32 bits; after a
        # "W", the data.
        def note(self, kind, n, off, size):
            h = self.head
            h[0] = kind
            for i in range(4):
                h[1 + i] = n >> 8 * i & 255
                h[5 + i] = off >> 8 * i & 255
                h[9 + i] = size >> 8 * i & 255
            self.log.write(h)

        def writeblocks(self, n, buf, off=0):
            self.note(0x57, n, off, len(buf))
            self.log.write(buf)
            super().writeblocks(n, buf, off)

        def ioctl(self, op, arg):
            if op == 6:
                self.note(0x45, arg, 0, self.size)
            return super().ioctl(op, arg)

    flash = LoggedFlash(options["image"], int(options["block"]), options["log"])
else:
    flash = Flash(options["image"], int(options["block"]))


# Stands in for the module of that name.
class Machine:
    PWRON_RESET = 1
    HARD_RESET = 2
    WDT_RESET = 3
    DEEPSLEEP_RESET = 4
    SOFT_RESET = 5

    # Timer and WDT when they are first asked for; Signal and the like as the host has them.
    def __getattr__(self, name):
        if name in ("Timer", "WDT"):
            space = {"leave": leave}
            exec(timers.read(), space)
            self.Timer = space["Timer"]
            self.WDT = space["WDT"]
            self.armed = space["armed"]
            self.jump = space["jump"]
        return getattr(self if name in self.__dict__ else _real, name)


def reset():
    leave(3, "reset")


def soft_reset():
    raise SystemExit


def freq(hz=None):
    return 160000000


def constant(value):
    return lambda: value


# Opened here: once the image is mounted, the host's files cannot be reached.
timers = open(__file__.rsplit("/", 1)[0] + "/timers.py")
machine = Machine()
# Attributes of the instance: `from machine import reset` does not take a method.
machine.reset = reset
machine.soft_reset = soft_reset
machine.freq = freq
machine.reset_cause = constant(int(options.get("cause", "1")))
machine.unique_id = constant(
    bytes(int(options["id"][i : i + 2], 16) for i in range(0, len(options["id"]), 2))
)
repl = int(options.get("repl", "0"))
paths = None
if "paths" in options:
    import judge as judging
    from binascii import hexlify

    paths = open(options["paths"])
    buffer = bytearray(512)
if "net" in options:
    import net

    net.install(int(options["net"]))
devices = None
if "devices" in options:
    import devices

    devices.install(machine, leave)
    settle = int(options["settle"])


# Runs a file in __main__, as the firmware does; False if it raised.
def execute(name, space):
    try:
        os.stat(name)
    except OSError:
        return True
    if name == "main.py" and paths and not judging.stands_in(buffer):
        whole, rest = judging.judge(paths, buffer)
        line = "board: tree %s %s %s\n"
        empty = "bootless" if judging.bootless(buffer) else "booted"
        sys.stderr.write(line % (hexlify(whole).decode(), hexlify(rest).decode(), empty))
        if devices:
            devices.begin(settle)
    try:
        execfile(name, space)
        return True
    except SystemExit:
        leave(4, "soft reset in " + name)
    except BaseException as e:
        sys.print_exception(e)
        sys.stderr.write("board: " + name + " raised " + type(e).__name__ + "\n")


def run(space):
    space.clear()
    space["__name__"] = "__main__"
    gc.collect()
    if verbose:
        line = "board: heap: %d taken by the board, %d by its file system, %d free\n"
        sys.stderr.write(line % (gc.mem_alloc() - file_system, file_system, gc.mem_free()))
    if execute("boot.py", space):
        execute("main.py", space)
    line = "repl"
    if "Timer" in machine.__dict__:
        machine.jump(repl)
        for t in machine.armed:
            line += " %s=%d" % (type(t).__name__, t.period)
    leave(0, line)


gc.collect()
_used = gc.mem_alloc()
vfs.umount("/")
vfs.mount(
    vfs.VfsFat(flash) if options["fs"] == "fat" else vfs.VfsLfs2(flash),
    "/",
    readonly=options.get("ro") == "1",
)
os.chdir("/")
sys.path[:] = ["", ".frozen", "/lib"]
sys.modules["machine"] = machine
for _name in ("board", "judge", "net", "devices"):
    sys.modules.pop(_name, None)
if paths:
    _room = os.statvfs("/")
    sys.stderr.write("board: room %d\n" % (_room[1] * _room[3]))
gc.collect()
file_system = gc.mem_alloc() - _used
verbose = "verbose" in options
# Names that only the lines above need, and what they hold.
del ffi, vfs, options, flash, Flash, Machine, reset, soft_reset, freq, constant, _used, _libc, _mmap
