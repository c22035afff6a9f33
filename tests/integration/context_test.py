"""How long a request may be, where clients look for it."""

import json
import unittest

from daemon import Daemon, demo_models, wait_until

PLACES = ("context_length", "context_window", "max_model_len")


class Context(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        demo, test = demo_models("demo"), demo_models("test")
        cls.daemon = Daemon({
            "budgets": {"host": {"limit": "335MiB"}},
            "queue": {"degrade_after": "1s", "yield_after": "120s"},
            "models": {
                "a": {"gguf": str(demo / "demo-medium.gguf"), "context": 8000, "slots": 1},
                "s": {"gguf": str(demo / "demo-large.gguf"), "context": 3000, "slots": 2,
                      "aliases": ["gpt-x"], "ladder": [{"context": 1000, "slots": 1}]},
                "e": {"gguf": str(test / "test-embed.gguf")}}})
        cls.daemon.__enter__()
        # Before anything is loaded: a dry run needs room as well.
        wait_until(lambda: all(m["target"] for m in cls.daemon.models().values()), 60,
                   "footprints are known")

    @classmethod
    def tearDownClass(cls):
        cls.daemon.__exit__(None, None, None)

    def said(self, name):
        """The one number that every place says."""
        entry = self.daemon.get_json(f"/v1/models/{name}")
        listed = {e["id"]: e for e in self.daemon.get_json("/v1/models")["data"]}[entry["id"]]
        for place in (*PLACES, "meta", "type", "capabilities"):
            self.assertEqual(listed[place], entry[place])
        numbers = {entry[place] for place in PLACES} | {entry["meta"]["n_ctx"]}
        self.assertEqual(len(numbers), 1, entry)
        return numbers.pop()

    def test_it_is_never_more_than_is_enforced(self):
        self.daemon.request("POST", "/api/memory/models/s/unload")
        loads = {name: model["loads"] for name, model in self.daemon.models().items()}
        absent = self.said("s")
        self.assertEqual(self.said("gpt-x"), absent)
        self.assertEqual(self.said("e"), 2048)  # trained for; the default is 4096
        self.assertEqual(self.daemon.get_json("/v1/models/e")["meta"]["n_ctx_train"], 2048)
        self.assertEqual(self.daemon.get_json("/v1/models/e")["capabilities"], ["embedding"])
        self.assertIn("is more than the 2048", self.daemon.models()["e"]["notes"][0])
        self.assertEqual(self.daemon.models()["s"]["notes"], [])
        self.assertRegex(" ".join(self.daemon.command("status").stdout.split()),
                         "note e: the default context of 4096 tokens is more than the 2048")
        self.assertEqual(loads, {n: m["loads"] for n, m in self.daemon.models().items()})

        self.assertEqual(self.daemon.chat("s")[0], 200)
        self.assertEqual(self.said("s"), absent)
        self.assertEqual(self.daemon.models()["s"]["placement"]["context"], absent)
        self.assertEqual(self.daemon.chat("s", content="y" * (absent - 100), max_tokens=8)[0], 200)
        status, _, text = self.daemon.chat("s", content="y" * (absent + 300), max_tokens=8)
        self.assertEqual(status, 400, text)

    def degrade(self):
        """`s` at its smaller context, beside `a`, which answers until the connection is closed."""
        self.daemon.request("POST", "/api/memory/models/s/unload")
        self.assertEqual(self.daemon.chat("a")[0], 200)
        connection = self.daemon.connection()
        connection.request("POST", "/v1/chat/completions", json.dumps({
            "model": "a", "stream": True, "max_tokens": 7000,
            "messages": [{"role": "user", "content": "x"}]}), {"Content-Type": "application/json"})
        connection.getresponse().read(64)
        self.addCleanup(connection.close)
        self.assertEqual(self.daemon.chat("s")[0], 200)
        self.assertTrue(self.daemon.models()["s"]["degraded"])
        return connection

    def test_degraded_it_is_what_runs(self):
        self.degrade()
        state = self.daemon.models()["s"]
        said = self.said("s")
        self.assertEqual(said, state["placement"]["context"])
        self.assertLess(said, state["target"]["context"])
        self.assertEqual(self.daemon.chat("s", content="y" * (said + 300))[0], 400)

    def test_a_long_request_moves_a_degraded_model_up(self):
        connection = self.degrade()
        small = self.daemon.models()["s"]["placement"]["context"]
        # What the engine counts is learned: for this vocabulary a byte is about a token.
        self.assertEqual(self.daemon.chat("s", content="y" * (small - 200))[0], 200)
        long = "y" * (2 * small)
        self.assertEqual(self.daemon.chat("s", content=long)[0], 400, "no more can be had")
        connection.close()
        wait_until(lambda: not self.daemon.models()["a"]["leases"], 60, "a is idle")
        loads = self.daemon.models()["s"]["loads"]
        status, headers, text = self.daemon.chat("s", content=long)
        self.assertEqual(status, 200, text)
        state = self.daemon.models()["s"]
        self.assertEqual(state["placement"]["context"], state["target"]["context"])
        self.assertEqual(state["loads"], loads + 1)
        why = " ".join(
            self.daemon.command("why", headers["x-tonnage-request"]).stdout.split())
        self.assertIn("By estimate it takes", why)
        self.assertRegex(why, r"its prompt had \d+ tokens, of which \d+ were kept")
        self.assertIn("a request that waits asks for more context", why)
        self.assertEqual(self.daemon.chat("s", content=long)[0], 200)
        self.assertEqual(self.daemon.models()["s"]["loads"], loads + 1)


class UnfitModels(unittest.TestCase):
    def test_a_door_that_a_model_cannot_serve_answers_without_loading_it(self):
        demo, test = demo_models("demo"), demo_models("test")
        with Daemon({"models": {
                "chat": {"gguf": str(demo / "demo-small.gguf"), "context": 512},
                "embed": {"gguf": str(test / "test-embed.gguf")}}}) as daemon:
            for model, path in (("embed", "/v1/chat/completions"), ("embed", "/v1/completions"),
                                ("embed", "/v1/messages"), ("embed", "/v1/rerank"),
                                ("chat", "/v1/embeddings"), ("chat", "/v1/rerank"),
                                ("chat", "/upstream/chat/embedding"),
                                ("resident", "/v1/embeddings")):
                status, _, text = daemon.request("POST", path, {
                    "model": model, "input": "x", "prompt": "x", "max_tokens": 2, "query": "x",
                    "documents": ["x"], "messages": [{"role": "user", "content": "x"}]})
                self.assertEqual(status, 400, (model, path, text))
                error = json.loads(text)["error"]
                self.assertEqual((error["code"], error["param"]), ("unfit_model", "model"))
            self.assertEqual({m["loads"] for m in daemon.models().values()}, {0})
            body = {"model": "embed", "input": "x"}
            self.assertEqual(daemon.request("POST", "/v1/embeddings", body)[0], 200)


if __name__ == "__main__":
    unittest.main()
