"""Clients that leave while a model loads: work ends with the last who wanted it."""

import json
import socket
import threading
import unittest

from daemon import Daemon, demo_models, wait_until
from gated_engine import ENGINE, GatedEngine


@unittest.skipIf(ENGINE is None, "needs TONNAGE_ENGINE_DIR")
class Leaving(unittest.TestCase):
    def setUp(self):
        folder = demo_models("demo")
        self.engine = GatedEngine()
        # Room for demo-medium or demo-large, not for both.
        self.config = {
            "engine": {"llama_server": str(self.engine.program)},
            "budgets": {"host": {"limit": "220MiB", "reserve": "0%"}},
            "defaults": {"context": 1024, "slots": 2},
            "load": {"profile_ahead": False},
            "models": {name: {"gguf": str(folder / f"{name}.gguf")}
                       for name in ("demo-medium", "demo-large")}}

    def ask(self, daemon, model):
        """A client that can leave: close what this returns."""
        body = json.dumps({"model": model, "max_tokens": 4,
                           "messages": [{"role": "user", "content": "Hello"}]})
        client = socket.create_connection(("127.0.0.1", daemon.port), 60)
        self.addCleanup(client.close)
        client.sendall((f"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
                        f"{body}").encode())
        return client

    def later(self, function, *arguments, **more):
        """Runs it in a thread; returns (thread, list that gets the result)."""
        result = []
        thread = threading.Thread(target=lambda: result.append(function(*arguments, **more)))
        thread.start()
        return thread, result

    def loading(self, daemon, model, waiting):
        wait_until(lambda: daemon.state(model) == "loading" and
                   daemon.models()[model]["waiting"] == waiting, 30, f"{model} loads")

    def test_who_stays_is_answered_by_the_same_load(self):
        for first_leaves in (True, False):
            self.engine.close("demo-medium")
            with self.subTest(first_leaves=first_leaves), Daemon(self.config) as daemon:
                clients = [self.ask(daemon, "demo-medium")]
                self.loading(daemon, "demo-medium", 1)
                clients.append(self.ask(daemon, "demo-medium"))
                self.loading(daemon, "demo-medium", 2)
                clients.pop(0 if first_leaves else 1).close()
                self.loading(daemon, "demo-medium", 1)
                self.engine.open("demo-medium")
                self.assertIn(b" 200 ", clients[0].recv(100))
                shown = daemon.models()["demo-medium"]
                self.assertEqual((shown["loads"], shown["failures"]), (1, 0))

    def test_a_load_that_everybody_left_is_given_up_for_the_next(self):
        self.engine.close("demo-large")
        with Daemon(self.config) as daemon:
            client = self.ask(daemon, "demo-large")
            self.loading(daemon, "demo-large", 1)
            client.close()
            self.loading(daemon, "demo-large", 0)
            # The gate of demo-large never opens: its load would never end.
            self.assertEqual(daemon.chat("demo-medium")[0], 200)
            self.assertEqual(daemon.state("demo-large"), "absent")
            self.assertEqual(daemon.models()["demo-large"]["failures"], 0)
            self.assertEqual(list(daemon.server_pids().values()), ["demo-medium"])
            self.assertIn("Giving up the load of demo-large: nobody waits for it any more, and "
                          "demo-medium waits.",
                          " ".join(daemon.command("why", "demo-large").stdout.split()))

    def test_who_waits_already_when_the_last_one_leaves_is_next(self):
        self.engine.close("demo-large")
        with Daemon(self.config) as daemon:
            client = self.ask(daemon, "demo-large")
            self.loading(daemon, "demo-large", 1)
            thread, answer = self.later(daemon.chat, "demo-medium")
            wait_until(lambda: daemon.models()["demo-medium"]["waiting"] == 1, 30, "it waits")
            client.close()
            thread.join()
            self.assertEqual(answer[0][0], 200)

    def test_without_anybody_else_the_load_goes_on_and_serves_who_comes_next(self):
        self.engine.close("demo-medium")
        with Daemon(self.config) as daemon:
            client = self.ask(daemon, "demo-medium")
            self.loading(daemon, "demo-medium", 1)
            client.close()
            self.loading(daemon, "demo-medium", 0)
            thread, answer = self.later(daemon.chat, "demo-medium")
            self.loading(daemon, "demo-medium", 1)
            self.engine.open("demo-medium")
            thread.join()
            self.assertEqual(answer[0][0], 200)
            self.assertEqual(daemon.models()["demo-medium"]["loads"], 1)

    def test_a_resident_model_does_not_go_for_who_has_left(self):
        with Daemon(self.config) as daemon:
            self.assertEqual(daemon.chat("demo-medium")[0], 200)
            busy, answer = self.later(daemon.chat, "demo-medium", max_tokens=900)
            wait_until(lambda: daemon.models()["demo-medium"]["leases"] == 1, 30, "it is busy")
            client = self.ask(daemon, "demo-large")
            wait_until(lambda: daemon.models()["demo-large"]["waiting"] == 1, 30, "it waits")
            client.close()
            wait_until(lambda: daemon.models()["demo-large"]["waiting"] == 0, 30, "it left")
            busy.join()
            self.assertEqual(answer[0][0], 200)
            self.assertEqual(daemon.state("demo-medium"), "ready")
            self.assertEqual(daemon.models()["demo-large"]["loads"], 0)

    def test_what_an_operator_loads_is_not_given_up(self):
        self.engine.close("demo-large")
        with Daemon(self.config) as daemon:
            load, answered = self.later(daemon.request, "POST",
                                        "/api/memory/models/demo-large/load", {})
            wait_until(lambda: daemon.state("demo-large") == "loading", 30, "it loads")
            thread, answer = self.later(daemon.chat, "demo-medium")
            wait_until(lambda: daemon.models()["demo-medium"]["waiting"] == 1, 30, "it waits")
            self.assertEqual(daemon.state("demo-large"), "loading")
            self.engine.open("demo-large")
            load.join()
            thread.join()
            self.assertEqual((answered[0][0], answer[0][0]), (200, 200))

    def test_an_unload_ends_a_load_at_once(self):
        self.engine.close("demo-large")
        with Daemon(self.config) as daemon:
            load, answered = self.later(daemon.request, "POST",
                                        "/api/memory/models/demo-large/load", {})
            wait_until(lambda: daemon.state("demo-large") == "loading", 30, "it loads")
            status, _, _ = daemon.request("POST", "/api/memory/models/demo-large/unload", {})
            load.join()
            self.assertEqual((status, answered[0][0]), (200, 409))
            self.assertEqual(daemon.server_pids(), {})
            self.assertEqual(daemon.models()["demo-large"]["failures"], 0)


if __name__ == "__main__":
    unittest.main()
