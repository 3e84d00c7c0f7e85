"""One update, in order: poll, plan, download, install.

Every step is a generator over small pieces of work and hands its result on in a file of
the state folder, so memory depends on neither the number nor the size of files. Until
install.py takes over, nothing but that folder is touched. The modules of a step are
dropped when it is over: on a small board they do not fit all at once.
"""

from .error import VERSION, OTAError
from .recover import builtin, feed, reset
from .stage import emit


def run(ota, j):
    """Look for a release; install it and reset, or return where there is none."""
    try:
        installed = yield from _update(ota, j)
    except OSError as e:
        _undo(j)
        full = e.errno in (13, 28)  # FAT's EACCES: no room for a name
        if full:
            _discard(ota)
        why = "the file system is {}"
        if full:
            why = why.format("full")
        elif e.errno == 30:
            why = why.format("read-only")
        else:
            why = "file system: {!r}".format(e)
        raise OTAError("apply_failed", why)
    except Exception:
        _undo(j)
        raise
    if installed:
        print("OTA: installed; restarting")
        reset()


def _update(ota, j):
    mode = "manifest" if ota.manifest_url else "http_fs"
    ota.began = builtin("time").ticks_ms()
    j.state_file = ota.ota_state_file
    if j.why == "t":
        ota.last_error_code = "trial_failed"
        ota.last_error_message = "undone, because it was not confirmed: " + j.bad[-1]
    emit(ota, "update_start", {"mode": mode})
    _forget("config", "original")
    # For two manifests at once, taken before code has cut the heap to pieces.
    bufs = (bytearray(1024), bytearray(1024))
    c = id = kept = None
    try:
        if ota.manifest_url:
            if ota.public_keys:
                from .signed import fetch

                kept = yield from fetch(ota, j, bufs[0])
                if kept:
                    id, c = kept
                fetch = None
                _forget("signed")
            else:
                from .poll import fetch

                c = client(ota)
                id = yield from fetch(ota, c, j, bufs[0])
                fetch = None
            if id is None:
                return False
            # The connection stays open; the code that serves it comes back later.
            kept = _state(c)
            c = None
            _forget("poll", "http")
            from .plan import release

            yield from release(ota, j, id, bufs)
            release = bufs = None
            _forget("plan", "compare", "manifest", "trust")
            c = client(ota)
            _restore(c, kept)
        elif ota.public_keys:
            raise OTAError("statement_signature_invalid", "nothing is signed in the recursive mode")
        else:
            from .httpfs import crawl

            c = client(ota)
            yield from crawl(ota, c)
            crawl = None
            _forget("httpfs", "manifest")
        # Only now: a manifest that is refused must not cost the way back.
        _end_of_backups(j)
        from .room import make_room

        yield from make_room(ota)
        make_room = None
        _forget("room", "undo")
        from .download import content_id, files

        yield from files(ota, c, mode)
        if mode == "http_fs":
            id = content_id(ota)
            if id is None:
                print("OTA: no update: every file is as on the server")
                return False
            check_rejected(j, id)
    finally:
        if c:
            c.close()
    c = kept = files = content_id = None
    _forget("download", "http")
    from .install import Installer

    yield from Installer(ota, j).run(id)
    emit(ota, "update_applied", {"mode": mode})
    return True


def _undo(j):
    if j.state == "S":
        from .undo import undo_install

        undo_install(j)


def _discard(ota):
    """Remove what was downloaded: the application needs the space, too."""
    from .recover import remove
    from .stage import staged_path, todo

    remove(staged_path(ota, "manifest"))
    try:
        for f in todo(ota.backup_dir):
            remove(staged_path(ota, f[1]))
    except (OSError, ValueError, IndexError):
        pass  # the list was not written whole: make_room finds the rest


def _end_of_backups(j):
    """The backups of the confirmed release give way to the next update."""
    if j.state == "C":
        from .undo import drop

        drop(j, "manifest")


def _state(c):
    """All that a client knows, without its code."""
    kept = {}
    for name in c.__dict__:
        if name != "readinto":
            kept[name] = c.__dict__[name]
    return kept


def _restore(o, attributes):
    # A function of its own: a loop would leave its iterator in the generator's frame.
    for name in attributes:
        setattr(o, name, attributes[name])


def _forget(*names):
    """Unload modules of this package, so that their memory serves the next step."""
    import gc
    import sys

    package = __name__.rsplit(".", 1)[0]
    for name in names:
        sys.modules.pop(package + "." + name, None)
        sys.modules[package].__dict__.pop(name, None)
    gc.collect()


def client(ota):
    """An HTTP client that says who is asking, and waits no longer than it was told to."""
    import sys

    from .http import Client

    c = Client(
        ota.http_timeout_s,
        "saguarota/{} ({}; micropython {})".format(
            VERSION, sys.platform, ".".join([str(n) for n in sys.implementation.version[:3]])
        ),
        ota.ca,
    )
    if ota.min_bytes_per_s or ota.download_deadline_s:
        from .pace import paced

        c.readinto = paced(ota, c)
    return c


def sleep(ms):
    """Wait, without starving the watchdog."""
    sleep_ms = builtin("time").sleep_ms
    while ms > 0:
        sleep_ms(min(ms, 500))
        feed()
        ms -= 500


def backoff(ota, attempt):
    """Milliseconds to wait before the next attempt: doubling, with jitter."""
    ticks_ms = builtin("time").ticks_ms
    return (ota.retry_base_delay_ms << min(attempt, 10)) + (ticks_ms() & 0x7F)


def again(ota, c, code, step, *args):
    """Run a step that asks the server, and again where that may help; returns its value."""
    from .http import HTTPError

    attempt = 0
    while True:
        try:
            value = yield from step(ota, c, *args)
            return value
        except HTTPError as e:
            c.close()
            if attempt >= ota.download_retries or final(e):
                raise OTAError(code, str(e))
        yield backoff(ota, attempt)
        attempt += 1


def check_rejected(j, id):
    if id in j.bad:
        raise OTAError(
            "version_rejected",
            "release {} was undone before; waiting for a newer one".format(id),
        )


def get(c, url, start=0, etag=None):
    """Client.get, where any answer but the file or the asked part of it is an error."""
    c.began = builtin("time").ticks_ms()
    c.got = 0
    c.get(url, start, etag)
    if c.status not in (200, 206, 416):
        from .http import HTTPError

        e = HTTPError("{} answered {}".format(url, c.status))
        e.status = c.status
        raise e


def final(e):
    """True for an HTTPError that another attempt would not change."""
    return 400 <= e.status < 500 and e.status not in (408, 429)
