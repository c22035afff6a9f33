"""One daemon on machines of different kinds: a large card, two cards, unified memory."""

import os
import subprocess
import unittest
from pathlib import Path

from daemon import TONNAGE, Daemon, wait_until
from gpu_rig import FIRST, GIB, MIB, SECOND, Card, GpuRig

SMALL = Card()
LARGE = Card("large", 24576, 500, SECOND, "0000:09:00.0")


def config(rig, sizes, **more):
    """`sizes`: name -> GiB of weights."""
    models = {name: {"gguf": str(rig.model(name, gib)), "context": 2048, "slots": 2}
              for name, gib in sizes.items()}
    return {"models": models, "probe": {"interval": "250ms", "active_interval": "100ms"}, **more}


class Machines(unittest.TestCase):
    def rig(self, *cards):
        rig = GpuRig(*cards)
        self.addCleanup(rig.__exit__, None, None, None)
        return rig.__enter__()

    def answers(self, daemon, model):
        status, _, text = daemon.chat(model)
        self.assertEqual((status, text.split(":")[0]), (200, model), text)

    def visible(self, daemon, model):
        """The GPUs that a model's server was shown."""
        environ = Path(f"/proc/{daemon.server_pid(model)}/environ").read_bytes().decode()
        found = dict(entry.split("=", 1) for entry in environ.split("\0") if entry)
        return found.get("CUDA_VISIBLE_DEVICES")

    def pools(self, daemon):
        return {pool["pool"]: pool for pool in daemon.get_json("/api/memory/status")["pools"]}

    def test_three_models_share_a_card_of_24_gigabytes(self):
        rig = self.rig(LARGE)
        sizes = {"five": 5, "six": 6, "seven": 7}
        with rig.daemon(config(rig, sizes)) as daemon:
            for name in sizes:
                self.answers(daemon, name)
            models = daemon.models()
            for name in sizes:
                self.assertEqual((models[name]["state"], models[name]["tier"]), ("ready", "gpu"))
                self.assertGreaterEqual(models[name]["placement"]["gpu_layers"], 32)
            self.assertEqual(sum(model["evictions"] for model in models.values()), 0)
            # The card is looked at by a thread of its own, after the servers have answered.
            pool = wait_until(lambda: next((pool for name, pool in self.pools(daemon).items() if
                                            name == "gpu0" and
                                            pool["measured_bytes"] > 18 * GIB), None), 20,
                              "all three are measured")
            self.assertEqual(pool["capacity_bytes"], (24576 - 500) * MIB)
            self.assertGreater(rig.used_mib(), 18 * 1024)
            self.assertEqual(rig.refused("server"), 0)

    def test_each_model_is_placed_on_the_card_that_it_fits_best(self):
        rig = self.rig(SMALL, LARGE)
        with rig.daemon(config(rig, {"five": 5, "fifteen": 15})) as daemon:
            for name in ("five", "fifteen"):
                self.answers(daemon, name)
            self.assertEqual(self.visible(daemon, "five"), FIRST)
            self.assertEqual(self.visible(daemon, "fifteen"), SECOND)
            self.assertGreater(rig.used_mib(0), 5 * 1024)
            self.assertGreater(rig.used_mib(1), 15 * 1024)
            self.assertEqual(daemon.models()["five"]["evictions"], 0)

    def test_instances_of_a_card_are_used_each_by_itself(self):
        small, large = "MIG-aaaaaaaa-1111-2222-3333-444444444444", "MIG-bbbbbbbb-1111-2222-3333-4"
        rig = self.rig(Card("divided", 40960, 500,
                            instances=((small, 10240), (large, 20480))))
        with rig.daemon(config(rig, {"five": 5, "fifteen": 15, "split": 22})) as daemon:
            pools = self.pools(daemon)
            self.assertEqual([pools[name]["capacity_bytes"] // MIB for name in ("gpu0", "gpu1")],
                             [10240, 20480])
            for name in ("five", "fifteen"):
                self.answers(daemon, name)
            self.assertEqual((self.visible(daemon, "five"), self.visible(daemon, "fifteen")),
                             (small, large))
            self.assertGreater(rig.used_mib(1), 5 * 1024)
            self.assertGreater(rig.used_mib(2), 15 * 1024)
            # Both together would hold it, but no process sees both.
            self.answers(daemon, "split")
            self.assertIn(self.visible(daemon, "split"), (small, large, ""))
            self.assertEqual(rig.refused("server"), 0)

    def test_two_models_that_need_a_card_each(self):
        rig = self.rig(SMALL, Card("other", 8192, 300, SECOND, "0000:09:00.0"))
        with rig.daemon(config(rig, {"a": 5, "b": 5})) as daemon:
            for name in ("a", "b", "a", "b"):
                self.answers(daemon, name)
            self.assertEqual({self.visible(daemon, "a"), self.visible(daemon, "b")},
                             {FIRST, SECOND})
            self.assertEqual([m["loads"] for m in daemon.models().values()], [1, 1])

    def test_a_model_that_no_card_holds_is_split(self):
        rig = self.rig(SMALL, Card("other", 8192, 300, SECOND, "0000:09:00.0"))
        with rig.daemon(config(rig, {"eleven": 11})) as daemon:
            self.answers(daemon, "eleven")
            self.assertEqual(set(self.visible(daemon, "eleven").split(",")), {FIRST, SECOND})
            for card in range(2):
                self.assertGreater(rig.used_mib(card), 4 * 1024)
            self.assertGreaterEqual(daemon.models()["eleven"]["placement"]["gpu_layers"], 32)
            self.assertEqual(rig.refused("server"), 0)

    def test_what_no_card_holds_whole_runs_in_part(self):
        rig = self.rig(SMALL)
        with rig.daemon(config(rig, {"ten": 10})) as daemon:
            self.answers(daemon, "ten")
            layers = daemon.models()["ten"]["placement"]["gpu_layers"]
            self.assertGreater(layers, 0)
            self.assertLess(layers, 32)
            self.assertGreater(rig.used_mib(), 1024)
            self.assertEqual(rig.refused("server"), 0)

    def test_unified_memory_is_one_pool(self):
        rig = self.rig(Card("spark", 18432, 0, unified=True))
        with rig.daemon(config(rig, {"two": 2, "three": 3})) as daemon:
            for name in ("two", "three"):
                self.answers(daemon, name)
            (pool,) = self.pools(daemon).values()
            self.assertTrue(pool["unified"])
            for name in ("two", "three"):
                self.assertGreater(daemon.models()[name]["placement"]["gpu_layers"], 0)
            self.assertGreater(rig.used_mib(), 5 * 1024)
            # Weights that are on the device are in the same memory, once.
            self.assertGreater(pool["reserved_bytes"], 5 * GIB)
            self.assertLess(pool["reserved_bytes"], 8 * GIB)

    def test_a_gpu_without_an_engine_for_it_is_an_error_with_its_remedy(self):
        rig = self.rig(SMALL)
        rig.behave(no_devices=True)
        with self.assertRaises(AssertionError) as raised, rig.daemon(config(rig, {"two": 2})):
            pass
        self.assertIn("did not start", str(raised.exception))
        self.assertIn("libggml-cuda.so", str(raised.exception))
        with rig.daemon(config(rig, {"two": 2}), arguments=["--cpu"]) as daemon:
            self.answers(daemon, "two")
            self.assertEqual(daemon.models()["two"]["placement"]["gpu_layers"], 0)
            self.assertEqual(rig.used_mib(), 0)

    def test_a_machine_without_a_gpu_has_one_pool(self):
        rig = self.rig(SMALL)
        rig.behave(no_devices=True)
        file = config(rig, {"two": 2})
        with Daemon(file, env={"TONNAGE_ENGINE_LLAMA_SERVER": str(rig.engine / "llama-server")}
                    ) as daemon:
            if len(self.pools(daemon)) != 1:
                self.skipTest("needs a machine without a GPU")
            self.answers(daemon, "two")
            self.assertEqual(list(self.pools(daemon)), ["host"])

    def test_doctor_agrees_with_the_daemon(self):
        rig = self.rig(SMALL, LARGE)
        told = subprocess.run([TONNAGE, "doctor"], env={**os.environ, **rig.environment(),
                                                      "XDG_CONFIG_HOME": str(rig.folder)},
                              capture_output=True, text=True, check=False)
        self.assertIn(FIRST, told.stdout)
        self.assertEqual(told.returncode, 0, told.stdout)


if __name__ == "__main__":
    unittest.main()
