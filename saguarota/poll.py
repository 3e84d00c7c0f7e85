"""Ask the server for a release: the manifest, into the state folder if it is newer."""

from .http import HTTPError
from .manifest import ManifestError, Reader, version
from .error import OTAError
from .stage import check_room, make_folder, sha256_of, staged_path
from .update import Link, again, check_rejected, get


def fetch(ota, j, link):
    """Fetch the manifest if its version is greater than the installed one's.

    Returns (release id, None), or None where there is nothing newer.
    """
    above = -1 if ota.force_update else version(ota.local_manifest_file, link.hole)
    try:
        id = yield from again(ota, link.client(), "manifest_fetch_failed", _read, above, j, link)
    except ManifestError as e:
        raise OTAError("manifest_fetch_failed", str(e))
    return id and (id, None)


def _read(ota, c, above, j, link):
    yield from get(c, ota.manifest_url)
    yield from c.ready()
    r = Reader(c.readinto, ota.max_manifest_bytes, link.hole)
    found = None
    try:
        for key, v in r.items():
            if key == "version" and found is None:
                found = v
                if type(v) is int and v <= above:
                    print("OTA: no update: version {} here, {} on the server".format(above, v))
                    return None
                for id in j.bad:
                    if id.endswith("." + str(v)):
                        check_rejected(j, id)
                check_room(ota, "." + str(v))
                seen = r.seen()
                if seen is not None:
                    # The version came first, as a rule: nothing is written for an old one.
                    make_folder(ota)
                    r.spool = open(staged_path(ota, "manifest"), "wb")
                    r.spool.write(seen)
            yield 0
            yield from c.ready()
    finally:
        if r.spool:
            r.spool.close()
    if not r.spool:
        # The version came late: what was read is gone, so read it again.
        make_folder(ota)
        yield from get(c, ota.manifest_url)
        r = Reader(c.readinto, ota.max_manifest_bytes, link.hole)
        with open(staged_path(ota, "manifest"), "wb") as r.spool:
            for _ in r.items():
                yield 0
                yield from c.ready()
    return "{}.{}".format(sha256_of(staged_path(ota, "manifest"))[:16], found)


def fetch_manifest(ota):
    """The server's manifest as a dict, checked; None where that fails.

    It is held in memory whole, unlike in an update. Never raises.
    """
    ota.last_error_code = ota.last_error_message = None
    try:
        return _fetch_dict(ota)
    except Exception as e:
        ota._failed(e)


def _fetch_dict(ota):
    from .plan import open_manifest

    link = Link(ota)
    try:
        for _ in _stage(ota, link):
            pass
        m = open_manifest(ota)
    except (HTTPError, ManifestError) as e:
        raise OTAError("manifest_fetch_failed", str(e))
    finally:
        link.close()
    files = []
    for e in m.entries():
        f = {"path": e[0], "version": e[1], "md5": e[2]}
        if e[3] >= 0:
            f["size"] = e[3]
        if e[4]:
            f["sha256"] = e[4]
        files.append(f)
    d = {"version": m.version, "files": files}
    if m.signature is not None:
        d[ota.manifest_signature_field] = m.signature
    return d


def _stage(ota, link):
    if ota.public_keys:
        from .pinned import fetch as fetch_pinned
        from .pinned import right
        from .signed import fetch as fetch_signed

        _, pin = yield from fetch_signed(ota, None, link)
        if not right(ota, pin):
            yield from again(ota, link.client(), "manifest_fetch_failed", fetch_pinned, pin)
        return
    c = link.client()
    yield from get(c, ota.manifest_url)
    make_folder(ota)
    r = Reader(c.readinto, ota.max_manifest_bytes)
    with open(staged_path(ota, "manifest"), "wb") as r.spool:
        for _ in r.items():
            yield 0
