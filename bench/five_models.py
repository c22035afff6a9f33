"""The five-model job: tonnage in 4 GB, beside llama-server's own router and beside enough memory.

Five models of 0.2, 0.2, 0.8, 1.4 and 3.3 GB, 120 requests of 2 tokens from 12 clients, Zipf 0.5
over the models, context 512, 2 slots, files warm. All contenders run the same program in the
environment that tonnage gave its servers. The router runs twice: as it comes, with the context and
the slots of the job, and tuned, with every argument that tonnage chose.
"""

import collections
import json
import random
import statistics
import threading
import time

from machine import Sampler, command_of, environment_of, idle_for, warm
from wire import get, post, wait_healthy

MODELS = ("job-a", "job-b", "job-c", "job-d", "job-e")
BUDGET_BYTES = 4_000_000_000
REQUESTS = 120
CLIENTS = 12
TOKENS = 2
ZIPF = 0.5
SEED = 1
ROUTER_TARGET = 0.7
RESIDENT_TARGET = 1.15
# What the job itself says of a server, as the router has to be told it.
OF_THE_JOB = {"--ctx-size": 2, "--parallel": 2}
# Arguments that name one server; the rest is what all servers have alike.
OF_ONE_SERVER = {"--host": 2, "--model": 2, "--alias": 2}


def workload(count):
    """Ids of the models that are asked, in order; ranks of popularity are drawn as well."""
    draw = random.Random(SEED)
    ranked = list(MODELS)
    draw.shuffle(ranked)
    weights = [1 / (rank + 1) ** ZIPF for rank in range(len(ranked))]
    return draw.choices(ranked, weights, k=count)


class Clients:
    """Twelve threads that take the next request from one list until it is empty."""

    def __init__(self, addresses, requests):
        self.addresses = addresses
        self.waiting = list(reversed(requests))
        self.failures = []
        self.latencies = []
        self.lock = threading.Lock()

    def _ask(self, model):
        started = time.monotonic()
        try:
            status, body = post(self.addresses[model], "/v1/completions", {
                "model": model, "prompt": "Hello", "max_tokens": TOKENS, "temperature": 0})
            text = json.loads(body)["choices"][0]["text"] if status == 200 else body.decode()
            failure = None if status == 200 and text.startswith(model + ":") else (
                f"{model}: {status} {text[:200]}")
        except Exception as error:  # whatever it is, the request was not answered
            failure = f"{model}: {error!r}"
        with self.lock:
            self.latencies.append(time.monotonic() - started)
            if failure:
                self.failures.append(failure)

    def _client(self):
        while True:
            with self.lock:
                if not self.waiting:
                    return
                model = self.waiting.pop()
            self._ask(model)

    def run(self):
        threads = [threading.Thread(target=self._client, daemon=True) for _ in range(CLIENTS)]
        started = time.monotonic()
        for thread in threads:
            thread.start()
        for thread in threads:
            while thread.is_alive():  # in turns, so that Ctrl-C is heard
                thread.join(0.2)
        return time.monotonic() - started


def measure(addresses, requests, pids, itself):
    with Sampler(pids, itself) as sampler:
        clients = Clients(addresses, requests)
        wall_s = clients.run()
        truth = sampler.finish()
    return {"wall_s": wall_s, "failures": clients.failures, "peak_bytes": truth["peak_bytes"],
            "slowest_s": max(clients.latencies), "samples": truth["samples"],
            "sampler_late_s_max": truth["late_s_max"]}


def decisions(port):
    """How often the daemon decided what, and why; a slow run explains itself by them."""
    events = json.loads(get(port, "/api/memory/events?limit=2000")[1])["data"]
    return dict(collections.Counter(f"{e['kind']} {e['reason']}" for e in events))


