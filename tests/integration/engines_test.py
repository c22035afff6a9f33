"""Real engines under one budget: language, embeddings, speech and a server of the user's own, asked
at once. Every answer is right for its model, and the measured sum stays within the budget.

Skipped where the models or the packages cannot be had. ENGINES_REQUESTS says how many are sent.
"""

import collections
import contextlib
import json
import math
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import unittest
from pathlib import Path

from daemon import Daemon
from real_models import real_model

ROOT = Path(__file__).resolve().parents[2]
MIB = 1 << 20
REQUESTS = int(os.environ.get("ENGINES_REQUESTS", "120"))
CLIENTS = 16
LIMIT = 800
ANSWER_S_MAX = 600
KILL_EVERY_S = 2
KILLS_MAX = 10
SENTENCE = "The capital of France is Paris, and the capital of Italy is Rome."
OWN = str(Path(__file__).with_name("own_server.py"))
BOUNDARY = "a-boundary"
# How often each is asked.
SHARES = {"smollm2": 40, "minilm": 30, "own": 24, "whisper": 6}


def spoken(text):
    """A wav file of it."""
    if shutil.which("espeak-ng") is None:
        raise unittest.SkipTest("espeak-ng is not there; tools/setup installs it")
    with tempfile.NamedTemporaryFile(suffix=".wav") as file:
        subprocess.run(["espeak-ng", "-w", file.name, text], check=True)
        return Path(file.name).read_bytes()


def packages():
    made = subprocess.run([ROOT / "tools/python_env", "whisper_server"], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, check=False)
    if made.returncode != 0:
        raise unittest.SkipTest(f"faster-whisper cannot be had: {made.stderr.strip()}")


def form(sound):
    return (f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="model"\r\n\r\nwhisper\r\n'
            f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; '
            'filename="a.wav"\r\nContent-Type: audio/wav\r\n\r\n').encode() + sound + \
        f"\r\n--{BOUNDARY}--\r\n".encode()


def cosine(a, b):
    return sum(x * y for x, y in zip(a, b)) / math.sqrt(
        sum(x * x for x in a) * sum(y * y for y in b))


class Engines(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        smollm2, minilm, _ = (real_model(name) for name in ("smollm2", "minilm", "whisper"))
        packages()
        cls.form = form(spoken(SENTENCE))
        cls.config = {
            "budgets": {"host": {"limit": f"{LIMIT}MiB", "reserve": "0%"}},
            "residency": {"min_residency": "0s"},
            "models": {
                "smollm2": {"gguf": str(smollm2), "context": 1024, "slots": 2},
                "minilm": {"gguf": str(minilm), "type": "embedding", "slots": 1},
                "own": {"command": [sys.executable, OWN, "--port", "${PORT}", "--hold", "60"],
                        "memory": {"host": "120MiB"}},
                "whisper": {"command": [sys.executable,
                                        str(ROOT / "examples/whisper_server/server.py"), "--port",
                                        "${PORT}"],
                            "type": "stt", "memory": {"host": "600MiB"}}}}

    def ask(self, daemon, name):
        """Empty, or what was wrong with the answer."""
        if name == "smollm2":
            status, _, text = daemon.chat(name, content="Name the capital of France.",
                                          max_tokens=12, timeout=ANSWER_S_MAX)
            return "" if status == 200 and "Paris" in text else f"{name}: {status} {text[:300]}"
        if name == "own":
            status, _, text = daemon.chat(name, timeout=ANSWER_S_MAX)
            return "" if status == 200 and text.startswith("own at") else f"{status} {text[:300]}"
        if name == "minilm":
            status, _, text = daemon.request("POST", "/v1/embeddings", {
                "model": name, "input": ["cat", "kitten", "spreadsheet"]}, timeout=ANSWER_S_MAX)
            if status != 200:
                return f"{name}: {status} {text[:300]}"
            cat, kitten, sheet = (d["embedding"] for d in json.loads(text)["data"])
            right = cosine(cat, kitten) > cosine(cat, sheet) + 0.2
            return "" if right else f"{name}: wrong neighbours"
        status, _, text = daemon.request(
            "POST", "/v1/audio/transcriptions", self.form,
            {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}, timeout=ANSWER_S_MAX)
        said = json.loads(text)["text"].lower() if status == 200 else ""
        heard = all(word in said for word in ("capital", "france", "paris", "rome"))
        return "" if heard else f"{name}: {status} {text[:300]}"

    def ask_all(self, daemon):
        """(wrong answers, right ones per model)."""
        order = random.Random(13).choices(list(SHARES), weights=SHARES.values(), k=REQUESTS)
        left, wrong, right = iter(order), [], collections.Counter()
        lock = threading.Lock()

        def client():
            while True:
                with lock:
                    name = next(left, None)
                if name is None:
                    return
                problem = self.ask(daemon, name)
                with lock:
                    if problem:
                        wrong.append(problem)
                    else:
                        right[name] += 1

        threads = [threading.Thread(target=client) for _ in range(CLIENTS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return wrong, right

    def test_all_at_once_under_one_budget(self):
        with Daemon(self.config) as daemon:
            with daemon.truth() as truth:
                wrong, right = self.ask_all(daemon)
            self.assertEqual(wrong, [])
            self.assertEqual(sum(right.values()), REQUESTS)
            self.assertEqual(set(right), set(SHARES), "each was asked")
            self.assertLessEqual(truth["peak_bytes"], LIMIT * MIB)
            self.assertGreater(sum(m["loads"] for m in daemon.models().values()), len(SHARES),
                               "the budget made them give way to each other")
            print(f"\n{REQUESTS} requests, {dict(right)}, at most "
                  f"{truth['peak_bytes'] / MIB:.0f} of {LIMIT} MiB", file=sys.stderr)

    def test_a_server_is_killed_every_two_seconds(self):
        over = threading.Event()
        kills = []
        with Daemon(self.config) as daemon:
            def killer():
                draw = random.Random(7)
                while len(kills) < KILLS_MAX and not over.wait(KILL_EVERY_S):
                    pids = self.servers(daemon)
                    while not pids and not over.wait(0.05):
                        pids = self.servers(daemon)
                    with contextlib.suppress(ProcessLookupError, IndexError):
                        os.kill(draw.choice(pids), signal.SIGKILL)
                        kills.append(pids)

            thread = threading.Thread(target=killer)
            thread.start()
            try:
                wrong, _ = self.ask_all(daemon)
            finally:
                over.set()
                thread.join()
            self.assertEqual(wrong, [])
            self.assertTrue(kills)

    def servers(self, daemon):
        """Pids of model servers while none loads: on a slow machine one that
        is killed each time it loads would never be ready."""
        ready = sum(m["state"] == "ready" for m in daemon.models().values())
        loading = sum(m["state"] == "loading" for m in daemon.models().values())
        if ready == 0 or loading > 0:
            return []
        found = []
        children = Path(f"/proc/{daemon.process.pid}/task/{daemon.process.pid}/children")
        for pid in children.read_text(encoding="ascii").split():
            try:
                words = Path(f"/proc/{pid}/cmdline").read_bytes()
            except OSError:
                continue
            if b"llama-server" in words or b"server.py" in words:
                found.append(int(pid))
        return found


if __name__ == "__main__":
    unittest.main()
