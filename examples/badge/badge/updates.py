"""How the badge gets its updates; boot.py and main.py must agree on it."""

from saguarota import OTADeletePolicy

from badge.settings import load


def options():
    """The arguments of OTAUpdater. Raises KeyError where settings.json names no server."""
    url = load()["update_url"].rstrip("/") + "/"
    return {
        "manifest_url": url + "versions.json",
        "base_file_url": url,
        "download_retries": 2,
        "resume_downloads": True,
        "strict_http_fs": True,
        # A page that a release no longer has shall be gone from the badge, too. The library
        # in /lib is compiled (.mpy), so this doesn't concern it.
        "delete_files_not_in_manifest_policy": OTADeletePolicy.MANIFEST_EXTENSIONS,
        "delete_files_not_in_manifest_extensions": (".py", ".rgb565"),
    }
