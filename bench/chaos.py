"""500 requests over three models while a random model server is killed each second.

The same requests at the same times, first undisturbed, then under fire. SIGKILL from outside is
nobody's fault: no request may fail, and the slowest hundredth may take five times as long as
undisturbed. One more request is poisonous: whichever server works on it gets SIGSEGV. It has to end
as such after two crashes, and those beside it must not. Generated models; with --real those of
tools/real_models.
"""

import contextlib
import json
import os
import random
import signal
import statistics
import threading
import time

from machine import BenchError, command_of, idle_for, real_model, wait_until
from wire import get, post

REQUESTS = 500
SECONDS = 120
KILL_EVERY_S = 1
TOKENS = 8  # so that two cores are far from busy undisturbed
SEED = 1
P99_TARGET = 5
REQUEST_S_MAX = 300
REAL = ("smollm2", "gemma3", "minilm")
GENERATED = {"small": "30MB", "medium": "60MB", "large": "120MB"}
POISON_TOKENS = 555  # no other request asks for so many, which is how its server is found
POISON_AT_S = 5
LOOK_EVERY_S = 0.02


def files(machine):
    """id -> file of the three models."""
    if not machine.real:
        found = {}
        for name, size in GENERATED.items():
            folder = machine.demo_models("--size", size, "--id", f"chaos-{name}")
            found[name] = str(next(folder.glob("*.gguf")))
        return found
    found = {name: real_model(name) for name in REAL}
    for name in REAL:
        if not found[name]:
            raise BenchError(f"--real needs three models: run `tools/real_models {name}`")
    return found


def ask(port, model, tokens=TOKENS):
    """(status, text); whatever happened to the connection is a status of 0."""
    if model == "minilm":
        path, body = "/v1/embeddings", {"input": "a cat sat on the mat"}
    else:
        path, body = "/v1/completions", {"prompt": "Once upon a time", "max_tokens": tokens,
                                         "temperature": 0, "ignore_eos": True}
    try:
        status, text = post(port, path, {"model": model, **body}, REQUEST_S_MAX)
        json.loads(text)
    except Exception as error:  # whatever it is, the request was not answered
        return 0, repr(error)
    return status, text.decode(errors="replace")


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
        status, text = ask(self.port, model)
        with self.lock:
            self.latencies.append(time.monotonic() - started)
            if status != 200:
                self.failures.append(f"{model}: {status} {text[:300]}")

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
    """Kills a random server each second."""

    def __init__(self, machine, process):
        self.machine, self.process = machine, process
        self.over = threading.Event()
        self.kills = 0
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.chance = random.Random(SEED)

    def _run(self):
        while not self.over.wait(KILL_EVERY_S):
            servers = sorted(self.machine.servers_of(self.process).items())
            if servers:
                with contextlib.suppress(ProcessLookupError):  # it ended just now
                    os.kill(self.chance.choice(servers)[1], signal.SIGKILL)
                    self.kills += 1

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()


class Poison:
    """One request among the others; the server that works on it is made to crash."""

    def __init__(self, machine, process, port, model):
        self.machine, self.process, self.port, self.model = machine, process, port, model
        self.answer = None
        self.crashes = 0
        self.threads = [threading.Thread(target=work, daemon=True)
                        for work in (self._ask, self._crash)]

    def _ask(self):
        idle_for(POISON_AT_S)
        self.answer = ask(self.port, self.model, POISON_TOKENS)

    def _works_on_it(self, pid):
        words = command_of(pid)
        with contextlib.suppress(OSError, ValueError):
            status, text = get(words[words.index("--host") + 1], "/slots", 2)
            return status == 200 and any(slot["is_processing"] and holds_poison(slot)
                                         for slot in json.loads(text))
        return False

    def _crash(self):
        while self.answer is None:
            pid = self.machine.servers_of(self.process).get(self.model)
            with contextlib.suppress(OSError, IndexError):
                if pid and self._works_on_it(pid):
                    os.kill(pid, signal.SIGSEGV)
                    self.crashes += 1
                    wait_until(lambda pid=pid: pid not in self.machine.servers_of(
                        self.process).values(), REQUEST_S_MAX, "the server has ended")
            idle_for(LOOK_EVERY_S)

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        for thread in self.threads:
            thread.join()

    def row(self):
        status, text = self.answer
        good = status == 502 and "crash" in text and self.crashes == 2
        return ("chaos: the poisonous request", f"{status} after {self.crashes} crashes",
                "502 after 2", good)


def holds_poison(slot):
    params = slot.get("params", {})
    return POISON_TOKENS in (params.get("max_tokens"), params.get("n_predict"))


def run(machine, quick):
    seconds, requests = (20, 80) if quick else (SECONDS, REQUESTS)
    models = files(machine)
    process, port = machine.serve({
        "models": {name: {"gguf": path, "context": 2048, "slots": 2}
                   for name, path in models.items()}}, "chaos")
    chance = random.Random(SEED)
    names = sorted(models)
    plan = [(seconds * i / requests, chance.choice(names)) for i in range(requests)]
    for name in names:
        status, text = ask(port, name)
        if status != 200:
            raise BenchError(f"{name}: {status} {text[:300]}")
    calm = Load(port, plan).run()
    with Killer(machine, process) as killer, Poison(machine, process, port, next(iter(models))
                                                    ) as poison:
        stormy = Load(port, plan).run()
    machine.stop(process)
    ratio = stormy["p99_s"] / calm["p99_s"]
    for failure in [*calm["failures"], *stormy["failures"]][:5]:
        print(f"    {failure}", flush=True)
    return {
        "rows": [
            (f"chaos: undisturbed, p50 and p99 of {requests} over {', '.join(names)}",
             f"{calm['p50_s'] * 1000:.0f}, {calm['p99_s'] * 1000:.0f} ms", "", None),
            (f"chaos: {killer.kills} servers killed, p50 and p99",
             f"{stormy['p50_s'] * 1000:.0f}, {stormy['p99_s'] * 1000:.0f} ms", "", None),
            ("chaos: failed requests", str(len(stormy["failures"])), "0",
             not stormy["failures"]),
            ("chaos: p99 / undisturbed", f"{ratio:.1f}", f"<= {P99_TARGET}",
             ratio <= P99_TARGET),
            poison.row(),
        ],
        "data": {"calm": calm, "stormy": stormy, "kills": killer.kills,
                 "poison": [*poison.answer, poison.crashes]},
    }
