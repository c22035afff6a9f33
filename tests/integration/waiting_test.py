"""What a client sees while it waits: its place, and what becomes of the wait."""

import json
import socket
import unittest

from daemon import Daemon, demo_models, wait_until


class Waiting(unittest.TestCase):
    def stream(self, daemon, until, seconds=30):
        """Asks demo-small for a stream and reads until `until` is in it, or it ends."""
        body = json.dumps({"model": "demo-small", "stream": True, "max_tokens": 4,
                           "messages": [{"role": "user", "content": "Hello"}]})
        client = socket.create_connection(("127.0.0.1", daemon.port), seconds)
        client.sendall((f"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
                        f"{body}").encode())
        received = ""
        while until not in received:
            piece = client.recv(65536).decode()
            if not piece:
                break
            received += piece
        return client, received

    def config(self, **queue):
        folder = demo_models("demo")
        models = {name: {"gguf": str(folder / f"{name}.gguf"), "context": 8192, "slots": 1}
                  for name in ("demo-small", "demo-medium")}
        return {"residency": {"single_model": True}, "queue": queue, "models": models}

    def hold(self, daemon):
        """Makes demo-medium busy until the connection is closed."""
        self.assertEqual(daemon.chat("demo-medium")[0], 200)
        connection = daemon.connection()
        connection.request("POST", "/v1/chat/completions",
                           json.dumps({"model": "demo-medium", "max_tokens": 8000, "stream": True,
                                       "messages": [
                               {"role": "user", "content": "Hello"}]}),
                           {"Content-Type": "application/json"})
        wait_until(lambda: daemon.models()["demo-medium"]["leases"] == 1, 20, "it is busy")
        return connection

    def test_a_stream_is_told_its_place_and_then_served(self):
        with Daemon(self.config()) as daemon:
            held = self.hold(daemon)
            client, received = self.stream(daemon, "queue place")
            held.close()
            while "data: [DONE]" not in received:
                piece = client.recv(65536).decode()
                self.assertTrue(piece, received)
                received += piece
            client.close()
        self.assertIn(" 200 ", received.split("\r\n")[0])
        self.assertIn(": tonnage queue place 1", received)
        self.assertLess(received.index("queue place"), received.index("data: {"))
        self.assertIn("demo-small:", received)

    def test_a_stream_that_began_is_refused_in_band(self):
        with Daemon(self.config(queue_timeout="5s", yield_after="60s")) as daemon:
            held = self.hold(daemon)
            client, received = self.stream(daemon, '"error"')
            client.close()
            held.close()
        self.assertIn(" 200 ", received.split("\r\n")[0])
        self.assertIn("queue place", received)
        event = next(line for line in received.splitlines() if line.startswith("data: "))
        error = json.loads(event[6:])["error"]
        self.assertEqual(error["tonnage"]["reason"], "queue_timeout")
        self.assertIn("demo-small", error["message"])


if __name__ == "__main__":
    unittest.main()
