"""Bring every file of the to-do list into the state folder, verified."""

import uos as os

from .error import OTAError
from .recover import exists, remove
from .stage import case_blind, check, emit, extend, live_path, sha256_of, staged_path, todo
from .update import backoff, final, get


def files(ota, link, mode):
    buf = bytearray(ota.io_chunk_size)
    prefix = len(live_path(ota, ""))
    total = 0
    for f in todo(ota.backup_dir):
        total = int(f[7])
    for f in todo(ota.backup_dir):
        if f[0] not in "raR" or f[1] == "manifest":
            continue
        path = f[8][prefix:]
        if mode == "manifest":
            what = {"path": path, "index": int(f[7]), "total": total}
            start = {"from": int(f[5]), "to": int(f[6])}
            start.update(what)
        else:
            start = what = {"path": path, "mode": mode}
        emit(ota, "file_update_start", start)
        try:
            yield from _file(ota, link, f, path, buf)
        except OTAError as e:
            if mode == "manifest":
                raise
            emit(ota, "file_update_failed", {"path": path, "mode": mode, "error": str(e)})
            if ota.strict_http_fs:
                raise OTAError("http_fs_failed", str(e))
            print("OTA: left out {}: {}".format(path, e))
            remove(staged_path(ota, f[1]))
            continue
        emit(ota, "file_update_done", what)


def _file(ota, link, f, path, buf):
    staged = staged_path(ota, f[1])
    size = int(f[3])
    sums = f[4]
    if sums == ":":
        remove(staged)  # nothing tells a whole one from a part
    elif check(staged, size, sums, buf):
        return
    elif not ota.resume_downloads:
        remove(staged)
    # Not loaded where a pack had everything.
    from .http import HTTPError, quote

    c = link.client()
    url = ota.base_file_url.rstrip("/") + "/" + quote(path)
    attempts = ota.download_retries + 1
    etag = None
    link.have = 0
    for attempt in range(attempts):
        emit(ota, 
            "download_attempt",
            {"url": url, "path": path, "attempt": attempt + 1, "attempts": attempts},
        )
        code = "download_failed"
        try:
            yield from _stream(ota, link, url, staged, size, etag, buf)
            if sums == ":":
                from .undo import same

                if same(staged, f[8]):
                    os.remove(staged)  # no change
                return
            if check(staged, size, sums, buf):
                return
            if not exists(staged):
                raise OSError(5)  # a damaged folder (damage.py)
            remove(staged)
            link.have = 0
            code = "md5_mismatch"
            message = "{}: what arrived is not what the manifest says".format(path)
        except HTTPError as e:
            message = "{}: {}".format(path, e)
            if final(e):
                break
        etag = c.etag
        c.close()
        if attempt + 1 < attempts:
            wait = backoff(ota, attempt)
            print("OTA: {}; trying again in {} ms".format(message, wait))
            emit(ota, 
                "download_retry",
                {"url": url, "path": path, "attempt": attempt + 1, "wait_ms": wait},
            )
            yield wait
    raise OTAError(code, message)


def _stream(ota, link, url, staged, size, etag, buf):
    """Append the rest of a file to what is staged of it, or fetch it whole.

    On FAT its length does not tell how much of it is there; link does, until the board restarts.
    """
    c = link.client()
    mode = "r+b" if case_blind(ota.backup_dir) else "ab"
    have = 0
    if ota.resume_downloads:
        try:
            have = os.stat(staged)[6] if mode == "ab" else link.have if size > 0 else 0
        except OSError:
            pass
        if 0 <= size <= have:
            have = 0
    yield from get(c, url, have, etag)
    if c.status == 416:  # the file is shorter than what is staged
        yield from get(c, url)
    mv = memoryview(buf)
    with open(staged, mode if c.status == 206 else "wb") as out:
        link.have = n = c.start
        if mode == "r+b":
            if not n:
                extend(out, size)
            out.seek(n)
        while True:
            yield from c.ready()
            k = c.readinto(buf)
            if not k:
                return
            n += k
            if 0 <= size < n:
                from .http import HTTPError

                raise HTTPError("{} is longer than the {} bytes expected".format(url, size))
            out.write(mv[:k])
            link.have = n
            if n >> 13 != (n - k) >> 13 and size >= 0:
                emit(ota, "download_progress", {"url": url, "bytes": n, "total": size})
            yield 0


def content_id(ota):
    """An id for a release without a manifest; None where no file changes."""
    from ubinascii import hexlify
    from uhashlib import sha256

    h = sha256()
    changed = False
    for f in todo(ota.backup_dir):
        staged = staged_path(ota, f[1])
        if exists(staged):
            changed = True
            h.update(f[8] + "\t" + sha256_of(staged) + "\n")
    return hexlify(h.digest())[:16].decode() + ".0" if changed else None
