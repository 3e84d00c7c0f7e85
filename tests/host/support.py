"""What the tests of the computer's half share: the program, folders, helpers."""

import atexit
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

_folder = tempfile.mkdtemp(prefix="saguarota-hosttest-")
atexit.register(shutil.rmtree, _folder)


def _build() -> str:
    program = os.path.join(_folder, "saguarota")
    subprocess.run(["go", "build", "-o", program, "./cmd/saguarota"], cwd=ROOT, check=True)
    return program


# The program of this very source, whatever else is installed.
PROGRAM = _build()
os.environ["SAGUAROTA_BIN"] = PROGRAM

# The times that tests give to files.
T1, T2, T3 = 1700000000, 1700000100, 1700000200


def md5(data: bytes) -> str:
    return hashlib.md5(data).hexdigest()


class FolderTestCase(unittest.TestCase):
    """Gives each test an empty folder, self.folder."""

    def setUp(self) -> None:
        super().setUp()
        folder = tempfile.TemporaryDirectory(prefix="saguarota-hosttest-")
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name).resolve()

    def write(self, name: str, data: bytes = b"", time: int = T1) -> Path:
        """Write a file, dated time, with the folders that it needs."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        os.utime(path, (time, time))
        return path

    def script(self, name: str, text: str) -> str:
        """Write a shell script that can be started and return its path."""
        path = self.write(name, ("#!/bin/sh\n" + text).encode())
        path.chmod(0o755)
        return str(path)
