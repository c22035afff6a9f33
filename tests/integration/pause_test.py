"""A daemon that does not run for a while: stopped, frozen, or its machine paused."""

import json
import signal
import threading
import time
import unittest

from daemon import Daemon, demo_models, wait_until

PAUSE_S = 12


class Pause(unittest.TestCase):
    def config(self):
        folder = demo_models("demo")
        models = {name: {"gguf": str(folder / f"{name}.gguf"), "context": 8192, "slots": 1}
                  for name in ("demo-small", "demo-medium")}
        return {"residency": {"single_model": True, "ttl": "8s"}, "log": {"format": "text"},
                "queue": {"queue_timeout": "10s", "yield_after": "60s"}, "models": models}

    def hold(self, daemon):
        """Makes demo-medium busy until the connection is closed."""
        connection = daemon.connection()
        connection.request("POST", "/v1/chat/completions",
                           json.dumps({"model": "demo-medium", "max_tokens": 8000, "stream": True,
                                       "messages": [{"role": "user", "content": "Hello"}]}),
                           {"Content-Type": "application/json"})
        wait_until(lambda: daemon.models()["demo-medium"]["leases"] == 1, 20, "it is busy")
        return connection

    def stop(self, daemon):
        daemon.process.send_signal(signal.SIGSTOP)
        stopped = time.monotonic()
        wait_until(lambda: time.monotonic() - stopped > PAUSE_S, 60, "time passes")
        daemon.process.send_signal(signal.SIGCONT)

    def test_it_is_no_time_that_a_request_has_waited(self):
        with Daemon(self.config()) as daemon:
            self.assertEqual(daemon.chat("demo-small")[0], 200)
            self.assertEqual(daemon.chat("demo-medium")[0], 200)
            held = self.hold(daemon)
            answers = []
            thread = threading.Thread(target=lambda: answers.append(daemon.chat("demo-small")))
            thread.start()
            wait_until(lambda: daemon.get_json("/api/memory/status")["waiting"] == 1, 10,
                       "it waits")
            self.stop(daemon)
            # Longer than its time-out has passed, and it still waits.
            self.assertEqual(daemon.get_json("/api/memory/status")["waiting"], 1, answers)
            held.close()
            thread.join()
            status, headers, text = answers[0]
            self.assertEqual(status, 200, text)
            self.assertLess(int(headers["x-tonnage-wait-ms"]), PAUSE_S * 1000)
            wait_until(lambda: "the process did not run for" in daemon.log, 10, "the log says so")
            # What is stamped from now on has the right time of day.
            ready = [e for e in daemon.events() if e["kind"] == "ready"][-1]
            self.assertEqual(ready["model"], "demo-small")
            self.assertLess(abs(time.time() - ready["time_ms"] / 1000), PAUSE_S - 1)

    def test_it_is_no_time_that_a_model_was_idle(self):
        with Daemon(self.config()) as daemon:
            self.assertEqual(daemon.chat("demo-small")[0], 200)
            self.stop(daemon)
            self.assertEqual(daemon.state("demo-small"), "ready")
            wait_until(lambda: daemon.state("demo-small") == "absent", 20, "it leaves in the end")


if __name__ == "__main__":
    unittest.main()
