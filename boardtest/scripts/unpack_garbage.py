# Unpacks damaged packs, each into the state folder of the same board. The arguments: the root of the
# board's file system, the SHA-256 and the version of the manifest that is wanted, how many packs to
# damage; then the packs.
#
# A damaged pack makes every file right, or ends in a ValueError, or makes a file that its hash tells from
# the right one: then an update fetches that file whole. Anything else, a write outside the state folder
# and work without end stop this script with a traceback. Prints what the decoder said and how often, how
# many packs were damaged in each field of the format and how many of these did not come out whole, and how
# often each end came.
import builtins
import os
import sys

import saguarota.plan
import saguarota.unpack
from deflate import RAW, DeflateIO
from io import BytesIO
from saguarota import OTAUpdater
from saguarota.stage import check, staged_path, todo

MOST = 20000  # pieces of work: more than any pack here can make of its bytes

root, sha, version, count = sys.argv[1:5]
packs = sys.argv[5:]
os.chdir(root)
plan = sys.modules["saguarota.plan"]
unpack = sys.modules["saguarota.unpack"]
real_open = builtins.open
seed = 1


def guarded_open(path, mode="r"):
    if mode not in ("r", "rb") and not path.startswith("saguarota_backup/"):
        raise Exception("writes to " + path)
    return real_open(path, mode)


unpack.open = guarded_open


class NoJournal:
    bad = ()


class Link:
    hole = None


def random(n):
    # Numerical Recipes' generator: the same damage on every machine.
    global seed
    seed = (seed * 1664525 + 1013904223) & 0xFFFFFFFF
    return (seed >> 8) % n


def drain(steps):
    n = 0
    for _ in steps:
        n += 1
        if n > MOST:
            raise Exception("work without end")


def damage_bytes(data):
    data = bytearray(data)
    for _ in range(1 + random(3)):
        at = random(len(data))
        # The numbers of the first segment are at the beginning: every other blow is aimed at these.
        if random(2):
            at = min(at, 8 + random(16))
        kind = random(6)
        if kind == 0:
            data[at] ^= 1 << random(8)
        elif kind == 1:
            data[at] = random(256)
        elif kind == 2:
            data = data[:at] or bytearray(1)
        elif kind == 3:
            data = data[:at] + data[at + 1 + random(8) :] or bytearray(1)
        elif kind == 4:
            n = 1 + random(5)
            data = data[:at] + bytearray([random(256) for _ in range(n)]) + data[at:]
        else:
            data[at] = (0, 127, 128, 255)[random(4)]
    return data


# The fields of the format: numbers, and the rest.
NUMBERS = ("length", "last", "end", "batch", "tag", "step", "path length", "start", "size", "first", "name", "move",
           "literals", "count", "seek")  # fmt: skip
OTHERS = ("magic", "window", "path", "text", "difference")
VALUES = (0, 1, 2, 127, 128, 16383, 16384, 0x3FFFFFFF, 0x40000000, 0x7FFFFFFF,
          b"\x80\x80\x80\x80\x80\x01", b"\xff\xff\xff\xff\xff", b"\x80\x00")  # fmt: skip
PATHS = (b"../boot.py", b"/boot.py", b"a//b", b"a/", b"a\\b", b"a\0b", b"\xff\xfe", b".", b"", b"app.py",
         b"saguarota_backup/todo", b"x" * 256)  # fmt: skip


def number(n):
    out = bytearray()
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    out.append(n)
    return out


def parse(data):
    """The fields of a pack, as [kind, value], in a list a segment; that of the head comes first."""
    f = BytesIO(data)

    def uv(f):
        n = shift = 0
        while True:
            b = f.read(1)[0]
            n |= (b & 127) << shift
            if b < 128:
                return n
            shift += 7

    segments = [[["magic", f.read(8)], ["window", f.read(1)]]]
    while True:
        length = uv(f)
        if not length:
            return segments
        fields = [["length", None], ["last", uv(f)], ["end", uv(f)]]
        segments.append(fields)

        def note(kind, value):
            fields.append([kind, value])
            return value

        z = BytesIO(DeflateIO(BytesIO(f.read(length)), RAW, data[8]).read())
        batch = bytearray()

        class Numbers:
            def read(self, n):
                nonlocal batch
                if not batch:
                    head = z.read(2)
                    batch = z.read(head[0] | head[1] << 8)
                    fields.append(["batch", None])
                c = batch[:1]
                batch = batch[1:]
                return c

        numbers = Numbers()

        def number(kind):
            n = uv(numbers)
            return note(kind, n)

        while True:
            tag = number("tag")
            if not tag:
                break
            number("step")
            if tag & 7 > 2:
                note("path", z.read(number("path length")))
            if tag & 8:
                number("start")
            left = number("size")
            if tag & 16:
                number("first")
                while number("name"):
                    number("move")
            while left:
                how = number("literals")
                n = how >> 2
                note("text", z.read(n))
                left -= n
                if left:
                    n = number("count")
                    if how & 2:
                        number("seek")
                    if how & 1:
                        note("difference", z.read(n))
                    left -= n


