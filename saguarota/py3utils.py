"""The computer's half of SaguarOTA, for Python: write manifests, serve them to boards.

    from saguarota.py3utils import OTAManifestBuilder, OTAManifestServer

    OTAManifestBuilder("src").write_manifest("site/versions.json")
    OTAManifestServer("src", host="0.0.0.0").start()

Both classes start the ``saguarota`` program and hand it their options, so that
a manifest is the same whether Python, a shell or a build server asked for it.
The wheel brings the program along; :func:`find_tool` says where else it is
looked for. Python 3.8 or newer; nothing here runs on a board.
"""

import atexit
import csv
import hashlib
import io
import json
import os
import subprocess
import sys
import sysconfig
import threading
import weakref
from pathlib import Path
from typing import Any, Dict, Iterable, List, Optional, Tuple, Union

__all__ = [
    "OTAManifestBuilder",
    "OTAManifestServer",
    "ServerStartError",
    "ToolError",
    "ToolNotFoundError",
    "find_tool",
]

_StrPath = Union[str, "os.PathLike[str]"]

# The signing key travels in this variable of the program's environment: a
# command line can be read by every user of the machine.
_KEY_VARIABLE = "SAGUAROTA_PY3UTILS_AUTH_KEY"

# What the server prints once it accepts connections, before its address.
_READY = "listening on http://"

# How long a server that was told to stop may finish what it is sending.
_STOP_TIMEOUT_S = 10.0


class ToolError(RuntimeError):
    """The ``saguarota`` program refused or failed; the text is its own message."""


class ToolNotFoundError(ToolError, FileNotFoundError):
    """There is no ``saguarota`` program where :func:`find_tool` looks."""


class ServerStartError(ToolError, OSError):
    """The server could not start, for example because the port is taken."""


def find_tool() -> str:
    """Return the path of the ``saguarota`` program.

    ``SAGUAROTA_BIN`` decides alone where it is set. Otherwise the copy that
    belongs to this very module is preferred, because the two were released
    together: ``bin/`` beside the package (a source checkout after ``make build``,
    ``pip install --target``), then the script folders of this Python. The last
    resort is ``PATH``.

    Raises:
        ToolNotFoundError: nowhere there, with the ways to get it.
    """
    name = "saguarota.exe" if os.name == "nt" else "saguarota"

    chosen = os.environ.get("SAGUAROTA_BIN")
    if chosen:
        if _is_program(chosen):
            return os.path.abspath(chosen)
        raise ToolNotFoundError(
            f"SAGUAROTA_BIN is {chosen!r}, which is not a program that can be started; "
            "correct it or unset it"
        )

    folders = [str(Path(__file__).resolve().parent.parent / "bin")]
    folders.append(sysconfig.get_path("scripts"))
    # Before Python 3.10 there was nothing to ask which of the schemes is a user's.
    user_scheme = getattr(sysconfig, "get_preferred_scheme", lambda _: os.name + "_user")("user")
    folders.append(sysconfig.get_path("scripts", user_scheme))
    folders.append(os.path.join(sys.prefix, "bin"))
    # Relative entries are left out: the current folder is often the very tree
    # that is being released, and nothing in it should be run by surprise.
    folders += filter(os.path.isabs, os.environ.get("PATH", "").split(os.pathsep))
    for folder in folders:
        candidate = os.path.join(folder, name)
        if _is_program(candidate):
            return candidate

    raise ToolNotFoundError(
        "the saguarota program is not installed; get it with 'pip install saguarota', "
        "with 'go install github.com/cactuscon/saguarota/cmd/saguarota@latest', or with "
        "'make build' in a source checkout, or set SAGUAROTA_BIN to its path"
    )


def _is_program(path: str) -> bool:
    return os.path.isfile(path) and os.access(path, os.X_OK)


