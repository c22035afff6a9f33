"""What the API, the command line and the metrics show of a GPU, its level and its failures."""

import re
import unittest

from daemon import wait_until
from gpu_rig import MIB, GpuRig

CARD_MIB = 8192
HOLD_MS = 600_000  # longer than any test
RESERVED_MIB = 300  # by driver and firmware: in the total, never usable


class GpuShapes(unittest.TestCase):
    def rig(self):
        rig = GpuRig(lag_ms=100)
        self.addCleanup(rig.__exit__, None, None, None)
        rig.__enter__()
        return rig

    def daemon(self, rig, **more):
        model = {"gguf": str(rig.model("two", 2)), "context": 2048, "slots": 2}
        return rig.daemon({"models": {"two": model}, "load": {"retry_backoff_min": "100ms"},
                           "probe": {"interval": "250ms", "active_interval": "100ms"}, **more})

    def gpu(self, daemon):
        return daemon.get_json("/api/memory/status")["pools"][1]

    def view(self, daemon):
        return daemon.command("status", "--runtime-dir", str(daemon.runtime),
                              env={"LC_ALL": "C"}).stdout

    def metric(self, daemon, name):
        text = daemon.request("GET", "/metrics")[2]
        found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
        self.assertIsNotNone(found, f"{name} is not in\n{text}")
        return float(found[1])

    def test_a_model_beside_another_users_program(self):
        rig = self.rig()
        with self.daemon(rig) as daemon, rig.hog(1024, hold=HOLD_MS):
            self.assertEqual(daemon.chat("two")[0], 200)
            wait_until(lambda: self.gpu(daemon)["foreign_bytes"] >= 1024 * MIB
                       and self.gpu(daemon)["ours_bytes"] > 2048 * MIB, 20, "both are seen")
            pool = self.gpu(daemon)
            self.assertEqual((pool["pool"], pool["lost"], pool["unified"]), ("gpu0", False, False))
            self.assertAlmostEqual(pool["ours_bytes"] + pool["foreign_bytes"], pool["used_bytes"],
                                   delta=MIB)
            self.assertAlmostEqual(pool["used_bytes"] / MIB, rig.used_mib(),
                                   delta=RESERVED_MIB + 8)

            stats = daemon.get_json("/memory/stats")
            self.assertTrue(stats["cuda_available"])
            self.assertAlmostEqual(stats["total_mb"], CARD_MIB, delta=RESERVED_MIB)
            self.assertEqual(stats["used_mb"], pool["used_bytes"] // MIB)
            self.assertEqual(stats["models_on_gpu"], 1)
            memory = daemon.get_json("/system/memory")
            self.assertEqual([gpu["name"] for gpu in memory["gpus"]], ["gpu0"])
            self.assertGreater(memory["loaded_models"]["two"]["estimated_vram_mb"], 2048)
            self.assertEqual(daemon.get_json("/memory/models")[0]["location"], "gpu")
            self.assertEqual(daemon.get_json("/memory/health")["mode"], "gpu")

            share = daemon.models()["two"]["devices"][0]
            for field in ("predicted", "reserved", "measured"):
                labels = '{model="two",pool="gpu0"}'
                shown = self.metric(daemon, f"tonnage_model_{field}_bytes{labels}")
                self.assertGreater(shown, 2048 * MIB)
                self.assertAlmostEqual(shown, share[f"{field}_bytes"], delta=64 * MIB)

            view = self.view(daemon)
            self.assertRegex(view, r"gpu0  \[#+\++\.+\]  \d+ % of [78]\.\d\d GiB, normal")
            self.assertRegex(view, r"two +ready +gpu .*2\.\d\d GiB")
            self.assertLessEqual(max(len(line) for line in view.splitlines()), 80, view)

    def test_a_level_is_shown_everywhere(self):
        rig = self.rig()
        with self.daemon(rig, pressure="balanced") as daemon:
            # A dry run holds some of the device for a moment.
            wait_until(lambda: daemon.models()["two"]["target"] and rig.used_mib() == 0
                       and self.gpu(daemon)["used_bytes"] == 0, 20, "the dry run is over")
            self.assertIsNone(self.gpu(daemon)["level"])
            self.assertEqual(daemon.get_json("/memory/stats")["pressure_level"], "LOW")
            with rig.hog(int(CARD_MIB * 0.7), hold=HOLD_MS):
                wait_until(lambda: self.gpu(daemon)["level"] == "moderate", 20, "its level")
                self.assertEqual(daemon.get_json("/memory/stats")["pressure_level"], "MODERATE")
                health = daemon.get_json("/memory/health")
                self.assertEqual((health["healthy"], health["pressure"]), (True, "MODERATE"))
                self.assertEqual(self.metric(daemon, 'tonnage_pool_pressure_level{pool="gpu0"}'), 1)
                changes = "tonnage_pressure_level_changes_total"
                self.assertGreaterEqual(
                    self.metric(daemon, changes + '{level="moderate",pool="gpu0"}'), 1)
                self.assertRegex(self.view(daemon), r"gpu0 .*, moderate for ")

    def test_a_failure_and_what_was_done_about_it(self):
        rig = self.rig()
        with self.daemon(rig) as daemon:
            self.assertEqual(daemon.chat("two")[0], 200)
            rig.behave("two", oom_at=1)
            self.assertEqual(daemon.chat("two")[0], 200)
            self.assertEqual(self.metric(
                daemon, 'tonnage_failures_total{kind="out_of_device_memory",model="two"}'), 1)
            steps = [e["reason"] for e in daemon.events() if e["kind"] == "recover"]
            self.assertEqual(len(steps), 1)
            self.assertEqual(self.metric(
                daemon, f'tonnage_recoveries_total{{model="two",step="{steps[0]}"}}'), 1)
            self.assertEqual(self.metric(daemon, 'tonnage_model_device_failures{model="two"}'), 1)
            model = daemon.models()["two"]
            self.assertEqual((model["failure_kind"], model["device_failures"]),
                             ("out_of_device_memory", 1))
            self.assertEqual(daemon.get_json("/memory/stats")["cuda_errors"], 1)


if __name__ == "__main__":
    unittest.main()
