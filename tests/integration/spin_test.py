"""How long threads of model servers spin: measured once per machine, unless the user says so."""

import json
import os
import unittest
from pathlib import Path

from daemon import Daemon, demo_models, wait_until

MODEL = {"gguf": str(demo_models("test") / "test-a.gguf"), "context": 256}


def spin_count_of(daemon, model):
    status, _, text = daemon.chat(model, max_tokens=1)
    if status != 200:
        raise AssertionError(text)
    environment = Path(f"/proc/{daemon.server_pid(model)}/environ").read_bytes().split(b"\0")
    return [int(line.split(b"=")[1]) for line in environment
            if line.startswith(b"GOMP_SPINCOUNT=")]


class Spin(unittest.TestCase):
    @unittest.skipIf(len(os.sched_getaffinity(0)) < 2, "needs two processors")
    def test_it_is_measured_kept_and_shown(self):
        with Daemon({"models": {"a": MODEL}}) as daemon:
            wait_until(lambda: "threads of model servers spin" in daemon.log, 120, "a measure")
            record = daemon.state_dir / "spin.json"
            measured = record.read_bytes()
            self.assertGreater(json.loads(measured)["sleep_ns"], 0)
            counts = spin_count_of(daemon, "a")
            self.assertEqual(len(counts), 1)
            self.assertIn(f"spin {counts[0]} turns", daemon.log)
            doctor = daemon.command("doctor", "--config", str(daemon.config), "--json")
            parts = {part["part"]: part for part in json.loads(doctor.stdout)["parts"]}
            shown = parts["spinning"]["finding"].split(" turns")[0]
            wait_until(lambda: f"spin {shown} turns" in daemon.log, 10, "the count that is shown")
            self.assertIn("as measured", parts["spinning"]["finding"])

    def test_the_users_count_wins(self):
        with Daemon({"engine": {"spin_count": 1234}, "models": {"a": MODEL}}) as daemon:
            self.assertEqual(spin_count_of(daemon, "a"), [1234])
            self.assertFalse((daemon.state_dir / "spin.json").exists())


if __name__ == "__main__":
    unittest.main()
