"""GPUs whose drivers fail, lie, hang or lose them: named in status, and nothing is evicted."""

import json
import threading
import unittest

from daemon import wait_until
from gpu_rig import FIRST, GIB, MIB, SECOND, Card, GpuRig

# Those of nvml.h that a call may give.
ERRORS = [1, 2, 3, 4, 6, 7, 8, 9, 10, 12, 13, 14, 15, 16, 17, 18, 20, 21, 22, 23, 24, 25, 26, 27,
          999]
FUNCTIONS = ["nvmlDeviceGetCount_v2", "nvmlDeviceGetHandleByIndex_v2",
             "nvmlDeviceGetMemoryInfo_v2", "nvmlDeviceGetRunningProcessDetailList"]


def config(rig, sizes):
    models = {name: {"gguf": str(rig.model(name, gib)), "context": 2048, "slots": 2}
              for name, gib in sizes.items()}
    return {"models": models, "probe": {"interval": "100ms", "active_interval": "100ms"}}


class BadInput(unittest.TestCase):
    def rig(self, *cards):
        rig = GpuRig(*cards)
        self.addCleanup(rig.__exit__, None, None, None)
        return rig.__enter__()

    def pools(self, daemon):
        return daemon.get_json("/api/memory/status")["pools"]

    def pool(self, daemon, name="gpu0"):
        return next(pool for pool in self.pools(daemon) if pool["pool"] == name)

    def check_unharmed(self, daemon, loads):
        """Everything runs where it ran: one load each, and none was asked to leave."""
        self.assertIsNone(daemon.process.poll())
        for name, model in daemon.models().items():
            self.assertEqual((model["loads"], model["evictions"]), (loads[name], 0), name)
            self.assertEqual(model["state"], "ready")

    def test_every_error_of_the_driver_while_models_run(self):
        rig = self.rig()
        with rig.daemon(config(rig, {"two": 1.5, "three": 2})) as daemon:
            for name in ("two", "three"):
                self.assertEqual(daemon.chat(name)[0], 200)
            for function in FUNCTIONS:
                for code in ERRORS:
                    rig.control("heal", f"fault {function} {code} -1")
                    self.assertEqual(daemon.chat("two")[0], 200, (function, code))
                rig.wait_looks(2)
                self.check_unharmed(daemon, {"two": 1, "three": 1})
            rig.control("heal")
            wait_until(lambda: self.pool(daemon)["sample_age_ms"] < 1000, 10, "it is measured")
            self.assertEqual(self.pool(daemon)["capacity_bytes"], (8192 - 300) * MIB)
            self.check_unharmed(daemon, {"two": 1, "three": 1})

    def test_every_error_of_the_driver_at_the_start(self):
        rig = self.rig()
        settings = config(rig, {"two": 2})
        for code in (1, 4, 9, 15, 18, 999):
            rig.control("heal", f"fault nvmlInit_v2 {code} -1")
            with rig.daemon(settings) as daemon:
                self.assertEqual(daemon.chat("two")[0], 200, code)
                # nvidia-smi tells what NVML does not.
                self.assertGreater(daemon.models()["two"]["placement"]["gpu_layers"], 0, code)

    def test_nothing_that_tells_the_devices_use(self):
        """Neither NVML nor nvidia-smi: what is known is named, and what is not is not invented."""
        for smi in (1, 2, 3, 4):  # hangs, garbage, fails, floods
            rig = self.rig()
            rig.control("fault nvmlInit_v2 9 -1", f"smi {smi}")
            with rig.daemon(config(rig, {"two": 2})) as daemon:
                status, _, text = daemon.chat("two")
                self.assertEqual(status, 200, text)
                self.assertIsNone(daemon.process.poll())
            told = json.dumps(rig.doctor())
            self.assertIn("NVML_ERROR_DRIVER_NOT_LOADED", told)
            self.assertIn("nvidia-smi", told)

    def test_drivers_that_fall_silent_are_named_in_status_and_heard_again(self):
        rig = self.rig()

        def problems():
            return [problem for problem in daemon.get_json("/api/memory/status")["problems"]
                    if problem["code"] == "probe_failed"]
        with rig.daemon(config(rig, {"two": 2})) as daemon:
            self.assertEqual(daemon.chat("two")[0], 200)
            rig.control("fault nvmlDeviceGetMemoryInfo_v2 999 -1",
                        "fault nvmlDeviceGetMemoryInfo 999 -1", "smi 3")
            named = wait_until(problems, 15, "the silence is named")
            self.assertIn("gpu0 reports no data", named[0]["text"])
            self.assertIn("nvidia-smi", named[0]["text"])
            self.assertEqual(daemon.chat("two")[0], 200, "it goes on")
            rig.control("heal", "smi 0")
            wait_until(lambda: not problems(), 15, "it is heard again")
            self.check_unharmed(daemon, {"two": 1})

    def test_values_that_are_not_available(self):
        rig = self.rig()
        rig.control("fault nvmlInit_v2 9 -1", "unified 0")
        with rig.daemon(config(rig, {"two": 2})) as daemon:
            self.assertEqual(daemon.chat("two")[0], 200)

    def test_a_card_that_falls_off_the_bus_in_the_middle_of_a_load(self):
        rig = self.rig(Card(), Card("other", 8192, 300, SECOND, "0000:09:00.0"))
        with rig.daemon(config(rig, {"six": 6, "five": 5})) as daemon:
            self.assertEqual(daemon.chat("six")[0], 200)
            rig.behave("five", load_ms=2000)
            asked = []
            thread = threading.Thread(target=lambda: asked.append(daemon.chat("five")))
            thread.start()
            wait_until(lambda: daemon.models()["five"]["state"] == "loading", 10, "it loads")
            server = wait_until(lambda: daemon.server_pid("five"), 10, "its server")
            wait_until(lambda: rig.device_of(server) is not None, 10, "it takes memory")
            lost = rig.device_of(server)
            self.assertNotEqual(lost, rig.device_of(daemon.server_pid("six")))
            rig.control(f"lose {lost}")
            thread.join()
            self.assertEqual(asked[0][0], 200, asked)
            self.assertTrue(asked[0][2].startswith("five:"))
            pools = wait_until(lambda: [pool for pool in self.pools(daemon) if pool.get("lost")],
                               10, "the loss is told")
            self.assertEqual(len(pools), 1)
            self.assertIsNone(daemon.process.poll())
            rig.control(f"find {lost}")
            wait_until(lambda: not any(pool["lost"] for pool in self.pools(daemon)), 10,
                       "it is back")

    def test_devices_files_that_go_backwards_or_are_garbage(self):
        rig = self.rig()

        def tell(sequence, used):
            file = rig.folder / "devices.new"
            file.write_text(json.dumps({"sequence": sequence, "devices": [
                {"id": FIRST, "name": "small", "total_bytes": 8 * GIB, "reserved_bytes": 0,
                 "used_bytes": used}]}), encoding="utf-8")
            file.rename(rig.folder / "devices.json")
        tell(10, 0)
        settings = config(rig, {"two": 2})
        settings["probe"]["devices_file"] = str(rig.folder / "devices.json")
        with rig.daemon(settings) as daemon:
            self.assertEqual(daemon.chat("two")[0], 200)
            tell(3, 8 * GIB)  # an older one, which says that the card is full: NVML is asked
            rig.wait_looks()
            (rig.folder / "devices.json").write_text("{", encoding="utf-8")
            rig.wait_looks()
            self.check_unharmed(daemon, {"two": 1})
            self.assertEqual(daemon.chat("two")[0], 200)


if __name__ == "__main__":
    unittest.main()
