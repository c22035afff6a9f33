"""Servers that run out of a GPU's memory, leak it, hang or cannot start there."""

import threading
import unittest

from daemon import wait_until
from gpu_rig import MIB, MISSING_LIBRARY, OLD_DRIVER, GpuRig

SOON = {"retry_backoff_min": "100ms"}


def config(rig, names=("two",), gib=2, **more):
    models = {name: {"gguf": str(rig.model(name, gib)), "context": 2048, "slots": 4}
              for name in names}
    return {"models": models, "probe": {"interval": "250ms", "active_interval": "100ms"}, **more}


class Recovery(unittest.TestCase):
    def rig(self, **more):
        rig = GpuRig(**more)
        self.addCleanup(rig.__exit__, None, None, None)
        rig.__enter__()
        rig.behave(token_ms=10)
        return rig

    def ask_four(self, daemon, model="two"):
        """All four are at work at once; every one of them is answered."""
        results = [None] * 4

        def ask(number):
            results[number] = daemon.chat(model, max_tokens=20)
        threads = [threading.Thread(target=ask, args=(n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for status, _, text in results:
            self.assertEqual(status, 200, text)
            self.assertTrue(text.startswith(f"{model}:"), text)
        return results

    def on_device(self, daemon, model="two"):
        placement = daemon.models()[model]["placement"]
        return placement is not None and placement["gpu_layers"] > 0

    def failures(self, daemon):
        return [event["failure"] for event in daemon.events() if event["kind"] == "fail"]

    def test_out_of_memory_amid_four_requests(self):
        rig = self.rig()
        with rig.daemon(config(rig)) as daemon:
            self.assertEqual(daemon.chat("two")[0], 200)
            rig.behave("two", oom_at=4)
            results = self.ask_four(daemon)
            self.assertTrue(any("x-tonnage-replays" in headers for _, headers, _ in results))
            self.assertEqual(self.failures(daemon), ["out_of_device_memory"])
            self.assertTrue(self.on_device(daemon))

    def test_the_third_failure_moves_it_to_the_cpu_until_it_is_cleared(self):
        rig = self.rig()
        settings = config(rig, load=SOON, residency={"grace": "300ms"})
        with rig.daemon(settings) as daemon:
            self.assertEqual(daemon.chat("two")[0], 200)
            for failures in (1, 2, 3):
                self.assertTrue(self.on_device(daemon), f"after {failures - 1} failures")
                rig.behave("two", oom_at=1, oom_times=failures)
                self.ask_four(daemon)
                self.assertEqual(self.failures(daemon), ["out_of_device_memory"] * failures)
            self.assertFalse(self.on_device(daemon))
            self.assertTrue(daemon.models()["two"]["cpu_only"])
            why = daemon.command("why", "two", "--runtime-dir", str(daemon.runtime)).stdout
            self.assertIn("CPU", why)
            cleared = daemon.command("clear", "two", "--runtime-dir", str(daemon.runtime))
            self.assertEqual(cleared.returncode, 0, cleared.stderr)

            # It moves once it is idle.
            wait_until(lambda: self.on_device(daemon), 20, "it uses the GPU again")
            self.assertEqual(daemon.chat("two")[0], 200)
            self.assertTrue(self.on_device(daemon))
            self.assertFalse(daemon.models()["two"]["cpu_only"])

    def test_weights_that_do_not_fit_after_all(self):
        """Told half of what they are, beside somebody else: a lesser placement is found."""
        rig = self.rig()
        rig.behave(estimate_permille=500)
        with rig.hog(3072, hold=600_000), rig.daemon(config(rig, gib=5, load=SOON)) as daemon:
            wait_until(lambda: rig.used_mib() >= 3072, 10, "somebody else is there")
            status, _, text = daemon.chat("two")
            self.assertEqual(status, 200, text)
            self.assertGreaterEqual(rig.refused("server"), 1)
            self.assertEqual(rig.refused("foreign"), 0)
            self.assertLess(daemon.models()["two"]["placement"]["gpu_layers"], 33)
            self.assertIn("recover", [event["kind"] for event in daemon.events()])

    def test_a_cache_that_grows_beyond_the_card(self):
        rig = self.rig()
        with rig.daemon(config(rig, load=SOON)) as daemon:
            self.assertEqual(daemon.chat("two")[0], 200)
            rig.behave("two", grow_at=3, grow_mib=7000)
            self.ask_four(daemon)
            self.assertIn("out_of_device_memory", self.failures(daemon))

    def pool(self, daemon):
        return next(pool for pool in daemon.get_json("/api/memory/status")["pools"]
                    if pool["pool"] == "gpu0")

    def test_a_leak_is_told_and_charged_to_others(self):
        rig = self.rig()
        rig.behave("two", leak_mib=1500)
        with rig.daemon(config(rig, recovery={"release_timeout": "1s"})) as daemon:
            self.assertEqual(daemon.chat("two")[0], 200)
            # What the dry runs held has come back; their lag is not what this is about.
            wait_until(lambda: self.pool(daemon)["orphaned_bytes"] == 0, 10, "all is owned")
            done = daemon.command("unload", "two", "--runtime-dir", str(daemon.runtime))
            self.assertEqual(done.returncode, 0, done.stderr)
            leaks = wait_until(lambda: [event for event in daemon.events()
                                        if event["kind"] == "leak"], 20, "the leak is told")
            self.assertEqual(leaks[0]["model"], "two")
            wait_until(lambda: self.pool(daemon)["foreign_bytes"] >= 1500 * MIB, 10,
                       "it is others' memory now")
            self.assertEqual(daemon.chat("two")[0], 200)

    def test_a_server_that_hangs_in_use_is_replaced(self):
        rig = self.rig()
        with rig.daemon(config(rig)) as daemon:
            self.assertEqual(daemon.chat("two")[0], 200)
            first = daemon.server_pid("two")
            rig.behave("two", hang_at=2)
            threads = [threading.Thread(target=daemon.chat, args=("two",)) for _ in range(2)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            self.assertNotEqual(daemon.server_pid("two"), first)
            self.assertIn("stopped_hung", [event["reason"] for event in daemon.events()])

    def check_not_memory(self, kind, words, behaviour, **keys):
        """Named as what it is, and not tried again and again."""
        rig = self.rig()
        rig.behave("two", **behaviour)
        settings = config(rig, load={**SOON, "attempts": 3})
        rig.model("two", 2, **keys)
        with rig.daemon(settings) as daemon:
            status, _, text = daemon.chat("two")
            self.assertIn(status, (502, 503), text)
            self.assertIn(words, text)
            self.assertEqual(set(self.failures(daemon)), {kind})
            self.assertLessEqual(len(self.failures(daemon)), 3)
            self.assertNotIn("recover", [event["kind"] for event in daemon.events()])
            self.assertTrue(daemon.process.poll() is None)

    def test_a_missing_library(self):
        self.check_not_memory("bad_setup", "error while loading shared libraries",
                              {"last_words": MISSING_LIBRARY, "exit_status": 127})

    def test_a_driver_that_is_too_old(self):
        self.check_not_memory("bad_setup", "CUDA driver version is insufficient",
                              {"last_words": OLD_DRIVER, "exit_status": 1})

    def test_an_architecture_that_the_engine_does_not_know(self):
        self.check_not_memory("bad_model", "unknown model architecture", {},
                              architecture="zorkk")


if __name__ == "__main__":
    unittest.main()
