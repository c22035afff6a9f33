"""Real engines under one budget: language, embeddings, speech and a server of the user's own, asked
at once. Every answer is right for its model, and the measured sum stays within the budget.

Skipped where the models or the packages cannot be had. ENGINES_REQUESTS says how many are sent.
"""

import collections
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import unittest
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from daemon import Daemon
from real_models import cosine, real_model
from speech import FORM, espeak_or_skip, form

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
# How often each is asked.
SHARES = {"smollm2": 40, "minilm": 30, "own": 24, "whisper": 6}


def spoken(text):
    """A wav file of it."""
    espeak_or_skip()
    with tempfile.NamedTemporaryFile(suffix=".wav") as file:
        subprocess.run(["espeak-ng", "-w", file.name, text], check=True)
        return Path(file.name).read_bytes()


def packages():
    made = subprocess.run([ROOT / "tools/python_env", "whisper_server"], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, check=False)
    if made.returncode != 0:
        raise unittest.SkipTest(f"faster-whisper cannot be had: {made.stderr.strip()}")


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
            {"Content-Type": FORM}, timeout=ANSWER_S_MAX)
        said = json.loads(text)["text"].lower() if status == 200 else ""
        heard = all(word in said for word in ("capital", "france", "paris", "rome"))
        return "" if heard else f"{name}: {status} {text[:300]}"

    def ask_all(self, daemon):
        """(wrong answers, right ones per model)."""
        order = random.Random(13).choices(list(SHARES), weights=SHARES.values(), k=REQUESTS)
        with ThreadPoolExecutor(CLIENTS) as clients:
            problems = list(clients.map(lambda name: self.ask(daemon, name), order))
        return ([problem for problem in problems if problem],
                collections.Counter(name for name, problem in zip(order, problems) if not problem))

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
