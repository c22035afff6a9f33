"""Time to the first token of a model that must be swapped in, beside its server started by hand."""

import statistics
import time

from machine import idle_for, command_of, environment_of, warm
from wire import first_event, wait_healthy

TARGET_RATIO = 1.15
BODY = {"prompt": "Hello", "max_tokens": 1, "temperature": 0}
PATH = "/v1/completions"


def through_tonnage(port, model):
    started = time.monotonic()
    return first_event(port, PATH, {**BODY, "model": model}) - started


def by_hand(machine, argv, env, model, turn):
    """The same program, arguments and environment, on a socket of its own."""
    address = machine.folder / f"hand-{turn}.sock"
    argv = list(argv)
    argv[argv.index("--host") + 1] = str(address)
    started = time.monotonic()
    process = machine.start(argv, f"hand-{turn}", env=env)
    wait_healthy(address, process, started, idle_for)
    spent = first_event(address, PATH, {**BODY, "model": model}) - started
    machine.stop(process)
    return spent


def run(machine, quick):
    size = "200MB" if quick else "800MB"
    folders = [machine.demo_models("--size", size, "--id", name) for name in ("swap-a", "swap-b")]
    files = [next(folder.glob("*.gguf")) for folder in folders]
    warm(files)
    tonnage, port = machine.serve({
        "residency": {"single_model": True},
        "models": {path.stem: {"gguf": str(path), "context": 512, "slots": 2} for path in files},
    }, "swap-tonnage")
    names = [path.stem for path in files]
    spawned = {}
    for name in [*names, names[0]]:  # both have been profiled, and the first is there
        through_tonnage(port, name)
        pid = machine.servers_of(tonnage)[name]
        spawned[name] = (command_of(pid), environment_of(pid))
    figures = {"tonnage": [], "by_hand": []}
    for turn in range(3):
        name = names[(turn + 1) % 2]
        figures["tonnage"].append(through_tonnage(port, name))
        figures["by_hand"].append(by_hand(machine, *spawned[name], name, turn))
    swap_s = statistics.median(figures["tonnage"])
    hand_s = statistics.median(figures["by_hand"])
    ratio = statistics.median(v / h for v, h in zip(figures["tonnage"], figures["by_hand"]))
    return {
        "rows": [
            (f"swap: {size} by hand, to first token", f"{hand_s * 1000:.0f} ms", "", None),
            (f"swap: {size} through tonnage", f"{swap_s * 1000:.0f} ms", "", None),
            ("swap: tonnage / by hand", f"{ratio:.2f}", f"<= {TARGET_RATIO}",
             ratio <= TARGET_RATIO),
        ],
        "data": {"seconds": figures, "ratio": ratio},
    }
