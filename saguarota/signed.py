"""Ask the server for a signed release: the statement first; it pins the manifest.

What a board trusts is kept in the state folder, in two slots like the journal's (k0, k1):

    otakeys1 <seq> <app> <keyset> <threshold> <time> <key>,<key>… <crc32>   (tab-separated)

keyset: the number of the last keyset followed; time: the highest signed time seen, in
seconds since 1970, of this keyset: what a thief signed ends with the keys that he had. Where
there is no later keyset than that of the board's options, these count.
docs/PROTOCOL.md has the formats, docs/SECURITY.md what each check is against.

What asks and what verifies does not fit into memory at once, so either is loaded only while it
is at work.
"""

from binascii import a2b_base64, b2a_base64, crc32, hexlify
from micropython import const

from .error import OTAError
from .recover import RUN
from .stage import make_folder, staged_path
from .update import _forget, _restore, _state, again, check_rejected, client, get

_MAX_INT = const(0x7FFFFFFFFFFFFFFF)
_MAX_STEPS = const(32)  # keysets in one poll: whoever has the keys could make it endless

_CODES = {
    "format": "statement_invalid",
    "app": "not_for_this_board",
    "channel": "not_for_this_board",
    "board": "not_for_this_board",
    "mpy": "not_for_this_board",
    "micropython": "not_for_this_board",
    "expired": "release_expired",
    "rollback": "rollback_refused",
}


class Trust:
    """The keys that may sign: as a keyset's dict, and the time."""

    def __init__(self, ota):
        self.seq = self.time = 0
        keys = []
        for key in ota.public_keys:
            try:
                keys.append(a2b_base64(key))
                if len(keys[-1]) != 32:
                    raise ValueError
            except (ValueError, TypeError):
                raise OTAError("keyset_invalid", "no key in base64: {!r}".format(key))
        # What makes no sense here must not give way to a default, as in other options.
        for name, most in (("keyset", _MAX_INT), ("threshold", len(keys))):
            value = getattr(ota, name)
            if type(value) is not int or not 1 <= value <= most:
                raise OTAError("keyset_invalid", "{}={!r} makes no sense".format(name, value))
        self.keyset = {
            "app": ota.app,
            "version": ota.keyset,
            "threshold": ota.threshold,
            "keys": keys,
        }
        self.folder = ota.backup_dir
        for i in (0, 1):
            self._load("{}/k{}".format(self.folder, i))

    def _load(self, path):
        try:
            with open(path, "rb") as f:
                body, crc = f.read(1536).rsplit(b"\t", 1)
            f = body.decode().split("\t")
            if int(crc, 16) != crc32(body) or f[0] != "otakeys1" or int(f[1]) <= self.seq:
                return
            self.seq = int(f[1])
            # Of the keyset that the options have, the keys may have been changed there.
            n = int(f[3])
            if n >= self.keyset["version"]:
                self.time = int(f[5])
            if n > self.keyset["version"]:
                self.keyset = {
                    "app": f[2] or None,
                    "version": n,
                    "threshold": int(f[4]),
                    "keys": [a2b_base64(k) for k in f[6].split(",")],
                }
        except (OSError, ValueError, IndexError):
            pass

    def save(self):
        self.seq += 1
        k = self.keyset
        keys = [b2a_base64(key).decode().strip() for key in k["keys"]]
        body = "otakeys1\t{}\t{}\t{}\t{}\t{}\t{}".format(
            self.seq, k["app"] or "", k["version"], k["threshold"], self.time, ",".join(keys)
        )
        with open("{}/k{}".format(self.folder, self.seq & 1), "wb") as f:
            f.write("{}\t{:08x}\n".format(body, crc32(body.encode())))


def fetch(ota, j, buf=None):
    """poll.fetch for a board with public keys: nothing that they have not signed passes.

    Returns the release id and the client, or None where there is nothing to install. Without a
    journal, for any release that is signed for this board, newer or not, and no client.
    """
    trust = Trust(ota)
    if (ota.ca is None or ota.manifest_url[:6].lower() != "https:") and "transport" not in RUN:
        RUN["transport"] = True
        print("OTA: warning: the server is not authenticated; what it sends must be signed")
    line = [client(ota)]  # or, while its code is not loaded, what it knows
    try:
        data = yield from _ask(
            ota, line, "statement_fetch_failed", "statement_invalid", ota.manifest_url + ".sig", 4096
        )
        id, want = yield from _decide(ota, line, j, trust, buf, data)
        _forget("statement", "manifest")
        if id is None:
            return None
        if j:
            check_rejected(j, id)
        make_folder(ota)
        _load_client(ota, line)
        yield from again(ota, line[0], "manifest_fetch_failed", _manifest, want)
        if j:
            return id, line.pop()
    finally:
        if line:
            _hang_up(line.pop())


def _load_client(ota, line):
    if isinstance(line[0], dict):
        c = client(ota)
        _restore(c, line[0])
        line[0] = c


def _hang_up(c):
    if not isinstance(c, dict):
        c.close()
        return
    for sock in (c["_sock"], c["_raw"]):
        if sock:
            try:
                sock.close()
            except OSError:
                pass


