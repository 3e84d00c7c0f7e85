import importlib
import json
import subprocess
import sys
import unittest

from support import PROGRAM, ROOT

import saguarota
from saguarota import py3utils


class TestImport(unittest.TestCase):
    def test_computers_half(self):
        from saguarota import OTAManifestBuilder, OTAManifestServer

        self.assertIs(OTAManifestBuilder, py3utils.OTAManifestBuilder)
        self.assertIs(OTAManifestServer, py3utils.OTAManifestServer)

    def test_boards_half_says_where_it_belongs(self):
        for name in ("OTAUpdater", "OTAState", "OTAErrorCode", "OTADeletePolicy"):
            with self.subTest(name=name):
                with self.assertRaisesRegex(ImportError, f"{name} .*board.*MicroPython"):
                    exec(f"from saguarota import {name}")

    def test_unknown_name(self):
        with self.assertRaisesRegex(AttributeError, "saguarota.*nothing"):
            _ = saguarota.nothing
        with self.assertRaises(ImportError):
            exec("from saguarota import nothing")

    def test_star(self):
        names: dict = {}
        exec("from saguarota import *", names)
        self.assertIs(names["OTAManifestBuilder"], py3utils.OTAManifestBuilder)
        self.assertNotIn("OTAUpdater", names)

    def test_public_names_exist(self):
        for module in ("saguarota", "saguarota.py3utils"):
            for name in importlib.import_module(module).__all__:
                self.assertTrue(hasattr(importlib.import_module(module), name), name)

    def test_import_is_cheap(self):
        done = subprocess.run(
            [sys.executable, "-c", "import saguarota, sys; print(*sys.modules)"],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            check=True,
        )
        self.assertNotIn(b"saguarota.", done.stdout)


class TestVersion(unittest.TestCase):
    def test_one_version_everywhere(self):
        program = subprocess.run([PROGRAM, "--version"], stdout=subprocess.PIPE, check=True)
        version = program.stdout.decode().split()[-1]
        self.assertRegex(version, r"^\d+\.\d+\.\d+$")

        names: dict = {}
        exec((ROOT / "saguarota" / "error.py").read_text(encoding="utf-8"), names)
        package = json.loads((ROOT / "package.json").read_text(encoding="utf-8"))
        self.assertEqual(names["VERSION"], version, "saguarota/error.py")
        self.assertEqual(package["version"], version, "package.json")
