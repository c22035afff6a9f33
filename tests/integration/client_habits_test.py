"""What programs send in all innocence: health checks, proxies, base URLs, odd fields."""

import json
import socket
import unittest

from daemon import Daemon, demo_models, wait_until

CHAT = "/v1/chat/completions"


def exchange(port, data, seconds=30):
    """Everything that comes back until the server closes; `...` at its end where it fell silent."""
    with socket.create_connection(("127.0.0.1", port), seconds) as client:
        client.sendall(data if isinstance(data, bytes) else data.encode())
        received = b""
        try:
            while piece := client.recv(65536):
                received += piece
        except TimeoutError:
            received += b"..."
        return received.decode("utf-8", "replace")


def post(path, body, fields=""):
    text = json.dumps(body)
    return (f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(text)}\r\n{fields}Connection: close\r\n\r\n{text}")


def head_of(path):
    return f"HEAD {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


class Habits(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = demo_models("test")
        cls.daemon = Daemon({
            "budgets": {"host": {"limit": "400MiB", "reserve": "0%"}},
            "models": {
                "test-a": {"gguf": str(folder / "test-a.gguf"), "context": 1024, "slots": 2,
                           "aliases": ["gpt-4o-mini"]},
                "embed": {"gguf": str(folder / "test-embed.gguf"), "slots": 1}}},
            arguments=["--cpu"])
        cls.daemon.__enter__()

    @classmethod
    def tearDownClass(cls):
        cls.daemon.__exit__(None, None, None)

    def ask(self, path, **more):
        body = {"model": "test-a", "max_tokens": 4, "messages": [{"role": "user", "content": "Hi"}],
                **more}
        return self.daemon.request("POST", path, body)

    def test_a_health_check_of_http_1_0_names_no_host(self):
        answer = exchange(self.daemon.port, "GET /health HTTP/1.0\r\n\r\n")
        self.assertTrue(answer.startswith("HTTP/1.1 200 "), answer)

    def test_base_urls_with_slashes_too_many(self):
        for path in ("/v1/chat/completions/", "//v1/chat/completions", "/v1//chat/completions"):
            status, _, text = self.ask(path)
            self.assertEqual(status, 200, f"{path}: {text}")

    def test_a_path_that_is_none_names_the_one_that_may_be_meant(self):
        for path, hint in {"/v1/v1/chat/completions": "/v1/chat/completions",
                           "/chat/completions": "/v1/chat/completions",
                           "/infill": "/upstream/MODEL/infill", "/api/chat": "Ollama"}.items():
            status, _, text = self.ask(path)
            self.assertEqual(status, 404)
            self.assertIn(hint, json.loads(text)["error"]["message"])

    def test_names_as_clients_of_other_programs_write_them(self):
        for name in ("TEST-A", "test-a:latest", " test-a", "GPT-4o-mini"):
            status, headers, text = self.daemon.chat(name, max_tokens=2)
            self.assertEqual((status, headers.get("x-tonnage-model")), (200, "test-a"), text)

    def test_a_head_of_a_stream_that_never_ends_ends(self):
        self.assertEqual(self.ask(CHAT)[0], 200)
        for path in ("/api/memory/events?follow=1", "/logs/test-a?follow=1"):
            answer = exchange(self.daemon.port, head_of(path), 20)
            self.assertTrue(answer.startswith("HTTP/1.1 200 "), answer)
            self.assertTrue(answer.endswith("\r\n\r\n"), answer)

    def test_fields_that_a_proxy_adds_do_not_make_a_request_bad(self):
        body = {"model": "test-a", "max_tokens": 2, "messages": [{"role": "user", "content": "Hi"}]}
        many = "".join(f"X-Added-{i}: a\r\n" for i in range(120))
        for fields in (f"X-Forwarded-Access-Token: {'t' * 9000}\r\n", many):
            answer = exchange(self.daemon.port, post(CHAT, body, fields))
            self.assertTrue(answer.startswith("HTTP/1.1 200 "), answer[:500])

    def test_what_only_the_request_can_mend_is_400(self):
        user = [{"role": "user", "content": "Hi"}]
        image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
        for path, more in (
                (CHAT, {"messages": [{"role": "user", "content": [image]}]}),
                (CHAT, {"messages": [{"content": "no role"}]}),
                (CHAT, {"messages": user, "tools": [{"type": "web_search"}]}),
                (CHAT, {"messages": user, "grammar": "root ::= \"a\"", "json_schema": {}}),
                ("/v1/messages", {"messages": [{"role": "user", "content": [{
                    "type": "image", "source": {"type": "base64", "media_type": "image/png",
                                                "data": "iVBORw0KGgo="}}]}]}),
                ("/v1/embeddings", {"model": "embed", "input": []}),
                ("/v1/embeddings", {"model": "embed", "input": ["a", None]})):
            status, _, text = self.ask(path, **more)
            self.assertEqual(status, 400, f"{path} {more}: {text}")
            self.assertEqual(json.loads(text)["error"]["type"], "invalid_request_error", text)
        half = json.dumps({"model": "test-a", "messages": user}).replace("Hi", "\\ud83d")
        status, _, text = self.daemon.request("POST", CHAT, half,
                                              {"Content-Type": "application/json"})
        self.assertEqual(status, 400, f"half of a surrogate pair: {text}")


class OneObject(unittest.TestCase):
    def test_a_field_without_meaning_begins_no_stream(self):
        """`stream` in a request whose answer is one object, while it waits for its turn."""
        folder = demo_models("test")
        texts = {"model": "embed", "input": "x", "stream": True}
        chat = {"model": "test-a", "stream": True, "max_tokens": 16000,
                "messages": [{"role": "user", "content": "Hi"}]}
        config = {"budgets": {"host": {"limit": "80MiB", "reserve": "0%"}}, "models": {
            "test-a": {"gguf": str(folder / "test-a.gguf"), "context": 16384, "slots": 1},
            "embed": {"gguf": str(folder / "test-embed.gguf"), "slots": 1}}}
        with Daemon(config, arguments=["--cpu"]) as daemon, \
                socket.create_connection(("127.0.0.1", daemon.port), 60) as busy, \
                socket.create_connection(("127.0.0.1", daemon.port), 60) as embedding, \
                socket.create_connection(("127.0.0.1", daemon.port), 60) as later:
            busy.sendall(post(CHAT, chat).encode())
            self.assertIn(b" 200 ", busy.recv(100))
            embedding.sendall(post("/v1/embeddings", texts).encode())
            wait_until(lambda: daemon.models()["embed"]["waiting"] == 1, 20, "it waits")
            later.sendall(post(CHAT, chat).encode())
            told = b""
            while told.count(b": tonnage queue") < 2:
                told += later.recv(4096)
            embedding.setblocking(False)
            with self.assertRaises(BlockingIOError):
                self.fail(f"the answer began: {embedding.recv(400)}")
            busy.close()
            later.close()
            embedding.settimeout(60)
            received = b""
            while piece := embedding.recv(65536):
                received += piece
            head, _, body = received.decode().partition("\r\n\r\n")
            self.assertIn("content-type: application/json", head.lower())
            self.assertEqual(len(json.loads(body)["data"]), 1)


if __name__ == "__main__":
    unittest.main()
