"""Models that measured more than was promised, and models that run below what they could have."""

import unittest

from daemon import wait_until
from gpu_rig import MIB, GpuRig

CARD_MIB = 8192
HOLD_MS = 600_000  # longer than any test


class Kept(unittest.TestCase):
    def rig(self):
        rig = GpuRig(lag_ms=100)
        self.addCleanup(rig.__exit__, None, None, None)
        return rig.__enter__()

    def daemon(self, rig, sizes, **more):
        models = {name: {"gguf": str(rig.model(name, gib)), "context": 2048, "slots": 2}
                  for name, gib in sizes.items()}
        return rig.daemon({"models": models,
                           "probe": {"interval": "250ms", "active_interval": "100ms"}, **more})

    def answers(self, daemon, model):
        status, _, text = daemon.chat(model)
        self.assertEqual((status, text.split(":")[0]), (200, model), text)

    def test_one_that_holds_more_than_the_budget_is_said_and_not_loaded_again(self):
        rig = self.rig()
        rig.behave("grows", grow_at=1, grow_mib=2048)
        budget = {"gpu": {"limit": "5GiB", "reserve": "0%"}}
        with self.daemon(rig, {"grows": 4, "other": 1}, budgets=budget) as daemon:
            self.answers(daemon, "grows")
            said = wait_until(lambda: [event for event in daemon.events()
                                       if event["reason"] == "above_budget"], 30, "it is said")
            self.assertEqual(len(said), 1)
            wait_until(lambda: "more than the budget of 5.00 GiB. It is kept" in daemon.log, 30,
                       "the log says it")
            server = daemon.server_pid("grows")
            for _ in range(5):
                self.answers(daemon, "grows")
            shown = daemon.models()["grows"]
            self.assertEqual((shown["state"], shown["loads"], shown["evictions"]), ("ready", 1, 0))
            self.assertEqual(daemon.server_pid("grows"), server)
            gpu = next(share for share in shown["devices"] if share["pool"] == "gpu0")
            self.assertGreater(gpu["reserved_bytes"], 6 * 1024 * MIB)  # corrected
            # Another one gets the memory, and nothing of this model stays beside it.
            self.answers(daemon, "other")
            self.assertEqual(daemon.state("grows"), "absent")
            self.assertEqual(daemon.state("other"), "ready")

    def test_a_pinned_model_moves_up_when_room_comes(self):
        rig = self.rig()
        with self.daemon(rig, {"five": 5}, residency={"grace": "100ms"}) as daemon:
            with rig.hog(int(CARD_MIB * 0.6), hold=HOLD_MS):
                wait_until(lambda: daemon.get_json("/api/memory/status")["pools"][1]
                           ["foreign_bytes"] > CARD_MIB // 2 * MIB, 20, "the program is seen")
                self.answers(daemon, "five")
                status, _, text = daemon.request("POST", "/api/memory/models/five/pin")
                self.assertEqual(status, 200, text)
                before = daemon.models()["five"]
                self.assertTrue(before["degraded"], before)
                self.assertTrue(before["pinned"], before)
            after = wait_until(lambda: next(
                (model for model in daemon.models().values()
                 if model["state"] == "ready" and not model["degraded"]), None), 60, "it moves up")
            self.assertTrue(after["pinned"], after)
            self.assertGreater(after["placement"]["gpu_layers"],
                               before["placement"]["gpu_layers"])
            self.assertIn("upgrade", [event["kind"] for event in daemon.events()])
            self.answers(daemon, "five")


if __name__ == "__main__":
    unittest.main()
