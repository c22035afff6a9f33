"""`tonnage events`: decisions as sentences, as they are made, over a daemon that is restarted."""

import contextlib
import json
import os
import re
import subprocess
import threading
import unittest
from pathlib import Path

from daemon import TONNAGE, Daemon, demo_models, wait_until


def config():
    folder = demo_models("test")
    return {"budgets": {"host": {"limit": "300MiB", "reserve": "0%"}},
            "load": {"profile_ahead": False},
            "models": {name: {"gguf": str(folder / f"{name}.gguf"), "context": 512}
                       for name in ("test-a", "test-b")}}


class Follower:
    """`tonnage events --follow` beside a daemon."""

    def __init__(self, daemon, *words):
        self.process = subprocess.Popen(
            [str(TONNAGE), "events", "--follow", *words], env=daemon.env,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.lines, self.said = [], []
        self.readers = [threading.Thread(target=self._read, args=(stream, into), daemon=True)
                        for stream, into in ((self.process.stdout, self.lines),
                                             (self.process.stderr, self.said))]
        for reader in self.readers:
            reader.start()

    @staticmethod
    def _read(stream, into):
        with stream:
            for line in stream:
                into.append(line.rstrip("\n"))

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        self.process.kill()
        self.process.wait()
        for reader in self.readers:
            reader.join(5)


class Events(unittest.TestCase):
    def test_decisions_are_sentences_with_times(self):
        with Daemon(config()) as daemon:
            self.assertEqual(daemon.command("events").stdout, "nothing was decided yet\n")
            for model in ("test-a", "test-b"):
                self.assertEqual(daemon.chat(model)[0], 200)
            text = daemon.command("events").stdout
            self.assertRegex(text, r"^\d\d:\d\d:\d\d  Loading test-a with")
            self.assertIn("test-b is ready", text)
            self.assertLessEqual(max(len(line) for line in text.splitlines()), 80)
            only = daemon.command("events", "--model", "test-b").stdout
            self.assertNotIn("test-a", only)
            last = json.loads(daemon.command("events", "--json", "--limit", "1").stdout)
            self.assertEqual([e["kind"] for e in last["data"]], ["ready"])
            self.assertEqual(daemon.command("events", "--model", "nothing").returncode, 4)
            self.assertEqual(daemon.command("events", "--follow", "--model", "nothing").returncode,
                             4)
            nowhere = daemon.command("events", "--follow", "--runtime-dir", "/nonexistent")
            self.assertEqual(nowhere.returncode, 3)

    def test_following_goes_on_with_a_daemon_that_is_started_anew(self):
        with Daemon(config()) as daemon, Follower(daemon, "--json") as follower:
            self.assertEqual(daemon.chat("test-a")[0], 200)
            wait_until(lambda: len(follower.lines) >= 2, 20, "load and ready")
            daemon.process.kill()
            daemon.process.wait()
            wait_until(lambda: any("waiting until" in line for line in follower.said), 20,
                       "it says that the daemon has gone")
            seen = len(follower.lines)
            with Daemon(config(), env={"TONNAGE_RUNTIME_DIR": str(daemon.runtime)}) as later:
                # More decisions than were seen before: their numbers alone would hide some.
                for model in ("test-b", "test-a"):
                    self.assertEqual(later.chat(model)[0], 200)
                wanted = [(e["seq"], e["kind"], e["model"]) for e in later.events()]
                self.assertGreater(len(wanted), seen)
                wait_until(lambda: len(follower.lines) >= seen + len(wanted), 20, "all of it")
                events = [json.loads(line) for line in follower.lines[seen:]]
                self.assertEqual([(e["seq"], e["kind"], e["model"]) for e in events], wanted)
            self.assertTrue(any("is back" in line for line in follower.said), follower.said)

    def test_a_daemon_that_decided_nothing_is_waited_for_too(self):
        def sockets(daemon):
            folder = Path(f"/proc/{daemon.process.pid}/fd")
            count = 0
            for fd in folder.iterdir():
                with contextlib.suppress(FileNotFoundError):  # closed meanwhile
                    count += os.readlink(fd).startswith("socket:")
            return count

        with Daemon(config()) as daemon:
            before = sockets(daemon)
            with Follower(daemon) as follower:
                wait_until(lambda: sockets(daemon) > before, 20, "the follower is connected")
                for _ in range(3):  # what it asked for was begun before these are answered
                    self.assertEqual(daemon.request("GET", "/health")[0], 200)
                daemon.process.kill()
                wait_until(lambda: follower.said or follower.process.poll(), 20, "it notices")
                self.assertIn("waiting until", follower.said[0])

    def test_a_stream_that_was_cut_misses_nothing(self):
        with Daemon(config()) as daemon:
            self.assertEqual(daemon.chat("test-a")[0], 200)
            first = self.stream(daemon, {}, 2)
            self.assertEqual(daemon.chat("test-b")[0], 200)
            rest = self.stream(daemon, {"Last-Event-ID": first[-1][0]}, 2)
            self.assertEqual([seq for _, seq in first + rest],
                             [e["seq"] for e in daemon.events()])
            # An id of another run of the daemon says nothing about this one.
            again = self.stream(daemon, {"Last-Event-ID": "another-4"}, 4)
            self.assertEqual(again, first + rest)

    def stream(self, daemon, headers, count):
        """The first `count` events of a new stream as (id, seq)."""
        connection = daemon.connection(30)
        connection.request("GET", "/api/memory/events?follow=1", headers=headers)
        answer = connection.getresponse()
        text = ""
        while len(re.findall(r"^data: .*\n\n", text, re.MULTILINE)) < count:
            piece = answer.read1(65536).decode()
            self.assertTrue(piece, text)
            text += piece
        connection.close()
        return [(found[1], json.loads(found[2])["seq"])
                for found in re.finditer(r"id: (\S+)\nevent: \w+\ndata: (.*)\n\n", text)]


if __name__ == "__main__":
    unittest.main()
