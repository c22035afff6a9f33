"""Servers that somebody kills while they work, load and idle: nobody's fault, and nobody's loss."""

import os
import random
import signal
import threading
import unittest

from daemon import Daemon, demo_models, wait_until

NAMES = ("demo-small", "demo-medium", "demo-large")
# A prompt by which the test knows the request that crashes its server: see crash_beside().
POISON = "poison " * 20


class Kills(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = demo_models("demo")
        cls.config = {
            "budgets": {"host": {"limit": "2GiB", "reserve": "0%"}},
            "models": {name: {"gguf": str(folder / f"{name}.gguf"), "context": 1024, "slots": 2}
                       for name in NAMES}}

    def kill_one(self, daemon, chance, sent):
        pids = sorted(daemon.server_pids())
        if pids:
            try:
                os.kill(chance.choice(pids), sent)
            except ProcessLookupError:
                pass

    def ask_all(self, daemon, count, after_each, clients=6):
        """`count` requests by several clients at once; returns their statuses."""
        numbers, lock, statuses = iter(range(count)), threading.Lock(), []

        def client():
            while True:
                with lock:
                    number = next(numbers, None)
                if number is None:
                    return
                status, _, text = daemon.chat(NAMES[number % len(NAMES)], max_tokens=24)
                with lock:
                    statuses.append(200 if status == 200 else text)
                    after_each(len(statuses))
        threads = [threading.Thread(target=client) for _ in range(clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return statuses

    def test_no_request_fails_while_random_servers_are_killed(self):
        chance = random.Random(7)
        kills = []

        def after_each(answered):
            if answered % 3 == 0:
                kills.append(chance.choice((signal.SIGKILL, signal.SIGKILL, signal.SIGTERM)))
                self.kill_one(daemon, chance, kills[-1])
        with Daemon(self.config) as daemon:
            statuses = self.ask_all(daemon, 120, after_each)
            self.assertGreater(len(kills), 30)
            failed = [e for e in daemon.events() if e["kind"] == "fail"]
            self.assertGreater(len(failed), 10)
            self.assertEqual([e["text"] for e in failed if e["failure"] != "killed"], [])
            self.assertEqual([status for status in statuses if status != 200], [])
            self.assertEqual(len(statuses), 120)
            self.assertEqual({e["reason"] for e in failed}, {"killed_from_outside"})
            for shown in daemon.models().values():
                self.assertNotEqual(shown["state"], "failed")

    def test_a_load_that_is_killed_is_begun_again_at_once(self):
        with Daemon(self.config) as daemon:
            self.assertEqual(daemon.chat("demo-large")[0], 200)
            os.kill(daemon.server_pid("demo-large"), signal.SIGKILL)
            wait_until(lambda: daemon.server_pids() == {}, 20, "it has gone")
            answer = []
            thread = threading.Thread(target=lambda: answer.append(daemon.chat("demo-large")[0]))
            thread.start()
            for _ in range(4):
                pid = wait_until(lambda: daemon.server_pid("demo-large"), 20, "it loads")
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
                wait_until(lambda pid=pid: pid not in daemon.server_pids(), 20, "it has gone")
                if answer:
                    break
            thread.join()
            self.assertEqual(answer, [200])

    def test_a_poisonous_request_ends_as_such_beside_kills(self):
        """Whatever server holds it crashes (SIGSEGV); the other requests' servers are killed."""
        chance = random.Random(11)
        poison, over = [], threading.Event()

        def crash_beside(daemon):
            # The poisonous request asks for demo-large, and nobody else does.
            while not over.is_set():
                shown = daemon.models()["demo-large"]
                pid = daemon.server_pid("demo-large")
                if pid and shown["state"] == "ready" and shown["leases"] > 0:
                    try:
                        os.kill(pid, signal.SIGSEGV)
                    except ProcessLookupError:
                        pass
                    wait_until(lambda pid=pid: pid not in daemon.server_pids() or over.is_set(),
                               20, "it has gone")
        with Daemon(self.config) as daemon:
            def ask_poison():
                poison.append(daemon.chat("demo-large", content=POISON, max_tokens=500))
                over.set()
            threads = [threading.Thread(target=crash_beside, args=(daemon,)),
                       threading.Thread(target=ask_poison)]
            for thread in threads:
                thread.start()
            others = []
            while not over.is_set() or len(others) < 12:
                others.append(daemon.chat(NAMES[len(others) % 2], max_tokens=16)[0])
                pids = [pid for pid, name in daemon.server_pids().items() if name != "demo-large"]
                if pids and len(others) % 3 == 0:
                    os.kill(chance.choice(pids), signal.SIGKILL)
            for thread in threads:
                thread.join()
            self.assertEqual(poison[0][0], 502, poison[0])
            self.assertIn("crashed twice while serving this request", poison[0][2])
            self.assertIn("The last one: ", poison[0][2])
            self.assertEqual(set(others), {200})
            crashes = [e for e in daemon.events()
                       if e["kind"] == "fail" and e["failure"] == "crashed"]
            self.assertEqual(len(crashes), 2)


if __name__ == "__main__":
    unittest.main()
