# Makes and reads flash images of a simulated board, on a MicroPython that is not it: the
# image is mounted beside the host's files. Arguments (key=value): image, fs, block, as for
# board.py.
#
# Commands come on standard input, one a line, each answered on standard output:
#
#	mkfs                    make an empty file system (before the mount)
#	dir PATH                make a folder, unless it is there
#	file SIZE PATH          write a file; SIZE bytes follow the line
#	remove PATH             remove a file
#	read PATH               answers "SIZE" and, after the line, the file
#	tree                    answers a line for each folder ("d PATH"), each file ("f SIZE
#	                        SHA256 PATH") and each thing that cannot be read ("x ERROR PATH"),
#	                        then "."
#
# The other answers are "ok", and "error ERROR" for any: nothing after it is carried out.
import binascii, errno, hashlib, os, sys, vfs

ROOT = "/__image"


class Flash:
    def __init__(self, path, block):
        self.f = open(path, "r+b")
        self.bs = block
        self.n = self.f.seek(0, 2) // block

    def readblocks(self, n, buf, off=0):
        self.f.seek(n * self.bs + off)
        self.f.readinto(buf)

    def writeblocks(self, n, buf, off=0):
        self.f.seek(n * self.bs + off)
        self.f.write(buf)

    def ioctl(self, op, arg):
        if op == 4:
            return self.n
        if op == 5:
            return self.bs
        if op == 6:
            self.f.seek(arg * self.bs)
            self.f.write(b"\xff" * self.bs)
            return 0


def tree(path):
    try:
        entries = sorted(os.ilistdir(ROOT + path))
    except Exception as e:
        yield "x %s %s" % (type(e).__name__, path or "/")
        return
    for entry in entries:
        name = path + "/" + entry[0]
        if entry[1] & 0x4000:
            yield "d " + name[1:]
            yield from tree(name)
        else:
            try:
                h = hashlib.sha256()
                size = 0
                with open(ROOT + name, "rb") as f:
                    while True:
                        n = f.readinto(buffer)
                        if not n:
                            break
                        h.update(view[:n])
                        size += n
                yield "f %d %s %s" % (size, str(binascii.hexlify(h.digest()), "ascii"), name[1:])
            except Exception as e:
                yield "x %s %s" % (type(e).__name__, name[1:])


def copy(source, sink, size):
    while size:
        n = source.readinto(view[: min(size, len(buffer))])
        if not n:
            raise EOFError("the file ends early")
        sink.write(view[:n])
        size -= n


def command(line):
    global mounted
    word, _, rest = line.partition(" ")
    if word == "mkfs":
        fs.mkfs(flash)
        return "ok"
    if not mounted:
        vfs.mount(fs(flash), ROOT)
        mounted = True
    if word == "dir":
        try:
            os.mkdir(ROOT + "/" + rest)
        except OSError as e:
            if e.errno != 17 or not os.stat(ROOT + "/" + rest)[0] & 0x4000:
                raise
    elif word == "file":
        size, _, name = rest.partition(" ")
        with open(ROOT + "/" + name, "wb") as f:
            copy(stdin, f, int(size))
    elif word == "remove":
        os.remove(ROOT + "/" + rest)
    elif word == "read":
        size = os.stat(ROOT + "/" + rest)[6]
        with open(ROOT + "/" + rest, "rb") as f:
            stdout.write("%d\n" % size)
            copy(f, stdout, size)
        return None
    elif word == "tree":
        for entry in tree(""):
            stdout.write(entry + "\n")
        return "."
    else:
        raise ValueError(word)
    return "ok"


options = dict(a.split("=", 1) for a in sys.argv[1:])
stdin, stdout = sys.stdin.buffer, sys.stdout.buffer
fs = vfs.VfsFat if options["fs"] == "fat" else vfs.VfsLfs2
flash = Flash(options["image"], int(options["block"]))
buffer = bytearray(4096)
view = memoryview(buffer)
mounted = False
try:
    while True:
        line = stdin.readline()
        if not line:
            break
        answer = command(str(line, "utf-8").rstrip("\n"))
        if answer:
            stdout.write(answer + "\n")
    if mounted:
        vfs.umount(ROOT)
except Exception as e:
    # The errno module of a small build knows neither of the two.
    names = {28: "ENOSPC", 30: "EROFS"}
    names.update(errno.errorcode)
    name = names.get(e.errno) if isinstance(e, OSError) else None
    stdout.write("error %s\n" % (name or repr(e)))