def build(segments):
    """A pack of such fields, whatever they say."""
    out = bytearray()
    for fields in segments:
        head = bytearray()
        data = bytearray()
        numbers = bytearray()
        rest = bytearray()
        length = batch = None

        def flush():
            n = len(numbers) if batch is None else batch
            if isinstance(n, int):
                n = bytes((n & 255, n >> 8 & 255))
            return n + numbers + rest

        for kind, value in fields:
            raw = number(value) if isinstance(value, int) else value
            if kind == "length":
                length = value
            elif kind == "batch":
                if numbers:
                    data += flush()
                    numbers = bytearray()
                    rest = bytearray()
                batch = value
            elif kind in ("magic", "window", "last", "end"):
                head += raw
            elif kind in NUMBERS:
                numbers += raw
            else:
                rest += raw
        if fields and fields[0][0] != "magic":
            data += flush()
            n = len(data)
            data = bytes((1, n & 255, n >> 8, ~n & 255, ~n >> 8 & 255)) + data  # DEFLATE's stored block
            head = (number(len(data)) if length is None else number(length) if isinstance(length, int) else length) + head
        out += head
        out += data
    return out + b"\0"


def damage_field(segments):
    """Damage one field, of all kinds alike; its kind, and the pack."""
    kinds = NUMBERS + OTHERS
    while True:
        kind = kinds[random(len(kinds))]
        places = [(s, i) for s in range(len(segments)) for i, f in enumerate(segments[s]) if f[0] == kind]
        if places:
            break
    s, i = places[random(len(places))]
    value = segments[s][i][1]
    how = random(8)
    if how == 0:
        del segments[s][i]
    elif how == 1:
        segments[s].insert(i, segments[s][i])
    elif how == 2:
        # A part of the pack twice, or not at all.
        if random(2):
            del segments[s]
        else:
            segments.insert(s, segments[s][: i + 1])
    elif kind == "tag" and random(2):
        segments[s][i] = [kind, random(32)]
    elif kind in NUMBERS:
        near = (value or 0) + random(5) - 2
        segments[s][i] = [kind, max(0, near) if random(2) else VALUES[random(len(VALUES))]]
    elif kind == "path":
        value = PATHS[random(len(PATHS))]
        segments[s][i - 1] = ["path length", len(value)]
        segments[s][i] = [kind, value]
    else:
        value = bytearray(value or 1)
        value[random(len(value))] ^= 1 << random(8)
        segments[s][i] = [kind, value]
    return kind, build(segments)


ota = OTAUpdater("http://nowhere/versions.json", "http://nowhere/")
id = "{}.{}".format(sha[:16], version)
path = ota.backup_dir + "/pack"
right = real_open(staged_path(ota, "manifest"), "rb").read()
pin = {"size": len(right), "sha256": sha}
unpack._most = lambda ota: 1 << 16  # or nothing here could be too long
originals = [real_open(p, "rb").read() for p in packs]
drain(plan.release(ota, NoJournal, id, Link))
names = [(staged_path(ota, f[1]), int(f[3]), f[4]) for f in todo(ota.backup_dir) if f[1] != "manifest"]
buf = bytearray(512)
told = [0, 0, 0, 0, 0]
said = {}
fields = {}


def note(e):
    text = str(e).split(":")[0]
    said[text] = said.get(text, 0) + 1


for n in range(int(count)):
    # Half of them in the compressed bytes, half in what these say.
    data = originals[random(len(originals))]
    kind = None
    if n & 1 or len(data) > 1300:  # one has so many fields that they don't fit into this heap
        data = damage_bytes(data)
    else:
        kind, data = damage_field(parse(data))
        hit = fields.setdefault(kind, [0, 0])
        hit[0] += 1
        hit[1] += 1  # unless it comes out whole
    with real_open(path, "wb") as f:
        f.write(data)
    for name, _, _ in names:
        try:
            os.remove(name)
        except OSError:
            pass
    try:
        drain(unpack.unpack(ota, Link, 0, pin))
    except (ValueError, MemoryError) as e:
        note(e)
        told[3] += 1
    try:
        drain(unpack.unpack(ota, Link, 0, None))
    except ValueError as e:
        note(e)
        told[1] += 1
        continue
    except MemoryError:
        told[2] += 1  # a window that is larger than this heap
        continue
    if all([check(name, size, sums, buf) for name, size, sums in names]):
        told[0] += 1
        if kind:
            hit[1] -= 1
    else:
        told[4] += 1
for text in sorted(said):
    print("said {} {}".format(said[text], text))
for kind in NUMBERS + OTHERS:
    print("field {} {} {}".format(*(fields.get(kind, [0, 0]) + [kind])))
print("whole {} refused {} too large {} wrong {} manifest {}".format(
    told[0], told[1], told[2], told[4], told[3]))
