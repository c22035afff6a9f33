"""The command line against a real daemon: what it does, what it prints, how it exits."""

import json
import os
import re
import shutil
import unittest

from daemon import Daemon, demo_models


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
        self.assertEqual(self.daemon.server_pids(), {})

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

    def test_the_daemon_outlives_its_runtime_folder(self):
        shutil.rmtree(self.daemon.runtime)
        os.makedirs(self.daemon.runtime, mode=0o700, exist_ok=True)
        self.assertEqual(self.daemon.chat("test-b", max_tokens=2)[0], 200)
        self.assertEqual(self.daemon.request("GET", "/health")[0], 200)


if __name__ == "__main__":
    unittest.main()