def _run_tool(args: List[str], env: Optional[Dict[str, str]] = None) -> Tuple[str, str]:
    """Run the program to its end; return what it printed and its warnings."""
    tool = find_tool()
    try:
        done = subprocess.run(
            [tool] + args,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env=env,
        )
    except OSError as error:
        raise ToolError(f"{tool} cannot be started: {error}") from error
    warnings = done.stderr.decode("utf-8", "replace").strip()
    if done.returncode:
        raise ToolError(_message(warnings, done.returncode))
    return done.stdout.decode("utf-8"), warnings


def _message(stderr: str, returncode: int) -> str:
    """Return what the program said of its failure, without its own name."""
    prefix = "saguarota: "
    lines = [
        line[len(prefix) :] if line.startswith(prefix) else line
        for line in stderr.strip().splitlines()
    ]
    return "\n".join(lines) or f"saguarota ended with status {returncode}"


def _names(value: Optional[Iterable[str]]) -> Tuple[str, ...]:
    """Return the strings in value; a lone string is one name, not its letters."""
    if value is None:
        return ()
    return (value,) if isinstance(value, str) else tuple(value)


def _list_flag(name: str, values: Iterable[str]) -> str:
    """Return a list option. The program reads a line of CSV: names may have commas."""
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(list(values))
    return f"{name}={line.getvalue()}"