class Job:
    def __init__(self, machine, quick):
        self.machine = machine
        self.folder = machine.demo_models("--preset", "five")
        self.files = {name: self.folder / f"{name}.gguf" for name in MODELS}
        self.requests = workload(40 if quick else REQUESTS)
        self.argv = None  # what tonnage starts its servers with, learned from its first run
        self.env = None
        self.turn = 0

    def tonnage(self):
        process, port = self.machine.serve({
            "budgets": {"host": {"limit": "4GB"}},
            "models": {name: {"gguf": str(path), "context": 512, "slots": 2}
                       for name, path in self.files.items()},
        }, f"job-tonnage-{self.turn}")
        if self.argv is None:
            post(port, "/v1/completions", {"model": MODELS[0], "prompt": "Hello", "max_tokens": 1})
            pid = self.machine.servers_of(process)[MODELS[0]]
            self.argv, self.env = command_of(pid), environment_of(pid)
            post(port, "/api/memory/flush", {})
        result = measure(dict.fromkeys(MODELS, port), self.requests, [process.pid], False)
        result["decisions"] = decisions(port)
        self.machine.stop(process)
        return result

    def arguments_of_all(self):
        words, kept = iter(self.argv[1:]), []
        for word in words:
            if word in OF_ONE_SERVER:
                next(words)
            else:
                kept.append(word)
        return kept

    def arguments_of_job(self):
        kept = []
        for i, word in enumerate(self.argv):
            if word in OF_THE_JOB:
                kept += self.argv[i:i + 2]
        return kept

    def router(self, models_max, arguments):
        name = f"router-{models_max}-{len(arguments)}-{self.turn}"
        address = self.machine.folder / f"{name}.sock"
        # An empty cache, so that it offers no other models.
        env = {**self.env, "LLAMA_CACHE": str(self.machine.folder / "no-cache")}
        process = self.machine.start(
            [self.argv[0], "--host", address, "--models-dir", self.folder,
             "--models-max", models_max, *arguments], name, env=env)
        wait_healthy(address, process, time.monotonic(), idle_for)
        result = measure(dict.fromkeys(MODELS, address), self.requests, [process.pid], False)
        self.machine.stop(process)
        return result

    def resident(self):
        addresses, processes = {}, []
        for name, path in self.files.items():
            addresses[name] = self.machine.folder / f"resident-{name}-{self.turn}.sock"
            processes.append(self.machine.start(
                [self.argv[0], "--host", addresses[name], "--model", path, "--alias", name,
                 *self.arguments_of_all()], f"resident-{name}-{self.turn}", env=self.env))
        for name, process in zip(addresses, processes):
            wait_healthy(addresses[name], process, time.monotonic(), idle_for)
        result = measure(addresses, self.requests, [p.pid for p in processes], True)
        for process in processes:
            self.machine.stop(process)
        return result

    def contenders(self):
        all_of = {"tonnage": self.tonnage}
        for count, models in ((1, "1 model"), (2, "2 models"), (3, "3 models")):
            all_of[f"router, {models}"] = lambda n=count: self.router(n, self.arguments_of_job())
            all_of[f"router tuned, {models}"] = lambda n=count: self.router(
                n, self.arguments_of_all())
        all_of["all resident"] = self.resident
        return all_of


def row_of(name, results):
    wall_s = statistics.median(r["wall_s"] for r in results)
    peak = max(r["peak_bytes"] for r in results)
    failed = sum(len(r["failures"]) for r in results)
    ours = name == "tonnage"
    return (f"five models: {name}",
            f"{wall_s:.1f} s, peak {peak / 1e9:.2f} GB, {failed} failed",
            f"0 failed, <= {BUDGET_BYTES / 1e9:.0f} GB" if ours else "",
            (failed == 0 and peak <= BUDGET_BYTES) if ours else None)


def ratios(figures):
    """(rows, data): tonnage against the router's best within the budget, and all resident."""
    within = [name for name in figures if name.startswith("router")
              and all(r["peak_bytes"] <= BUDGET_BYTES and not r["failures"] for r in figures[name])]
    rows, data = [], {}
    walls = {name: [r["wall_s"] for r in results] for name, results in figures.items()}
    if within:
        best = min(within, key=lambda name: statistics.median(walls[name]))
        ratio = statistics.median(v / r for v, r in zip(walls["tonnage"], walls[best]))
        rows.append((f"five models: tonnage / {best} (its best within the budget)", f"{ratio:.2f}",
                     f"<= {ROUTER_TARGET}", ratio <= ROUTER_TARGET))
        data["to_router"] = ratio
    ratio = statistics.median(v / r for v, r in zip(walls["tonnage"], walls["all resident"]))
    rows.append(("five models: tonnage / all resident", f"{ratio:.2f}", f"<= {RESIDENT_TARGET}",
                 ratio <= RESIDENT_TARGET))
    data["to_resident"] = ratio
    return rows, data


def run(machine, quick):
    job = Job(machine, quick)
    figures = {}
    for job.turn in range(1 if quick else 3):
        for name, contend in job.contenders().items():
            warm(job.files.values())
            result = contend()
            figures.setdefault(name, []).append(result)
            print(f"    {name}: {result['wall_s']:.1f} s,"
                  f" peak {result['peak_bytes'] / 1e9:.2f} GB,"
                  f" {len(result['failures'])} failed", flush=True)
    rows = [row_of(name, results) for name, results in figures.items()]
    more, data = ratios(figures)
    return {"rows": rows + more, "data": {"runs": figures, **data}}
