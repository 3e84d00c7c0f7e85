"""What a board trusts: the keys of its options, and what it has learned since; and whether a
signed release is one for it.

What it has learned is kept in the state folder, in two slots like the journal's (k0, k1):

    otakeys1 <seq> <app> <keyset> <threshold> <time> <key>,<key>… <installed> <crc32>   (tab-separated)

keyset: the number of the last keyset followed; time: the highest signed time seen, in
seconds since 1970, of this keyset: what a thief signed ends with the keys that he had. Where
there is no later keyset than that of the board's options, these count. installed: the ids of
the release that ran and of the one that was accepted after it, with a comma between, so that
the keyset of what runs is known even when both slots of the journal are lost.
"""

import sys

from micropython import const
from ubinascii import a2b_base64, b2a_base64, crc32

from .error import OTAError
from .recover import builtin
from .stage import make_folder, sha256_of

_WORTH = const(21600)  # a signed time so much later is worth a write, in seconds: flash wears out


def load(ota):
    """A dict: seq, app, version (the keyset's), threshold, keys, time, releases."""
    keys = []
    for key in ota.public_keys:
        try:
            keys.append(a2b_base64(key))
            if len(keys[-1]) != 32:
                raise ValueError
        except (ValueError, TypeError):
            raise OTAError("keyset_invalid", "no key in base64: {!r}".format(key))
    if len(keys) > 16:
        raise OTAError("keyset_invalid", "{} keys are too many".format(len(keys)))
    # What makes no sense here must not give way to a default, as in other options.
    for name, most in (("keyset", 0x7FFFFFFFFFFFFFFF), ("threshold", len(keys))):
        value = getattr(ota, name)
        if type(value) is not int or not 1 <= value <= most:
            raise OTAError("keyset_invalid", "{}={!r} makes no sense".format(name, value))
    trust = {
        "seq": 0,
        "app": ota.app,
        "version": ota.keyset,
        "threshold": ota.threshold,
        "keys": keys,
        "time": 0,
        "installed": "",
    }
    for i in (0, 1):
        _load(trust, "{}/k{}".format(ota.backup_dir, i))
    return trust


def _load(trust, path):
    try:
        with open(path, "rb") as f:
            body, crc = f.read(1536).rsplit(b"\t", 1)
        f = body.decode().split("\t")
        if int(crc, 16) != crc32(body) or body[:9] != b"otakeys1\t" or int(f[1]) <= trust["seq"]:
            return
        trust["seq"] = int(f[1])
        trust["installed"] = ",".join(f[7:])
        # Of the keyset that the options have, the keys may have been changed there.
        n = int(f[3])
        if n >= trust["version"]:
            trust["time"] = int(f[5])
        if n > trust["version"]:
            trust["app"] = f[2] or None
            trust["version"] = n
            trust["threshold"] = int(f[4])
            trust["keys"] = [a2b_base64(k) for k in f[6].split(",")]
    except (OSError, ValueError, IndexError):
        pass


def save(ota, trust):
    make_folder(ota)
    trust["seq"] += 1
    body = "otakeys1\t{}\t{}\t{}\t{}\t{}\t{}\t{}".format(
        trust["seq"], trust["app"] or "", trust["version"], trust["threshold"], trust["time"],
        ",".join([b2a_base64(key).decode().strip() for key in trust["keys"]]), trust["installed"],
    )  # fmt: skip
    with open("{}/k{}".format(ota.backup_dir, trust["seq"] & 1), "wb") as f:
        f.write("{}\t{:08x}\n".format(body, crc32(body.encode())))


def installed(ota, trust, j):
    """The id of the release that runs, <hash>.<version>.<keyset>; None where it was not signed.

    Where the journal does not say so, since its slots were lost, the manifest's hash tells.
    """
    if j and j.installed.count(".") == 2:
        return j.installed
    if j and trust["installed"]:
        try:
            digest = sha256_of(ota.local_manifest_file)[:16]
        except OSError:
            return None
        for id in trust["installed"].split(","):
            if id[:16] == digest:
                return id