class OTAManifestBuilder:
    """Describes a source folder as a manifest (``versions.json``).

    Every argument is kept as an attribute of the same name and read anew by each
    call, so options may be changed between calls.

    Args:
        src_dir: The folder to release.
        auth_key: Secret shared with the boards; if set, the manifest is signed
            with HMAC-SHA256.
        signature_field: Key under which the manifest carries that signature.
        allowed_extensions: Extensions of the files to release, dot included,
            upper and lower case alike. None or empty: ``.py .mpy .raw .rgb565 .c``.
        exclude_prefixes: Beginnings of file names to leave out. None or empty:
            ``test_``.
        exclude_folders: Names of folders to leave out, at any depth. None or
            empty: ``__pycache__ examples docs tests``.
        followlinks: Whether folders behind symbolic links are part of the release.
        json_indent: Spaces a level, at most 32; None for everything on one line.
        version_source: What a file's version is: ``mtime``, its modification time,
            or ``git_commit_time``, when a commit last touched it (``mtime`` for a
            file that git does not know). Seconds since 1970, either way.
        previous_manifest_path: Manifest of the release before this one, so that
            versions only grow. The file need not exist: nothing comes before a
            first release.
        reuse_unchanged_versions: Keep a file's version from the previous manifest
            where its content is the same.
        git_executable: Name or path of git.
    """

    def __init__(
        self,
        src_dir: _StrPath,
        auth_key: Optional[str] = None,
        signature_field: str = "signature",
        allowed_extensions: Optional[Iterable[str]] = None,
        exclude_prefixes: Optional[Iterable[str]] = None,
        exclude_folders: Optional[Iterable[str]] = None,
        followlinks: bool = True,
        json_indent: Optional[int] = 2,
        version_source: str = "mtime",
        previous_manifest_path: Optional[_StrPath] = None,
        reuse_unchanged_versions: bool = False,
        git_executable: _StrPath = "git",
    ) -> None:
        self.src_dir = Path(src_dir)
        self.auth_key = auth_key
        self.signature_field = signature_field
        self.allowed_extensions = {
            ext.lower()
            for ext in _names(allowed_extensions) or (".py", ".mpy", ".raw", ".rgb565", ".c")
        }
        self.exclude_prefixes = _names(exclude_prefixes) or ("test_",)
        self.exclude_folders = set(
            _names(exclude_folders) or ("__pycache__", "examples", "docs", "tests")
        )
        self.followlinks = bool(followlinks)
        self.json_indent = json_indent
        self.version_source = version_source
        self.previous_manifest_path = (
            Path(previous_manifest_path) if previous_manifest_path else None
        )
        self.reuse_unchanged_versions = bool(reuse_unchanged_versions)
        self.git_executable = git_executable

    def generate_manifest_data(self) -> Dict[str, Any]:
        """Scan the folder and return the manifest as a dict.

        Raises:
            ToolError: The folder cannot be released; the message says why.
        """
        data: Dict[str, Any] = json.loads(self.generate_manifest())
        return data

    def generate_manifest(self) -> str:
        """Scan the folder and return the manifest as JSON text.

        Raises:
            ToolError: The folder cannot be released; the message says why.
        """
        return self._manifest([]).rstrip("\n")

    def write_manifest(self, output_path: _StrPath) -> Dict[str, Any]:
        """Scan the folder, write the manifest to a file and return it as a dict.

        Missing parent folders are made. Whoever reads the file meanwhile sees the
        old manifest or the new one, never a part.

        Raises:
            ToolError: The folder cannot be released, or the file not be written;
                it is as it was. The message says why.
        """
        path = Path(output_path).absolute()
        self._manifest(["--output=" + str(path)])
        with open(path, encoding="utf-8") as file:
            data: Dict[str, Any] = json.load(file)
        return data

    def calculate_md5(self, file_path: _StrPath) -> str:
        """Return the MD5 of a file as 32 hexadecimal digits.

        Raises:
            OSError: The file cannot be read.
        """
        digest = hashlib.md5()
        with open(file_path, "rb") as file:
            for chunk in iter(lambda: file.read(1 << 16), b""):
                digest.update(chunk)
        return digest.hexdigest()

    def get_file_version(self, file_path: _StrPath) -> int:
        """Return the version of one file by ``version_source``, in seconds since 1970.

        The filters and the previous manifest play no part.

        Raises:
            OSError: There is no such file.
            ToolError: It cannot be part of a release; the message says why.
        """
        path = Path(file_path)
        modified = int(path.stat().st_mtime)
        if self.version_source == "mtime":
            return modified
        # The program takes folders. It is made to see no more of this one than the
        # files beside this file that have its extension.
        with os.scandir(path.parent) as entries:
            folders = [entry.name for entry in entries if entry.is_dir()]
        text, _ = _run_tool(
            [
                "manifest",
                _list_flag("--ext", [path.suffix]),
                _list_flag("--exclude-prefix", []),
                _list_flag("--exclude-folder", folders),
                f"--version-source={self.version_source}",
                f"--git={self.git_executable}",
                "--",
                str(path.parent),
            ]
        )
        for entry in json.loads(text)["files"]:
            if entry["path"] == path.name:
                return int(entry["version"])
        raise ToolError(f"{path} cannot be part of a release, so it has no version")

    @staticmethod
    def load_manifest(path: _StrPath) -> Dict[str, Any]:
        """Return the manifest in a file, or an empty one if it cannot be read."""
        try:
            with open(path, encoding="utf-8") as file:
                data: Dict[str, Any] = json.load(file)
        except (OSError, ValueError):
            return {"version": 0, "files": []}
        return data

    def _manifest(self, more: List[str]) -> str:
        text, warnings = _run_tool(
            ["manifest"] + self._flags() + more + ["--", str(self.src_dir)], self._env()
        )
        for line in warnings.splitlines():
            # All else is for people at a terminal.
            if line.startswith("warning: "):
                print(line, file=sys.stderr)
        return text

    def _flags(self) -> List[str]:
        """Return the options as the program's commands take them."""
        flags = [
            _list_flag("--ext", sorted(_names(self.allowed_extensions))),
            _list_flag("--exclude-prefix", _names(self.exclude_prefixes)),
            _list_flag("--exclude-folder", sorted(_names(self.exclude_folders))),
            "--follow-links={}".format("true" if self.followlinks else "false"),
            f"--indent={-1 if self.json_indent is None else self.json_indent}",
            f"--version-source={self.version_source}",
            f"--git={self.git_executable}",
            f"--signature-field={self.signature_field}",
        ]
        if self.previous_manifest_path:
            flags.append("--previous=" + str(self.previous_manifest_path))
        if self.reuse_unchanged_versions:
            flags.append("--reuse-unchanged-versions")
        if self.auth_key:
            flags.append("--auth-key-env=" + _KEY_VARIABLE)
        return flags

    def _env(self) -> Optional[Dict[str, str]]:
        """Return the environment that goes with the options, None for our own."""
        if not self.auth_key:
            return None
        # The key is UTF-8 for boards, whatever the locale makes of an environment.
        key = os.fsdecode(self.auth_key.encode("utf-8"))
        return dict(os.environ, **{_KEY_VARIABLE: key})


