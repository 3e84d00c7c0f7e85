"""A manifest builder in plain Python, for bench/manifest.sh to compare with.

It does what a first version in Python would do: walk the tree, hash one file
after the other with MD5, write JSON. It has no options.

usage: manifest_baseline.py SRC OUTPUT
"""

import hashlib
import json
import os
import sys

EXTENSIONS = (".py", ".mpy", ".raw", ".rgb565", ".c")
SKIPPED = {"__pycache__", "examples", "docs", "tests"}


def md5(path):
    digest = hashlib.md5()
    with open(path, "rb") as file:
        while True:
            chunk = file.read(4096)
            if not chunk:
                return digest.hexdigest()
            digest.update(chunk)


def build(src):
    files = []
    for folder, folders, names in os.walk(src, followlinks=True):
        folders[:] = [name for name in folders if name not in SKIPPED]
        for name in names:
            if not name.lower().endswith(EXTENSIONS) or name.startswith("test_"):
                continue
            path = os.path.join(folder, name)
            files.append(
                {
                    "path": os.path.relpath(path, src).replace(os.sep, "/"),
                    "version": int(os.stat(path).st_mtime),
                    "md5": md5(path),
                }
            )
    files.sort(key=lambda entry: entry["path"])
    return {"version": max((entry["version"] for entry in files), default=0), "files": files}


def main():
    src, output = sys.argv[1:]
    with open(output, "w", encoding="utf-8") as file:
        json.dump(build(src), file, indent=2)


if __name__ == "__main__":
    main()
