"""What a crowd of clients may take of the daemon's memory and disk is bounded."""

import http.client
import json
import os
import signal
import socket
import threading
import unittest
from pathlib import Path

from daemon import Daemon, demo_models, wait_until

MIB = 1 << 20


def peak_rss(daemon):
    text = Path(f"/proc/{daemon.process.pid}/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) * 1024 for line in text.splitlines()
                if line.startswith("VmHWM"))


class Records(unittest.TestCase):
    def test_200_readers_of_a_request_cost_the_memory_of_one(self):
        folder = demo_models("test")
        with Daemon({"models": {"test-a": {"gguf": str(folder / "test-a.gguf"),
                                           "context": 512}}, "log": {"level": "error"}}) as daemon:
            status, headers, _ = daemon.chat("test-a", max_tokens=1)
            self.assertEqual(status, 200)
            # Steps until the record of the latest ones is full: 4 MiB.
            connection = daemon.connection()
            for _ in range(3500):
                for method, path in (("POST", "pin"), ("POST", "unpin")):
                    connection.request(method, f"/api/memory/models/test-a/{path}")
                    connection.getresponse().read()
            connection.close()
            number = daemon.chat("test-a", max_tokens=1)[1]["x-tonnage-request"]
            before = peak_rss(daemon)
            answers = []

            def read():
                status, _, text = daemon.request("GET", f"/api/memory/requests/{number}")
                answers.append((status, text))
            threads = [threading.Thread(target=read) for _ in range(200)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            told = [text for status, text in answers if status == 200]
            refused = [text for status, text in answers if status == 503]
            self.assertEqual(len(told) + len(refused), 200, answers[:3])
            self.assertGreater(len(told), 0)
            self.assertIn(f"Request {number} asked for test-a", told[0])
            for text in refused:
                self.assertIn("concurrent reads of request records reached", text)
            self.assertLess(peak_rss(daemon) - before, 64 * MIB)
            self.assertEqual(daemon.request("GET", f"/api/memory/requests/{number}")[0], 200)


class Bodies(unittest.TestCase):
    def post(self, daemon):
        body = json.dumps({"model": "test-a", "max_tokens": 1, "messages": [
            {"role": "user", "content": "x" * MIB}]}).encode()
        client = socket.create_connection(("127.0.0.1", daemon.port), 60)
        client.sendall((f"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: "
                        f"application/json\r\nContent-Length: {len(body)}\r\n\r\n").encode())
        client.sendall(body)
        return client

    def files(self, daemon):
        """Bytes of bodies that are mapped from files of the state folder."""
        maps = Path(f"/proc/{daemon.process.pid}/maps").read_text(encoding="utf-8")
        bodies = [line.split()[0].split("-") for line in maps.splitlines()
                  if str(daemon.state_dir / "bodies") in line]
        return sum(int(end, 16) - int(begin, 16) for begin, end in bodies)

    def test_they_lie_on_disk_beyond_their_memory_and_nowhere_beyond_their_disk(self):
        folder = demo_models("test")
        config = {"models": {"test-a": {"gguf": str(folder / "test-a.gguf"), "context": 512}},
                  "limits": {"bodies_max_total": "2MiB", "bodies_disk_max": "4MiB"}}
        with Daemon(config) as daemon:
            self.assertEqual(daemon.chat("test-a", max_tokens=1)[0], 200)
            # The server is stopped, so that every body is kept.
            server = daemon.server_pid("test-a")
            os.kill(server, signal.SIGSTOP)
            clients = []
            try:
                # One fits into memory, three into files.
                for count in range(1, 5):
                    clients.append(self.post(daemon))
                    wait_until(lambda n=count: self.open_requests(daemon) == n, 30, "it is taken")
                self.assertGreater(self.files(daemon), 2 * MIB)
                self.assertEqual(list((daemon.state_dir / "bodies").iterdir()), [])
                refused = self.post(daemon)
                answer = http.client.HTTPResponse(refused)
                answer.begin()
                self.assertEqual(answer.status, 503)
                self.assertIn("Limit of disk space for request bodies reached; retry later",
                              answer.read().decode())
                refused.close()
            finally:
                for client in clients:
                    client.close()
            wait_until(lambda: self.files(daemon) == 0, 30, "the files are given back")
            os.kill(server, signal.SIGCONT)
            self.assertEqual(daemon.chat("test-a", max_tokens=1)[0], 200)

    def open_requests(self, daemon):
        model = daemon.models()["test-a"]
        return model["leases"] + model["waiting"]


if __name__ == "__main__":
    unittest.main()
