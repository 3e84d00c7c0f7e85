"""Build hook: compiles the Go program and puts it into the wheel.

The program travels in the wheel's scripts folder, so installing the wheel puts
it on PATH. GOOS and GOARCH choose the platform, as for any Go build; the wheel
is tagged to match. It works with every Python 3, and depends on no C library.
"""

import os
import shutil
import subprocess
import tempfile

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

# The oldest systems on which a program built by this Go release runs. A Go
# program without cgo is static, so glibc and musl systems can share a wheel.
TAGS = {
    ("linux", "amd64"): "manylinux_2_17_x86_64.manylinux2014_x86_64.musllinux_1_1_x86_64",
    ("linux", "arm64"): "manylinux_2_17_aarch64.manylinux2014_aarch64.musllinux_1_1_aarch64",
    ("darwin", "amd64"): "macosx_12_0_x86_64",
    ("darwin", "arm64"): "macosx_12_0_arm64",
    ("windows", "amd64"): "win_amd64",
    ("windows", "arm64"): "win_arm64",
}


class GoProgram(BuildHookInterface):
    PLUGIN_NAME = "custom"

    def initialize(self, version, build_data):
        if shutil.which("go") is None:
            self.app.abort(
                "building saguarota from source needs Go: install it from https://go.dev/dl/ "
                "and try again, or install a wheel, which needs none"
            )
        platform = tuple(self.go("env", "GOOS", "GOARCH").split())
        if platform not in TAGS:
            self.app.abort(
                "no wheel can be made for {}/{}; known are {}".format(
                    *platform, ", ".join(map("/".join, sorted(TAGS)))
                )
            )

        name = "saguarota.exe" if platform[0] == "windows" else "saguarota"
        self.folder = tempfile.mkdtemp(prefix="saguarota-wheel-")
        program = os.path.join(self.folder, name)
        # Neither the checkout's path nor its state may change the bytes.
        self.go("build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w",
                "-o", program, "./cmd/saguarota")  # fmt: skip
        os.chmod(program, 0o755)

        build_data["shared_scripts"][program] = name
        build_data["pure_python"] = False
        build_data["tag"] = "py3-none-" + TAGS[platform]

    def finalize(self, version, build_data, artifact_path):
        shutil.rmtree(self.folder)

    def go(self, *args):
        done = subprocess.run(
            ("go",) + args,
            cwd=self.root,
            env=dict(os.environ, CGO_ENABLED="0"),
            capture_output=True,
            text=True,
        )
        if done.returncode:
            self.app.abort(f"go {args[0]} failed:\n{done.stderr}")
        return done.stdout
