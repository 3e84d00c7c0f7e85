# Unpacks a pack with next to no heap. The arguments: the pack, and the folder with the files, which
# are named by their index in the new manifest; the old ones have an o before it. The paths are f0000 and so on,
# in the order of the manifest. Prints how many files were
# made, and the heap in use at most, beyond that before the decoder was made.
import gc
import sys

from pack import Unpacker  # by itself: it needs nothing of its package

made = live = 0
folder = sys.argv[2]


class Target:
    def has(self, last, end):
        return False

    def begin(self, index, start, size):
        return open(folder + str(index), "ab" if start else "wb")

    def base(self, index, kind, path):
        if path:
            index = int(path[1:5]) + 1
        return open(folder + ("" if kind == 4 else "o") + str(index), "rb")

    def end(self, index, whole):
        global made, live
        made += whole
        gc.collect()
        live = max(live, gc.mem_alloc())


f = open(sys.argv[1], "rb")
gc.collect()
before = gc.mem_alloc()
for _ in Unpacker(f, Target(), 1 << 24).run():
    pass
print(made, live - before)
