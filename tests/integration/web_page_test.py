"""What a page in a browser may do, by its Origin."""

import unittest

from daemon import Daemon, demo_models


class WebPage(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = demo_models("demo")
        cls.daemon = Daemon({"models": {"demo-small": {
            "gguf": str(folder / "demo-small.gguf"), "context": 512}},
            "allowed_hosts": ["webui.lan"]})
        cls.daemon.__enter__()

    @classmethod
    def tearDownClass(cls):
        cls.daemon.__exit__(None, None, None)

    def ask(self, method, path, origin, body=None):
        status, headers, _ = self.daemon.request(method, path, body, {"Origin": origin})
        return status, headers.get("access-control-allow-origin") or None

    def test_an_allowed_page_may_read_every_kind_of_answer(self):
        body = {"model": "demo-small", "max_tokens": 2,
                "messages": [{"role": "user", "content": "Hello"}]}
        for origin in ("http://localhost:3000", "http://webui.lan"):
            self.assertEqual(self.ask("OPTIONS", "/v1/chat/completions", origin), (204, origin))
            self.assertEqual(self.ask("GET", "/v1/models", origin), (200, origin))
            self.assertEqual(self.ask("GET", "/nowhere", origin), (404, origin))
            self.assertEqual(self.ask("POST", "/v1/chat/completions", origin, body),
                             (200, origin))
            self.assertEqual(self.ask("POST", "/v1/chat/completions", origin,
                                      {**body, "stream": True}), (200, origin))
            self.assertEqual(self.ask("POST", "/v1/chat/completions", origin,
                                      {**body, "model": "nobody"}), (404, origin))

    def test_another_page_may_not(self):
        for origin in ("http://evil.example", "null"):
            self.assertIsNone(self.ask("GET", "/v1/models", origin)[1])
            status, allowed = self.ask("POST", "/api/memory/flush", origin)
            self.assertEqual((status, allowed), (403, None))

    def test_no_origin_no_header(self):
        status, headers, _ = self.daemon.request("GET", "/v1/models")
        self.assertEqual(status, 200)
        self.assertNotIn("access-control-allow-origin", headers)


if __name__ == "__main__":
    unittest.main()