def _ask(ota, line, failed, invalid, url, most):
    """A small file, whole."""
    _forget("ed25519")
    _load_client(ota, line)
    data = yield from again(ota, line[0], failed, _small, url, most)
    # The connection stays open.
    line[0] = _state(line[0])
    _forget("http")
    if data is None:
        raise OTAError(invalid, "{} is longer than {} bytes".format(url, most))
    return data


def _signed(j):
    """The id of the release that runs, if it was signed: [<hash>, <version>, <keyset>]."""
    f = j.installed.split(".") if j else ()
    return f if len(f) == 3 else None


def _decide(ota, line, j, trust, buf, data):
    """Which release to install, by its statement: an id, or None; and the manifest's pin."""
    from .statement import StatementError, fits, statement

    try:
        s = statement(data)
        # Before anything is asked for on its behalf.
        fits(s, ota.app, None, None, None, None, None, None)
        yield from _verify(ota, line, trust, data, s)
        _forget("ed25519")
        known = trust.time
        if s.get("time", 0) > known:
            trust.time = s["time"]
            make_folder(ota)
            trust.save()
        return _judge(ota, j, s, trust, known, buf), s["manifest"]
    except StatementError as e:
        raise OTAError(_CODES.get(e.code, "statement_signature_invalid"), str(e))


def _verify(ota, line, trust, data, s):
    """Verify a statement by the keyset that it names, following those between."""
    from .statement import StatementError, follow, verify

    newest = s["keyset"]
    # The statement may lie about the number: every step must be signed.
    first = trust.keyset["version"]
    for n in range(first + 1, min(newest, first + _MAX_STEPS) + 1):
        url = "{}/keys/{}.json".format(ota.manifest_url.rsplit("/", 1)[0], n)
        keys = yield from _ask(ota, line, "keyset_invalid", "keyset_invalid", url, 8192)
        try:
            trust.keyset = yield from follow(keys, trust.keyset)
        except StatementError as e:
            raise OTAError("keyset_invalid", "{}: {}".format(url, e))
        trust.time = 0
        make_folder(ota)
        trust.save()
    if newest - first > _MAX_STEPS:
        raise OTAError("keyset_invalid", "more than {} new keysets".format(_MAX_STEPS))
    k = trust.keyset
    if newest < k["version"]:
        raise StatementError("rollback", "keyset {} after keyset {}".format(newest, k["version"]))
    yield from verify(data, ((k["keys"], k["threshold"]),))


def _small(ota, c, url, most):
    """The bytes of a file; None where there are more than most."""
    get(c, url)
    buf = bytearray(min(c.length + 1 if c.length is not None else most + 1, most + 1))
    n = 0
    while n < len(buf):
        k = c.readinto(memoryview(buf)[n:])
        if not k:
            return bytes(memoryview(buf)[:n])
        n += k
        yield 0


def _judge(ota, j, s, trust, known, buf):
    """The id of a release that this board should install, or None.

    known: the highest signed time before this statement.
    """
    import sys

    from .statement import fits

    v = sys.implementation
    mpy = getattr(v, "_mpy", None)
    f = _signed(j)
    installed = None
    digest = s["manifest"]["sha256"]
    if f:
        same = digest[:16] == f[0]
        installed = {
            "keyset": int(f[2]),
            "version": int(f[1]),
            "manifest": s["manifest"] if same else None,
        }
    now = _now()
    if now is None and "expires" in s and not known:
        print("OTA: warning: no clock is set; expiry is not checked")
    now = max(now or 0, trust.time) or None
    names = (ota.board or getattr(v, "_machine", sys.platform), sys.platform)
    fits(
        s, ota.app, ota.channel, names, mpy and (mpy & 255, mpy >> 8 & 3), v.version[:3], now,
        None if ota.force_update else installed,
    )  # fmt: skip
    if j and not ota.force_update:
        if installed:
            newer = (s["keyset"], s["version"]) > (installed["keyset"], installed["version"])
        else:
            from .manifest import version

            newer = s["version"] > version(ota.local_manifest_file, buf)
        if not newer:
            print("OTA: no update: the server has version {}".format(s["version"]))
            return None
    return "{}.{}.{}".format(digest[:16], s["version"], s["keyset"])


def _now():
    """Seconds since 1970, or None where no clock is set."""
    from time import gmtime, time

    now = time()
    year = gmtime(now)[0]
    if gmtime(0)[0] == 2000:  # the epoch of most ports
        now += 946684800
    return int(now) if 2023 <= year < 2100 else None


def _manifest(ota, c, want):
    """Bring exactly the manifest that was signed into the state folder."""
    from hashlib import sha256

    if want["size"] > ota.max_manifest_bytes:
        raise OTAError("manifest_fetch_failed", "the manifest is too long for this board")
    get(c, ota.manifest_url)
    h = sha256()
    left = want["size"]
    buf = bytearray(ota.io_chunk_size)
    mv = memoryview(buf)
    with open(staged_path(ota, "manifest"), "wb") as f:
        while True:
            n = c.readinto(buf)
            left -= n
            if not n or left < 0:
                break
            h.update(mv[:n])
            f.write(mv[:n])
            yield 0
    if left or hexlify(h.digest()).decode() != want["sha256"]:
        raise OTAError("manifest_mismatch", "the manifest is not the one that was signed")
