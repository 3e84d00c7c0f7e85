"""Ask the server for a signed release: the statement first; it pins the manifest.

docs/PROTOCOL.md has the formats, docs/SECURITY.md what each check is against.

What asks and what verifies does not fit into memory at once, so either is loaded only while it
is at work: http.py between link.client() and link.park(), the others by _load().
"""

from micropython import const

from .error import OTAError
from .recover import RUN
from .stage import make_folder
from .update import _forget, again, check_rejected, get

_MAX_STEPS = const(32)  # keysets in one poll: whoever has the keys could make it endless
_MAX_WAIT = const(1209600)  # seconds to the next poll: anybody may have written the header


def fetch(ota, j, link):
    """poll.fetch for a board with public keys: nothing that they have not signed passes.

    Returns the release id and the pin of its manifest ({"sha256", "size"}), or None where there
    is nothing to install. Without a journal, for any release that is signed for this board,
    newer or not.
    """
    trust = _load("keyring", "load", ota)
    if (ota.ca is None or ota.manifest_url[:6].lower() != "https:") and "ca" not in RUN:
        RUN["ca"] = True
        print("OTA: warning: the server is not authenticated; what it sends must be signed")
    if ota.device_id and j:
        link.client().extra = _load("report", "headers", ota, j, ota.last_error_code or ota.error)
    data = yield from _file(ota, link, "statement_fetch_failed", ota.manifest_url + ".sig", 4097)
    if data is None:
        print("OTA: no update: the server has none for this board")
        return None
    id, pin = yield from _decide(ota, link, j, trust, data)
    if id is None:
        return None
    if j:
        check_rejected(j, id)
    make_folder(ota)
    return id, pin


def _load(module, name, *args):
    """Call a function of a module that is forgotten with it; a generator holds its own."""
    try:
        f = getattr(__import__(__name__.replace("signed", module), None, None, (name,)), name)
        return f(*args)
    finally:
        f = None
        _forget(module, over=False)


def _file(ota, link, code, url, limit):
    """The first bytes of a file, as many as the limit."""
    data = yield from again(ota, link.client(), code, _read, url, limit)
    link.park()
    return data


def _read(ota, c, url, limit):
    try:
        yield from get(c, url)
    finally:
        if c.extra:
            ota.next_poll_s = c.wait and min(c.wait, _MAX_WAIT)
    if c.extra:
        # Of all that was said, its id is what files are chosen by.
        c.extra = c.extra.split(";")[0] + "\r\n"
    if c.status == 304:
        return None
    buf = bytearray(limit if c.length is None else min(c.length, limit))
    n = 0
    while n < len(buf):
        yield from c.ready()
        k = c.readinto(memoryview(buf)[n:])
        if not k:
            break
        n += k
        yield 0
    return bytes(memoryview(buf)[:n])


def _decide(ota, link, j, trust, data):
    """Which release to install, by its statement: an id, or None; and the manifest's pin."""
    s = _load("statement", "statement", data)
    # Before anything is asked for on its behalf.
    _load("keyring", "check", s, ota.app, None, None, None, None, None, None)
    yield from _walk(ota, link, trust, s["keyset"])
    yield from _load("statement", "verify", data, trust)
    _forget("ed25519")
    old = _load("keyring", "installed", ota, trust, j)
    newer = _load("keyring", "judge", ota, trust, s, old)
    if j and newer is None:
        newer = s["version"] > _load("manifest", "version", ota.local_manifest_file, link.hole)
    if j and not newer:
        print("OTA: no update: the server has version {}".format(s["version"]))
        return None, None
    id = ".".join((s["manifest"]["sha256"][:16], str(s["version"]), str(s["keyset"])))
    ids = ",".join((old or "", id))
    if j and trust["installed"] != ids:
        trust["installed"] = ids
        _load("keyring", "save", ota, trust)
    return id, s["manifest"]


def _walk(ota, link, trust, n):
    """Follow the keysets up to the one that a statement names."""
    # It may lie about the number: every step must be signed.
    first = trust["version"]
    if n < first:
        raise OTAError("rollback_refused", "keyset {} after keyset {}".format(n, first))
    while trust["version"] < min(n, first + _MAX_STEPS):
        url = "{}/keys/{}.json".format(ota.manifest_url.rsplit("/", 1)[0], trust["version"] + 1)
        data = yield from _file(ota, link, "keyset_fetch_failed", url, 8193)
        try:
            d = _load("statement", "keyset", data, trust)
            yield from _load("statement", "verify", data, trust, d)
        except OTAError as e:
            raise OTAError("keyset_invalid", "{}: {}".format(url, e))
        _forget("ed25519")
        trust.update(d)
        trust["time"] = 0
        _load("keyring", "save", ota, trust)
    if n > trust["version"]:
        raise OTAError("keyset_invalid", "more than {} new keysets".format(_MAX_STEPS))
