"""A manifest on flash: checked, in order whatever order it has, compared with another."""

from micropython import const

from .manifest import WINDOW, ManifestError, Reader, integer

_PICK = const(16)  # entries held at once where a manifest is not sorted


class Manifest:
    """A manifest on flash that was read through once and found valid.

    version, app and signature (str or None), count of files, ordered (bool). buf: WINDOW bytes,
    used while entries are read, so one loop over them at a time. Raises ManifestError
    with what is wrong, OSError where the file cannot be read.
    """

    def __init__(self, path, signature_field="signature", buf=None):
        self.path = path
        self._buf = buf or bytearray(WINDOW)
        self.version = self.signature = self.app = None
        self.count = 0
        self.ordered = True
        last = ""
        lists = 0
        with open(path, "rb") as f:
            for key, v in Reader(f.readinto, buf=self._buf).items():
                if key is None:
                    if v[0] <= last:
                        self.ordered = False
                    last = v[0]
                    self.count += 1
                elif key == "files":
                    lists += 1
                elif key == "version":
                    self.version = integer(v, "version")
                elif key == "app":
                    self.app = v
                elif key == signature_field:
                    self.signature = v
        if self.version is None:
            raise ManifestError("the manifest has no version")
        if lists != 1:
            raise ManifestError("the manifest has {} lists of files".format(lists))
        if not self.ordered:
            for _ in self.entries():  # finds duplicates
                pass

    def _stream(self):
        with open(self.path, "rb") as f:
            for key, v in Reader(f.readinto, buf=self._buf).items():
                if key is None:
                    yield v

    def entries(self):
        """Yield every entry, sorted by path."""
        return self._stream() if self.ordered else self._sorted()

    def _sorted(self):
        # A board cannot hold them all: each pass over the file picks the next few.
        last = ""
        while True:
            pick = []
            for e in self._stream():
                if e[0] <= last or (len(pick) == _PICK and e[0] > pick[-1][0]):
                    continue
                i = len(pick)
                while i and pick[i - 1][0] > e[0]:
                    i -= 1
                if i and pick[i - 1][0] == e[0]:
                    raise ManifestError("the manifest lists a file twice: " + e[0])
                pick.insert(i, e)
                if len(pick) > _PICK:
                    pick.pop()
            if not pick:
                return
            for e in pick:
                yield e
            last = pick[-1][0]

    def versus(self, old):
        """Yield (entry, old entry or None) for each file: a merge of two sorted lists."""
        olds = old.entries() if old else iter(())
        o = next(olds, None)
        for e in self.entries():
            while o and o[0] < e[0]:
                o = next(olds, None)
            yield e, o if o and o[0] == e[0] else None

    def authentic(self, key):
        """True where the signature is the HMAC-SHA256 of the manifest under key (str)."""
        from .trust import HMAC, equal

        if not isinstance(self.signature, str):
            return False
        mac = HMAC(key.encode())
        mac.update("v=" + str(self.version))
        for e in self.entries():
            mac.update("\n" + e[0] + "\t" + str(e[1]) + "\t" + e[2])
        return equal(mac.hexdigest(), self.signature.lower())
