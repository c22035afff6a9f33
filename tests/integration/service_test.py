"""The daemon under a service manager: this file plays systemd's side of sd_notify(3)."""

import contextlib
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import unittest
import urllib.request
from pathlib import Path

from daemon import TONNAGE, demo_models, free_port, wait_until

WATCHDOG_S = 1.0
START_S_MAX = 30


class ServiceManager:
    """Starts tonnage as a service, hears what it says, and kills it when it falls silent."""

    def __init__(self, abstract=False, port=None, **config):
        self.folder = Path(tempfile.mkdtemp(prefix="tonnage-test-"))
        folder = demo_models("test")
        self.port = port or free_port()
        self.config = self.folder / "tonnage.yaml"
        self.config.write_text(json.dumps({
            "listen": f"127.0.0.1:{self.port}", "runtime_dir": str(self.folder / "run"),
            "state_dir": str(self.folder / "state"),
            "budgets": {"host": {"limit": "300MiB", "reserve": "0%"}},
            "models": {"test-a": {"gguf": str(folder / "test-a.gguf"), "context": 512}},
            **config}), encoding="utf-8")
        self.name = f"@{self.folder.name}" if abstract else str(self.folder / "notify")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self.socket.bind("\0" + self.name[1:] if abstract else self.name)
        self.process = None
        self.output = ""
        self.readers = []

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if self.process and self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait()
        for reader in self.readers:
            reader.join(5)
        self.socket.close()
        if kind is not None:
            print(f"--- output of the daemon ---\n{self.output[-4000:]}")
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self):
        """As systemd does: the watchdog is asked of the main process by its number."""
        env = {name: value for name, value in os.environ.items()
               if name not in ("TONNAGE_BUILD_DIR", "TONNAGE_ENGINE_DIR")}
        env.update(NOTIFY_SOCKET=self.name, WATCHDOG_USEC=str(int(WATCHDOG_S * 1e6)))
        self.process = subprocess.Popen(
            ["/bin/sh", "-c", 'export WATCHDOG_PID=$$; exec "$@"', "sh",
             str(TONNAGE), "serve", "--config", str(self.config)],
            env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, errors="replace")
        reader = threading.Thread(target=self._read, args=(self.process.stdout,), daemon=True)
        reader.start()
        self.readers.append(reader)

    def _read(self, stream):
        with stream:
            for line in stream:
                self.output += line

    def hear(self, seconds):
        """The next message as a dict with its sender's "pid"; None when there is none in time."""
        self.socket.settimeout(seconds)
        try:
            data, ancillary, _, _ = self.socket.recvmsg(4096, 256)
        except (TimeoutError, BlockingIOError):
            return None
        message = dict(line.split("=", 1) for line in data.decode().splitlines())
        for level, kind, content in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_CREDENTIALS:
                message["pid"] = struct.unpack("3i", content[:12])[0]
        return message

    def hear_until(self, key):
        heard = []
        while True:
            message = self.hear(START_S_MAX)
            assert message is not None, f"no {key}, only {heard}"
            heard.append(message)
            if key in message:
                return message

    def unheard(self):
        """Everything that lies in the socket already."""
        messages = []
        while (message := self.hear(0)) is not None:
            messages.append(message)
        return messages

    def watch(self):
        """Kills the service once it has said nothing for as long as the watchdog allows."""
        while (message := self.hear(WATCHDOG_S)) is not None:
            assert message["pid"] == self.process.pid, message
        self.process.kill()
        self.process.wait()

    def get(self, path):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=30) as answer:
            return answer.status, answer.read().decode()

    def chat(self):
        body = json.dumps({"model": "test-a", "max_tokens": 2,
                           "messages": [{"role": "user", "content": "Hello"}]}).encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/v1/chat/completions", body,
            {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status

    def server_pids(self):
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(pid) for pid in children.read_text(encoding="ascii").split()]


class Service(unittest.TestCase):
    def test_ready_is_said_when_the_port_answers(self):
        for abstract in (False, True):
            with self.subTest(abstract=abstract), ServiceManager(abstract) as manager:
                manager.start()
                ready = manager.hear_until("READY")
                self.assertEqual(manager.get("/health")[0], 200)
                self.assertEqual(ready["READY"], "1")
                self.assertEqual(ready["pid"], manager.process.pid)
                self.assertIn(f"serving 1 model at 127.0.0.1:{manager.port}", ready["STATUS"])

    def test_a_daemon_that_cannot_listen_is_never_ready(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            with ServiceManager(port=taken.getsockname()[1]) as manager:
                manager.start()
                self.assertEqual(manager.process.wait(START_S_MAX), 1)
                self.assertEqual(manager.unheard(), [])

    def test_a_stalled_daemon_is_replaced_by_the_watchdog(self):
        with ServiceManager() as manager:
            manager.start()
            manager.hear_until("READY")
            for _ in range(3):
                manager.hear_until("WATCHDOG")
            self.assertEqual(manager.chat(), 200)
            stalled, servers = manager.process.pid, manager.server_pids()
            self.assertEqual(len(servers), 1)
            os.kill(stalled, signal.SIGSTOP)
            manager.watch()
            wait_until(lambda: not Path(f"/proc/{servers[0]}").exists(), 10, "its server ends")
            manager.start()
            ready = manager.hear_until("READY")
            self.assertEqual(ready["pid"], manager.process.pid)
            self.assertNotEqual(ready["pid"], stalled)
            manager.hear_until("WATCHDOG")
            self.assertEqual(manager.chat(), 200)

    def test_model_servers_cannot_speak_for_the_daemon(self):
        with ServiceManager() as manager:
            manager.start()
            manager.hear_until("READY")
            self.assertEqual(manager.chat(), 200)
            for pid in manager.server_pids():
                words = Path(f"/proc/{pid}/environ").read_bytes().decode()
                self.assertIn("GOMP_SPINCOUNT", words)
                self.assertNotIn("NOTIFY_SOCKET", words)
                self.assertNotIn("WATCHDOG", words)

    def test_the_end_is_announced_with_the_time_it_may_take(self):
        with ServiceManager(load={"drain_timeout": "90s"}) as manager:
            manager.start()
            manager.hear_until("READY")
            manager.process.send_signal(signal.SIGTERM)
            stopping = manager.hear_until("STOPPING")
            self.assertIn("draining", stopping["STATUS"])
            self.assertGreaterEqual(int(stopping["EXTEND_TIMEOUT_USEC"]), 90_000_000)
            self.assertEqual(manager.process.wait(START_S_MAX), 0)

    def test_the_status_says_what_is_ready(self):
        with ServiceManager() as manager:
            manager.start()
            self.assertIn("ready: none", manager.hear_until("READY")["STATUS"])
            self.assertEqual(manager.chat(), 200)
            wait_until(lambda: "ready: test-a" in manager.hear_until("STATUS")["STATUS"], 30,
                       "the status names the model")


if __name__ == "__main__":
    unittest.main()
