"""What a board says of itself to a fleet server, in one header of its poll for the statement.

docs/FLEET.md has the header's form. Without device_id nothing is said.
"""

import sys

from .error import VERSION
from .stage import space


def headers(ota, j, error):
    """Header lines for a request; error: the code of what failed last, or None."""
    id = ota.device_id
    if id is True:
        from ubinascii import hexlify

        from .recover import builtin

        id = hexlify(builtin("machine").unique_id()).decode()
    v = sys.implementation
    trial = j.state == "T"
    f = (j.target if trial else j.installed).split(".")
    try:
        size, _, free = space(ota)
    except OSError:
        size = free = 0
    line = "Saguarota: id={}; version={}; state={}; lib={}; free={}".format(
        id, f[1] if len(f) > 1 else 0, "confirm_pending" if trial else "idle", VERSION, size * free
    )
    for key, value in (
        ("error", error),
        ("board", ota.board or getattr(v, "_machine", sys.platform)),
        ("micropython", ".".join([str(n) for n in v.version[:3]])),
        ("channel", ota.channel),
    ):
        if value:
            line += "; {}={}".format(key, _escaped(value[:64]))  # a server cuts what is longer
    line += "\r\n"
    if ota.device_token:
        line += "Authorization: Bearer {}\r\n".format(_escaped(ota.device_token))
    return line


def _escaped(text):
    out = ""
    for b in text.encode():
        out += chr(b) if 32 <= b < 127 and b not in b";%" else "%{:02X}".format(b)
    return out


def send(ota, j):
    """Poll only to report, as after a confirmation. Never raises."""
    from .update import Link, get

    link = Link(ota)
    try:
        c = link.client()
        c.extra = headers(ota, j, None)
        for _ in get(c, ota.manifest_url + ".sig"):
            pass
    except Exception as e:
        print("OTA: cannot report: {}".format(e))
    finally:
        link.close()
