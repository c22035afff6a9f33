"""The real llama-server fails in each way that needs no GPU, and is told apart by its words."""

import os
import subprocess
import unittest

from daemon import BUILD, demo_models


class RealFailures(unittest.TestCase):
    def test_each_failure_is_named_as_what_it_is(self):
        if "VRAMD_ENGINE_DIR" not in os.environ:
            self.skipTest("needs VRAMD_ENGINE_DIR, run it through tools/integration")
        model = demo_models("demo") / "demo-large.gguf"
        result = subprocess.run(
            [str(BUILD / "test/engine_test"), "--gtest_filter=RealFailure.*", "--gtest_brief=1"],
            env={**os.environ, "VRAMD_TEST_MODEL": str(model)}, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=120, check=False)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        self.assertIn("[  PASSED  ] 7 tests.", result.stdout)
        self.assertNotIn("SKIPPED", result.stdout)


if __name__ == "__main__":
    unittest.main()
