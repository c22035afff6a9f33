"""What official clients raise, early and after the comments of a request that waits.

openai and anthropic, in Python and in Node. Early the exception's class says the status; late the
answer's status is 200, so the class cannot, and the error that it carries does.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import threading
import unittest
from pathlib import Path

from daemon import Daemon, demo_models, wait_until

FOLDER = Path(__file__).parent
ROOT = FOLDER.parents[1]
CLIENTS = [("python", "openai"), ("python", "anthropic"), ("node", "openai"),
           ("node", "anthropic")]
# The class by which a client tells an HTTP status.
RAISED = {400: "BadRequestError", 404: "NotFoundError", 502: "InternalServerError",
          503: "InternalServerError"}
ANTHROPICS = {400: "invalid_request_error", 404: "not_found_error", 502: "api_error",
              503: "overloaded_error"}


def python_clients():
    """The interpreter that has the clients; a reason where they cannot be had."""
    made = subprocess.run([str(ROOT / "tools/python_env"), "clients"], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, check=False)
    if made.returncode != 0:
        return "", (made.stderr.strip().splitlines() or ["no reason given"])[-1]
    return f"{made.stdout.strip()}/bin/python", ""


def commands():
    """What starts each kind of client, and why one cannot be."""
    python, why_not = python_clients()
    node = shutil.which("node")
    packages = (FOLDER / "node_modules/@anthropic-ai/sdk").is_dir()
    return {"python": ([python, str(FOLDER / "sdk_client.py")] if python else None, why_not),
            "node": ([node, str(FOLDER / "sdk_client.mjs")] if node and packages else None,
                     "node, or the packages of package-lock.json, are not there")}


class Client:
    """A process with official clients in it, which does what it is told by lines."""

    def __init__(self, command, sdk, kind):
        self.sdk = sdk
        self.name = f"{sdk} for {kind}"
        self.process = subprocess.Popen(command, cwd=FOLDER, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)

    def close(self):
        with self.process:
            self.process.stdin.close()

    def ask(self, daemon, stream, model, content="Hello", max_tokens=8):
        self.process.stdin.write(json.dumps({
            "sdk": self.sdk, "url": f"http://127.0.0.1:{daemon.port}", "stream": stream,
            "model": model, "content": content, "max_tokens": max_tokens}) + "\n")
        self.process.stdin.flush()

    def hear(self):
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError("the client ended")
        return json.loads(line)


class SdkErrors(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = demo_models("demo")
        cls.models = {name: {"gguf": str(folder / f"{name}.gguf"), "context": size, "slots": 1}
                      for name, size in (("demo-small", 1024), ("demo-medium", 8192))}
        cls.config = {"residency": {"single_model": True},
                      "queue": {"yield_after": "60s", "degrade_after": "90s"},
                      "load": {"profile_ahead": False}, "models": cls.models}
        cls.stack = contextlib.ExitStack()
        cls.daemon = cls.stack.enter_context(Daemon(cls.config))
        cls.commands = commands()
        cls.running = {}

    @classmethod
    def tearDownClass(cls):
        for client in cls.running.values():
            client.close()
        cls.stack.close()

    def each(self):
        """Every client that can be had; the others are skipped, and said to be."""
        for kind, sdk in CLIENTS:
            command, why_not = self.commands[kind]
            if command is None:
                with self.subTest(client=f"{sdk} for {kind}"):
                    self.skipTest(f"skipped: {sdk} for {kind}: {why_not}")
                continue
            if (kind, sdk) not in self.running:
                self.running[kind, sdk] = Client(command, sdk, kind)
            yield self.running[kind, sdk]

    @contextlib.contextmanager
    def busy(self, daemon=None):
        daemon = daemon or self.daemon
        holder = daemon.connection()
        holder.request("POST", "/v1/chat/completions", json.dumps(
            {"model": "demo-medium", "stream": True, "max_tokens": 8000,
             "messages": [{"role": "user", "content": "Hello"}]}),
            {"Content-Type": "application/json"})
        wait_until(lambda: daemon.models()["demo-medium"]["leases"] == 1, 30, "it is busy")
        try:
            yield
        finally:
            holder.close()
            # Until then this one would look like the next one's.
            wait_until(lambda: daemon.models()["demo-medium"]["leases"] == 0, 30, "it is let go")

    def check_early(self, client, raised, status, code):
        self.assertIn(RAISED[status], raised["classes"], (client.name, raised))
        self.assertEqual(raised["http"], status, client.name)
        self.check_error(client, raised, status, code)

    def check_late(self, client, raised, status, code):
        self.assertIn("APIError", raised["classes"], (client.name, raised))
        self.check_error(client, raised, status, code)

    def check_error(self, client, raised, status, code):
        error = raised["error"]
        self.assertEqual((error["status"], error["code"]), (status, code),
                         (client.name, raised))
        if client.sdk == "anthropic":
            self.assertEqual(raised["type"], ANTHROPICS[status], (client.name, raised))
        else:
            self.assertEqual(raised["type"], error["type"], client.name)
        self.assertNotIn('{"', error["message"])

    def late(self, client, model, content="Hello", daemon=None, then=lambda: None):
        """Asks for a stream behind a busy model; lets go of that when the stream has begun."""
        with self.busy(daemon):
            client.ask(daemon or self.daemon, True, model, content)
            self.assertEqual(client.hear(), {"begun": True})
            then()
        return client.hear()

    def test_a_prompt_that_is_too_long(self):
        for client in self.each():
            self.assertEqual(self.daemon.chat("demo-small")[0], 200)
            client.ask(self.daemon, True, "demo-small", "y" * 5000)
            early = client.hear()
            self.check_early(client, early, 400, "context_length_exceeded")
            late = self.late(client, "demo-small", "y" * 5000)
            self.check_late(client, late, 400, "context_length_exceeded")
            self.assertEqual(late["error"], early["error"])
            self.assertEqual(late["error"]["n_ctx"], 1024)

    def test_a_model_that_there_is_not(self):
        for client in self.each():
            for stream in (False, True):
                client.ask(self.daemon, stream, "nobody")
                self.check_early(client, client.hear(), 404, "model_not_found")

    def test_a_model_that_is_taken_away_while_its_request_waits(self):
        for client in self.each():
            with Daemon(self.config) as daemon:
                full = daemon.config.read_text(encoding="utf-8")

                def take_away(daemon=daemon):
                    left = {**self.config,
                            "models": {"demo-medium": self.models["demo-medium"]}}
                    daemon.config.write_text(json.dumps(left), encoding="utf-8")
                    self.assertEqual(daemon.command("reload").returncode, 0)

                raised = self.late(client, "demo-small", daemon=daemon, then=take_away)
                self.check_late(client, raised, 404, "model_removed")
                daemon.config.write_text(full, encoding="utf-8")
                self.assertEqual(daemon.command("reload").returncode, 0)
                with self.busy(daemon):
                    client.ask(daemon, False, "demo-small")
                    wait_until(lambda d=daemon: d.get_json("/api/memory/status")["waiting"] == 1,
                               30, "it waits")
                    take_away()
                    self.check_early(client, client.hear(), 404, "model_removed")

    def test_a_request_that_waits_for_too_long(self):
        config = {**self.config, "queue": {**self.config["queue"], "queue_timeout": "5s"}}
        with Daemon(config) as daemon:
            for client in self.each():
                with self.busy(daemon):
                    client.ask(daemon, False, "demo-small")
                    self.check_early(client, client.hear(), 503, "queue_timeout")
                    client.ask(daemon, True, "demo-small")
                    self.assertEqual(client.hear(), {"begun": True})
                    self.check_late(client, client.hear(), 503, "queue_timeout")

    def crash(self, daemon, model, times):
        """Its server ends as by a fault of its own, while it answers, so many times."""
        ended = set()
        for _ in range(times):
            def at_work():
                pid = daemon.server_pid(model)
                busy = daemon.models()[model]["leases"] == 1
                return pid if busy and pid not in ended else None  # noqa: B023
            pid = wait_until(at_work, 60, "a server answers")
            ended.add(pid)
            os.kill(pid, signal.SIGSEGV)

    def test_a_server_that_crashes_with_the_request(self):
        for client in self.each():
            with Daemon(self.config) as daemon:
                killer = threading.Thread(target=self.crash, args=(daemon, "demo-medium", 2))
                client.ask(daemon, False, "demo-medium", max_tokens=8000)
                killer.start()
                raised = client.hear()
                killer.join()
                self.check_early(client, raised, 502, "crash_suspect")
                client.ask(daemon, True, "demo-small", max_tokens=900)
                self.assertEqual(client.hear(), {"begun": True})
                self.crash(daemon, "demo-small", 1)
                self.check_late(client, client.hear(), 502, "server_lost")


if __name__ == "__main__":
    unittest.main()
