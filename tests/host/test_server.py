import contextlib
import http.client
import io
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from unittest import mock

from support import PROGRAM, ROOT, T2, FolderTestCase

from saguarota.py3utils import (
    OTAManifestBuilder,
    OTAManifestServer,
    ServerStartError,
    ToolError,
)

# No test waits longer than this for anything; it is only there to end a hang.
PATIENCE_S = 60


def get(port: int, path: str) -> bytes:
    with urllib.request.urlopen(f"http://localhost:{port}{path}", timeout=PATIENCE_S) as answer:
        return answer.read()


def manifest(port: int) -> dict:
    return json.loads(get(port, "/ota/versions.json"))


def listens(port: int) -> bool:
    try:
        socket.create_connection(("localhost", port), PATIENCE_S).close()
    except ConnectionRefusedError:
        return False
    return True


class Output(io.StringIO):
    """Standard output on which a test can wait for a text."""

    def __init__(self) -> None:
        super().__init__()
        self.changed = threading.Condition()

    def write(self, text: str) -> int:
        with self.changed:
            self.changed.notify_all()
            return super().write(text)

    def wait_for(self, text: str) -> None:
        with self.changed:
            if not self.changed.wait_for(lambda: text in self.getvalue(), PATIENCE_S):
                raise AssertionError(f"{text!r} not in {self.getvalue()!r}")


