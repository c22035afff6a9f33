"""500 requests over three real models while a random model server is killed each second.

The same requests at the same times, first undisturbed, then under fire. SIGKILL from outside is
nobody's fault: no request may fail, and the slowest hundredth may take five times as long as
undisturbed. Models: those of tools/real_models; a generated one for each that was not fetched.
"""

import json
import os
import random
import signal
import statistics
import subprocess
import threading
import time

from machine import ROOT, idle_for
from wire import post

REQUESTS = 500
SECONDS = 120
KILL_EVERY_S = 1
TOKENS = 8
SEED = 1
P99_TARGET = 5
REQUEST_S_MAX = 300
MODELS = ("smollm2", "gemma3", "minilm")


def files(machine):
    found = {}
    for name in MODELS:
        asked = subprocess.run([ROOT / "tools/real_models", "--path", name], capture_output=True,
                               text=True, check=False)
        if asked.returncode == 0:
            found[name] = asked.stdout.strip()
        elif name != "minilm":
            folder = machine.demo_models("--size", "50MB", "--id", f"chaos-{name}")
            found[name] = str(next(folder.glob("*.gguf")))
            print(f"    {name} is a generated model: run `tools/real_models {name}`", flush=True)
    return found


def ask(port, model):
    """Empty, or why the request failed."""
    if model == "minilm":
        path, body = "/v1/embeddings", {"input": "a cat sat on the mat"}
    else:
        path, body = "/v1/completions", {"prompt": "Once upon a time", "max_tokens": TOKENS,
                                         "temperature": 0, "ignore_eos": True}
    try:
        status, text = post(port, path, {"model": model, **body}, REQUEST_S_MAX)
        json.loads(text)
    except Exception as error:  # whatever it is, the request was not answered
        return repr(error)
    return "" if status == 200 else f"{status} {text[:300].decode(errors='replace')}"


class Load:
    """Requests leave at their times, whatever became of those before."""

    def __init__(self, port, plan):
        self.port = port
        self.plan = plan  # [(seconds from the start, model)]
        self.lock = threading.Lock()
        self.latencies = []
        self.failures = []

    def _one(self, model):
        started = time.monotonic()
        failure = ask(self.port, model)
        with self.lock:
            self.latencies.append(time.monotonic() - started)
            if failure:
                self.failures.append(f"{model}: {failure}")

    def run(self):
        started = time.monotonic()
        threads = []
        for at, model in self.plan:
            idle_for(max(0, started + at - time.monotonic()))
            thread = threading.Thread(target=self._one, args=(model,), daemon=True)
            thread.start()
            threads.append(thread)
        for thread in threads:
            thread.join()
        return {"failures": self.failures, "p50_s": statistics.median(self.latencies),
                "p99_s": statistics.quantiles(self.latencies, n=100)[98],
                "slowest_s": max(self.latencies)}


class Killer:
    def __init__(self, machine, process):
        self.machine = machine
        self.process = process
        self.over = threading.Event()
        self.kills = 0
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.chance = random.Random(SEED)

    def _run(self):
        while not self.over.wait(KILL_EVERY_S):
            servers = sorted(self.machine.servers_of(self.process).items())
            if not servers:
                continue
            try:
                os.kill(self.chance.choice(servers)[1], signal.SIGKILL)
                self.kills += 1
            except ProcessLookupError:
                pass  # it ended just now

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()


def run(machine, quick):
    seconds, requests = (20, 80) if quick else (SECONDS, REQUESTS)
    models = files(machine)
    process, port = machine.serve({
        "models": {name: {"gguf": path, "context": 512, "slots": 2}
                   for name, path in models.items()}}, "chaos")
    chance = random.Random(SEED)
    names = sorted(models)
    plan = [(seconds * i / requests, chance.choice(names)) for i in range(requests)]
    for name in names:
        ask(port, name)
    calm = Load(port, plan).run()
    with Killer(machine, process) as killer:
        stormy = Load(port, plan).run()
    machine.stop(process)
    ratio = stormy["p99_s"] / calm["p99_s"]
    for failure in [*calm["failures"], *stormy["failures"]][:5]:
        print(f"    {failure}", flush=True)
    return {
        "rows": [
            (f"chaos: undisturbed, p50 and p99 of {requests}",
             f"{calm['p50_s'] * 1000:.0f}, {calm['p99_s'] * 1000:.0f} ms", "", None),
            (f"chaos: {killer.kills} servers killed, p50 and p99",
             f"{stormy['p50_s'] * 1000:.0f}, {stormy['p99_s'] * 1000:.0f} ms", "", None),
            ("chaos: failed requests", str(len(stormy["failures"])), "0",
             not stormy["failures"]),
            ("chaos: p99 / undisturbed", f"{ratio:.1f}", f"<= {P99_TARGET}",
             ratio <= P99_TARGET),
        ],
        "data": {"calm": calm, "stormy": stormy, "kills": killer.kills},
    }
