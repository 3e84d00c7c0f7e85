import contextlib
import hashlib
import hmac
import io
import json
import os
import subprocess
from pathlib import Path
from unittest import mock

from support import PROGRAM, T1, T2, T3, FolderTestCase, md5

from saguarota.py3utils import OTAManifestBuilder, ToolError


def paths(manifest: dict) -> list:
    return [entry["path"] for entry in manifest["files"]]


def signature(key: str, manifest: dict) -> str:
    """Sign a manifest by the rule that boards with the first library check."""
    lines = ["v={}".format(manifest["version"])]
    for entry in sorted(manifest["files"], key=lambda entry: entry["path"]):
        lines.append("{path}\t{version}\t{md5}".format(**entry))
    return hmac.new(key.encode(), "\n".join(lines).encode(), hashlib.sha256).hexdigest()


class BuilderTestCase(FolderTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.src = self.folder / "src"
        self.src.mkdir()

    def release(self, *names: str) -> None:
        for name in names:
            self.write("src/" + name)

    def paths(self, **options) -> list:
        return paths(OTAManifestBuilder(self.src, **options).generate_manifest_data())

    def warnings(self, builder: OTAManifestBuilder) -> str:
        with contextlib.redirect_stderr(io.StringIO()) as stderr:
            builder.generate_manifest_data()
        return stderr.getvalue()

    def assertToolError(self, regex: str):
        return self.assertRaisesRegex(ToolError, regex)


class TestManifest(BuilderTestCase):
    def test_describes_every_file(self):
        self.write("src/main.py", b"print(1)\n", T1)
        self.write("src/lib/app.mpy", b"M\x06\x00\x1f", T2)
        want = {
            "version": T2,
            "files": [
                {
                    "path": "lib/app.mpy",
                    "version": T2,
                    "md5": md5(b"M\x06\x00\x1f"),
                    "size": 4,
                    "sha256": hashlib.sha256(b"M\x06\x00\x1f").hexdigest(),
                },
                {
                    "path": "main.py",
                    "version": T1,
                    "md5": md5(b"print(1)\n"),
                    "size": 9,
                    "sha256": hashlib.sha256(b"print(1)\n").hexdigest(),
                },
            ],
        }
        self.assertEqual(OTAManifestBuilder(str(self.src)).generate_manifest_data(), want)

    def test_text_has_the_layout_of_json_dumps(self):
        self.write("src/main.py", b"print(1)\n")
        builder = OTAManifestBuilder(self.src)
        for indent in (2, 4, 0, None):
            with self.subTest(indent=indent):
                builder.json_indent = indent
                text = builder.generate_manifest()
                self.assertEqual(text, json.dumps(json.loads(text), indent=indent))

    def test_empty_folder(self):
        builder = OTAManifestBuilder(self.src)
        with contextlib.redirect_stderr(io.StringIO()) as stderr:
            self.assertEqual(builder.generate_manifest_data(), {"version": 0, "files": []})
        self.assertEqual(
            stderr.getvalue(), f"warning: no file in {self.src} is part of the release\n"
        )

    def test_unicode_and_spaces(self):
        names = ["Größe 1.py", "lib dir/ключ.py", "日本語/😀 .py"]
        self.release(*names)
        text = OTAManifestBuilder(self.src).generate_manifest()
        self.assertEqual(paths(json.loads(text)), names)
        # MicroPython does not join the halves of an escaped character like this.
        self.assertIn("😀", text)

    def test_odd_folder_names(self):
        for name in ("-src", "--help", "a b", "ключ,1", '"quoted"', "$(id)"):
            with self.subTest(name=name):
                folder = self.write(name + "/main.py").parent
                self.assertEqual(
                    paths(OTAManifestBuilder(folder).generate_manifest_data()), ["main.py"]
                )

    def test_relative_folder_that_looks_like_an_option(self):
        self.write("--help/main.py")
        where = os.getcwd()
        self.addCleanup(os.chdir, where)
        os.chdir(self.folder)
        self.assertEqual(paths(OTAManifestBuilder("--help").generate_manifest_data()), ["main.py"])

    def test_missing_folder(self):
        with self.assertToolError("/nowhere"):
            OTAManifestBuilder(self.folder / "nowhere").generate_manifest()

    def test_file_instead_of_folder(self):
        with self.assertToolError("main.py.* not a folder"):
            OTAManifestBuilder(self.write("main.py")).generate_manifest()

    def test_names_that_a_board_takes_for_one(self):
        self.release("app.py", "App.py")
        with self.assertToolError("only in case.*\n?.*hint: "):
            OTAManifestBuilder(self.src).generate_manifest()

    def test_error_does_not_repeat_the_name_of_the_program(self):
        with self.assertRaises(ToolError) as caught:
            OTAManifestBuilder(self.folder / "nowhere").generate_manifest()
        self.assertNotIn("saguarota: ", str(caught.exception))

    def test_bad_options(self):
        for options, message in (
            ({"json_indent": 1000}, "indent 1000"),
            ({"version_source": "phase of the moon"}, "phase of the moon"),
            ({"signature_field": "files", "auth_key": "k"}, '"files"'),
        ):
            with self.subTest(options=options):
                self.release("main.py")
                with self.assertToolError(message):
                    OTAManifestBuilder(self.src, **options).generate_manifest()


class TestFilters(BuilderTestCase):
    def test_defaults(self):
        kept = ["a.py", "b.mpy", "c.raw", "d.rgb565", "e.c", "lib/UPPER.PY"]
        self.release(*kept, "notes.txt", "Makefile", ".py", "test_a.py", "lib/test_b.py")
        self.release("__pycache__/x.py", "examples/x.py", "docs/x.py", "lib/tests/x.py")
        self.assertEqual(sorted(self.paths()), sorted(kept))

    def test_empty_choices_are_the_defaults(self):
        self.release("a.py", "b.txt", "test_a.py", "docs/x.py")
        for none in (None, (), [], set(), iter(())):
            for option in ("allowed_extensions", "exclude_prefixes", "exclude_folders"):
                with self.subTest(none=none, option=option):
                    self.assertEqual(self.paths(**{option: none}), ["a.py"])

    def test_own_choices(self):
        self.release("a.py", "b.TXT", "c", "test_a.txt", "tmp_b.txt", "docs/d.txt", "old/e.txt")
        self.assertEqual(
            self.paths(
                allowed_extensions={".Txt", ""},
                exclude_prefixes=["tmp_"],
                exclude_folders=("old",),
            ),
            ["b.TXT", "c", "docs/d.txt", "test_a.txt"],
        )

    def test_no_extension_alone(self):
        self.release("a.py", "LICENSE")
        self.assertEqual(self.paths(allowed_extensions=[""]), ["LICENSE"])

    def test_names_with_the_separators_of_lists(self):
        self.release("a.py", "x,y.py", 'q"r.py', "s t.py", "o,p/a.py", "o/a.py", "p/a.py", "f.a,b")
        self.assertEqual(
            self.paths(
                allowed_extensions=[".py", ".a,b"],
                exclude_prefixes=["x,", 'q"', "s t"],
                exclude_folders=["o,p"],
            ),
            ["a.py", "f.a,b", "o/a.py", "p/a.py"],
        )

    def test_lone_string_is_one_name(self):
        self.release("a.py", "x.py", "xyz.py", "out/a.py", "t/a.py")
        self.assertEqual(
            self.paths(allowed_extensions=".py", exclude_prefixes="xy", exclude_folders="out"),
            ["a.py", "t/a.py", "x.py"],
        )

    def test_attributes_can_be_changed(self):
        self.release("a.py", "b.txt", "old/c.txt")
        builder = OTAManifestBuilder(self.folder / "elsewhere")
        builder.src_dir = self.src
        builder.allowed_extensions = {".txt"}
        builder.exclude_folders.add("old")
        self.assertEqual(paths(builder.generate_manifest_data()), ["b.txt"])

    def test_attributes_have_the_names_and_types_of_the_arguments(self):
        builder = OTAManifestBuilder("src", previous_manifest_path="v.json", followlinks=0)
        self.assertEqual(builder.src_dir, Path("src"))
        self.assertEqual(builder.previous_manifest_path, Path("v.json"))
        self.assertIs(builder.followlinks, False)
        self.assertEqual(builder.allowed_extensions, {".py", ".mpy", ".raw", ".rgb565", ".c"})
        self.assertEqual(builder.exclude_prefixes, ("test_",))
        self.assertEqual(builder.exclude_folders, {"__pycache__", "examples", "docs", "tests"})
        for name, value in {
            "auth_key": None,
            "signature_field": "signature",
            "json_indent": 2,
            "version_source": "mtime",
            "reuse_unchanged_versions": False,
            "git_executable": "git",
        }.items():
            self.assertEqual(getattr(builder, name), value, name)

    def test_options_may_be_given_by_position(self):
        self.write("src/a.txt", b"1", T3)
        self.write("src/skip_b.txt", b"2", T3)
        previous = self.write(
            "v.json",
            json.dumps(
                {"version": 5, "files": [{"path": "a.txt", "version": 5, "md5": md5(b"1")}]}
            ).encode(),
        )
        builder = OTAManifestBuilder(
            self.src, "key", "mac", [".txt"], ["skip_"], ["old"], False, None,
            "mtime", previous, True, "git",
        )  # fmt: skip
        manifest = builder.generate_manifest_data()
        self.assertEqual([(e["path"], e["version"]) for e in manifest["files"]], [("a.txt", 5)])
        self.assertEqual(manifest["mac"], signature("key", manifest))

    def test_links(self):
        self.release("a.py")
        self.write("outside/b.py")
        (self.src / "linked").symlink_to(self.folder / "outside")
        (self.src / "loop").symlink_to(self.src)
        builder = OTAManifestBuilder(self.src)
        self.assertIn("loop", self.warnings(builder))
        with contextlib.redirect_stderr(io.StringIO()):
            self.assertEqual(self.paths(), ["a.py", "linked/b.py"])
        self.assertEqual(self.paths(followlinks=False), ["a.py"])


class TestSignature(BuilderTestCase):
    def test_signature(self):
        self.write("src/b.py", b"b", T1)
        self.write("src/a.py", b"a", T2)
        for key in ("secret", "with space, comma and ключ", "'\"$HOME\n\t", " padded "):
            with self.subTest(key=key):
                manifest = OTAManifestBuilder(self.src, auth_key=key).generate_manifest_data()
                self.assertEqual(manifest["signature"], signature(key, manifest))

    def test_field(self):
        self.release("a.py")
        builder = OTAManifestBuilder(self.src, auth_key="k", signature_field="mac")
        manifest = builder.generate_manifest_data()
        self.assertEqual(manifest["mac"], signature("k", manifest))
        self.assertNotIn("signature", manifest)

    def test_no_key_no_signature(self):
        self.release("a.py")
        for key in (None, ""):
            manifest = OTAManifestBuilder(self.src, auth_key=key).generate_manifest_data()
            self.assertNotIn("signature", manifest)

    def test_key_that_cannot_be_handed_over(self):
        self.release("a.py")
        with self.assertRaises(ValueError):
            OTAManifestBuilder(self.src, auth_key="nul\0byte").generate_manifest_data()

    def test_key_is_not_on_the_command_line(self):
        self.release("a.py")
        log = self.folder / "log"
        spy = self.script("spy", f'printf "%s\\n" "$@" >"{log}"\nexec "{PROGRAM}" "$@"\n')
        before = dict(os.environ)
        with mock.patch.dict(os.environ, SAGUAROTA_BIN=spy):
            manifest = OTAManifestBuilder(self.src, auth_key="s3cret").generate_manifest_data()
        self.assertIn("signature", manifest)
        command = log.read_text()
        self.assertIn("manifest", command)
        self.assertNotIn("s3cret", command)
        self.assertEqual(dict(os.environ), before)


class TestPrevious(BuilderTestCase):
    def previous(self, **options) -> OTAManifestBuilder:
        return OTAManifestBuilder(
            self.src, previous_manifest_path=self.folder / "v.json", **options
        )

    def test_first_release_has_none(self):
        self.release("a.py")
        manifest = self.previous(reuse_unchanged_versions=True).generate_manifest_data()
        self.assertEqual(manifest["version"], T1)

    def test_reuse(self):
        self.write("src/same.py", b"same", T1)
        self.write("src/new.py", b"1", T1)
        self.previous().write_manifest(self.folder / "v.json")
        self.write("src/same.py", b"same", T3)
        self.write("src/new.py", b"2", T2)
        for reuse, want in ((True, T1), (False, T3)):
            manifest = self.previous(reuse_unchanged_versions=reuse).generate_manifest_data()
            versions = {entry["path"]: entry["version"] for entry in manifest["files"]}
            self.assertEqual(versions, {"same.py": want, "new.py": T2})

    def test_removal_raises_the_version(self):
        self.release("a.py", "b.py")
        self.previous().write_manifest(self.folder / "v.json")
        (self.src / "b.py").unlink()
        self.assertEqual(self.previous().generate_manifest_data()["version"], T1 + 1)

    def test_same_file_in_and_out(self):
        self.write("src/a.py", b"1", T2)
        self.previous().write_manifest(self.folder / "v.json")
        self.write("src/a.py", b"2", T1)
        manifest = self.previous().write_manifest(self.folder / "v.json")
        self.assertEqual(manifest["version"], T2 + 1)
        self.assertEqual(json.loads((self.folder / "v.json").read_text()), manifest)

    def test_damaged_is_an_error(self):
        self.release("a.py")
        for text in (b"", b"{", b"<html>", b'{"version": "1", "files": []}', b"\xff"):
            with self.subTest(text=text):
                self.write("v.json", text)
                with self.assertToolError("previous manifest .*v.json"):
                    self.previous().write_manifest(self.folder / "v.json")
                self.assertEqual((self.folder / "v.json").read_bytes(), text)


class TestGit(BuilderTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.git("init", "-q")

    def git(self, *args: str, time: int = T1) -> None:
        date = f"{time} +0000"
        subprocess.run(
            ["git", "-c", "user.name=t", "-c", "user.email=t@example.org", "-C", self.src, *args],
            env=dict(os.environ, GIT_COMMITTER_DATE=date, GIT_AUTHOR_DATE="1000000000 +0000"),
            check=True,
        )

    def commit(self, time: int) -> None:
        self.git("add", ".")
        self.git("commit", "-q", "-m", "a change", time=time)

    def builder(self, **options) -> OTAManifestBuilder:
        return OTAManifestBuilder(self.src, version_source="git_commit_time", **options)

    def test_committer_time(self):
        self.release("a.py", "lib/b.py")
        self.commit(T2)
        self.write("src/lib/b.py", b"2")
        self.commit(T3)
        self.release("untracked.py")
        manifest = self.builder().generate_manifest_data()
        versions = {entry["path"]: entry["version"] for entry in manifest["files"]}
        self.assertEqual(versions, {"a.py": T2, "lib/b.py": T3, "untracked.py": T1})
        self.assertEqual(manifest["version"], T3)

    def test_version_of_one_file(self):
        # Filters and neighbours do not matter.
        names = ["a.py", "test_a.py", "LICENSE", "B.TXT", "docs/x.txt", "o,p/'q r'.py"]
        self.release(*names)
        self.commit(T2)
        self.write("src/b.py", b"2")
        self.commit(T3)
        self.release("untracked.py")
        (self.src / "folder.py").mkdir()
        (self.src / "link.c").symlink_to("nowhere")
        for name, want in [("b.py", T3), ("untracked.py", T1)] + [(n, T2) for n in names]:
            with self.subTest(name=name):
                self.assertEqual(self.builder().get_file_version(self.src / name), want)

    def test_version_of_a_missing_file(self):
        with self.assertRaises(FileNotFoundError):
            self.builder().get_file_version(self.src / "nowhere.py")

    def test_version_of_what_is_no_file(self):
        self.release("lib.py/a.py")
        with self.assertToolError("lib.py cannot be part of a release"):
            self.builder().get_file_version(self.src / "lib.py")

    def test_without_git(self):
        self.release("a.py")
        self.commit(T3)
        builder = self.builder(git_executable=str(self.folder / "no git here"))
        self.assertRegex(self.warnings(builder), "^warning: git .*no git here")
        with contextlib.redirect_stderr(io.StringIO()):
            self.assertEqual(builder.generate_manifest_data()["version"], T1)
        self.assertEqual(builder.get_file_version(self.src / "a.py"), T1)

    def test_own_git(self):
        self.release("a.py")
        self.commit(T2)
        log = self.folder / "log"
        git = self.script("my git", f'echo used >"{log}"\nexec git "$@"\n')
        builder = self.builder(git_executable=Path(git))
        self.assertEqual(builder.generate_manifest_data()["version"], T2)
        self.assertEqual(log.read_text(), "used\n")

    def test_outside_a_repository(self):
        path = self.write("plain/a.py")
        builder = OTAManifestBuilder(path.parent, version_source="git_commit_time")
        with mock.patch.dict(os.environ, GIT_CEILING_DIRECTORIES=str(self.folder)):
            self.assertIn("warning: git", self.warnings(builder))


class TestWrite(BuilderTestCase):
    def test_makes_folders_and_returns_what_it_wrote(self):
        self.release("a.py")
        out = self.folder / "new folder" / "deep" / "versions.json"
        builder = OTAManifestBuilder(self.src)
        with contextlib.redirect_stderr(io.StringIO()) as stderr:
            manifest = builder.write_manifest(str(out))
        self.assertEqual(stderr.getvalue(), "")
        self.assertEqual(manifest, builder.generate_manifest_data())
        self.assertEqual(json.loads(out.read_text(encoding="utf-8")), manifest)
        self.assertEqual(out.read_text(encoding="utf-8"), builder.generate_manifest() + "\n")

    def test_name_that_is_the_sign_for_standard_output(self):
        self.release("a.py")
        self.addCleanup(os.chdir, os.getcwd())
        os.chdir(self.folder)
        OTAManifestBuilder(self.src).write_manifest("-")
        self.assertTrue((self.folder / "-").is_file())

    def test_failure_leaves_the_old_manifest(self):
        old = self.write("v.json", b"old")
        with self.assertToolError("nowhere"):
            OTAManifestBuilder(self.folder / "nowhere").write_manifest(old)
        self.assertEqual(old.read_bytes(), b"old")

    def test_place_that_cannot_be_written(self):
        self.release("a.py")
        self.write("file")
        for out in (self.folder / "file" / "v.json", self.folder):
            with self.subTest(out=out), self.assertToolError("write the manifest"):
                OTAManifestBuilder(self.src).write_manifest(out)


class TestSmallMethods(BuilderTestCase):
    def test_calculate_md5(self):
        data = bytes(range(256)) * 1000
        builder = OTAManifestBuilder("anywhere")
        self.assertEqual(builder.calculate_md5(self.write("f", data)), md5(data))
        self.assertEqual(
            builder.calculate_md5(str(self.write("e"))), "d41d8cd98f00b204e9800998ecf8427e"
        )
        with self.assertRaises(FileNotFoundError):
            builder.calculate_md5(self.folder / "nowhere")
        with self.assertRaises(OSError):
            builder.calculate_md5(self.folder)

    def test_get_file_version(self):
        path = self.write("notes.txt", time=T2)
        os.utime(path, ns=(0, T2 * 10**9 + 999_999_000))
        builder = OTAManifestBuilder("anywhere")
        self.assertEqual(builder.get_file_version(path), T2)
        self.assertEqual(builder.get_file_version(str(path)), T2)
        with self.assertRaises(FileNotFoundError):
            builder.get_file_version(self.folder / "nowhere")

    def test_get_file_version_agrees_with_the_manifest_on_fractions(self):
        # A float cannot hold the end of this second; both must round it up.
        path = self.write("src/a.py")
        os.utime(path, ns=(0, T1 * 10**9 + 999_999_999))
        builder = OTAManifestBuilder(self.src)
        self.assertEqual(
            builder.get_file_version(path), builder.generate_manifest_data()["version"]
        )

    def test_load_manifest(self):
        path = self.write("v.json", '{"version": 3, "files": [], "x": "ключ"}'.encode())
        self.assertEqual(
            OTAManifestBuilder.load_manifest(path), {"version": 3, "files": [], "x": "ключ"}
        )

    def test_load_manifest_that_cannot_be_read(self):
        none = {"version": 0, "files": []}
        self.assertEqual(OTAManifestBuilder.load_manifest(self.folder / "nowhere"), none)
        self.assertEqual(OTAManifestBuilder.load_manifest(self.folder), none)
        for data in (b"", b"{", b"<html>", b"\xff\xfe"):
            with self.subTest(data=data):
                self.assertEqual(OTAManifestBuilder.load_manifest(self.write("v", data)), none)
