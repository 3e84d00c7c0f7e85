"""Bounds for a server that answers, but never comes to an end."""

from .recover import builtin

time = builtin("time")

_GRACE_MS = 20000  # a slow start is no attack


def _error(text):
    # Found when it is wanted: http.py is loaded anew between poll and download, and who waits
    # for its error waits for that of the new one.
    from .http import HTTPError

    return HTTPError(text)


def paced(ota, c):
    """Client.readinto that gives up on a body, or on the update, that takes too long.

    min_bytes_per_s counts over one body, once it has taken some time; download_deadline_s
    from the start of the check.
    """
    least = ota.min_bytes_per_s
    deadline = ota.download_deadline_s
    readinto = type(c).readinto

    def read(buf):
        n = readinto(c, buf)
        c.got += n
        now = time.ticks_ms()
        ms = time.ticks_diff(now, c.began)
        if least and ms > _GRACE_MS and c.got < least * ms // 1000:
            raise _error("too slow: {} bytes in {} s".format(c.got, ms // 1000))
        if deadline and time.ticks_diff(now, ota.began) > deadline * 1000:
            raise _error("not done within download_deadline_s={}".format(deadline))
        return n

    return read
