"""What is wrong is answered clearly, and nothing else suffers."""

import json
import os
import shutil
import socket
import subprocess
import threading
import unittest

from daemon import TONNAGE, Daemon, demo_models, free_port, wait_until

JSON = {"Content-Type": "application/json"}


def raw(port, data, seconds=30):
    """Sends bytes as they are; everything that comes back until the server closes or is silent."""
    with socket.create_connection(("127.0.0.1", port), seconds) as client:
        received = b""
        try:
            client.sendall(data)
            while True:
                piece = client.recv(65536)
                if not piece:
                    return received
                received += piece
        except (TimeoutError, ConnectionResetError, BrokenPipeError):
            return received


class BadInput(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = demo_models("test")
        demo = demo_models("demo")
        cls.daemon = Daemon("")
        bad = cls.daemon.folder / "models"
        bad.mkdir()
        good = next(path for path in sorted(folder.glob("*.gguf")) if "embed" not in path.name)
        cls.name = good.stem
        (bad / "corrupt.gguf").write_bytes(b"GGUF" + bytes(range(256)) * 64)
        (bad / "notgguf.gguf").write_bytes(b"this is not a model")
        shutil.copy(good, bad / "truncated.gguf")
        os.truncate(bad / "truncated.gguf", good.stat().st_size * 2 // 3)
        models = {name: {"gguf": str(bad / f"{name}.gguf")}
                  for name in ("corrupt", "notgguf", "truncated", "missing")}
        models["folder"] = {"gguf": str(bad)}
        models["huge"] = {"gguf": str(demo / "demo-large.gguf"), "context": 1024}
        models[cls.name] = {"gguf": str(good), "context": 1024, "aliases": ["gpt-4o-mini"]}
        models["org/model:7b q4"] = {"gguf": str(good), "context": 1024}
        cls.daemon.config.write_text(json.dumps({
            "budgets": {"host": {"limit": "120MiB", "reserve": "0%"}}, "models": models,
            "limits": {"header_timeout": "1s", "client_read_timeout": "1s"},
            "load": {"retry_backoff_min": "1s"}}), encoding="utf-8")
        cls.daemon.__enter__()

    @classmethod
    def tearDownClass(cls):
        cls.daemon.__exit__(None, None, None)

    def tearDown(self):
        status, _, text = self.daemon.chat(self.name, max_tokens=2)
        self.assertEqual(status, 200, f"the daemon goes on serving: {text}")

    def error(self, answer, status):
        self.assertEqual(answer[0], status, answer)
        error = json.loads(answer[2])["error"]
        self.assertTrue(error["message"])
        return error

    def test_broken_model_files(self):
        for name, words in {"corrupt": "version", "notgguf": "not a GGUF", "truncated": "missing",
                            "missing": "no such file", "folder": "directory"}.items():
            with self.subTest(name):
                error = self.error(self.daemon.chat(name), 502)
                self.assertIn(words, error["message"])

    def test_a_model_larger_than_the_budget(self):
        error = self.error(self.daemon.chat("huge"), 400)
        facts = error["tonnage"]
        self.assertEqual(facts["reason"], "never_fits")
        self.assertGreater(facts["needed_bytes"], facts["usable_bytes"])
        self.assertEqual(facts["usable_bytes"], 120 << 20)
        self.assertIn("largest_fit", facts)
        self.assertTrue(facts["suggestions"])
        self.assertIn("120 MiB", error["message"])

    def test_unknown_models_get_near_matches(self):
        error = self.error(self.daemon.chat(self.name + "x"), 404)
        self.assertIn(self.name, error["message"])
        self.assertEqual(error["code"], "model_not_found")

    def test_odd_names(self):
        status, headers, text = self.daemon.chat("org/model:7b q4", max_tokens=4)
        self.assertEqual((status, headers["x-tonnage-model"]), (200, "org/model:7b q4"), text)
        for path in ("/api/memory/models/org%2Fmodel%3A7b%20q4", "/v1/models/org/model:7b%20q4"):
            self.assertEqual(self.daemon.request("GET", path)[0], 200, path)
        self.assertEqual(self.daemon.chat("gpt-4o-mini", max_tokens=4)[0], 200)

    def test_bad_bodies(self):
        cases = {b"{": 400, b"": 400, b"[]": 400, b'{"model":7}': 400, b"{}": 400,
                 b'{"model":"\xff\xfe"}': 400, b'{"model":"x"' + b" " * 100: 400,
                 b"[" * 100000: 400}
        for body, status in cases.items():
            with self.subTest(body[:20]):
                self.error(self.daemon.request("POST", "/v1/chat/completions", body, JSON), status)
        body = b'{"model":"' + self.name.encode() + b'","messages":"\xff"}'
        self.error(self.daemon.request("POST", "/v1/chat/completions", body, JSON), 400)

    def test_paths_and_methods(self):
        self.error(self.daemon.request("GET", "/nothing/here"), 404)
        status, headers, _ = self.daemon.request("GET", "/v1/chat/completions")
        self.assertEqual((status, headers["allow"]), (405, "POST, OPTIONS"))
        error = self.error(self.daemon.request("PUT", "/v1/models"), 405)
        self.assertEqual(error["message"], "PUT is not allowed; use GET, HEAD, OPTIONS.")
        self.assertEqual(self.daemon.request("GET", "/v1/models/..%2f..%2fetc%2fpasswd")[0], 404)

    def refusals(self, reason):
        page = self.daemon.request("GET", "/metrics")[2]
        lines = [line for line in page.splitlines()
                 if line.startswith(f'tonnage_refusals_total{{reason="{reason}"}}')]
        return float(lines[0].split()[1]) if lines else 0

    def test_what_the_http_layer_refuses_is_counted(self):
        for reason, data in {
                "bad_request": b"nonsense\r\n\r\n",
                "body_too_large": b"POST /v1/completions HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                                  b"Content-Length: 104857600\r\n\r\n",
                "header_too_large": b"GET /health HTTP/1.1\r\nHost: a\r\nX: " + b"a" * (1 << 20),
                "request_timeout": b"POST /v1/completions HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                                   b"Content-Length: 50\r\n\r\n{"}.items():
            before = self.refusals(reason)
            raw(self.daemon.port, data)
            self.assertEqual(self.refusals(reason), before + 1, reason)

    def test_bodies_and_headers_that_are_too_large(self):
        head = (b"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                b"Content-Type: application/json\r\nContent-Length: 104857600\r\n\r\n")
        answer = raw(self.daemon.port, head)
        self.assertIn(b" 413 ", answer.split(b"\r\n")[0])
        self.assertIn(b"64 MiB. Raise limits.body_max", answer)
        answer = raw(self.daemon.port, b"GET /health HTTP/1.1\r\nHost: a\r\nX: " + b"a" * (1 << 20))
        self.assertIn(b" 431 ", answer.split(b"\r\n")[0])
        self.assertIn(b"limits.header_max", answer)
        self.assertEqual(answer.lower().count(b"\r\ndate: "), 1)

    def test_compressed_bodies(self):
        body = json.dumps({"model": "nobody", "messages": []}).encode()
        for encoding, status in (("gzip", 415), ("br, identity", 415), ("identity", 404)):
            answer = self.daemon.request("POST", "/v1/chat/completions", body,
                                         {**JSON, "Content-Encoding": encoding})
            error = self.error(answer, status)
            if status == 415:
                self.assertEqual(error["code"], "content_encoding_not_supported")
                self.assertIn("Send it uncompressed", error["message"])
                self.assertEqual(answer[1]["accept-encoding"], "identity")

    def test_half_a_request_and_silence(self):
        answer = raw(self.daemon.port, b"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\n")
        self.assertIn(b" 408 ", answer.split(b"\r\n")[0])
        self.assertIn(b"limits.header_timeout", answer)
        answer = raw(self.daemon.port, b"POST /v1/completions HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                                       b"Content-Length: 50\r\n\r\n{")
        self.assertIn(b" 408 ", answer.split(b"\r\n")[0])
        self.assertIn(b" 400 ", raw(self.daemon.port, b"nonsense\r\n\r\n").split(b"\r\n")[0])

    def test_foreign_sites(self):
        status, _, _ = self.daemon.request("GET", "/v1/models", headers={"Host": "evil.example"})
        self.assertEqual(status, 403)
        status, _, _ = self.daemon.request("POST", "/api/memory/flush",
                                           headers={"Origin": "http://evil.example"})
        self.assertEqual(status, 403)

    def test_5000_idle_connections(self):
        before = self.daemon_rss()
        clients = []
        try:
            for _ in range(5000):
                clients.append(socket.create_connection(("127.0.0.1", self.daemon.port), 30))
            self.assertEqual(self.daemon.chat(self.name, max_tokens=2)[0], 200)
            grown = self.daemon_rss() - before
        finally:
            for client in clients:
                client.close()
        self.assertLess(grown, 5000 * 8192, "an idle connection costs less than 8 KiB")

    def daemon_rss(self):
        with open(f"/proc/{self.daemon.process.pid}/status", encoding="ascii") as file:
            return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmRSS"))


class FullQueue(unittest.TestCase):
    def test_512_waiting_requests_of_1_mb(self):
        folder = demo_models("test")
        good = next(path for path in sorted(folder.glob("*.gguf")) if "embed" not in path.name)
        config = {"models": {"m": {"gguf": str(good), "context": 2048, "slots": 1}},
                  "limits": {"bodies_max_total": "64MiB"}}
        content = "x" * (1 << 20)
        body = json.dumps({"model": "m", "max_tokens": 1, "messages": [
            {"role": "user", "content": content}]})
        head = (f"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: "
                f"application/json\r\nContent-Length: {len(body)}\r\n\r\n").encode()
        with Daemon(config) as daemon:
            self.assertEqual(daemon.chat("m", max_tokens=1)[0], 200)
            # The server is stopped, so that nothing ends while the queue fills.
            os.kill(daemon.server_pid("m"), 19)
            clients = []
            try:
                for _ in range(514):
                    client = socket.create_connection(("127.0.0.1", daemon.port), 60)
                    client.sendall(head)
                    client.sendall(body.encode())
                    clients.append(client)
                status = wait_until(
                    lambda: (lambda s: s if s["waiting"] >= 500 else None)(
                        daemon.get_json("/api/memory/status")), 60, "500 requests wait")
                self.assertLessEqual(status["waiting"], 512)
                with open(f"/proc/{daemon.process.pid}/status", encoding="ascii") as file:
                    rss = next(int(x.split()[1]) for x in file if x.startswith("RssAnon")) * 1024
                self.assertLess(rss, 128 << 20, "bodies beyond 64 MiB are in files")
            finally:
                for client in clients:
                    client.close()
            wait_until(lambda: daemon.get_json("/api/memory/status")["waiting"] == 0, 60,
                       "clients that left are forgotten")


class BadSetup(unittest.TestCase):
    def serve(self, config, *arguments, env=None):
        daemon = Daemon(config)
        try:
            return subprocess.run(
                [str(TONNAGE), "serve", "--config", str(daemon.config), *arguments],
                env={**daemon.env, **(env or {})}, stdin=subprocess.DEVNULL,
                capture_output=True, text=True, timeout=30, check=False)
        finally:
            shutil.rmtree(daemon.folder)

    def test_bad_configurations(self):
        cases = {
            "models:\n  a: {gguf: /x.gguf}\n  a: {gguf: /y.gguf}\n": [":3:", "a"],
            "queue:\n  yeild_after: 5s\nmodels:\n  a: {gguf: /x.gguf}\n": [":2:", "yield_after"],
            "queue:\n  yield_after: 5\nmodels:\n  a: {gguf: /x.gguf}\n": [":2:", "unit"],
            "budgets:\n  host: {limit: 5 bananas}\nmodels:\n  a: {gguf: /x.gguf}\n":
                [":2:", "bananas"],
            "models: [\n": ["tonnage.yaml:"],
            "listen: 0.0.0.0:9000\nmodels:\n  a: {gguf: /x.gguf}\n": [":1:", "insecure"],
        }
        for text, words in cases.items():
            with self.subTest(text):
                result = self.serve(text)
                self.assertEqual(result.returncode, 2, result.stderr)
                for word in words:
                    self.assertIn(word, result.stderr)

    def test_a_port_in_use(self):
        with socket.socket() as other:
            other.bind(("127.0.0.1", free_port()))
            other.listen()
            port = other.getsockname()[1]
            result = self.serve({"models": {"a": {"gguf": "/x.gguf"}}},
                                "--listen", f"127.0.0.1:{port}")
        self.assertEqual(result.returncode, 1, result.stderr)
        self.assertIn(str(port), result.stderr)
        self.assertIn("in use", result.stderr)

    def test_a_runtime_folder_that_cannot_be(self):
        result = self.serve({"models": {"a": {"gguf": "/x.gguf"}}}, "--listen", "127.0.0.1:0",
                            env={"TONNAGE_RUNTIME_DIR": "/proc/tonnage"})
        self.assertEqual(result.returncode, 1, result.stderr)
        self.assertIn("/proc/tonnage", result.stderr)

    def test_a_second_daemon_in_one_folder(self):
        folder = demo_models("test")
        config = {"models": {"m": {"gguf": str(next(folder.glob("*.gguf")))}}}
        with Daemon(config) as daemon:
            result = self.serve(config, "--listen", "127.0.0.1:0",
                                env={"TONNAGE_RUNTIME_DIR": str(daemon.runtime)})
            self.assertEqual(result.returncode, 1, result.stderr)
            self.assertIn(str(daemon.process.pid), result.stderr)


if __name__ == "__main__":
    unittest.main()
