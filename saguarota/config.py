"""What OTAUpdater works out once it is asked for: its options, and the rare methods.

A boot with nothing to do loads none of this.
"""

import uos as os

_BACKUP_SKIP_EXTENSIONS = (
    ".png", ".jpg", ".jpeg", ".gif", ".bmp", ".rgb565", ".raw", ".bin", ".ttf", ".otf", ".woff",
)  # fmt: skip
_BACKUP_SKIP_PREFIXES = ("assets/", "static/", "media/", "images/", "fonts/")


def _text(value):
    return value


def _count(value):
    value = int(value)
    if value < 0:
        raise ValueError
    return value


def _size(value):
    value = int(value)
    if value < 1:
        raise ValueError
    return value


def _keys(keys):
    # Never the default, which is to trust anybody: what are no keys is refused later.
    try:
        return (keys,) if isinstance(keys, (str, bytes)) else tuple(keys) or (None,)
    except TypeError:
        return (keys,)


def _certificate(ca):
    """The bytes of a certificate: as they are, of a PEM text, or of the file of that name."""
    if isinstance(ca, str):
        if "-----BEGIN" in ca:
            return ca.encode()
        try:
            with open(ca, "rb") as f:
                return f.read()
        except OSError as e:
            # No certificate, which is not the same as None: no server is trusted.
            print("OTA: cannot read ca={!r}: {!r}".format(ca, e))
            return b""
    return ca


def _extensions(exts):
    out = []
    for e in exts or ():
        e = str(e).strip().lower()
        if e:
            out.append(e if e[0] == "." else "." + e)
    return tuple(out)


def _relative(path):
    """A path in the form in which others are compared with it: below the working directory."""
    cwd = os.getcwd().rstrip("/") + "/"
    path = (path or ".").rstrip("/") + "/"
    if path.startswith(cwd):
        path = path[len(cwd) :]
    while path.startswith("./"):
        path = path[2:]
    return path if path == "/" else path.rstrip("/")


# In the order of OTAUpdater's parameters: name, default, what makes it usable. A value
# that cannot be made usable gives way to the default, and so does None.
_OPTIONS = (
    ("manifest_url", None, _text),
    ("base_file_url", "", _text),
    ("dest_dir", ".", _relative),
    ("force_update", False, bool),
    ("recurse_http_fs", False, bool),
    ("ota_state_file", "ota_state.txt", _relative),
    ("local_manifest_file", "versions.json", _relative),
    ("application_name", "saguarota", _text),
    ("http_timeout_s", 5, _text),
    ("backup_skip_extensions", _BACKUP_SKIP_EXTENSIONS, _extensions),
    ("backup_skip_prefixes", _BACKUP_SKIP_PREFIXES, tuple),
    ("manifest_auth_key", None, _text),
    ("manifest_signature_field", "signature", _text),
    ("download_retries", 1, _count),
    ("retry_base_delay_ms", 250, _size),
    ("resume_downloads", False, bool),
    ("io_chunk_size", 512, _size),
    ("md5_chunk_size", 512, _size),
    ("strict_http_fs", True, bool),
    ("delete_files_not_in_manifest_policy", "never", _text),
    ("delete_files_not_in_manifest_extensions", (), _extensions),
    ("progress_callback", None, _text),
    ("max_manifest_bytes", 4 << 20, _size),
    ("trial_boots", 3, _size),
    ("confirm_timeout_s", 0, _count),
    ("watchdog_ms", 0, _count),
    ("public_keys", None, _keys),
    ("threshold", 1, _text),
    ("keyset", 1, _text),
    ("app", None, _text),
    ("channel", "stable", _text),
    ("board", None, _text),
    ("ca", None, _certificate),
    ("packs", True, bool),
    ("device_id", None, _text),
    ("device_token", None, _text),
    ("download_deadline_s", 0, _count),
    ("min_bytes_per_s", 16, _count),
)


def attribute(ota, name):
    """An attribute that ota does not have yet."""
    if name in ("cleanup_files", "revert_update"):
        from .trial import cleanup_files, revert_update

        method = cleanup_files if name[0] == "c" else revert_update
    elif name == "fetch_manifest":
        from .poll import fetch_manifest as method
    elif name == "release":
        method = release
    elif name == "update":
        from .background import update as method
    elif name == "apply":
        from .background import apply as method
    elif name[0] == "_" or ota._args is None:
        raise AttributeError(name)
    else:
        args = ota._args
        ota._args = None
        _apply(ota, args, ota._kwargs)
        return getattr(ota, name)
    return lambda *args, **kwargs: method(ota, *args, **kwargs)


def release(ota):
    """Drop everything that the updater holds and collect the garbage."""
    import gc

    for name in tuple(ota.__dict__):
        setattr(ota, name, None)
    gc.collect()


def _apply(ota, args, kwargs):
    """Set every option as an attribute of ota, unless it was set by hand already."""
    for i, (name, default, convert) in enumerate(_OPTIONS):
        if name in ota.__dict__:
            continue
        value = args[i] if i < len(args) else kwargs.get(name)
        if value is None and name != "http_timeout_s":
            value = default
        elif value is None and i >= len(args) and name not in kwargs:
            value = default  # only an explicit None means "no time limit"
        try:
            value = convert(value) if value is not None else None
        except (TypeError, ValueError):
            print("OTA: {}={!r} makes no sense; using {!r}".format(name, value, default))
            value = convert(default)
        setattr(ota, name, value)
    for name in kwargs:
        if name not in ota.__dict__:
            print("OTA: there is no option " + name)  # public_key, and nothing would be verified
    if ota.recurse_http_fs:
        ota.manifest_url = None
    policy = str(ota.delete_files_not_in_manifest_policy).lower()
    if policy not in ("never", "manifest_extensions", "custom_extensions", "all"):
        print("OTA: unknown delete policy {}: nothing will be deleted".format(policy))
        policy = "never"
    elif policy.endswith("_extensions") and not ota.delete_files_not_in_manifest_extensions:
        print(
            "OTA: delete policy {} is off: it needs "
            "delete_files_not_in_manifest_extensions".format(policy)
        )
        policy = "never"
    ota.delete_files_not_in_manifest_policy = policy
