"""Every stream has one head, whoever begins it, and passes through nginx as it is installed."""

import contextlib
import http.client
import json
import shutil
import subprocess
import threading
import unittest
from pathlib import Path

from daemon import Daemon, demo_models, free_port, wait_until

OPENAI, ANTHROPIC = "/v1/chat/completions", "/v1/messages"
JSON = {"Content-Type": "application/json"}


def body(model, max_tokens=8):
    return json.dumps({"model": model, "stream": True, "max_tokens": max_tokens,
                       "messages": [{"role": "user", "content": "Hello"}]})


class Reader:
    """Reads a stream beside the test."""

    def __init__(self, port, path, request=None):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        self.connection.request("POST" if request else "GET", path, request, JSON)
        self.head = None
        self.lines = []
        self.ended = False
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self):
        with contextlib.suppress(OSError, http.client.HTTPException, ValueError, AttributeError):
            self.head = self.connection.getresponse()
            for line in self.head:
                self.lines.append(line.decode().rstrip("\r\n"))
            self.ended = True
            self.connection.close()

    def has(self, text):
        return any(text in line for line in list(self.lines))

    def fields(self, name):
        return self.head.msg.get_all(name) or []


@contextlib.contextmanager
def nginx(daemon):
    """A port of an nginx in front that has no settings but where to send requests."""
    folder = daemon.folder / "nginx"
    folder.mkdir()
    port = free_port()
    temporary = " ".join(f"{kind}_temp_path {folder}/{kind};" for kind in
                         ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    (folder / "nginx.conf").write_text(
        f"daemon off; pid {folder}/pid; error_log stderr; events {{}} "
        f"http {{ access_log off; {temporary} server {{ listen 127.0.0.1:{port}; location / "
        f"{{ proxy_pass http://127.0.0.1:{daemon.port}; }} }} }}", encoding="ascii")
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(["nginx", "-p", folder, "-c", folder / "nginx.conf"],
                                   stdin=subprocess.DEVNULL, stdout=log, stderr=log)

        def answers():
            with contextlib.suppress(OSError):
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
                connection.request("GET", "/health")
                return connection.getresponse().status == 200
            return process.poll() is not None

        try:
            wait_until(answers, 20, "nginx answers")
            if process.poll() is not None:
                raise AssertionError(f"nginx ended: {Path(folder / 'log').read_text()}")
            yield port
        finally:
            process.terminate()
            process.wait()


class StreamHead(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = demo_models("demo")
        cls.daemon = Daemon({
            "residency": {"single_model": True},
            "queue": {"yield_after": "60s", "degrade_after": "90s"},
            "models": {name: {"gguf": str(folder / f"{name}.gguf"), "context": 8192, "slots": 1}
                       for name in ("demo-small", "demo-medium")}})
        cls.daemon.__enter__()

    @classmethod
    def tearDownClass(cls):
        cls.daemon.__exit__(None, None, None)

    def check_head(self, reader):
        self.assertEqual(reader.fields("X-Accel-Buffering"), ["no"])
        self.assertEqual(len(reader.fields("Cache-Control")), 1)
        self.assertIn("no-store", reader.fields("Cache-Control")[0])
        self.assertEqual(len(reader.fields("Date")), 1)

    @contextlib.contextmanager
    def busy(self):
        holder = self.daemon.connection()
        holder.request("POST", OPENAI, body("demo-medium", 8000), JSON)
        wait_until(lambda: self.daemon.models()["demo-medium"]["leases"] == 1, 30, "it is busy")
        try:
            yield
        finally:
            holder.close()

    def test_a_stream_of_a_ready_model_and_one_that_waits(self):
        for path in (OPENAI, ANTHROPIC):
            self.assertEqual(self.daemon.chat("demo-small")[0], 200)
            ready = Reader(self.daemon.port, path, body("demo-small"))
            wait_until(lambda: ready.ended, 30, "the stream of a ready model")  # noqa: B023
            self.check_head(ready)
            with self.busy():
                waiting = Reader(self.daemon.port, path, body("demo-small"))
                wait_until(lambda: waiting.has(": tonnage queue"), 30, "it waits")  # noqa: B023
                self.check_head(waiting)
                self.assertTrue(waiting.fields("x-tonnage-request"))
            wait_until(lambda: waiting.ended, 60, "it is served")  # noqa: B023

    def test_streams_of_the_daemon_itself(self):
        for path in ("/api/memory/events?follow=1", "/logs/demo-small?follow=1"):
            self.assertEqual(self.daemon.chat("demo-small")[0], 200)
            reader = Reader(self.daemon.port, path)
            wait_until(lambda: reader.lines, 30, path)  # noqa: B023
            self.check_head(reader)
            reader.connection.close()

    def test_whole_answers_have_a_date_and_none_of_it(self):
        for answer in (self.daemon.request("GET", "/v1/models"), self.daemon.chat("demo-small"),
                       self.daemon.request("GET", "/nowhere"), self.daemon.chat("nobody")):
            self.assertNotIn("x-accel-buffering", answer[1])
            self.assertNotIn("cache-control", answer[1])
            self.assertRegex(answer[1]["date"], r"^\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT$")

    def test_a_stream_over_http_1_0_ends_cleanly(self):
        client = http.client.HTTPConnection("127.0.0.1", self.daemon.port, timeout=60)
        client._http_vsn, client._http_vsn_str = 10, "HTTP/1.0"
        client.request("POST", OPENAI, body("demo-small"), {"Host": "127.0.0.1", **JSON})
        answer = client.getresponse()
        text = answer.read().decode()
        client.close()
        self.assertIsNone(answer.getheader("Transfer-Encoding"))
        self.assertTrue(text.endswith("data: [DONE]\n\n"), text[-200:])

    @unittest.skipUnless(shutil.which("nginx"), "skipped: there is no nginx on this machine")
    def test_every_line_passes_through_nginx_as_it_comes(self):
        with nginx(self.daemon) as port:
            for path in (OPENAI, ANTHROPIC):
                self.assertEqual(self.daemon.chat("demo-small")[0], 200)
                with self.busy():
                    # The comment arrives while the other model is still at work: it was not kept
                    # back until the end of the answer.
                    waiting = Reader(port, path, body("demo-small"))
                    wait_until(lambda: waiting.has(": tonnage queue"), 30,  # noqa: B023
                               "a comment through nginx")
                    self.assertEqual(self.daemon.models()["demo-medium"]["leases"], 1)
                    self.assertFalse(waiting.ended)
                wait_until(lambda: waiting.ended, 60, "it is served")  # noqa: B023
            events = Reader(port, "/api/memory/events?follow=1")
            logs = Reader(port, "/logs/demo-small?follow=1")
            wait_until(lambda: events.has("tonnage events") and logs.lines, 30, "both follow")
            before, said = len(events.lines), len(logs.lines)
            for model in ("demo-medium", "demo-small"):
                self.assertEqual(self.daemon.chat(model)[0], 200)
            last = self.daemon.events()[-1]["seq"]
            wait_until(lambda: events.has(f'"seq":{last},'), 30, "the last event through nginx")
            wait_until(lambda: len(logs.lines) > said, 30, "lines of the log through nginx")
            self.assertGreater(len(events.lines), before)
            self.assertFalse(events.ended or logs.ended)
            events.connection.close()
            logs.connection.close()


if __name__ == "__main__":
    unittest.main()
