"""What a page in a browser may do, by its Origin."""

import unittest

from daemon import Daemon, demo_models

KEY = "change-me-please"
# Notes, extensions, editors and desktop shells: none of them is a web site.
PROGRAMS = ("app://obsidian.md", "chrome-extension://aaaabbbbccccddddeeeeffffgggghhhh",
            "vscode-webview://1k2j3h", "tauri://localhost")
OPENAI = ("authorization,content-type,x-stainless-os,x-stainless-retry-count,x-stainless-timeout,"
          "x-stainless-helper-method")
ANTHROPIC = ("x-api-key,anthropic-version,anthropic-beta,"
             "anthropic-dangerous-direct-browser-access")


def names(value):
    return {name.strip().lower() for name in value.split(",")}


class Pages(unittest.TestCase):
    more = {}

    @classmethod
    def setUpClass(cls):
        if cls is Pages:
            raise unittest.SkipTest("the classes below say what is configured")
        folder = demo_models("demo")
        cls.daemon = Daemon({"models": {"demo-small": {
            "gguf": str(folder / "demo-small.gguf"), "context": 512}},
            "allowed_hosts": ["webui.lan"], **cls.more})
        cls.daemon.__enter__()

    @classmethod
    def tearDownClass(cls):
        cls.daemon.__exit__(None, None, None)

    def ask(self, method, path, origin, body=None, **headers):
        status, headers, _ = self.daemon.request(method, path, body,
                                                 {"Origin": origin, **headers})
        return status, headers.get("access-control-allow-origin") or None

    def preflight(self, origin, headers="content-type", path="/v1/chat/completions", **more):
        status, answer, text = self.daemon.request("OPTIONS", path, None, {
            "Origin": origin, "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": headers, **more})
        return status, answer, text

    def chat(self, origin, **headers):
        return self.daemon.request("POST", "/v1/chat/completions", {
            "model": "demo-small", "max_tokens": 2,
            "messages": [{"role": "user", "content": "Hello"}]}, {"Origin": origin, **headers})


class AsDelivered(Pages):
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
            self.assertEqual(self.ask("GET", "/upstream/demo-small/health", origin),
                             (200, origin))

    def test_a_preflight_allows_every_header_that_is_asked_for(self):
        for path, headers in (("/v1/chat/completions", OPENAI), ("/v1/messages", ANTHROPIC)):
            status, answer, _ = self.preflight("http://localhost:5174", headers, path)
            self.assertEqual(status, 204)
            self.assertEqual(answer["access-control-allow-origin"], "http://localhost:5174")
            self.assertEqual(names(answer["access-control-allow-headers"]), names(headers))
            self.assertIn("POST", answer["access-control-allow-methods"])
            self.assertTrue({"origin", "access-control-request-headers"} <=
                            names(answer["vary"]))
            self.assertNotIn("access-control-allow-private-network", answer)

    def test_only_allowed_pages_may_come_in_from_another_network(self):
        asks = {"Access-Control-Request-Private-Network": "true"}
        _, answer, _ = self.preflight("http://localhost:5174", **asks)
        self.assertEqual(answer["access-control-allow-private-network"], "true")
        status, answer, _ = self.preflight("http://evil.example", **asks)
        self.assertEqual(status, 403)
        self.assertNotIn("access-control-allow-private-network", answer)

    def test_another_page_is_told_which_key_to_set(self):
        for origin in (*PROGRAMS, "http://evil.example"):
            for status, answer, text in (self.preflight(origin), self.chat(origin)):
                self.assertEqual(status, 403)
                self.assertIn(f"add '{origin}' to allowed_origins", text)
                self.assertNotIn("access-control-allow-origin", answer)
                self.assertEqual(answer["vary"].split(",")[0], "Origin")

    def test_another_page_may_not(self):
        for origin in ("http://evil.example", "null"):
            self.assertEqual(self.ask("GET", "/v1/models", origin), (403, None))
            self.assertEqual(self.ask("POST", "/api/memory/flush", origin), (403, None))

    def test_pages_of_other_sites_may_not_read_where_there_are_no_keys(self):
        def status(path, **headers):
            names_of = {name.replace("_", "-"): value for name, value in headers.items()}
            return self.daemon.request("GET", path, None, names_of)[0]
        image = {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "no-cors",
                 "Sec_Fetch_Dest": "image"}
        typed = {"Sec_Fetch_Site": "none", "Sec_Fetch_Mode": "navigate",
                 "Sec_Fetch_Dest": "document", "Sec_Fetch_User": "?1"}
        link = {**typed, "Sec_Fetch_Site": "cross-site"}
        for path in ("/api/memory/requests/1", "/api/memory/status", "/v1/models", "/metrics"):
            self.assertEqual(status(path, **image), 403, path)
            self.assertNotEqual(status(path, **typed), 403, path)
            self.assertNotEqual(status(path, **link), 403, path)
        self.assertEqual(status("/health", **image), 200)

    def test_no_origin_no_header(self):
        status, headers, _ = self.daemon.request("GET", "/v1/models")
        self.assertEqual(status, 200)
        self.assertNotIn("access-control-allow-origin", headers)
        self.assertEqual(headers["vary"], "Origin")


class WithAllowedOrigins(Pages):
    more = {"allowed_origins": ["app://obsidian.md",
                                "chrome-extension://aaaabbbbccccddddeeeeffffgggghhhh",
                                "vscode-webview://*", "tauri://localhost"]}

    def test_they_may_ask_and_read(self):
        for origin in PROGRAMS:
            status, answer, _ = self.preflight(origin, OPENAI)
            self.assertEqual((status, answer["access-control-allow-origin"]), (204, origin))
            status, answer, _ = self.chat(origin)
            self.assertEqual((status, answer["access-control-allow-origin"]), (200, origin))
            exposed = names(answer["access-control-expose-headers"])
            sent = {name for name in answer if name.startswith("x-tonnage-")}
            self.assertTrue(sent)
            self.assertEqual(sent - exposed, set())

    def test_others_may_not(self):
        for origin in ("chrome-extension://zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz",
                       "http://evil.example", "app://obsidian.md.evil"):
            self.assertEqual(self.preflight(origin)[0], 403)
            self.assertEqual(self.chat(origin)[0], 403)


class WithKeys(Pages):
    more = {"keys": [{"name": "a", "key": KEY, "scopes": ["infer", "read"]}]}

    def test_a_preflight_needs_no_key_and_the_post_does(self):
        origin = "http://localhost:5174"
        self.assertEqual(self.preflight(origin)[0], 204)
        status, answer, _ = self.chat(origin)
        self.assertEqual((status, answer["access-control-allow-origin"]), (401, origin))
        self.assertEqual(self.chat(origin, Authorization=f"Bearer {KEY}")[0], 200)


if __name__ == "__main__":
    unittest.main()
