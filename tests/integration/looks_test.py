"""Looking at a model's server through /upstream is no use of the model."""

import json
import os
import signal
import threading
import time
import unittest

from daemon import Daemon, demo_models, wait_until

LOOKS = ("metrics", "slots", "props", "health")
TTL_S = 3


class Looks(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = demo_models("demo")
        # The budget holds one of the three.
        cls.daemon = Daemon({
            "budgets": {"host": {"limit": "220MiB"}},
            "defaults": {"context": 1024, "slots": 2},
            "models": {
                "demo-small": {"gguf": str(folder / "demo-small.gguf"), "ttl": f"{TTL_S}s",
                               "args": ["--metrics"]},
                "demo-medium": {"gguf": str(folder / "demo-medium.gguf")},
                "demo-large": {"gguf": str(folder / "demo-large.gguf")}}})
        cls.daemon.__enter__()

    @classmethod
    def tearDownClass(cls):
        cls.daemon.__exit__(None, None, None)

    def look(self, model, what, method="GET", body=None):
        return self.daemon.request(method, f"/upstream/{model}/{what}", body)

    def unload(self, model):
        self.daemon.request("POST", f"/api/memory/models/{model}/unload")
        wait_until(lambda: self.daemon.state(model) == "absent", 20, f"{model} is absent")

    def test_looks_do_not_keep_a_model_from_its_ttl(self):
        self.assertEqual(self.daemon.chat("demo-small")[0], 200)
        used = self.daemon.models()["demo-small"]
        looked = []

        def gone():
            state = self.daemon.models()["demo-small"]
            if state["state"] == "absent":
                return True
            looked.extend(self.look("demo-small", what)[0] for what in LOOKS)
            self.assertEqual(state["uses"], used["uses"])
            return False
        wait_until(gone, 60, "the model is unloaded by its ttl")
        self.assertIn(200, looked)
        self.assertEqual(set(looked) - {200, 503}, set())

    def test_a_look_at_a_model_that_is_not_loaded_says_so_and_loads_nothing(self):
        self.assertEqual(self.daemon.chat("demo-large")[0], 200)
        self.unload("demo-medium")
        before = self.daemon.models()
        for method, what in [*(("GET", what) for what in LOOKS), ("HEAD", "health"),
                             ("POST", "slots/0?action=erase"), ("DELETE", "v1/chat/completions")]:
            status, headers, text = self.look("demo-medium", what, method)
            self.assertEqual(status, 503, (method, what))
            self.assertIn("retry-after", headers)
            if method != "HEAD":
                error = json.loads(text)["error"]
                self.assertEqual(error["code"], "model_not_loaded")
                self.assertIn("'demo-medium' is not loaded (absent)", error["message"])
        after = self.daemon.models()
        for model in ("demo-medium", "demo-large"):
            for field in ("state", "loads", "uses", "evictions", "generation"):
                self.assertEqual(before[model][field], after[model][field], (model, field))

    def test_other_posts_to_a_ready_model_reach_its_server_and_are_no_use(self):
        self.assertEqual(self.daemon.chat("demo-large")[0], 200)
        before = self.daemon.models()["demo-large"]
        self.assertNotEqual(self.look("demo-large", "slots/0?action=erase", "POST", {})[0], 503)
        status, headers, _ = self.look("demo-large", "props")
        self.assertEqual(status, 200)
        self.assertEqual(headers["x-tonnage-model"], "demo-large")
        self.assertNotIn("x-tonnage-request", headers)
        self.assertEqual(self.daemon.models()["demo-large"]["uses"], before["uses"])

    def test_a_post_to_an_inference_path_loads_and_is_a_use(self):
        self.unload("demo-medium")
        before = self.daemon.models()["demo-medium"]
        status, _, _ = self.look("demo-medium", "completion", "POST",
                                 {"prompt": "x", "n_predict": 2})
        self.assertEqual(status, 200)
        after = self.daemon.models()["demo-medium"]
        self.assertEqual(after["loads"], before["loads"] + 1)
        self.assertEqual(after["uses"], before["uses"] + 1)

    def test_an_open_look_ends_with_the_server_and_does_not_hold_it(self):
        self.assertEqual(self.daemon.chat("demo-medium")[0], 200)
        pid = self.daemon.server_pid("demo-medium")
        os.kill(pid, signal.SIGSTOP)  # so that the look stays open
        seen = []
        look = threading.Thread(target=lambda: seen.append(self.look("demo-medium", "slots")))
        look.start()
        before = self.daemon.get_json("/api/memory/status")
        self.assertEqual(before["leases"], 0)
        begun = time.monotonic()
        self.daemon.request("POST", "/api/memory/models/demo-medium/unload")
        look.join(60)
        self.assertLess(time.monotonic() - begun, 30)
        self.assertEqual(seen[0][0], 503, seen)
        wait_until(lambda: self.daemon.state("demo-medium") == "absent", 20, "it is absent")


if __name__ == "__main__":
    unittest.main()
