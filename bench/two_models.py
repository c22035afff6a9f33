"""Two models that answer at once on the same processors, beside one alone, in turns.

Each figure is tokens per second of answers of 128 tokens, as the servers measure them; of two at
once, the sum. The daemon with its own measure of how long threads spin runs beside one with the
former fixed GOMP_SPINCOUNT of 2000, so that a busy machine is the same for both. Models: a
generated one, and of the real ones those that tools/real_models has fetched.
"""

import json
import statistics
import threading

from machine import BenchError, environment_of, real_model, wait_until
from wire import post

TOKENS = 128
FIXED_COUNT = 2000
MEASURE_S_MAX = 120
SUM_TARGET = 0.65
ALONE_TARGET = 0.95
REAL = ("smollm2", "gemma3")
NAMES = ("one", "other")


def answer(port, model):
    status, body = post(port, "/v1/completions", {
        "model": model, "prompt": "Once upon a time", "max_tokens": TOKENS, "temperature": 0,
        "ignore_eos": True})
    if status != 200:
        raise BenchError(f"{model}: {status} {body[:200]!r}")
    return json.loads(body)["timings"]["predicted_per_second"]


def alone(port):
    return answer(port, NAMES[0])


def at_once(port):
    rates = {}

    def ask(name):
        rates[name] = answer(port, name)

    threads = [threading.Thread(target=ask, args=(name,), daemon=True) for name in NAMES]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if len(rates) < len(NAMES):
        raise BenchError("an answer failed beside another")
    return sum(rates.values())


def serve(machine, path, label, more):
    """(port, GOMP_SPINCOUNT of its servers), with both models ready."""
    process, port = machine.serve({
        "models": {name: {"gguf": str(path), "context": 1024, "slots": 1} for name in NAMES},
        **more}, label)
    if not more:
        wait_until(lambda: "threads of model servers spin" in process.log.read_text(),
                   MEASURE_S_MAX, "the daemon has measured how long threads spin")
    for name in NAMES:
        answer(port, name)
    pid = machine.servers_of(process)[NAMES[0]]
    return process, port, environment_of(pid)["GOMP_SPINCOUNT"]


def measure(machine, what, path, rounds):
    ours = serve(machine, path, f"two-{what}", {})
    fixed = serve(machine, path, f"two-{what}-fixed", {"engine": {"spin_count": FIXED_COUNT}})
    figures = {"alone": [], "at_once": [], "fixed_alone": [], "fixed_at_once": []}
    for _ in range(rounds):
        figures["alone"].append(alone(ours[1]))
        figures["fixed_alone"].append(alone(fixed[1]))
        figures["at_once"].append(at_once(ours[1]))
        figures["fixed_at_once"].append(at_once(fixed[1]))
    for process, _, _ in (ours, fixed):
        machine.stop(process)
    return {"spin_count": ours[2], **figures}


def rows_of(what, data):
    # Each round compares what ran within the same seconds; the middle round stands for all.
    def ratio(upper, lower):
        return statistics.median(a / b for a, b in zip(data[upper], data[lower]))

    rates = {name: statistics.median(data[name]) for name in data if name != "spin_count"}
    together = ratio("at_once", "alone")
    kept_alone = ratio("alone", "fixed_alone")
    return [
        (f"two models: {what}, count {data['spin_count']}: alone, two at once",
         f"{rates['alone']:.0f}, {rates['at_once']:.0f} tokens/s", "", None),
        (f"two models: {what}, count {FIXED_COUNT}: alone, two at once",
         f"{rates['fixed_alone']:.0f}, {rates['fixed_at_once']:.0f} tokens/s", "", None),
        (f"two models: {what}, two at once / alone", f"{together:.2f}", f">= {SUM_TARGET}",
         together >= SUM_TARGET),
        (f"two models: {what}, alone / alone with {FIXED_COUNT}", f"{kept_alone:.2f}",
         f">= {ALONE_TARGET}", kept_alone >= ALONE_TARGET),
    ]


def real_models():
    for name in REAL:
        if path := real_model(name):
            yield name, path
        else:
            print(f"    without {name}: run `tools/real_models {name}`", flush=True)


def run(machine, quick):
    folder = machine.demo_models("--size", "100MB", "--id", "two")
    contenders = [("demo of 100 MB", next(folder.glob("*.gguf"))), *real_models()]
    rows, data = [], {}
    for what, path in contenders:
        data[what] = measure(machine, what.split()[0], path, 3 if quick else 9)
        rows += rows_of(what, data[what])
    return {"rows": rows, "data": data}
