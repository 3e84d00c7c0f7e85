"""The recursive mode: no manifest, every file that the server's folder listings name.

For development: nothing is signed or hashed. Reads listings as nginx writes them.
"""

from ubinascii import unhexlify

from .http import HTTPError, quote
from .manifest import ManifestError, check_path
from .error import OTAError
from .stage import line, live_path, make_folder, name_for, op_for, own
from .update import get

_MAX_DEPTH = 8
_MAX_NAME = 256


def crawl(ota, c):
    """Write the to-do list from the listings. Folders wait in a file, one for each level."""
    c.background = False
    make_folder(ota)
    levels = (ota.backup_dir + "/level0", ota.backup_dir + "/level1")
    try:
        with open(ota.backup_dir + "/todo", "w") as t:
            with open(levels[0], "w") as f:
                f.write("\n")  # the root
            for depth in range(_MAX_DEPTH + 1):
                found = False
                with open(levels[depth & 1]) as here, open(levels[~depth & 1], "w") as below:
                    for folder in here:
                        for name in _listing(ota, c, folder.rstrip("\n")):
                            found = _note(ota, t, below, folder.rstrip("\n") + name) or found
                            yield 0
                if not found:
                    break
            else:
                raise OTAError("http_fs_failed", "folders are nested too deep on the server")
    except (HTTPError, ManifestError) as e:
        raise OTAError("http_fs_failed", str(e))


def _note(ota, t, below, path):
    """Put a file on the list, or a folder among those to visit (True)."""
    check_path(path.rstrip("/"))
    live = live_path(ota, path.rstrip("/"))
    if own(ota, live):
        return
    if path.endswith("/"):
        below.write(path + "\n")
        return True
    line(t, ota, op_for(live), name_for("http_fs", path), -1, ":", 0, 0, 0, live)


def _listing(ota, c, folder):
    """Yield the names in a folder of the server, folders with a / at the end."""
    url = ota.base_file_url.rstrip("/") + "/" + quote(folder)
    for _ in get(c, url):
        pass  # not in the background
    window = bytearray(64 + _MAX_NAME * 3)
    view = memoryview(window)
    end = 0
    last = None
    while True:
        n = c.readinto(view[end : end + 64])
        end += n
        at = 0
        while True:
            i = window.find(b'href="', at, end)
            if i < 0:
                at = max(at, end - 5)
                break
            j = window.find(b'"', i + 6, end)
            if j < 0:
                at = i
                break
            name = _name(bytes(view[i + 6 : j]))
            if name and name != last:
                yield name
            last = name
            at = j + 1
        rest = bytes(view[at:end])
        end = len(rest)
        view[:end] = rest
        if not n:
            return
        if end + 64 > len(window):
            raise OTAError("http_fs_failed", "a name in the listing of {} is too long".format(url))


def _name(href):
    """A name in this folder from a link of its listing; None for any other link."""
    if b"?" in href or b"#" in href or b":" in href or href[:1] in (b"/", b"."):
        return None
    out = bytearray()
    i = 0
    while i < len(href):
        c = href[i]
        if c == 37:
            try:
                c = unhexlify(href[i + 1 : i + 3])[0]
            except (ValueError, IndexError):
                return None
            i += 2
        out.append(c)
        i += 1
    try:
        name = out.decode().replace("&amp;", "&")
    except UnicodeError:
        return None
    return name if name and "/" not in name[:-1] else None
