"""What tonnage doctor says of GPUs, on the fake driver libraries of tests/fake_gpu."""

import json
import os
import subprocess
import tempfile
import unittest
from pathlib import Path

from daemon import TONNAGE

RIG = Path(TONNAGE).parent / "fake_gpu"
FIRST = "GPU-11111111-2222-3333-4444-555555555555"
SECOND = "GPU-66666666-7777-8888-9999-000000000000"
GIB = 1 << 30


class GpuDoctor(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.state = self.folder / "gpus"

    def rig(self, *commands):
        words = " then ".join(commands).split()
        subprocess.run([RIG / "fake-gpu", self.state, *words], check=True)

    def doctor(self, *arguments, rig="current", **more):
        environment = dict(os.environ, XDG_CONFIG_HOME=str(self.folder),
                           FAKE_GPU_STATE=str(self.state),
                           LD_LIBRARY_PATH=str(RIG / rig),
                           PATH=f"{RIG / rig}:{os.environ['PATH']}", **more)
        return subprocess.run([TONNAGE, "doctor", *arguments], env=environment, text=True,
                              capture_output=True, check=False)

    def gpus(self, **more):
        return json.loads(self.doctor("--json", **more).stdout)["gpus"]

    def test_two_cards_with_their_use_and_who_holds_it(self):
        self.rig("new", f"card {FIRST} small 0000:08:00.0 8192 300",
                 f"card {SECOND} large 0000:09:00.0 24576 500", "allocate 1 4711 2048")
        small, large = self.gpus()["devices"]
        self.assertEqual((small["id"], small["total_bytes"], small["used_bytes"], small["source"]),
                         (FIRST, 8 * GIB, 0, "nvml"))
        self.assertEqual((large["id"], large["used_bytes"], large["processes"]),
                         (SECOND, 2 * GIB, [{"pid": 4711, "bytes": 2 * GIB}]))
        self.assertEqual(small["failed"], [])

    def test_a_driver_that_was_upgraded_is_named_and_nvidia_smi_asked(self):
        self.rig("new", f"card {FIRST} small 0000:08:00.0 8192 300", "fault nvmlInit_v2 18 -1")
        (card,) = self.gpus()["devices"]
        self.assertEqual((card["source"], card["used_bytes"]), ("nvidia-smi", 0))
        self.assertEqual([problem["source"] for problem in card["failed"]], ["nvml", "cuda"])
        self.assertIn("restart the machine", card["failed"][0]["why"])

    def test_unified_memory_is_the_hosts(self):
        self.rig("new", f"card {FIRST} small 0000:08:00.0 18432 0", "unified 0")
        (card,) = self.gpus()["devices"]
        self.assertTrue(card["unified"])
        self.assertEqual(card["total_bytes"], card["used_bytes"] + card["free_bytes"])

    def test_an_engine_without_a_gpu_device_is_a_failure_with_its_remedy(self):
        self.rig("new", f"card {FIRST} small 0000:08:00.0 8192 300")
        done = self.doctor()
        text = " ".join(done.stdout.split())
        self.assertIn(f"small ({FIRST}): 0 MiB of 8.00 GiB used", text)
        self.assertIn("the engine offers no GPU device", text)
        self.assertIn("libggml-cuda.so", text)
        self.assertEqual(done.returncode, 1)

    def test_without_a_gpu_nothing_is_invented(self):
        result = json.loads(self.doctor("--json", rig="none").stdout)
        if result["gpus"]["devices"]:
            self.skipTest("needs a machine without a GPU")
        self.assertLessEqual({"nvml", "cuda", "nvidia-smi"},
                             {problem["source"] for problem in result["gpus"]["failed"]})
        (part,) = [part for part in result["parts"] if part["part"] == "gpu"]
        self.assertEqual(part["health"], "ok")
        self.assertIn("none found, models run in host memory", part["finding"])

    def test_a_file_of_devices_wins(self):
        self.rig("new", f"card {FIRST} small 0000:08:00.0 8192 300")
        file = self.folder / "devices.json"
        file.write_text(json.dumps({"devices": [
            {"id": "GPU-x", "total_bytes": 4 * GIB, "used_bytes": GIB}]}), encoding="utf-8")
        (card,) = self.gpus(TONNAGE_DEVICES_FILE=str(file))["devices"]
        self.assertEqual((card["id"], card["source"], card["free_bytes"]),
                         ("GPU-x", "injected", 3 * GIB))
        file.write_text("{", encoding="utf-8")
        gpus = self.gpus(TONNAGE_DEVICES_FILE=str(file))
        self.assertEqual(gpus["devices"][0]["id"], FIRST)
        self.assertEqual(gpus["failed"][0]["source"], "injected")


if __name__ == "__main__":
    unittest.main()