class OTAManifestServer:
    """Serves a source folder to boards during development. Not for production.

    The manifest is at ``/ota/versions.json``, built anew for each request, and the
    files are below ``/ota/``. Only what the manifest lists is served. The server
    is a process of its own that ends with this one, however this one ends.
    Methods may be called from any thread, and :meth:`stop` in a signal handler.

    Args:
        src_dir: The folder to serve.
        host: Name or address to listen on; ``0.0.0.0`` is every address of this
            machine, which boards need.
        port: TCP port to listen on. With 0 a free one is taken, and :meth:`start`
            sets the attribute ``port`` to it.
        builder: Says by its options what is served and how. It must be one for
            src_dir; methods that a subclass overrides are not called.
    """

    def __init__(
        self,
        src_dir: _StrPath,
        host: str = "localhost",
        port: int = 8000,
        builder: Optional[OTAManifestBuilder] = None,
    ) -> None:
        self.src_dir = Path(src_dir).resolve()
        self.host = host
        self.port = port
        self.builder = builder or OTAManifestBuilder(self.src_dir)
        self._process: Optional[_ServerProcess] = None
        self._start_lock = threading.Lock()
        _servers.add(self)

    def start(self, background: bool = False) -> None:
        """Start the server, and wait for Ctrl-C unless background is true.

        It accepts connections by the time its address is printed, which is before
        a call with background=True returns. Every request is a line on
        :data:`sys.stdout`.

        Raises:
            ServerStartError: It cannot start; the message says why.
            ToolError: It broke down (only while this call waits for it).
            ValueError: The builder is one for another folder.
            RuntimeError: It is running already.
        """
        if Path(self.builder.src_dir).resolve() != Path(self.src_dir).resolve():
            raise ValueError(
                f"the builder is for {self.builder.src_dir}, but the server for {self.src_dir}: "
                "make both for one folder"
            )
        with self._start_lock:
            if self._process is not None and not self._process.ended(0):
                raise RuntimeError("the server is running already; call stop() first")
            self.stop()
            process = _ServerProcess(
                ["serve", f"--host={self.host}", f"--port={self.port}"]
                # Someone who starts with an empty folder fills it later.
                + ["--allow-empty", "--exit-with-stdin"]
                + self.builder._flags()
                + ["--", str(self.src_dir)],
                self.builder._env(),
            )
            self._process = process
            # The process would end by itself, but a moment later than this one.
            atexit.register(self.stop)
            self.port = process.port
        if background:
            process.announce()
            return
        try:
            process.announce()
            # In short waits: Windows sees Ctrl-C only between them.
            while not process.ended(0.5):
                pass
            process.check()
        except KeyboardInterrupt:
            print("\nShutting down server...", flush=True)
        finally:
            self.stop()

    def stop(self) -> None:
        """Stop the server and wait until it has ended; do nothing if none runs.

        Downloads under way may go on for a few seconds.
        """
        # One thread only gets the process, without a lock: a signal handler may
        # interrupt this very method.
        process, self._process = self._process, None
        if process is not None:
            atexit.unregister(self.stop)
            process.stop()


