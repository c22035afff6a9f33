"""Host memory runs short for real: daemon, servers and a foreign program in one memory cgroup.

Without a governor the same three servers, started by hand, meet the same program; what happens to
them is measured and printed beside it.
"""

import collections
import contextlib
import dataclasses
import http.client
import json
import os
import subprocess
import sys
import threading
import time
import unittest
from pathlib import Path

from daemon import PAUSE, Daemon, decoders, free_port, wait_until
from memory_cgroup import CannotMake, MemoryCgroup

SIZES = {"demo-small": "48MB", "demo-medium": "96MB", "demo-large": "160MB"}
MODELS = list(SIZES)
MIB = 1 << 20
CYCLES = 2
HOG_HOLD_S = 5
CLIENTS = 2


@dataclasses.dataclass
class Case:
    """Sizes are such that `fit` models fit at once until the other program comes, and one of them
    beside it; without a governor all would stay. What others take between two looks of the daemon
    (2 s) is less than the reserve, a fifth of the limit."""
    what: str
    fit: int
    limit_mib: int
    hog_mib: int
    hog_mib_s: int
    context: int  # per slot; the KV cache takes 2 KiB a token here


# Weights of 340 MiB are all there is: pages that the kernel may take away.
MAPPED = Case("weights mapped", 3, 520, 320, 40, 512)
# 790 MiB more of KV caches, which it may not.
ANONYMOUS = Case("large KV caches", 2, 1600, 840, 80, 65536)


def forget_cache(folder):
    """Pages of the weights belong to the group that reads them first; it has to be the test's."""
    for file in folder.glob("*.gguf"):
        with file.open("rb") as stream:
            os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


class Hog:
    """The foreign program; knows how often it has grown and shrunk again."""

    def __init__(self, group, case):
        self.command = group.inside([sys.executable, str(Path(__file__).with_name("memory_hog.py")),
                                     str(case.hog_mib), str(case.hog_mib_s), str(HOG_HOLD_S)])
        self.cycles = 0

    def __enter__(self):
        self.process = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True)
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        return self

    def _read(self):
        for line in self.process.stdout:
            self.cycles += line.startswith("shrunk")

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait(30)
        self.reader.join(5)
        self.process.stdout.close()

    def killed(self):
        return self.process.poll() is not None

    def over(self):
        return self.cycles >= CYCLES or self.killed()


