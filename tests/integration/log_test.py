"""The daemon's own log: fields in JSON, its level while it runs, and readers that do not read."""

import fcntl
import json
import os
import subprocess
import tempfile
import unittest

from daemon import Daemon, demo_models, wait_until


def config(**more):
    folder = demo_models("test")
    return {"budgets": {"host": {"limit": "300MiB", "reserve": "0%"}},
            "models": {name: {"gguf": str(folder / f"{name}.gguf"), "context": 512}
                       for name in ("test-a", "test-b")}, **more}


class Log(unittest.TestCase):
    def test_a_decision_is_a_line_with_fields(self):
        with tempfile.TemporaryFile("w+") as log:
            with Daemon(config(), stderr=log) as daemon:
                self.assertEqual(daemon.chat("test-a")[0], 200)
                self.assertEqual(daemon.command("unload", "test-a").returncode, 0)
                decisions = daemon.events()
            log.seek(0)
            lines = [json.loads(line) for line in log]
        for line in lines:
            self.assertLessEqual({"time", "level", "message"}, set(line), line)
        by_seq = {line["seq"]: line for line in lines if "seq" in line}
        self.assertGreaterEqual(len(decisions), 3)
        for decision in decisions:
            line = by_seq[decision["seq"]]
            self.assertEqual(line["message"], decision["explain"])
            for name in ("kind", "reason", "model"):
                self.assertEqual(line[name], decision[name])
        load = next(line for line in lines if line.get("kind") == "load")
        self.assertGreater(load["need_bytes"], 0)
        self.assertGreater(load["headroom_bytes"], load["need_bytes"])
        self.assertEqual(load["placement"]["context"], 512)
        ready = next(line for line in lines if line.get("kind") == "ready")
        self.assertEqual(ready["generation"], load["generation"])

    def test_text_is_kept_for_who_asks_for_it(self):
        with Daemon(config(log={"format": "text"})) as daemon:
            self.assertEqual(daemon.chat("test-a")[0], 200)
        self.assertRegex(daemon.log, r"\d\d:\d\d:\d\d\.\d{3} info Loading test-a")
        self.assertNotIn("\x1b", daemon.log)

    def test_the_level_changes_while_it_runs(self):
        with Daemon(config()) as daemon:
            self.assertEqual(daemon.command("log").stdout, "level info, format json\n")
            self.assertEqual(daemon.command("log", "warn").stdout, "level warn, format json\n")
            self.assertEqual(daemon.chat("test-a")[0], 200)
            status, _, text = daemon.request("PUT", "/api/memory/log", {"level": "info"})
            self.assertEqual((status, json.loads(text)), (200, {"level": "info",
                                                                "format": "json"}))
            self.assertEqual(daemon.chat("test-b")[0], 200)
            status, _, text = daemon.request("PUT", "/api/memory/log", {"level": "loud"})
            self.assertEqual(status, 400)
            self.assertIn("debug, info, warn or error", text)
            self.assertEqual(daemon.command("log", "loud").returncode, 2)
        self.assertNotIn("Loading test-a", daemon.log)
        self.assertIn("Loading test-b", daemon.log)

    def test_a_full_pipe_that_nobody_reads_holds_nothing_up(self):
        reader, writer = os.pipe()
        try:
            fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
            os.set_blocking(writer, False)
            try:
                while True:
                    os.write(writer, b"x" * 4096)
            except BlockingIOError:
                os.set_blocking(writer, True)
            with Daemon(config(log={"level": "debug"}), stderr=writer) as daemon:
                for _ in range(10):
                    for model in ("test-a", "test-b"):
                        self.assertEqual(daemon.chat(model, max_tokens=2)[0], 200)
                        self.assertEqual(daemon.command("unload", model).returncode, 0)
                self.assertEqual(daemon.request("GET", "/health")[0], 200)
                daemon.process.terminate()
                self.assertEqual(daemon.process.wait(30), 0)
        finally:
            os.close(reader)
            os.close(writer)

    def test_an_access_log_tells_each_answer_and_no_secrets(self):
        keys = [{"name": "app", "key": "secret-of-the-app", "scopes": ["infer", "read"]}]
        headers = {"Authorization": "Bearer secret-of-the-app"}
        with Daemon(config(keys=keys, log={"access": "json", "level": "error"})) as daemon:
            body = {"model": "test-a", "max_tokens": 4,
                    "messages": [{"role": "user", "content": "text-of-the-request"}]}
            status, answer, text = daemon.request("POST", "/v1/chat/completions?q=secret-query",
                                                  body, headers)
            self.assertEqual(status, 200, text)
            self.assertEqual(daemon.request("GET", "/v1/models", headers={})[0], 401)
            wait_until(lambda: daemon.log.count('"log":"access"') >= 2, 20, "two lines")
            told, refused = [json.loads(line) for line in daemon.log.splitlines()
                             if '"log":"access"' in line][:2]
        self.assertEqual((told["request"], told["model"], told["key"], told["status"]),
                         (int(answer["x-tonnage-request"]), "test-a", "app", 200))
        self.assertEqual((told["method"], told["path"]), ("POST", "/v1/chat/completions"))
        self.assertEqual(told["bytes_out"], len(text.encode()))
        self.assertLessEqual(told["queue_ms"], told["total_ms"])
        self.assertFalse(told["client_left"])
        self.assertEqual((refused["status"], refused["request"]), (401, None))
        for secret in ("secret-of-the-app", "secret-query", "text-of-the-request"):
            self.assertNotIn(secret, daemon.log)

    def test_a_reader_that_left_holds_nothing_up(self):
        reader, writer = os.pipe()
        os.close(reader)
        try:
            with Daemon(config(), stderr=writer) as daemon:
                self.assertEqual(daemon.chat("test-a")[0], 200)
                self.assertEqual(daemon.chat("test-b")[0], 200)
        finally:
            os.close(writer)

    def test_closed_standard_error_is_no_place_for_sockets(self):
        class Closed(Daemon):
            def command_line(self):
                return ["/bin/sh", "-c", 'exec "$@" 2>&-', "sh", *super().command_line()]

        with Closed(config(), stderr=subprocess.DEVNULL) as daemon:
            self.assertEqual(os.readlink(f"/proc/{daemon.process.pid}/fd/2"), "/dev/null")
            self.assertEqual(daemon.chat("test-a")[0], 200)
            self.assertEqual(daemon.chat("test-b")[0], 200)


if __name__ == "__main__":
    unittest.main()
