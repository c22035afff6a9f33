"""How long a model server goes on after its client left, alone and beside a slot that streams.

Seen in the server's own slots, over its own socket. What it may take is one decode step, or in the
prompt one micro-batch, and EXTRA_S. A step is the median time between two events of the stream that
goes on beside it, or else of one that was alone before.
"""

import contextlib
import json
import statistics
import threading
import time

from machine import BenchError, command_of, idle_for, warm
from wire import connect, get, post

EXTRA_S = 0.050
LOOK_EVERY_S = 0.002
ROUNDS = 5
SIZE = "400MB"
CONTEXT = 2048
UBATCH = 128
DECODING = {"prompt": "Hello", "max_tokens": 1500, "temperature": 0, "ignore_eos": True}
READING = {"prompt": "Hello " * (CONTEXT // 8), "max_tokens": 1, "cache_prompt": False}


class Stream:
    """A client that reads its answer, and when each event of it came."""

    def __init__(self, port, model):
        self.connection = begin(port, model, DECODING, stream=True)
        self.times = []
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        until(lambda: len(self.times) >= 10, "a stream has begun")

    def _read(self):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            answer = self.connection.getresponse()
            while line := answer.readline():
                if line.startswith(b"data:"):
                    self.times.append(time.monotonic())

    def step(self, since):
        """Seconds from one event to the next, of those that came since then."""
        times = [at for at in self.times if at >= since]
        if len(times) < 3:
            raise BenchError("the stream beside did not go on")
        return statistics.median(b - a for a, b in zip(times, times[1:]))

    def leave(self):
        self.connection.sock.shutdown(2)
        self.reader.join()
        self.connection.close()


def slots(socket):
    return json.loads(get(socket, "/slots")[1])


def busy(socket):
    return {slot["id"] for slot in slots(socket) if slot["is_processing"]}


def leases(port, model):
    return json.loads(get(port, f"/api/memory/models/{model}")[1])["leases"]


def begin(port, model, what, stream):
    connection = connect(port, 60)
    connection.request("POST", "/v1/completions",
                       json.dumps({"model": model, "stream": stream, **what}),
                       {"Content-Type": "application/json"})
    return connection


def until(condition, what, seconds=20):
    started = time.monotonic()
    while not condition():
        if time.monotonic() - started > seconds:
            raise BenchError(f"not within {seconds} s: {what}")
        idle_for(LOOK_EVERY_S)


class Rig:
    def __init__(self, port, socket, model):
        self.port, self.socket, self.model = port, socket, model

    def at_work(self, others, what):
        """Whether a slot beside `others` is in the middle of it."""
        for slot in slots(self.socket):
            if not slot["is_processing"] or slot["id"] in others:
                continue
            decoded = slot["next_token"][0]["n_decoded"]
            if what is READING:
                return slot["n_prompt_tokens_processed"] > 0 and decoded == 0
            return decoded >= 5
        return False

    def leave(self, what, stream, beside):
        """{one step, until the slot was idle, until the lease ended as well} of one that leaves."""
        others = busy(self.socket)
        started = time.monotonic()
        with contextlib.closing(begin(self.port, self.model, what, stream)):
            until(lambda: self.at_work(others, what), "a slot is at work")
        left = time.monotonic()
        until(lambda: busy(self.socket) <= others, "the slot is idle")
        idle = time.monotonic() - left
        until(lambda: leases(self.port, self.model) == len(others), "the lease has ended")
        lease = time.monotonic() - left
        decoding = beside is not None and what is DECODING
        return {"step_s": beside.step(started) if decoding else None, "idle_s": idle,
                "lease_s": lease}

    def rounds(self, what, stream, together, count, alone_s):
        """Like leave(), so many times; `alone_s` is the step without a stream beside."""
        beside = Stream(self.port, self.model) if together else None
        try:
            found = [self.leave(what, stream, beside) for _ in range(count)]
        finally:
            if beside:
                beside.leave()
        until(lambda: not busy(self.socket), "all slots are idle")
        until(lambda: leases(self.port, self.model) == 0, "all leases have ended")
        return [{**one, "step_s": one["step_s"] or alone_s} for one in found]

    def decode_step(self):
        stream = Stream(self.port, self.model)
        started = time.monotonic()
        until(lambda: len(stream.times) >= 40, "a stream goes on")
        step = stream.step(started)
        stream.leave()
        until(lambda: not busy(self.socket), "the slot is idle")
        return step

    def micro_batch(self):
        """Seconds that one micro-batch of a prompt takes."""
        with contextlib.closing(begin(self.port, self.model, READING, False)) as connection:
            timings = json.loads(connection.getresponse().read())["timings"]
        return timings["prompt_ms"] / 1000 / max(1, timings["prompt_n"] / UBATCH)


def row(name, found):
    step = max(one["step_s"] for one in found)
    over = max(one["idle_s"] - one["step_s"] for one in found)
    after = max(one["lease_s"] - one["idle_s"] for one in found)
    return (f"disconnect: {name}, beyond one step of {step * 1000:.0f} ms",
            f"{over * 1000:.0f} ms at most, its lease {after * 1000:.0f} ms later",
            f"<= {EXTRA_S * 1000:.0f} ms", over <= EXTRA_S)


def run(machine, quick):
    folder = machine.demo_models("--size", SIZE, "--id", "leave")
    file = next(folder.glob("*.gguf"))
    warm([file])
    tonnage, port = machine.serve({"models": {file.stem: {
        "gguf": str(file), "context": CONTEXT, "slots": 2, "ubatch": UBATCH}}}, "leave-tonnage")
    post(port, "/v1/completions", {"model": file.stem, "prompt": "Hello", "max_tokens": 1})
    argv = command_of(machine.servers_of(tonnage)[file.stem])
    rig = Rig(port, argv[argv.index("--host") + 1], file.stem)
    micro_batch, step = rig.micro_batch(), rig.decode_step()
    cases = {
        "streaming": (DECODING, True, step),
        "not streaming": (DECODING, False, step),
        "in the prompt": (READING, False, micro_batch),
    }
    rows, data = [], {"step_s": step, "micro_batch_s": micro_batch}
    for name, (what, stream, alone_s) in cases.items():
        for together in (False, True):
            full = name + (", beside a stream" if together else "")
            data[full] = rig.rounds(what, stream, together, 2 if quick else ROUNDS, alone_s)
            rows.append(row(full, data[full]))
    return {"rows": rows, "data": data}
