"""The command line against a real daemon: what it does, what it prints, how it exits."""

import http.client
import http.server
import json
import os
import re
import shutil
import ssl
import subprocess
import threading
import unittest

from daemon import TONNAGE, Daemon, demo_models, wait_until


class CommandLine(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = demo_models("test")
        models = {name: {"gguf": str(folder / f"{name}.gguf"), "context": 512}
                  for name in ("test-a", "test-b")}
        cls.daemon = Daemon({"budgets": {"host": {"limit": "300MiB", "reserve": "0%"}},
                             "models": models})
        cls.daemon.__enter__()

    @classmethod
    def tearDownClass(cls):
        cls.daemon.__exit__(None, None, None)

    def run_ok(self, *words):
        result = self.daemon.command(*words)
        self.assertEqual(result.returncode, 0, result.stderr)
        return result.stdout

    def test_a_model_comes_and_goes(self):
        self.run_ok("load", "test-a")
        self.assertEqual(self.daemon.state("test-a"), "ready")
        self.assertRegex(self.run_ok("ps"), r"test-a +ready +host +512 x 2")
        self.run_ok("pin", "test-a")
        refused = self.daemon.command("unload", "test-a")
        self.assertEqual(refused.returncode, 1)
        self.assertIn("pinned", refused.stdout + refused.stderr)
        self.run_ok("unpin", "test-a")
        self.run_ok("unload", "test-a")
        self.assertEqual(self.daemon.state("test-a"), "absent")
        why = self.run_ok("why", "test-a")
        self.assertIn("Loading test-a", why)
        self.assertIn("an operator asked for it", re.sub(r"\s+", " ", why))

    def test_flush_frees_everything_idle(self):
        self.run_ok("load", "test-b")
        out = self.run_ok("flush")
        self.assertIn("unloaded", out)
        wait_until(lambda: not self.daemon.server_pids(), 10, "no server is left")

    def test_json_is_the_daemons_own(self):
        status = json.loads(self.run_ok("status", "--json"))
        self.assertEqual(status["pools"][0]["budget_bytes"], 300 << 20)
        self.assertEqual({m["id"] for m in status["models"]}, {"test-a", "test-b"})

    def test_exit_statuses(self):
        self.assertEqual(self.daemon.command("load", "nothing").returncode, 4)
        self.assertEqual(self.daemon.command("lod").returncode, 2)
        nobody = self.daemon.command("status", "--runtime-dir", str(self.daemon.folder / "none"))
        self.assertEqual(nobody.returncode, 3)
        self.assertIn("tonnage serve", nobody.stderr)

    def test_doctor_and_check(self):
        # Its status depends on whether somebody uses the default port.
        self.assertRegex(self.daemon.command("doctor").stdout, r"ok +engine .*llama-server")
        self.assertIn("test-a", self.run_ok("check", str(self.daemon.config)))

    def output_to(self, redirection, *words):
        """Runs a subcommand in a shell with this behind it; returns its exit status and errors."""
        told = subprocess.run(["/bin/sh", "-c", f'exec "$@" {redirection}', "sh", str(TONNAGE),
                               *words], env=self.daemon.env, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=60, check=False)
        return told.returncode, told.stderr

    def output_to_nobody(self, *words):
        """The same with a pipe whose reader has gone."""
        reader, writer = os.pipe()
        os.close(reader)
        try:
            told = subprocess.run([str(TONNAGE), *words], env=self.daemon.env, stdout=writer,
                                  stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                                  timeout=60, check=False)
        finally:
            os.close(writer)
        return told.returncode, told.stderr

    def test_output_that_cannot_be_written_is_no_success(self):
        many = ["check", "--reference"]
        for words in (["status"], ["status", "--json"], ["--help"], ["version"], many):
            with self.subTest(words=words):
                status, said = self.output_to(">/dev/full", *words)
                self.assertEqual(status, 1, said)
                self.assertIn("standard output cannot be written: No space left on device", said)
                status, said = self.output_to(">&-", *words)
                self.assertEqual(status, 1, said)
                self.assertIn("standard output cannot be written: Bad file descriptor", said)
        # Who closes the pipe knows that: nothing is said, and it is no success either.
        self.run_ok("load", "test-b")  # so that there are events
        for words in (["status"], many, ["events"], ["events", "--follow"]):
            self.assertEqual(self.output_to_nobody(*words), (1, ""), words)
        self.run_ok("flush")

    def test_a_daemon_behind_https_with_a_name(self):
        openssl = shutil.which("openssl")
        if openssl is None:
            self.skipTest("needs openssl for a certificate")
        folder = self.daemon.folder
        key, certificate = folder / "key.pem", folder / "certificate.pem"
        subprocess.run([openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt",
                        "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj",
                        "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout",
                        str(key), "-out", str(certificate)], check=True, capture_output=True)
        port = self.daemon.port

        class Proxy(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
                connection.request("GET", self.path.removeprefix("/tonnage"))
                answer = connection.getresponse()
                body = answer.read()
                self.send_response(answer.status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            url = f"https://localhost:{server.server_port}/tonnage/"
            trusted = {"SSL_CERT_FILE": str(certificate)}
            told = self.daemon.command("status", "--json", "--url", url, env=trusted)
            self.assertEqual(told.returncode, 0, told.stderr)
            self.assertEqual(len(json.loads(told.stdout)["models"]), 2)
            unknown = self.daemon.command("status", "--url", url)
            self.assertEqual(unknown.returncode, 3)
            self.assertIn("certificate was refused: self-signed certificate", unknown.stderr)
            self.assertIn("--insecure-tls", unknown.stderr)
            told = self.daemon.command("status", "--url", url, "--insecure-tls")
            self.assertEqual(told.returncode, 0, told.stderr)
            # The certificate is for another name.
            other = self.daemon.command("status", "--url", url.replace("localhost", "127.0.0.1"),
                                        env=trusted)
            self.assertEqual(other.returncode, 3)
            self.assertIn("certificate was refused", other.stderr)
        finally:
            server.shutdown()
            thread.join()
            server.server_close()
        told = self.daemon.command("status", "--url", f"http://localhost:{port}")
        self.assertEqual(told.returncode, 0, told.stderr)
        nowhere = self.daemon.command("status", "--url", "http://no-such-host.invalid:1")
        self.assertEqual(nowhere.returncode, 3)
        self.assertIn("check the name of the host", nowhere.stderr)

    def test_replay_reads_the_journal_of_the_configured_state_folder(self):
        state = self.daemon.folder / "elsewhere"
        file = self.daemon.folder / "state.yaml"
        file.write_text(json.dumps({"state_dir": str(state), "models": {"m": {"gguf": "/m.gguf"}}}),
                        encoding="utf-8")
        env = {name: value for name, value in self.daemon.env.items()
               if name != "TONNAGE_STATE_DIR"}

        def replay():
            return subprocess.run([str(TONNAGE), "replay"], stdin=subprocess.DEVNULL,
                                  env={**env, "TONNAGE_CONFIG": str(file)}, capture_output=True,
                                  text=True, timeout=60, check=False)
        missing = replay()
        self.assertEqual(missing.returncode, 2)
        self.assertIn(f"there is no journal in {state}/journal", missing.stderr)
        self.run_ok("load", "test-a")
        segments = self.daemon.state_dir / "journal"
        wait_until(lambda: list(segments.glob("*.jsonl")), 10, "a journal")
        shutil.copytree(segments, state / "journal")
        told = replay()
        self.assertEqual(told.returncode, 0, told.stderr)
        self.assertIn("all the same", told.stdout)
        self.run_ok("flush")

    def test_yes_and_no_as_numbers(self):
        for word, said in (("1", "true"), ("0", "false")):
            told = self.daemon.command("check", str(self.daemon.config), "--json",
                                       env={"TONNAGE_CPU": word})
            self.assertEqual(told.returncode, 0, told.stdout)
            self.assertIn({"key": "cpu", "value": word, "source": "TONNAGE_CPU"},
                          [dict(setting, source=setting["source"].split()[-1])
                           for setting in json.loads(told.stdout)["settings"]], said)

    def test_the_daemon_outlives_its_runtime_folder(self):
        shutil.rmtree(self.daemon.runtime)
        os.makedirs(self.daemon.runtime, mode=0o700, exist_ok=True)
        self.assertEqual(self.daemon.chat("test-b", max_tokens=2)[0], 200)
        self.assertEqual(self.daemon.request("GET", "/health")[0], 200)


if __name__ == "__main__":
    unittest.main()