class ServerTestCase(FolderTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.src = self.folder / "src dir"
        self.write("src dir/main.py", b"print(1)\n")
        self.output = Output()
        redirect = contextlib.redirect_stdout(self.output)
        redirect.__enter__()
        self.addCleanup(redirect.__exit__, None, None, None)

    def server(self, **options) -> OTAManifestServer:
        server = OTAManifestServer(self.src, **dict({"port": 0}, **options))
        self.addCleanup(server.stop)
        return server

    def start(self, **options) -> OTAManifestServer:
        server = self.server(**options)
        server.start(background=True)
        return server


class TestBackground(ServerTestCase):
    def test_serves_by_the_time_start_returns(self):
        server = self.start()
        self.assertGreater(server.port, 0)
        self.assertEqual(
            self.output.getvalue(),
            f"OTAManifestServer running at http://localhost:{server.port}\n"
            f"Manifest URL: http://localhost:{server.port}/ota/versions.json\n",
        )
        self.assertEqual(
            manifest(server.port), OTAManifestBuilder(self.src).generate_manifest_data()
        )
        self.assertEqual(get(server.port, "/ota/main.py"), b"print(1)\n")

    def test_manifest_follows_the_files(self):
        server = self.start()
        manifest(server.port)
        self.write("src dir/new.py", time=T2)
        self.assertEqual(manifest(server.port)["version"], T2)

    def test_only_what_is_in_the_manifest(self):
        self.write("src dir/test_main.py")
        self.write("secret.py")
        server = self.start()
        for path in ("/", "/main.py", "/ota/test_main.py", "/ota/../secret.py", "/ota/no.py"):
            with self.subTest(path=path), self.assertRaises(urllib.error.HTTPError) as caught:
                get(server.port, path)
            caught.exception.close()
            self.assertEqual(caught.exception.code, 404)

    def test_requests_are_lines_on_standard_output(self):
        server = self.start()
        get(server.port, "/ota/main.py")
        self.output.wait_for("GET /ota/main.py 200")

    def test_stop_frees_the_port_and_start_takes_it_again(self):
        server = self.start()
        port = server.port
        server.stop()
        self.assertFalse(listens(port))
        server.stop()
        server.start(background=True)
        self.assertEqual(server.port, port)
        self.assertTrue(listens(port))

    def test_stop_before_start(self):
        self.server().stop()

    def test_start_twice(self):
        server = self.start()
        with self.assertRaisesRegex(RuntimeError, "running already"):
            server.start(background=True)
        self.assertTrue(listens(server.port))

    def test_start_again_after_the_server_broke_down(self):
        server = self.start()
        process = server._process
        process._popen.kill()
        self.assertTrue(process.ended(PATIENCE_S))
        server.start(background=True)
        self.assertTrue(listens(server.port))

    def test_from_many_threads(self):
        server = self.server()
        results = []

        def start() -> None:
            try:
                server.start(background=True)
                results.append("started")
            except RuntimeError:
                results.append("refused")

        def run(target) -> None:
            threads = [threading.Thread(target=target) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(PATIENCE_S)
                self.assertFalse(thread.is_alive())

        run(start)
        self.assertEqual(sorted(results), ["refused"] * 3 + ["started"])
        self.assertTrue(listens(server.port))
        run(server.stop)
        self.assertFalse(listens(server.port))

    def test_nobody_reads_standard_output(self):
        server = self.start()
        self.output.close()
        for _ in range(3):
            self.assertEqual(get(server.port, "/ota/main.py"), b"print(1)\n")
        server.stop()
        self.assertFalse(listens(server.port))

    def test_every_address(self):
        server = self.start(host="0.0.0.0")
        self.assertIn(f"running at http://0.0.0.0:{server.port}\n", self.output.getvalue())
        self.assertRegex(
            self.output.getvalue(), rf"Manifest URL: http://[0-9.]+:{server.port}/ota/versions.json"
        )
        self.assertTrue(listens(server.port))

    def test_empty_folder_is_filled_later(self):
        (self.src / "main.py").unlink()
        server = self.start()
        self.assertEqual(manifest(server.port)["files"], [])
        self.write("src dir/late.py")
        self.assertEqual(get(server.port, "/ota/late.py"), b"")

    def test_what_is_wrong_with_the_files_is_told_but_does_not_stop_the_server(self):
        self.write("src dir/Main.py")
        server = self.start()
        self.output.wait_for("only in case")
        (self.src / "Main.py").unlink()
        self.assertEqual(len(manifest(server.port)["files"]), 1)


class TestBuilder(ServerTestCase):
    def test_without_one_the_defaults_hold(self):
        server = self.server()
        self.assertEqual(server.src_dir, self.src)
        self.assertEqual(server.builder.src_dir, self.src)
        self.assertEqual(server.host, "localhost")
        self.assertEqual(OTAManifestServer("x").port, 8000)

    def test_options_are_honoured(self):
        self.write("src dir/a,b.txt")
        self.write("src dir/docs/b.txt")
        self.write("src dir/old/c.txt")
        self.write("src dir/tmp_d.txt")
        previous = self.write("v.json", b'{"version": 1900000000, "files": []}')
        builder = OTAManifestBuilder(
            self.src,
            auth_key="s3cret, ключ",
            signature_field="mac",
            allowed_extensions={".txt"},
            exclude_prefixes=["tmp_"],
            exclude_folders=["old"],
            json_indent=None,
            previous_manifest_path=previous,
        )
        server = self.start(builder=builder)
        text = get(server.port, "/ota/versions.json").decode()
        self.assertEqual(text.rstrip("\n"), builder.generate_manifest())
        data = json.loads(text)
        self.assertEqual([entry["path"] for entry in data["files"]], ["a,b.txt", "docs/b.txt"])
        self.assertEqual(data["version"], 1900000001)
        self.assertIn("mac", data)
        self.assertEqual(get(server.port, "/ota/a%2Cb.txt"), b"")

    def test_key_is_not_on_the_command_line(self):
        log = self.folder / "log"
        spy = self.script("spy", f'printf "%s\\n" "$@" >"{log}"\nexec "{PROGRAM}" "$@"\n')
        with mock.patch.dict(os.environ, SAGUAROTA_BIN=spy):
            server = self.start(builder=OTAManifestBuilder(self.src, auth_key="s3cret"))
        self.assertIn("signature", manifest(server.port))
        self.assertIn("serve", log.read_text())
        self.assertNotIn("s3cret", log.read_text())

    def test_same_folder_by_another_name(self):
        (self.folder / "link").symlink_to(self.src)
        server = self.start(builder=OTAManifestBuilder(self.folder / "link"))
        self.assertEqual(len(manifest(server.port)["files"]), 1)

    def test_another_folder_is_refused(self):
        server = self.server(builder=OTAManifestBuilder(self.folder))
        with self.assertRaisesRegex(ValueError, "one folder"):
            server.start()


class TestCannotStart(ServerTestCase):
    def test_port_in_use(self):
        first = self.start()
        second = self.server(port=first.port)
        with self.assertRaisesRegex(OSError, f"port {first.port} .*taken") as caught:
            second.start()
        self.assertIsInstance(caught.exception, ServerStartError)
        second.port = 0
        second.start(background=True)
        self.assertTrue(listens(second.port))

    def test_missing_folder(self):
        server = OTAManifestServer(self.folder / "nowhere", port=0)
        with self.assertRaisesRegex(ServerStartError, "/nowhere"):
            server.start()

    def test_bad_addresses(self):
        for options in (
            {"port": 70000},
            {"port": -1},
            {"host": "no such host.invalid"},
            {"host": "192.0.2.250"},
        ):
            with self.subTest(options=options), self.assertRaises(ServerStartError) as caught:
                self.server(**options).start()
            self.assertIn(str(list(options.values())[0]), str(caught.exception))

    def test_damaged_previous_manifest(self):
        builder = OTAManifestBuilder(self.src, previous_manifest_path=self.write("v.json", b"{"))
        with self.assertRaisesRegex(ServerStartError, "previous manifest .*v.json"):
            self.server(builder=builder).start()


class TestForeground(ServerTestCase):
    def run_in_thread(self, server: OTAManifestServer) -> "tuple[threading.Thread, list]":
        errors: list = []

        def run() -> None:
            try:
                server.start()
            except Exception as error:
                errors.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        self.output.wait_for("Manifest URL: ")
        return thread, errors

    def test_stop_from_another_thread_ends_start(self):
        server = self.server()
        thread, errors = self.run_in_thread(server)
        server.stop()
        thread.join(PATIENCE_S)
        self.assertFalse(thread.is_alive())
        self.assertEqual(errors, [])

    def test_breakdown_is_an_error(self):
        server = self.server()
        thread, errors = self.run_in_thread(server)
        server._process._popen.kill()
        thread.join(PATIENCE_S)
        self.assertFalse(thread.is_alive())
        self.assertIsInstance(errors[0], ToolError)


class TestProcess(FolderTestCase):
    """What only a Python process of its own can show."""

    def setUp(self) -> None:
        super().setUp()
        self.write("src/main.py")

    def python(self, text: str) -> "subprocess.Popen[str]":
        """Run a program; server is one that is not started yet."""
        head = (
            "import os, signal, sys\n"
            "from saguarota.py3utils import OTAManifestServer\n"
            "server = OTAManifestServer('src', port=0)\n"
        )
        process = subprocess.Popen(
            # Newer ones warn of the fork that one of the tests is about.
            [sys.executable, "-W", "ignore", "-c", head + text],
            cwd=self.folder,
            env=dict(os.environ, PYTHONPATH=str(ROOT)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            start_new_session=True,
        )
        self.addCleanup(self.end, process)
        return process

    def end(self, process: "subprocess.Popen[str]") -> None:
        process.kill()
        process.communicate()

    def port(self, process: "subprocess.Popen[str]") -> int:
        line = process.stdout.readline()
        self.assertIn("OTAManifestServer running at http://localhost:", line)
        self.assertIn("Manifest URL: ", process.stdout.readline())
        return int(line.rpartition(":")[2])

    def connect(self, port: int) -> http.client.HTTPConnection:
        """Return a connection that is kept alive after a request."""
        connection = http.client.HTTPConnection("localhost", port, timeout=PATIENCE_S)
        self.addCleanup(connection.close)
        connection.request("GET", "/ota/main.py")
        connection.getresponse().read()
        return connection

    def assertServerEnds(self, connection: http.client.HTTPConnection, port: int) -> None:
        # The server hangs up as it ends, after it has given up the port.
        with contextlib.suppress(ConnectionResetError):
            self.assertEqual(connection.sock.recv(1), b"")
        self.assertFalse(listens(port))

    def test_ctrl_c(self):
        process = self.python("server.start()\nprint('after')\n")
        port = self.port(process)
        # As a terminal does: to all processes of the group.
        os.killpg(process.pid, signal.SIGINT)
        output, _ = process.communicate(timeout=PATIENCE_S)
        self.assertEqual(output, "\nShutting down server...\nafter\n")
        self.assertEqual(process.returncode, 0)
        self.assertFalse(listens(port))

    def test_signal_handler_may_stop(self):
        process = self.python(
            "signal.signal(signal.SIGTERM, lambda *_: server.stop())\n"
            "server.start()\nprint('after')\n"
        )
        port = self.port(process)
        process.terminate()
        output, _ = process.communicate(timeout=PATIENCE_S)
        self.assertEqual(output, "after\n")
        self.assertEqual(process.returncode, 0)
        self.assertFalse(listens(port))

    def test_python_ends_without_stop(self):
        for last in ("", "sys.exit(3)", "raise SystemExit", "1 / 0"):
            with self.subTest(last=last):
                process = self.python(f"server.start(background=True)\n{last}\n")
                port = self.port(process)
                process.communicate(timeout=PATIENCE_S)
                self.assertFalse(listens(port))

    def test_server_without_a_name_goes_on(self):
        process = self.python(
            "OTAManifestServer('src', port=0).start(background=True)\n"
            "import gc; gc.collect()\nsys.stdin.read()\n"
        )
        port = self.port(process)
        self.assertEqual(len(manifest(port)["files"]), 1)

    def test_python_is_killed(self):
        for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGHUP):
            with self.subTest(signal=number):
                process = self.python("server.start(background=True)\nsys.stdin.read()\n")
                port = self.port(process)
                connection = self.connect(port)
                process.send_signal(number)
                process.wait(PATIENCE_S)
                self.assertServerEnds(connection, port)

    def test_forked_child_neither_keeps_nor_stops_it(self):
        # The first child ends in the usual way, the second outlives its parent.
        process = self.python(
            "server.start(background=True)\n"
            "child = os.fork()\n"
            "if child == 0:\n"
            "    sys.exit()\n"
            "print('child', os.waitpid(child, 0)[1], flush=True)\n"
            "if os.fork() == 0:\n"
            "    sys.stdin.read()\n"
            "    os._exit(0)\n"
            "print('ready', flush=True)\n"
            "sys.stdin.read()\n"
        )
        port = self.port(process)
        self.assertEqual(process.stdout.readline(), "child 0\n")
        self.assertEqual(process.stdout.readline(), "ready\n")
        self.assertEqual(len(manifest(port)["files"]), 1)
        connection = self.connect(port)
        process.kill()
        process.wait(PATIENCE_S)
        self.assertServerEnds(connection, port)
