import os
import shutil
from unittest import mock

from support import PROGRAM, FolderTestCase

from saguarota import py3utils
from saguarota.py3utils import (
    OTAManifestBuilder,
    OTAManifestServer,
    ServerStartError,
    ToolError,
    ToolNotFoundError,
    find_tool,
)


class TestFindTool(FolderTestCase):
    """Each place in turn, on a machine where the program is in no other."""

    def setUp(self) -> None:
        super().setUp()
        module = self.folder / "checkout" / "saguarota" / "py3utils.py"
        for patch in (
            mock.patch.dict(os.environ, PATH=str(self.folder / "path")),
            mock.patch.object(py3utils, "__file__", str(module)),
            mock.patch("sysconfig.get_path", self.scheme),
            mock.patch("sys.prefix", str(self.folder / "prefix")),
        ):
            patch.start()
            self.addCleanup(patch.stop)
        del os.environ["SAGUAROTA_BIN"]

    def scheme(self, name: str, scheme: str = "default") -> str:
        return str(self.folder / f"{scheme.rpartition('_')[2]} {name}")

    def test_places_in_order(self):
        places = ["checkout/bin", "default scripts", "user scripts", "prefix/bin", "path"]
        for place in reversed(places):
            program = self.script(place + "/saguarota", "")
            with self.subTest(place=place):
                self.assertEqual(find_tool(), program)

    def test_nowhere(self):
        message = (
            "pip install saguarota.*go install github.com/cactuscon/saguarota/cmd/saguarota@latest"
            ".*make build.*SAGUAROTA_BIN"
        )
        for call in (
            find_tool,
            OTAManifestBuilder(self.folder).generate_manifest,
            OTAManifestServer(self.folder).start,
        ):
            with self.assertRaisesRegex(ToolNotFoundError, message):
                call()

    def test_error_is_of_the_usual_kinds(self):
        self.assertTrue(issubclass(ToolNotFoundError, FileNotFoundError))
        self.assertTrue(issubclass(ToolNotFoundError, RuntimeError))

    def test_folder_and_data_of_that_name_are_no_program(self):
        (self.folder / "checkout" / "bin" / "saguarota").mkdir(parents=True)
        self.write("default scripts/saguarota", b"#!/bin/sh\n")
        program = self.script("path/saguarota", "")
        self.assertEqual(find_tool(), program)

    def test_nothing_is_run_from_the_current_folder(self):
        self.script("here/saguarota", "")
        self.script("here/bin/saguarota", "")
        self.addCleanup(os.chdir, os.getcwd())
        os.chdir(self.folder / "here")
        for path in ("", ".", "bin", os.pathsep):
            with self.subTest(path=path), mock.patch.dict(os.environ, PATH=path):
                with self.assertRaises(ToolNotFoundError):
                    find_tool()

    def test_variable_decides(self):
        self.script("checkout/bin/saguarota", "")
        chosen = self.script("my tools/other name", "")
        with mock.patch.dict(os.environ, SAGUAROTA_BIN=chosen):
            self.assertEqual(find_tool(), chosen)

    def test_variable_with_a_bare_name_is_a_file_here(self):
        chosen = self.script("tool", "")
        self.addCleanup(os.chdir, os.getcwd())
        os.chdir(self.folder)
        with mock.patch.dict(os.environ, SAGUAROTA_BIN="tool"):
            self.assertEqual(find_tool(), chosen)

    def test_wrong_variable(self):
        self.script("checkout/bin/saguarota", "")
        data = self.write("data")
        for wrong in (self.folder / "nowhere", self.folder, data):
            with self.subTest(wrong=wrong):
                with mock.patch.dict(os.environ, SAGUAROTA_BIN=str(wrong)):
                    with self.assertRaisesRegex(ToolNotFoundError, f"SAGUAROTA_BIN.*{wrong.name}"):
                        find_tool()

    def test_empty_variable_is_none(self):
        program = self.script("checkout/bin/saguarota", "")
        with mock.patch.dict(os.environ, SAGUAROTA_BIN=""):
            self.assertEqual(find_tool(), program)


class TestBrokenTool(FolderTestCase):
    def use(self, program: str) -> None:
        patch = mock.patch.dict(os.environ, SAGUAROTA_BIN=program)
        patch.start()
        self.addCleanup(patch.stop)

    def test_program_for_another_machine(self):
        self.write("alien", b"\x7fELF of another world").chmod(0o755)
        self.use(str(self.folder / "alien"))
        with self.assertRaisesRegex(ToolError, "alien cannot be started: "):
            OTAManifestBuilder(self.folder).generate_manifest()
        with self.assertRaisesRegex(ServerStartError, "alien cannot be started: "):
            OTAManifestServer(self.folder).start()

    def test_program_that_dies_silently(self):
        self.use(self.script("mute", "kill -9 $$\n"))
        with self.assertRaisesRegex(ToolError, "ended with status -9"):
            OTAManifestBuilder(self.folder).generate_manifest()
        with self.assertRaisesRegex(ServerStartError, "ended with status -9"):
            OTAManifestServer(self.folder).start()

    def test_old_program_without_a_command(self):
        self.use(self.script("old", 'echo "saguarota: unknown command \\"$1\\"" >&2\nexit 1\n'))
        with self.assertRaisesRegex(ToolError, '^unknown command "manifest"$'):
            OTAManifestBuilder(self.folder).generate_manifest()
        with self.assertRaisesRegex(ServerStartError, '^unknown command "serve"$'):
            OTAManifestServer(self.folder).start()

    def test_path_with_spaces_and_other_letters(self):
        folder = self.folder / "мои tools"
        folder.mkdir()
        self.use(shutil.copy(PROGRAM, str(folder / "saguarota")))
        self.write("src/a.py")
        manifest = OTAManifestBuilder(self.folder / "src").generate_manifest_data()
        self.assertEqual(len(manifest["files"]), 1)
