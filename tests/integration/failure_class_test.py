"""The real llama-server fails in each way that needs no GPU, and is told apart by its words."""

import os
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

from daemon import BUILD, Daemon, demo_models


class RealFailures(unittest.TestCase):
    def test_each_failure_is_named_as_what_it_is(self):
        if "TONNAGE_ENGINE_DIR" not in os.environ:
            self.skipTest("needs TONNAGE_ENGINE_DIR, run it through tools/integration")
        model = demo_models("demo") / "demo-large.gguf"
        result = subprocess.run(
            [str(BUILD / "test/engine_test"), "--gtest_filter=RealFailure.*", "--gtest_brief=1"],
            env={**os.environ, "TONNAGE_TEST_MODEL": str(model)}, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=120, check=False)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        self.assertIn("[  PASSED  ] 7 tests.", result.stdout)
        self.assertNotIn("SKIPPED", result.stdout)

    def test_the_daemon_says_so_and_does_not_try_for_ever(self):
        if "TONNAGE_ENGINE_DIR" not in os.environ:
            self.skipTest("needs TONNAGE_ENGINE_DIR, run it through tools/integration")
        with tempfile.TemporaryDirectory(prefix="tonnage-test-") as scratch:
            engine = Path(scratch) / "engine"
            shutil.copytree(os.environ["TONNAGE_ENGINE_DIR"], engine, symlinks=True)
            (engine / "libllama-server-impl.so").unlink()
            model = demo_models("demo") / "demo-small.gguf"
            config = {"engine": {"llama_server": str(engine / "llama-server")},
                      "models": {"m": {"gguf": str(model), "context": 512, "slots": 1}}}
            with Daemon(config, arguments=["--cpu"]) as daemon:
                status, _, text = daemon.chat("m")
                self.assertEqual(status, 502, text)
                self.assertIn("libllama-server-impl.so", text)
                failed = [e for e in daemon.events() if e["kind"] == "fail"]
                self.assertEqual([e["failure"] for e in failed], ["bad_setup"])
                self.assertIn("install the library that is named", failed[0]["text"])
                model = daemon.models()["m"]
                self.assertEqual((model["state"], model["failure_kind"]), ("failed", "bad_setup"))
                self.assertIn("error while loading shared libraries", model["failure"])
                metrics = daemon.request("GET", "/metrics")[2]
                self.assertIn('tonnage_failures_total{kind="bad_setup",model="m"} 1', metrics)
                self.assertEqual(daemon.chat("m")[0], 502)  # at once: it rests
                self.assertEqual(len([e for e in daemon.events() if e["kind"] == "load"]), 1)


if __name__ == "__main__":
    unittest.main()
