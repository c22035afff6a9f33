"""Model files that do not answer: a file system that hangs, a named pipe. They hold back their own
model, and nothing else; the daemon ends when it is told to."""

import ctypes
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from pathlib import Path

from daemon import Daemon, demo_models, wait_until

LIBC = ctypes.CDLL(None, use_errno=True)
MNT_DETACH = 2


class HungMount:
    """A FUSE file system with one file, of which everything hangs once `hang()` was called."""

    def __init__(self, backing):
        self.folder = Path(tempfile.mkdtemp(prefix="tonnage-fuse-"))
        self.point = self.folder / "mount"
        self.point.mkdir()
        self.file = self.point / "model.gguf"
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("hanging_fs.py")), str(self.point),
             str(backing)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        first = self.process.stdout.readline().strip()
        if first != "mounted":
            self.close()
            raise unittest.SkipTest(f"needs a user who may mount FUSE (/dev/fuse): {first}")

    def hang(self):
        self.process.stdin.write("hang\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline().strip() == "hangs"

    def close(self):
        self.process.kill()
        self.process.communicate()
        LIBC.umount2(str(self.point).encode(), MNT_DETACH)
        shutil.rmtree(self.folder, ignore_errors=True)


class HungFiles(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.models = demo_models("test")

    def mount(self):
        mount = HungMount(self.models / "test-a.gguf")
        self.addCleanup(mount.close)
        return mount

    def config(self, hung):
        return {"models": {"hung": {"gguf": str(hung), "context": 512},
                           "well": {"gguf": str(self.models / "test-b.gguf"), "context": 512}}}

    def check_that_others_are_served(self, daemon):
        for _ in range(3):
            asked = time.monotonic()
            self.assertEqual(daemon.request("GET", "/health", timeout=5)[0], 200)
            self.assertLess(time.monotonic() - asked, 3)
        self.assertEqual(daemon.chat("well", timeout=60)[0], 200)
        self.assertEqual(daemon.request("GET", "/v1/models", timeout=5)[0], 200)

    def check_that_it_ends(self, daemon):
        daemon.process.send_signal(signal.SIGTERM)
        self.assertEqual(daemon.process.wait(20), 0)

    def test_a_mount_that_hung_before_the_start(self):
        mount = self.mount()
        mount.hang()
        with Daemon(self.config(mount.file)) as daemon:
            answers = []
            client = threading.Thread(
                target=lambda: answers.append(daemon.chat("hung", timeout=60)))
            client.start()
            self.check_that_others_are_served(daemon)
            client.join(60)
            self.assertEqual(answers[0][0], 502, answers)
            self.assertIn("did not answer", answers[0][2])
            self.check_that_it_ends(daemon)

    def test_a_mount_that_hangs_while_its_model_is_ready(self):
        mount = self.mount()
        with Daemon(self.config(mount.file)) as daemon:
            self.assertEqual(daemon.chat("hung")[0], 200)
            mount.hang()
            self.check_that_others_are_served(daemon)
            self.assertEqual(daemon.command("reload").returncode, 0)
            self.check_that_others_are_served(daemon)
            self.check_that_it_ends(daemon)

    def test_a_load_that_hangs_does_not_keep_the_daemon_from_ending(self):
        mount = self.mount()
        with Daemon(self.config(mount.file)) as daemon:
            # Its footprint is known, so that the next thing is its server.
            self.assertEqual(daemon.chat("hung")[0], 200)
            self.assertEqual(daemon.command("unload", "hung").returncode, 0)
            mount.hang()
            client = threading.Thread(target=lambda: daemon.chat("hung", timeout=60))
            client.start()
            self.check_that_others_are_served(daemon)
            self.check_that_it_ends(daemon)
            client.join(60)

    def test_a_named_pipe_is_no_model(self):
        with tempfile.TemporaryDirectory() as folder:
            pipe = Path(folder) / "x.gguf"
            os.mkfifo(pipe)
            with Daemon(self.config(pipe)) as daemon:
                status, _, text = daemon.chat("hung", timeout=30)
                self.assertEqual(status, 502, text)
                self.assertIn("not a regular file", text)
                self.check_that_others_are_served(daemon)
                self.check_that_it_ends(daemon)


if __name__ == "__main__":
    unittest.main()