def check(d, app, channel, names, mpy, micropython, time, installed):
    """Raise OTAError unless a statement (a dict) is for this board, now.

    names: of the board, any of which may be in boards. mpy:
    (6, 3), of the format that it loads. micropython: its version as three numbers. time:
    now, in seconds since 1970. installed: the statement of the release that runs, or None. What else
    is None is not asked for.
    """
    if app is not None and d["app"] != app:
        raise OTAError("not_for_this_board", "it is for the application {}, not {}".format(d["app"], app))
    if installed and d["keyset"] < installed["keyset"]:
        raise OTAError(
            "rollback_refused", "keyset {} after keyset {}".format(d["keyset"], installed["keyset"])
        )
    if channel is not None and channel not in d.get("channels", (channel,)):
        raise OTAError("not_for_this_board", "it is not for the channel " + channel)
    if names is not None and "boards" in d:
        for name in names:
            if name in d["boards"]:
                break
        else:
            raise OTAError("not_for_this_board", "it is not for this board, " + "/".join(names))
    if mpy is not None and d.get("mpy", str(mpy[0])) not in (str(mpy[0]), "{}.{}".format(*mpy)):
        raise OTAError("not_for_this_board", "it needs the .mpy format " + d["mpy"])
    if micropython is not None and "micropython" in d:
        try:
            needs = [int(part) for part in d["micropython"].split(".")]
        except ValueError:
            needs = [1 << 30]
        if needs > list(micropython[:3]):
            raise OTAError("not_for_this_board", "it needs MicroPython " + d["micropython"])
    if time is not None and time > d.get("expires", time):
        raise OTAError("release_expired", "it expired at {}, and it is {}".format(d["expires"], time))
    if installed and d["keyset"] == installed["keyset"]:
        if d["version"] < installed["version"]:
            raise OTAError(
                "rollback_refused", "version {} after version {}".format(d["version"], installed["version"])
            )
        if d["version"] == installed["version"] and d["manifest"] != installed["manifest"]:
            raise OTAError(
                "rollback_refused", "version {} again, with another manifest".format(d["version"])
            )


def judge(ota, trust, s, id):
    """Raise OTAError unless a verified statement (a dict) is for this board and not older than
    what runs.

    id: of the signed release that runs, or None. Returns whether it is newer: None where that
    is for the manifest of what runs to say.
    """
    v = sys.implementation
    mpy = getattr(v, "_mpy", 0)  # 0: it loads no .mpy files at all
    was = None
    if id:
        f = id.split(".")
        m = s["manifest"]
        was = {
            "keyset": int(f[2]),
            "version": int(f[1]),
            "manifest": m if m["sha256"][:16] == f[0] else None,
        }
    now = _now()
    ago = s.get("time", 0) - trust["time"]
    if now is None and "expires" in s and not trust["time"]:
        print("OTA: warning: no clock is set; expiry is not checked")
    if ago > 0:
        trust["time"] += ago
        if ago >= _WORTH:
            save(ota, trust)
    check(
        s, ota.app or trust["app"], ota.channel, (ota.board or getattr(v, "_machine", sys.platform), sys.platform),
        (mpy & 255, mpy >> 8 & 3), v.version, max(now or 0, trust["time"]) or None,
        None if ota.force_update else was,
    )  # fmt: skip
    if ota.force_update:
        return True
    if was:
        return (s["keyset"], s["version"]) > (was["keyset"], was["version"])


def _now():
    """Seconds since 1970, or None where no clock is set."""
    time = builtin("time")
    now = time.time()
    year = time.gmtime(now)[0]
    if time.gmtime(0)[0] == 2000:  # the epoch of most ports
        now += 946684800
    return int(now) if 2023 <= year < 2100 else None
