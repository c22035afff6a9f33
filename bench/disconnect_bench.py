"""How long a model server goes on after its client left in the middle of a stream.

In the answer: seen in the server's own slots, over its own socket, beside one decode step (the
median time between two events of the same stream). In the prompt: seen by its use of the processor,
beside one micro-batch, because each answer on /slots puts off the moment at which the engine looks
for its client, which it does once in a quiet second.
"""

import contextlib
import json
import statistics
import time

from machine import BenchError, command_of, cpu_seconds, idle_for, warm
from wire import connect, get

EXTRA_S = 0.050
ENGINE_LOOKS_EVERY_S = 1.0
QUIET_S = 0.2  # without using the processor: it has stopped
ROUNDS = 5
SIZE = "400MB"
CONTEXT = 2048
UBATCH = 128


def busy(socket):
    slots = json.loads(get(socket, "/slots")[1])
    return any(slot["is_processing"] for slot in slots)


def leases(port, model):
    return json.loads(get(port, f"/api/memory/models/{model}")[1])["leases"]


def begin(port, body):
    connection = connect(port, 60)
    connection.request("POST", "/v1/completions", json.dumps(body),
                       {"Content-Type": "application/json"})
    return connection


def until(condition, what, seconds=20):
    """Seconds until it holds, looked at as often as this machine allows."""
    started = time.monotonic()
    while not condition():
        if time.monotonic() - started > seconds:
            raise BenchError(f"not within {seconds} s: {what}")
    return time.monotonic() - started


def leave_decoding(port, socket, model):
    """(one step, until the slot was idle, until the lease ended as well)."""
    with contextlib.closing(begin(port, {
            "model": model, "prompt": "Hello", "max_tokens": 1500, "temperature": 0,
            "ignore_eos": True, "stream": True})) as connection:
        answer = connection.getresponse()
        times = []
        while len(times) < 20:
            if answer.readline().startswith(b"data:"):
                times.append(time.monotonic())
        answer.close()
    left = time.monotonic()
    until(lambda: not busy(socket), "the slot is idle")
    idle = time.monotonic() - left
    until(lambda: leases(port, model) == 0, "the lease has ended")
    step = statistics.median(b - a for a, b in zip(times[5:], times[6:]))
    return step, idle, time.monotonic() - left


def leave_prompt(port, pid, model, text, batch):
    """Until the server stopped working, for a request that left while its prompt was read."""
    with contextlib.closing(begin(port, {
            "model": model, "prompt": text, "max_tokens": 1, "cache_prompt": False,
            "stream": True})):
        before = cpu_seconds(pid)
        until(lambda: cpu_seconds(pid) > before + batch, "the prompt is being read")
    left = last = time.monotonic()
    used = cpu_seconds(pid)
    while time.monotonic() - last < QUIET_S:
        idle_for(0.01)
        now = cpu_seconds(pid)
        if now > used + 0.02:
            used, last = now, time.monotonic()
    return last - left


def prompt_step(port, model, text):
    """Seconds that one micro-batch of the prompt takes."""
    connection = begin(port, {"model": model, "prompt": text, "max_tokens": 1,
                              "cache_prompt": False})
    with contextlib.closing(connection):
        timings = json.loads(connection.getresponse().read())["timings"]
    return timings["prompt_ms"] / 1000 / max(1, timings["prompt_n"] / UBATCH)


def run(machine, quick):
    folder = machine.demo_models("--size", SIZE, "--id", "leave")
    file = next(folder.glob("*.gguf"))
    warm([file])
    vramd, port = machine.serve({"models": {file.stem: {
        "gguf": str(file), "context": CONTEXT, "slots": 1, "ubatch": UBATCH}}}, "leave-vramd")
    text = "Hello " * (CONTEXT // 8)
    batch = prompt_step(port, file.stem, text)
    pid = machine.servers_of(vramd)[file.stem]
    argv = command_of(pid)
    socket = argv[argv.index("--host") + 1]
    rounds = 2 if quick else ROUNDS
    decoding = [leave_decoding(port, socket, file.stem) for _ in range(rounds)]
    reading = [leave_prompt(port, pid, file.stem, text, batch) for _ in range(rounds)]
    step = statistics.median(d[0] for d in decoding)
    over = max(idle - one for one, idle, _ in decoding)
    over_prompt = max(reading) - batch
    return {
        "rows": [
            ("disconnect: one decode step, one micro-batch",
             f"{step * 1000:.0f} ms, {batch * 1000:.0f} ms", "", None),
            ("disconnect: slot idle after, beyond one step",
             f"{over * 1000:.0f} ms at most", f"<= {EXTRA_S * 1000:.0f} ms", over <= EXTRA_S),
            ("disconnect: in the prompt, beyond one micro-batch",
             f"{over_prompt * 1000:.0f} ms at most",
             f"<= {(ENGINE_LOOKS_EVERY_S + EXTRA_S) * 1000:.0f} ms",
             over_prompt <= ENGINE_LOOKS_EVERY_S + EXTRA_S),
        ],
        "data": {"step_s": step, "micro_batch_s": batch, "decoding": decoding,
                 "reading_s": reading},
    }