def ask(port, model):
    """None for an answer, else what went wrong."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    body = {"model": model, "max_tokens": 8, "temperature": 0,
            "messages": [{"role": "user", "content": "Hello"}]}
    try:
        connection.request("POST", "/v1/chat/completions", json.dumps(body),
                           {"Content-Type": "application/json"})
        answer = connection.getresponse()
        text = answer.read().decode("utf-8", "replace")
        return None if answer.status == 200 else f"{answer.status} {text[:300]}"
    except (OSError, http.client.HTTPException) as error:
        return repr(error)
    finally:
        connection.close()


def work_beside(hog, ports):
    """Clients ask for one model after the other until the hog is done: (seconds, problem) each."""
    results = []

    def client(first):
        number = first
        while not hog.over():
            model = MODELS[number % len(MODELS)]
            number += 1
            begin = time.monotonic()
            problem = ask(ports[model], model)
            results.append((time.monotonic() - begin, problem))
            if problem:
                # A dead server refuses at once; a thousand of those say no more than one a second.
                PAUSE.wait(1)
    threads = [threading.Thread(target=client, args=(i,)) for i in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def measured(group, before, hog, results, wall):
    times = sorted(seconds for seconds, problem in results if problem is None) or [0.0]
    return {"kernel_kills": group.oom_kills() - before[0],
            "of the other": int(hog.killed()),
            "major_faults": group.major_faults() - before[1],
            "read_again_mib": group.read_again_mib() - before[2],
            "requests": len(results),
            "failed": sum(problem is not None for _, problem in results),
            "latency_p50_s": round(times[len(times) // 2], 2),
            "latency_p95_s": round(times[len(times) * 95 // 100], 2),
            "latency_max_s": round(times[-1], 2),
            "wall_s": round(wall, 1)}


def counted(group, ports, hog):
    before = group.oom_kills(), group.major_faults(), group.read_again_mib()
    begin = time.monotonic()
    results = work_beside(hog, ports)
    return results, measured(group, before, hog, results, time.monotonic() - begin)


class GovernedDaemon(Daemon):
    def __init__(self, group, config):
        super().__init__(config)
        self.group = group

    def command_line(self):
        return self.group.inside(super().command_line())


@contextlib.contextmanager
def servers_by_hand(group, folder, context):
    """One llama-server per model, as a person would start them; yields their ports."""
    program = Path(os.environ["TONNAGE_ENGINE_DIR"]) / "llama-server"
    ports, processes = {}, []
    try:
        for model in MODELS:
            ports[model] = free_port()
            command = [str(program), "-m", str(folder / f"{model}.gguf"), "-c", str(2 * context),
                       "-np", "2", "--cache-ram", "0", "--host", "127.0.0.1",
                       "--port", str(ports[model])]
            processes.append(subprocess.Popen(
                group.inside(command), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL, env={**os.environ, "GOMP_SPINCOUNT": "2000"}))
        for model in MODELS:
            wait_until(lambda m=model: ask(ports[m], m) is None, 60, f"{model} answers")
        yield ports
    finally:
        for process in processes:
            process.kill()
            process.wait()


class HostOutOfMemory(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        # The largest KV cache of any case: nobody is served more than a model was trained for.
        cls.folder = decoders(SIZES, ANONYMOUS.context)
        try:
            with MemoryCgroup(MAPPED.limit_mib * MIB) as group:
                print(f"a memory cgroup of version {group.version} in {group.path.parent}")
        except CannotMake as why:
            message = f"SKIPPED: no memory cgroup can be made here: {why}"
            print(message, file=sys.stderr)
            raise unittest.SkipTest(message) from why

    def governed(self, case):
        models = {name: {"gguf": str(self.folder / f"{name}.gguf"), "slots": 2,
                         "context": case.context} for name in MODELS}
        forget_cache(self.folder)
        with MemoryCgroup(case.limit_mib * MIB) as group, \
                GovernedDaemon(group, {"models": models}) as daemon:
            for name in MODELS:
                self.assertIsNone(ask(daemon.port, name))
            wait_until(lambda: len(daemon.server_pids()) == case.fit, 10,
                       "models that fit before the other program comes")
            with Hog(group, case) as hog:
                results, numbers = counted(group, dict.fromkeys(MODELS, daemon.port), hog)
                self.assertGreaterEqual(hog.cycles, CYCLES, "the other program was killed")
            self.assertIsNone(daemon.process.poll(), "the daemon is gone")
            decided = collections.Counter(event["kind"] for event in daemon.events()
                                          if event["kind"] in ("evict", "unload", "level"))
        return results, numbers, decided

    def by_hand(self, case):
        forget_cache(self.folder)
        with MemoryCgroup(case.limit_mib * MIB) as group, \
                servers_by_hand(group, self.folder, case.context) as ports, Hog(group, case) as hog:
            return counted(group, ports, hog)

    def compare(self, case):
        results, governed, decided = self.governed(case)
        _, by_hand = self.by_hand(case)
        print(f"\n{case.what}, limit {case.limit_mib} MiB, a program that takes {case.hog_mib} MiB "
              f"at {case.hog_mib_s} MiB/s and gives it back, {CYCLES} times")
        print(f"  {'':16}{'tonnage':>10}{'by hand':>10}")
        for name, value in governed.items():
            print(f"  {name:16}{value:>10}{by_hand[name]:>10}")
        print("  tonnage decided:", ", ".join(f"{n} x {kind}" for kind, n in decided.items()))
        self.assertEqual([problem for _, problem in results if problem], [])
        self.assertEqual(governed["kernel_kills"], 0)
        self.assertGreater(governed["requests"], 2 * CYCLES)
        self.assertTrue(decided, "the other program went unnoticed: the test is too easy")
        return governed, by_hand

    def test_weights_that_are_mapped(self):
        """Beyond the limit the kernel takes pages of the weights away, and they are read again."""
        self.compare(MAPPED)

    def test_memory_that_cannot_be_reclaimed(self):
        """Beyond the limit the kernel kills."""
        _, by_hand = self.compare(ANONYMOUS)
        self.assertGreater(by_hand["kernel_kills"], 0,
                           "without a governor nothing goes wrong: the test is too easy")


if __name__ == "__main__":
    unittest.main()
