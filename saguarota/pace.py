"""Bounds for a server that answers, but never comes to an end."""

from time import ticks_diff, ticks_ms

from .http import HTTPError

_GRACE_MS = 20000  # a slow start is no attack


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
        now = ticks_ms()
        ms = ticks_diff(now, c.began)
        if least and ms > _GRACE_MS and c.got < least * ms // 1000:
            raise HTTPError("too slow: {} bytes in {} s".format(c.got, ms // 1000))
        if deadline and ticks_diff(now, ota.began) > deadline * 1000:
            raise HTTPError("not done within download_deadline_s={}".format(deadline))
        return n

    return read
