"""Model servers of the user's own, as a command: started, reached, measured, swapped, ended."""

import os
import shutil
import signal
import sys
import tempfile
import unittest
from pathlib import Path

from daemon import Daemon, demo_models, wait_until

SERVER = str(Path(__file__).with_name("own_server.py"))
MIB = 1 << 20


def own(*words, host="120MiB", where=("--port", "${PORT}"), **more):
    return {"command": [sys.executable, SERVER, *where, *words], "memory": {"host": host}, **more}


def is_there(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1][1] != "Z"
    except OSError:
        return False


def config(models, limit="400MiB"):
    return {"budgets": {"host": {"limit": limit}}, "residency": {"min_residency": "0s"},
            "models": models}


class Command(unittest.TestCase):
    def pid_file(self):
        folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, folder)
        return folder / "pid"

    def test_it_serves_beside_the_built_in_engine_and_is_swapped_with_it(self):
        """Three of 150 MiB and more under 340: each answers in turn, none is refused."""
        models = {"a": own("--name", "a", "--hold", "60", host="150MiB"),
                  "b": own("--name", "b", "--hold", "60", host="150MiB",
                           where=("--socket", "${SOCKET}"), aliases=["bee"]),
                  "s": {"gguf": str(demo_models("demo") / "demo-small.gguf"), "context": 512}}
        with Daemon(config(models, "340MiB")) as daemon:
            for _ in range(3):
                for name, asked in (("a", "a"), ("b", "bee"), ("s", "s")):
                    status, _, text = daemon.chat(asked)
                    self.assertEqual(status, 200, text)
                    if name != "s":
                        self.assertEqual(text, f"{name} at /v1/chat/completions")
            seen = daemon.models()
            self.assertEqual(seen["a"]["engine"], "command")
            self.assertEqual(seen["s"]["engine"], "llama")
            self.assertGreater(seen["a"]["loads"] + seen["b"]["loads"] + seen["s"]["loads"], 3)

    def test_what_can_never_fit_is_told_in_words_that_fit_a_command(self):
        with Daemon(config({"big": own(host="40GiB"), "own": own()})) as daemon:
            status, _, text = daemon.chat("big")
            self.assertEqual(status, 400)
            self.assertIn("correct its `memory` in the configuration", text)
            self.assertNotIn("tokens", text)
            self.assertNotIn("quantization", text)
            # Tokens that can be counted are nothing to a server whose context nobody knows.
            status, _, text = daemon.request("POST", "/v1/completions", {
                "model": "own", "prompt": list(range(9000)), "max_tokens": 4})
            self.assertEqual(status, 200, text)
            self.assertIsNone(daemon.get_json("/v1/models/own")["context_length"])

    def test_it_is_asked_only_once_it_is_ready(self):
        with Daemon(config({"own": own("--load-s", "1")})) as daemon:
            self.assertEqual(daemon.chat("own")[0], 200)

    def test_what_it_takes_beyond_its_word_counts_at_the_next_start(self):
        with Daemon(config({"own": own("--hold", "10", "--more", "150", host="60MiB")})) as daemon:
            self.assertEqual(daemon.chat("own", content="hold more")[0], 200)
            wait_until(lambda: daemon.models()["own"]["measured_bytes"] > 150 * MIB, 30,
                       "its memory is seen")
            daemon.request("POST", "/api/memory/models/own/unload")
            self.assertEqual(daemon.chat("own")[0], 200)
            self.assertEqual(daemon.models()["own"]["source"], "learned")
            self.assertGreater(daemon.models()["own"]["reserved_bytes"], 150 * MIB)

    def test_a_grandchild_of_another_session_ends_with_it(self):
        left = self.pid_file()
        with Daemon(config({"own": own("--child", str(left))})) as daemon:
            self.assertEqual(daemon.chat("own")[0], 200)
            pid = int(left.read_text(encoding="ascii"))
            self.assertTrue(is_there(pid))
            daemon.request("POST", "/api/memory/models/own/unload")
            wait_until(lambda: not is_there(pid), 20, "the grandchild is gone")

    def test_the_next_daemon_ends_what_a_killed_one_left(self):
        left = self.pid_file()
        with Daemon(config({"own": own("--child", str(left))})) as daemon:
            self.assertEqual(daemon.chat("own")[0], 200)
            pid = int(left.read_text(encoding="ascii"))
            daemon.process.send_signal(signal.SIGKILL)
            daemon.process.wait()
            self.assertTrue(is_there(pid))
            with Daemon(config({"own": own()}),
                        env={"TONNAGE_RUNTIME_DIR": str(daemon.runtime)}):
                self.assertFalse(is_there(pid))

    def test_one_that_cannot_start_says_why_and_harms_nobody(self):
        models = {"gone": {"command": ["no-such-program", "${PORT}"], "memory": {"host": "1MiB"}},
                  "loud": {"command": ["/bin/sh", "-c", "echo out of luck; exit 3", "${PORT}"],
                           "memory": {"host": "1MiB"}},
                  "own": own()}
        with Daemon(config(models)) as daemon:
            status, _, text = daemon.chat("gone")
            self.assertIn(status, (502, 503), text)
            self.assertIn("no such program on PATH", text)
            status, _, text = daemon.chat("loud")
            self.assertIn(status, (502, 503), text)
            self.assertIn("out of luck", text)
            self.assertEqual(daemon.chat("own")[0], 200)

    def test_one_that_is_killed_is_started_again_and_nobody_learns(self):
        with Daemon(config({"own": own()})) as daemon:
            self.assertEqual(daemon.chat("own")[0], 200)
            children = Path(f"/proc/{daemon.process.pid}/task/{daemon.process.pid}/children")
            pid = next(int(p) for p in children.read_text(encoding="ascii").split()
                       if SERVER.encode() in Path(f"/proc/{p}/cmdline").read_bytes())
            os.kill(pid, signal.SIGKILL)
            self.assertEqual(daemon.chat("own")[0], 200)
            self.assertEqual(daemon.models()["own"]["loads"], 2)


if __name__ == "__main__":
    unittest.main()