class _ServerProcess:
    """The program's serve command, from its start to its end."""

    def __init__(self, args: List[str], env: Optional[Dict[str, str]]) -> None:
        """Start it; return when it accepts connections, raise if it never does."""
        tool = find_tool()
        # Ctrl-C is for Python alone, which then ends the server in good order.
        group: Dict[str, Any] = (
            {"creationflags": 0x200}  # CREATE_NEW_PROCESS_GROUP
            if os.name == "nt"
            else {"start_new_session": True}
        )
        try:
            self._popen = subprocess.Popen(
                [tool] + args,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                encoding="utf-8",
                errors="replace",
                env=env,
                **group,
            )
        except OSError as error:
            raise ServerStartError(f"{tool} cannot be started: {error}") from error

        assert self._popen.stdin and self._popen.stdout and self._popen.stderr
        self._stdin = self._popen.stdin
        self._stdout = self._popen.stdout
        self._stderr = self._popen.stderr
        self._stopping = False
        self._last_line = ""
        # Until the server is up, what it prints may be why it will not be.
        self._held: Optional[List[str]] = []
        self._print_lock = threading.Lock()
        # Locked until the process has ended. A plain lock, because unlike other
        # things to wait for it may be waited for in a signal handler as well.
        self._alive = threading.Lock()
        self._alive.acquire()
        self._over = False
        try:
            threading.Thread(target=self._relay, name="saguarota-serve", daemon=True).start()
            self._address, self._manifest_urls = self._welcome()
            self.port = int(self._address.rpartition(":")[2])
        except BaseException:
            self.stop()
            raise

    def _welcome(self) -> Tuple[str, List[str]]:
        """Wait until the server is up; return its address and lines about more."""
        line = ""
        while not line.startswith(_READY):
            line = self._stdout.readline()
            if not line:
                self.ended(-1)
                raise ServerStartError(
                    _message("\n".join(self._held or []), self._popen.returncode)
                )
        address = line[len(_READY) - len("http://") :].strip()
        urls = []
        line = self._stdout.readline()
        while line.startswith("Manifest URL: "):
            urls.append(line.rstrip())
            line = self._stdout.readline()
        return address, urls

    def announce(self) -> None:
        """Print where the server is, and from now on what it reports."""
        with self._print_lock:
            _print_line("OTAManifestServer running at " + self._address)
            for line in self._manifest_urls + (self._held or []):
                _print_line(line)
            self._held = None

    def _relay(self) -> None:
        """Print what the server reports, until it ends."""
        with self._stderr:
            for line in self._stderr:
                self._last_line = line = line.rstrip()
                with self._print_lock:
                    if self._held is not None:
                        self._held.append(line)
                    else:
                        _print_line(line)
        # Nobody else waits for the process, which would not be safe in a handler.
        self._popen.wait()
        self._over = True
        self._alive.release()

    def ended(self, timeout_s: float) -> bool:
        """Wait for the end at most so long, or for ever if negative; tell if it came."""
        if not self._over and self._alive.acquire(timeout=timeout_s):
            self._alive.release()
        return self._over

    def stop(self) -> None:
        """End the server, by force if it takes too long."""
        self._stopping = True
        try:
            self._stdin.close()
            gone = self.ended(_STOP_TIMEOUT_S)
        except BaseException:
            # Whoever presses Ctrl-C a second time does not want to wait.
            self._popen.kill()
            raise
        if not gone:
            self._popen.kill()
            self.ended(_STOP_TIMEOUT_S)
        self._stdout.close()

    def check(self) -> None:
        """Raise ToolError if the server ended in failure, and nobody stopped it."""
        if self._popen.returncode and not self._stopping:
            raise ToolError(_message(self._last_line, self._popen.returncode))

    def disown(self) -> None:
        """Let go of the process, in a forked child of the process that owns it."""
        self._stdin.close()
        self._popen.returncode = 0


def _print_line(line: str) -> None:
    try:
        print(line, flush=True)
    except (OSError, ValueError):
        # Standard output is closed, or cannot show a character. The server must
        # not stand still because nobody reads about it.
        pass


# The server ends when the other end of its standard input closes. A forked child
# of this process has a copy of that end, which would keep the server alive.
_servers: "weakref.WeakSet[OTAManifestServer]" = weakref.WeakSet()


def _disown_servers() -> None:
    for server in _servers:
        process, server._process = server._process, None
        server._start_lock = threading.Lock()
        if process is not None:
            process.disown()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_disown_servers)
