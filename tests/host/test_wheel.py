import hashlib
import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import zipfile
from email.parser import HeaderParser
from pathlib import Path

from support import PROGRAM, ROOT, FolderTestCase


def run(*command, **options) -> str:
    """Run a command; return what it prints, fail with it if the command does."""
    done = subprocess.run(
        [str(part) for part in command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        **options,
    )
    if done.returncode:
        raise AssertionError(f"{command} failed:\n{done.stdout}")
    return done.stdout


def environment(**changes: str) -> dict:
    """Return the environment of somebody who has only what was installed."""
    keep = dict(os.environ, PYTHON=sys.executable, **changes)
    for name in ("SAGUAROTA_BIN", "PYTHONPATH", "SOURCE_DATE_EPOCH", "GOOS", "GOARCH"):
        if name not in changes:
            keep.pop(name, None)
    return keep


def build(source: Path, out: Path, platforms: str = "", **changes: str) -> Path:
    """Build the wheel of a source folder into the folder out."""
    env = environment(PLATFORMS=platforms, **changes)
    run(source / "scripts" / "wheel", out, env=env)
    (wheel,) = out.glob("*.whl")
    return wheel


def copy_of_source(to: Path) -> Path:
    """Copy what the wheel is made of, with other times and modes."""
    shutil.copytree(
        ROOT,
        to,
        ignore=shutil.ignore_patterns(
            ".git", ".tools", "bin", "build", "dist", "__pycache__", "testdata"
        ),
    )
    for folder, _, names in os.walk(to):
        for name in names:
            path = os.path.join(folder, name)
            os.utime(path, (1, 1))
            os.chmod(path, os.stat(path).st_mode & 0o700 | stat.S_IRUSR)
    return to


class TestWheel(FolderTestCase):
    """One wheel for this machine, built once for all tests."""

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.out = Path(tempfile.mkdtemp(prefix="saguarota-hosttest-"))
        cls.addClassCleanup(shutil.rmtree, cls.out)
        cls.wheel = build(ROOT, cls.out)
        cls.version = run(PROGRAM, "--version").split()[-1]

    def test_name(self):
        self.assertTrue(self.wheel.name.startswith(f"saguarota-{self.version}-py3-none-"))

    def test_contents(self):
        with zipfile.ZipFile(self.wheel) as archive:
            names = archive.namelist()
            info = f"saguarota-{self.version}.dist-info"
            package = [f"saguarota/{path.name}" for path in (ROOT / "saguarota").glob("*.py")]
            self.assertEqual(
                sorted(names),
                sorted(
                    package
                    + [
                        "saguarota/py.typed",
                        f"saguarota-{self.version}.data/scripts/saguarota",
                        f"{info}/METADATA",
                        f"{info}/RECORD",
                        f"{info}/WHEEL",
                        f"{info}/licenses/LICENSE",
                    ]
                ),
            )
            metadata = HeaderParser().parsestr(archive.read(f"{info}/METADATA").decode())
            license_text = archive.read(f"{info}/licenses/LICENSE")
        self.assertEqual(metadata["Version"], self.version)
        self.assertEqual(metadata["Requires-Python"], ">=3.8")
        self.assertIsNone(metadata["Requires-Dist"])
        self.assertEqual(license_text, (ROOT / "LICENSE").read_bytes())

    def test_same_bytes_from_another_place_at_another_time(self):
        source = copy_of_source(self.folder / "elsewhere")
        again = build(source, self.folder / "out")
        self.assertEqual(again.name, self.wheel.name)
        self.assertEqual(
            hashlib.sha256(again.read_bytes()).hexdigest(),
            hashlib.sha256(self.wheel.read_bytes()).hexdigest(),
        )

    def test_time_can_be_chosen(self):
        wheel = build(ROOT, self.folder, SOURCE_DATE_EPOCH="1700000000")
        with zipfile.ZipFile(wheel) as archive:
            times = {member.date_time for member in archive.infolist()}
        self.assertEqual(times, {(2023, 11, 14, 22, 13, 20)})

    def test_other_platforms(self):
        for platform, tag, program in (
            ("windows/arm64", "win_arm64", "saguarota.exe"),
            ("darwin/arm64", "macosx_12_0_arm64", "saguarota"),
        ):
            with self.subTest(platform=platform):
                # Into one folder: the wheel from before is replaced.
                wheel = build(ROOT, self.folder, platform)
                self.assertEqual(wheel.name, f"saguarota-{self.version}-py3-none-{tag}.whl")
                with zipfile.ZipFile(wheel) as archive:
                    self.assertIn(
                        f"saguarota-{self.version}.data/scripts/{program}", archive.namelist()
                    )

    def test_unknown_platform(self):
        with self.assertRaisesRegex(AssertionError, "no wheel can be made for plan9/386.*linux/"):
            build(ROOT, self.folder, "plan9/386")

    def test_without_go(self):
        # Every program that there is, but for go.
        tools = self.folder / "tools"
        tools.mkdir()
        for folder in os.environ["PATH"].split(os.pathsep):
            if os.path.isdir(folder):
                for name in os.listdir(folder):
                    if name != "go" and not (tools / name).exists():
                        (tools / name).symlink_to(os.path.join(folder, name))
        env = environment(PATH=str(tools))
        with self.assertRaisesRegex(AssertionError, "no go on PATH; install Go from"):
            run(ROOT / "scripts" / "wheel", self.folder / "out", env=env)
        with self.assertRaisesRegex(AssertionError, "needs Go: install it from .* wheel"):
            run(
                sys.executable, "-m", "pip", "wheel", "--no-deps", "-w", self.folder / "out", ROOT,
                env=env,
            )  # fmt: skip

    def install(self, *options) -> None:
        run(
            sys.executable, "-m", "pip", *options[:2], "install", "--no-index", "--no-deps",
            *options[2:], self.wheel,
            env=environment(),
        )  # fmt: skip

    def try_out(self, python: Path, **changes: str) -> None:
        """Use what is installed, from a folder where nothing else is."""
        self.write("src/main.py", b"print(1)\n")
        env = environment(**changes)
        text = run(
            python,
            "-c",
            "import saguarota, saguarota.py3utils as u\n"
            "print(u.find_tool())\n"
            "print(saguarota.__file__)\n"
            "print(u.OTAManifestBuilder('src').generate_manifest())",
            cwd=self.folder,
            env=env,
        )
        tool, package, manifest = text.split("\n", 2)
        self.assertTrue(tool.startswith(f"{self.folder}/env/"), tool)
        self.assertTrue(package.startswith(f"{self.folder}/env/"), package)
        self.assertEqual(json.loads(manifest)["files"][0]["path"], "main.py")

    def test_in_a_fresh_environment(self):
        # pip works on it from outside: not every Python can put pip into one.
        run(sys.executable, "-m", "venv", "--without-pip", self.folder / "env")
        scripts = self.folder / "env" / "bin"
        self.install("--python", scripts / "python")
        path = f"{scripts}{os.pathsep}{os.environ['PATH']}"
        self.assertEqual(shutil.which("saguarota", path=path), str(scripts / "saguarota"))
        said = run("saguarota", "--version", env=environment(PATH=path), cwd=self.folder)
        self.assertEqual(said, f"saguarota version {self.version}\n")
        self.try_out(scripts / "python")

    def test_in_a_folder(self):
        self.install("--quiet", "--disable-pip-version-check", "--target", self.folder / "env")
        self.try_out(Path(sys.executable), PYTHONPATH=str(self.folder / "env"))
