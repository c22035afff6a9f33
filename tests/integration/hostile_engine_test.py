"""Engines that stand still, are slow, are of another version or find less of a machine than they
think; and a daemon that may open only a few files."""

import contextlib
import json
import os
import shutil
import socket
import stat
import subprocess
import sys
import threading
import unittest
from pathlib import Path

from daemon import Daemon, demo_models, wait_until

ENGINE = Path(os.environ["TONNAGE_ENGINE_DIR"]) if "TONNAGE_ENGINE_DIR" in os.environ else None
FILES_MAX = 120

# Freezes the computation of a server, or makes each step slow, as files in $FLAGS say.
PRELOAD = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
static int seconds_of(const char* name) {
  char path[4096]; int seconds = 0;
  snprintf(path, sizeof(path), "%s/%s", getenv("FLAGS"), name);
  FILE* file = fopen(path, "r");
  if (!file) return -1;
  if (fscanf(file, "%d", &seconds) != 1) seconds = 0;
  fclose(file);
  return seconds;
}
struct batch { int n; void *token, *embd, *pos, *n_seq_id, *seq_id, *logits; };
int llama_decode(void* context, struct batch batch) {
  static int (*real)(void*, struct batch);
  if (!real) real = (int (*)(void*, struct batch))dlsym(RTLD_NEXT, "llama_decode");
  while (seconds_of("frozen") >= 0) usleep(100 * 1000);
  int slow = seconds_of("slow");
  if (slow > 0) sleep((unsigned)slow);
  return real(context, batch);
}
"""


def executable(path, text):
    path.write_text(text, encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def environment_of(pid):
    words = Path(f"/proc/{pid}/environ").read_bytes().decode().split("\0")
    return dict(word.split("=", 1) for word in words if "=" in word)


def command_line_of(pid):
    return Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")


class FewFiles(Daemon):
    """A daemon that may open only FILES_MAX files."""

    def command_line(self):
        return ["/bin/sh", "-c", f'ulimit -n {FILES_MAX}; exec "$@"', "sh", *super().command_line()]


class HostileEngine(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.models = demo_models("test")

    def config(self, names=("test-a",), **more):
        return {"models": {name: {"gguf": str(self.models / f"{name}.gguf"), "context": 512}
                           for name in names}, **more}

    def preload(self, daemon):
        """Adds the library to the model's own environment."""
        if shutil.which("cc") is None:
            self.skipTest("needs a C compiler (cc)")
        source = daemon.folder / "freeze.c"
        source.write_text(PRELOAD, encoding="utf-8")
        library = daemon.folder / "freeze.so"
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], check=True)
        return {"LD_PRELOAD": str(library), "FLAGS": str(daemon.folder)}

    def frozen_daemon(self):
        daemon = Daemon(self.config())
        config = self.config(engine={"progress_timeout": "10s"})
        config["models"]["test-a"]["env"] = self.preload(daemon)
        daemon.config.write_text(json.dumps(config), encoding="utf-8")
        return daemon

    def test_a_computation_that_stands_still_is_noticed(self):
        with self.frozen_daemon() as daemon:
            self.assertEqual(daemon.chat("test-a")[0], 200)
            first = daemon.server_pid("test-a")
            (daemon.folder / "frozen").touch()
            answers = []
            client = threading.Thread(target=lambda: answers.append(daemon.chat("test-a")))
            client.start()
            wait_until(lambda: daemon.server_pid("test-a") not in (first, None), 60,
                       "another server takes its place")
            (daemon.folder / "frozen").unlink()
            client.join()
            self.assertEqual(answers[0][0], 200, answers)
            stopped = [e for e in daemon.events() if e["reason"] == "stopped_hung"]
            self.assertIn("stood still", stopped[0]["text"] or stopped[0]["explain"])

    def test_a_slow_step_is_left_alone(self):
        with self.frozen_daemon() as daemon:
            self.assertEqual(daemon.chat("test-a")[0], 200)
            first = daemon.server_pid("test-a")
            (daemon.folder / "slow").write_text("5", encoding="utf-8")
            self.assertEqual(daemon.chat("test-a", max_tokens=3)[0], 200)
            self.assertEqual(daemon.server_pid("test-a"), first)
            self.assertEqual(daemon.models()["test-a"]["failures"], 0)

    def test_a_load_may_take_as_long_as_it_reads(self):
        if ENGINE is None:
            self.skipTest("needs TONNAGE_ENGINE_DIR, run it through tools/integration")
        daemon = Daemon(self.config(load={"timeout": "2s", "stall_after": "1s", "attempts": 1}))
        fake = executable(daemon.folder / "llama-server", f"""#!{sys.executable}
import os, sys, threading
if "--alias" in sys.argv:
    pause = threading.Event()
    with open({str(self.models / "test-a.gguf")!r}, "rb", buffering=0) as file:
        for _ in range(60):
            file.read(8192)
            pause.wait(0.1)
os.execv({str(ENGINE / "llama-server")!r}, ["llama-server", *sys.argv[1:]])
""")
        daemon.env["TONNAGE_ENGINE_LLAMA_SERVER"] = str(fake)
        with daemon:
            answers = []
            client = threading.Thread(target=lambda: answers.append(daemon.chat("test-a")))
            client.start()
            wait_until(lambda: "load_stalled" in daemon.request("GET", "/health")[2], 20,
                       "the load is said to take long")
            self.assertEqual(daemon.request("GET", "/health")[0], 200, "the daemon is well")
            client.join()
            self.assertEqual(answers[0][0], 200, answers)
            model = daemon.models()["test-a"]
            self.assertEqual((model["loads"], model["failures"]), (1, 0))

    def test_an_engine_of_another_version_on_path_is_passed_over(self):
        with contextlib.ExitStack() as stack:
            daemon = Daemon(self.config())
            old = daemon.folder / "old"
            old.mkdir()
            executable(old / "llama-server",
                       "#!/bin/sh\necho 'usage: --model FNAME, --host HOST, --port PORT'\n")
            daemon.env["PATH"] = f"{old}:{daemon.env['PATH']}"
            stack.enter_context(daemon)
            self.assertEqual(daemon.chat("test-a")[0], 200)
            self.assertIn("passed over", daemon.log)
            self.assertIn("passed over", daemon.command("doctor", "--config",
                                                        str(daemon.config)).stdout)

    def test_threads_are_as_many_as_processors_may_be_used(self):
        allowed = os.sched_getaffinity(0)
        if len(allowed) < 2:
            self.skipTest("needs two processors")
        with contextlib.ExitStack() as stack:
            stack.callback(os.sched_setaffinity, 0, allowed)
            os.sched_setaffinity(0, {min(allowed)})
            daemon = stack.enter_context(Daemon(self.config()))
            self.assertEqual(daemon.chat("test-a")[0], 200)
            words = command_line_of(daemon.server_pid("test-a"))
            for flag in ("--threads", "--threads-batch"):
                self.assertEqual(words[words.index(flag) + 1], "1", words)

    def test_variables_arrive_at_the_server(self):
        if ENGINE is None:
            self.skipTest("needs TONNAGE_ENGINE_DIR, run it through tools/integration")
        # The engine that was built is found in the home folder, which is another one here.
        config = self.config(engine={"llama_server": str(ENGINE)})
        config["models"]["test-a"]["env"] = {"GOMP_SPINCOUNT": "77", "MINE": "yes"}
        theirs = {"HSA_OVERRIDE_GFX_VERSION": "10.3.0", "https_proxy": "http://proxy:1",
                  "HOME": "/home/of-a-user", "SECRET_TOKEN": "x"}
        with Daemon(config, env=theirs) as daemon:
            self.assertEqual(daemon.chat("test-a")[0], 200)
            seen = environment_of(daemon.server_pid("test-a"))
            self.assertEqual(seen["HSA_OVERRIDE_GFX_VERSION"], "10.3.0")
            self.assertEqual(seen["https_proxy"], "http://proxy:1")
            self.assertEqual(seen["HOME"], "/home/of-a-user")
            self.assertEqual(seen["GOMP_SPINCOUNT"], "77")
            self.assertEqual(seen["MINE"], "yes")
            self.assertNotIn("SECRET_TOKEN", seen)

    def test_a_variable_without_effect_is_said(self):
        daemon = Daemon(self.config())
        self.addCleanup(shutil.rmtree, daemon.folder)
        config = self.config()
        config["models"]["test-a"]["env"] = {"CUDA_VISIBLE_DEVICES": "1"}
        daemon.config.write_text(json.dumps(config), encoding="utf-8")
        text = daemon.command("check", str(daemon.config), "--json").stdout
        self.assertIn("models.test-a.env.CUDA_VISIBLE_DEVICES", text)

    def test_a_daemon_without_descriptors_kills_nobody(self):
        with FewFiles(self.config()) as daemon:
            self.assertEqual(daemon.chat("test-a")[0], 200)
            pid = daemon.server_pid("test-a")
            control = daemon.connection()
            control.connect()
            clients = []
            self.addCleanup(control.close)
            self.addCleanup(lambda: [client.close() for client in clients])
            for _ in range(2 * FILES_MAX):
                client = socket.socket()
                client.settimeout(10)
                client.connect(("127.0.0.1", daemon.port))
                clients.append(client)

            def status():
                control.request("GET", "/api/memory/status")
                return json.loads(control.getresponse().read())
            begin = status()["daemon"]["uptime_ms"]
            wait_until(lambda: status()["daemon"]["uptime_ms"] > begin + 6000, 60,
                       "it goes on for longer than a server may be silent")
            self.assertEqual(daemon.server_pid("test-a"), pid, "its server lives")
            ticks = int(Path(f"/proc/{daemon.process.pid}/stat").read_text(encoding="ascii")
                        .rsplit(")", 1)[1].split()[11])
            self.assertLess(ticks, 300, "it does not spin")
            for client in clients:
                client.close()
            answer = wait_until(lambda: daemon.chat("test-a")[0] == 200, 20, "it serves again")
            self.assertTrue(answer)
            self.assertEqual(daemon.server_pid("test-a"), pid)
            self.assertEqual(daemon.models()["test-a"]["failures"], 0)


if __name__ == "__main__":
    unittest.main()
