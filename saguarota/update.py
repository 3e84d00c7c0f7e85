"""One update, in order: poll, plan, download, install.

Every step is a generator over small pieces of work and hands its result on in a file of
the state folder, so memory depends on neither the number nor the size of files. Until
install.py takes over, nothing but that folder is touched. The modules of a step are
dropped when it is over: on a small board they do not fit all at once.
"""

from .error import VERSION, OTAError
from .recover import RUN, builtin, feed, remove, reset
from .stage import check_room, emit


def run(ota, j, apply=True):
    """Look for a release and stage it; then install it and reset, unless told not to.

    Ends whatever update was left in the middle, by an application or another of its tasks.
    """
    if "update" in RUN:
        RUN["update"].close()
        j.__init__(j.folder)
    steps = RUN["update"] = _run(ota, j, apply)
    try:
        for wait in steps:
            feed()
            yield wait
    finally:
        steps.close()
        if RUN.get("update") is steps:
            RUN.pop("update")


def _run(ota, j, apply):
    ota.staged = None
    _undo(j)  # an installation that was broken off at the REPL
    ota.staged = yield from _guarded(ota, j, _update(ota, j))
    if ota.staged and apply:
        yield from install(ota, j)
    elif ota.staged:
        emit(ota, "update_staged", {"mode": ota.mode})


def install(ota, j):
    """Install what is staged and reset."""
    from .install import Installer

    id = ota.staged
    ota.staged = None
    yield from _guarded(ota, j, Installer(ota, j).run(id))
    emit(ota, "update_applied", {"mode": ota.mode})
    print("OTA: installed; restarting")
    reset()


def _guarded(ota, j, steps):
    # Whatever goes wrong leaves the installed release, and an OTAError.
    import gc

    # Garbage that is left lying cuts the heap to pieces, and code is loaded into these.
    threshold = gc.threshold()
    gc.threshold(4 << 10)
    try:
        value = yield from steps
        return value
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
            from .damage import renew

            renew(j)
            why = "file system: {!r}".format(e)
        raise OTAError("apply_failed", why)
    except (Exception, GeneratorExit):
        _undo(j)
        raise
    finally:
        gc.threshold(threshold)


def _update(ota, j):
    """Stage the next release; returns its id, or None where there is none."""
    ota.mode = mode = "manifest" if ota.manifest_url else "http_fs"
    ota.began = builtin("time").ticks_ms()
    j.state_file = ota.ota_state_file
    if j.why == "t":
        ota.last_error_code = "trial_failed"
        ota.last_error_message = "undone, because it was not confirmed: " + j.bad[-1]
    emit(ota, "update_start", {"mode": mode})
    _forget("config", "original")
    # An update that failed has left these: what they have of others will be cleared.
    _forget("poll", "plan", "compare", "manifest", "install", "damage", "http", over=False)
    link = Link(ota)
    try:
        if ota.manifest_url:
            id = yield from _release(ota, j, link)
            if id is None:
                return None
        elif ota.public_keys:
            raise OTAError("statement_signature_invalid", "nothing is signed in the recursive mode")
        else:
            from .httpfs import crawl

            yield from crawl(ota, link.client())
            crawl = None
            _forget("httpfs", "manifest")
            yield from _room(ota, j)
        from .download import content_id, files

        yield from files(ota, link, mode)
        remove(ota.backup_dir + "/pack")  # of no more use, where it is only a part
        if mode == "http_fs":
            id = content_id(ota)
            if id is None:
                print("OTA: no update: every file is as on the server")
                return None
            check_rejected(j, id)
    finally:
        link.close()
    link = files = content_id = None
    _forget("download", "http")
    return id


def _release(ota, j, link):
    """Find out what the next release changes, and stage what a pack has of it; returns its id."""
    link.hole = bytearray(1 << 10)
    if ota.public_keys:
        from .signed import fetch
    else:
        from .poll import fetch
    found = yield from fetch(ota, j, link)
    fetch = None
    _forget("signed", "poll", "manifest")
    if found is None:
        return None
    id, pin = found
    link.park()
    if pin:
        check_room(ota, id)
    from .packs import begin

    yield from begin(ota, link, id, pin)
    begin = None
    _forget("packs")
    link.hole = bytearray(1 << 10)
    from .plan import release

    yield from release(ota, j, id, link)
    release = link.hole = None
    _forget("plan", "compare", "manifest", "trust")
    room = yield from _room(ota, j, id)
    if link.packs:
        from .packs import files

        yield from files(ota, link, id, room)
        files = None
        _forget("packs")
    return id


def _room(ota, j, id=None):
    # Only now: a manifest that is refused must not cost the way back.
    _end_of_backups(j)
    from .room import make_room

    room = yield from make_room(ota, id)
    make_room = None
    _forget("room", "damage", "undo")
    return room


def _undo(j):
    if j.state == "S":
        from .undo import undo_install

        undo_install(j)


def _discard(ota):
    """Remove what was downloaded: the application needs the space, too."""
    from .stage import staged_path, todo

    remove(ota.backup_dir + "/pack")
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


class Link:
    """The client, whose code is unloaded while nobody talks; the connection stays open."""

    def __init__(self, ota):
        self._ota = ota
        self._client = None
        self._kept = {}
        self.packs = ota.packs  # False once one of this update was of no use
        self.hole = None
        self.have = 0  # bytes of the file that is being downloaded

    def client(self):
        if not self._client:
            self._client = client(self._ota)
            for name in self._kept:
                setattr(self._client, name, self._kept[name])
        return self._client

    def park(self):
        """Unload the code: whoever needs the client next asks for it again."""
        if self._client:
            kept = self._client.__dict__
            self._kept = {name: kept[name] for name in kept if name != "readinto"}
            self._client = None
        _forget("http")

    def close(self):
        kept = self._kept
        if self._client:
            kept = self._client.__dict__
        for name in ("_sock", "_raw"):
            if kept.get(name):
                try:
                    kept[name].close()
                except OSError:
                    pass
        self._client = None
        self._kept = {}


def _forget(*names, over=True):
    """Unload modules of this package, so that their memory serves the next step.

    over: none of their code is running.
    """
    import gc
    import sys

    package = __name__.rsplit(".", 1)[0]
    for name in names:
        module = sys.modules.pop(package + "." + name, None)
        sys.modules[package].__dict__.pop(name, None)
        if module and over:
            # What looks like a reference on the stack must not keep all of it.
            module.__dict__.clear()
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
    c.background = ota.__dict__.get("background", False)
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
            if attempt >= ota.download_retries or final(e) or c.wait:
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
    """Client.getting, where any answer but the file or the asked part of it is an error."""
    c.began = builtin("time").ticks_ms()
    c.got = 0
    c.wait = None
    yield from c.getting(url, start, etag)
    asked = start and c.status in (206, 416)
    asked = asked or (c.status == 304 and c.extra and url[-4:] == ".sig")
    if c.status != 200 and not asked:
        from .http import HTTPError

        e = HTTPError("{} answered {}".format(url, c.status))
        e.status = c.status
        raise e


def final(e):
    """True for an HTTPError that another attempt would not change."""
    return 400 <= e.status < 500 and e.status not in (408, 429)
