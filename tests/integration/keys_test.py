"""A key that is limited to models sees nothing of the others, wherever it looks."""

import json
import unittest

from daemon import Daemon, demo_models, wait_until

MINE, ALL = "a-key-of-mine", "a-key-for-all"
HIDDEN = "demo-hidden"


class Keys(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = demo_models("demo")
        cls.daemon = Daemon({
            "budgets": {"host": {"limit": "220MiB"}}, "defaults": {"context": 1024},
            "models": {"demo-mine": {"gguf": str(folder / "demo-medium.gguf")},
                       HIDDEN: {"gguf": str(folder / "demo-large.gguf")}},
            "history": {"every": "1s"},
            "keys": [{"name": "mine", "key": MINE, "scopes": ["infer", "read", "admin"],
                      "models": ["demo-mine"]},
                     {"name": "all", "key": ALL, "scopes": ["infer", "read", "admin"]}]})
        cls.daemon.__enter__()
        # Each makes room for the other, so that decisions about one name the other.
        cls.numbers = [cls.chat(ALL, model) for model in ("demo-mine", HIDDEN, "demo-mine")]

    @classmethod
    def tearDownClass(cls):
        cls.daemon.__exit__(None, None, None)

    @classmethod
    def ask(cls, method, path, key, body=None, **headers):
        return cls.daemon.request(method, path, body,
                                  {"Authorization": f"Bearer {key}", **headers})

    @classmethod
    def chat(cls, key, model):
        status, headers, text = cls.ask("POST", "/v1/chat/completions", key, {
            "model": model, "max_tokens": 2, "messages": [{"role": "user", "content": "x"}]})
        assert status == 200, text
        return headers["x-tonnage-request"]

    def test_no_answer_names_a_model_of_others(self):
        mine, hidden, _ = self.numbers
        for path in ("/v1/models", "/api/memory/status", "/api/memory/models",
                     "/api/memory/events", "/api/memory/evictions", "/api/memory/history",
                     "/memory/stats", "/memory/models", "/memory/evictions", "/system/memory",
                     "/metrics", "/health", "/api/memory/models/demo-mine",
                     f"/api/memory/requests/{mine}"):
            status, _, text = self.ask("GET", path, MINE)
            self.assertEqual(status, 200, path)
            self.assertNotIn(HIDDEN, text, path)
            if path in ("/v1/models", "/api/memory/status", "/api/memory/models", "/metrics",
                        "/api/memory/events", "/system/memory", f"/api/memory/requests/{mine}"):
                self.assertIn("demo-mine", text, path)
        for path in (f"/v1/models/{HIDDEN}", f"/api/memory/models/{HIDDEN}", f"/logs/{HIDDEN}",
                     f"/upstream/{HIDDEN}/props", f"/api/memory/requests/{hidden}",
                     f"/api/memory/events?model={HIDDEN}", f"/api/memory/history?model={HIDDEN}",
                     "/v1/models/resident"):
            status, _, text = self.ask("GET", path, MINE)
            self.assertEqual(status, 404, (path, text))

    def test_commands_tell_nothing_either(self):
        status, _, text = self.ask("POST", "/api/memory/models/demo-mine/load", MINE)
        self.assertEqual(status, 200)
        self.assertNotIn(HIDDEN, text)
        self.assertEqual(self.ask("POST", "/api/memory/flush", MINE)[0], 403)

    def test_a_key_for_all_sees_them(self):
        for path in ("/v1/models", "/api/memory/status", "/api/memory/events", "/metrics"):
            self.assertIn(HIDDEN, self.ask("GET", path, ALL)[2], path)


class Counted(unittest.TestCase):
    def test_refusals_tokens_and_the_process_are_counted(self):
        folder = demo_models("demo")
        with Daemon({"models": {"demo-small": {"gguf": str(folder / "demo-small.gguf"),
                                               "context": 512}}}) as daemon:
            self.assertEqual(daemon.chat("demo-small", max_tokens=5)[0], 200)
            self.assertEqual(daemon.chat("demo-small", max_tokens=7, stream=True)[0], 200)
            self.assertEqual(daemon.chat("nobody")[0], 404)
            self.assertEqual(daemon.request("POST", "/v1/chat/completions", "{", {
                "Content-Type": "application/json"})[0], 400)
            status = daemon.models()["demo-small"]
            self.assertEqual(status["tokens"]["generated"], 12)
            self.assertEqual(status["tokens"]["prompt"],
                             status["tokens"]["kept"] + status["tokens"]["read"])
            page = daemon.request("GET", "/metrics")[2]
        values = dict(line.rsplit(" ", 1) for line in page.splitlines() if line[:1] != "#")
        self.assertEqual(values['tonnage_tokens_total{kind="generated",model="demo-small"}'], "12")
        self.assertGreater(
            float(values['tonnage_tokens_total{kind="prompt",model="demo-small"}']), 10)
        self.assertEqual(
            values['tonnage_time_to_first_token_seconds_count{model="demo-small"}'], "1")
        self.assertEqual(values['tonnage_refusals_total{reason="model_not_found"}'], "1")
        self.assertEqual(values['tonnage_refusals_total{reason="invalid_json"}'], "1")
        self.assertEqual(values['tonnage_requests_total{model="",status="4xx"}'], "2")
        for name in ("process_cpu_seconds_total", "process_resident_memory_bytes",
                     "process_open_fds", "process_start_time_seconds"):
            self.assertGreater(float(values[name]), 0, name)

    def test_an_answer_that_its_client_left_counts_as_aborted(self):
        folder = demo_models("demo")
        with Daemon({"models": {"demo-small": {"gguf": str(folder / "demo-small.gguf"),
                                               "context": 4096}}}) as daemon:
            connection = daemon.connection()
            connection.request("POST", "/v1/chat/completions", json.dumps({
                "model": "demo-small", "max_tokens": 3000, "stream": True,
                "messages": [{"role": "user", "content": "x"}]}),
                {"Content-Type": "application/json"})
            connection.getresponse().read(64)
            connection.sock.close()
            connection.close()

            def values():
                page = daemon.request("GET", "/metrics")[2]
                return dict(line.rsplit(" ", 1) for line in page.splitlines() if line[:1] != "#")
            wait_until(lambda: values()[
                'tonnage_aborted_answers_total{by="client",model="demo-small"}'] == "1", 30,
                "the aborted answer is counted")
            self.assertEqual(
                values()['tonnage_requests_total{model="demo-small",status="2xx"}'], "1")


if __name__ == "__main__":
    unittest.main()
