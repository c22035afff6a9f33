#!/usr/bin/env python3
"""The GPU scenarios on a real NVIDIA card: what the fake one cannot show. Prints what it measured.

  tests/gpu/nvidia.py [--build DIR] [--engine LLAMA_SERVER] [--limit SIZE]

Needs a card, a build of tonnage, and a llama-server that lists it (`llama-server --list-devices`):
the built engine with a CUDA or Vulkan plug-in beside it (see docs/howto/gpu-memory.md). Models are
the demo models of the tests; --limit is how much of the card they may use together: by default
room for two, each with the 450 MiB that a CUDA context takes. Nothing of the card's settings is
touched.
Exit status: 0 every scenario held, 1 one did not, 77 there is no card here.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MIB = 1 << 20
NO_CARD = 77
REQUESTS = 60
CLIENTS = 6


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=lambda text: Path(text).resolve(),
                        default=ROOT / "build/release")
    parser.add_argument("--engine", type=Path,
                        help="a llama-server; else the one that tonnage finds")
    parser.add_argument("--limit", default="1200MiB")
    return parser.parse_args()


class Failed(Exception):
    """A scenario that did not hold."""


def require(holds, what):
    if not holds:
        raise Failed(what)


def doctor(args, env):
    done = subprocess.run([args.build / "tonnage", "doctor", "--json"], capture_output=True,
                          text=True, check=False, env=env)
    return json.loads(done.stdout)["gpus"]


def models_of(args):
    """Models that write, from the demo models of the tests."""
    from daemon import demo_models
    files = [file for file in Path(demo_models("test")).glob("*.gguf") if "embed" not in file.name]
    require(len(files) >= 2, "there are not two demo models that write")
    return {file.stem: {"gguf": str(file), "context": 2048, "slots": 2} for file in sorted(files)}


def gpu_pool(daemon):
    pools = daemon.get_json("/api/memory/status")["pools"]
    return next(pool for pool in pools if pool["pool"] != "host")


def scenario_placement(daemon, measured):
    """Every model answers from the card; prediction beside measurement."""
    for name in daemon.models():
        began = time.monotonic()
        status, _, text = daemon.chat(name, max_tokens=8)
        require(status == 200, f"{name}: {status} {text[:200]}")
        placement = daemon.models()[name]["placement"]
        require(placement["gpu_layers"] > 0, f"{name} runs without the GPU: {placement}")
        measured[name] = {"first_answer_s": round(time.monotonic() - began, 3),
                          "model": {key: value for key, value in daemon.models()[name].items()
                                    if key.startswith("device") or key.endswith("bytes")}}


def scenario_many_requests(daemon, measured):
    """More models than the budget holds, several clients: every request is answered."""
    names, wrong, lock, numbers = list(daemon.models()), [], threading.Lock(), iter(range(REQUESTS))

    def work():
        while True:
            with lock:
                number = next(numbers, None)
            if number is None:
                return
            status, _, text = daemon.chat(names[number % len(names)], max_tokens=8,
                                          stream=number % 3 == 0)
            if status != 200:
                wrong.append(f"{status} {text[:200]}")
    began = time.monotonic()
    threads = [threading.Thread(target=work) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    measured["requests"] = {"count": REQUESTS, "wrong": len(wrong),
                            "seconds": round(time.monotonic() - began, 1),
                            "loads": sum(model["loads"] for model in daemon.models().values())}
    require(not wrong, f"{len(wrong)} requests failed: {wrong[:3]}")


def scenario_release(daemon, measured):
    """After an unload the card shows the memory free, and tonnage knows when."""
    from daemon import wait_until
    name = next(name for name, model in daemon.models().items() if model["state"] == "ready")
    held = gpu_pool(daemon)["used_bytes"]
    began = time.monotonic()
    done = daemon.command("unload", name, "--runtime-dir", str(daemon.runtime))
    require(done.returncode == 0, done.stderr)
    wait_until(lambda: gpu_pool(daemon).get("releasing_bytes", 0) == 0, 10, "the release is seen")
    measured["release"] = {"seconds": round(time.monotonic() - began, 3),
                           "returned_mib": (held - gpu_pool(daemon)["used_bytes"]) // MIB}
    leaks = [event for event in daemon.events() if event["kind"] == "leak"]
    require(not leaks, f"it leaked: {leaks}")


def scenario_killed(daemon, measured):
    """A server that is killed while it works loses no request."""
    name = next(iter(daemon.models()))
    require(daemon.chat(name, max_tokens=4)[0] == 200, "it answers")
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(daemon.chat(name, max_tokens=200)))
               for _ in range(2)]
    for thread in threads:
        thread.start()
    os.kill(daemon.server_pid(name), 9)
    for thread in threads:
        thread.join()
    measured["killed"] = [status for status, _, _ in answers]
    require(all(status == 200 for status, _, _ in answers), f"{answers}")


SCENARIOS = [scenario_placement, scenario_many_requests, scenario_release, scenario_killed]


def main():
    args = arguments()
    os.environ["TONNAGE_BUILD_DIR"] = str(args.build)
    sys.path.insert(0, str(ROOT / "tests/integration"))
    env = dict(os.environ)
    if args.engine:
        env["TONNAGE_ENGINE_LLAMA_SERVER"] = str(args.engine.resolve())
    if shutil.which("nvidia-smi") is None or not doctor(args, env)["devices"]:
        print("tests/gpu: there is no NVIDIA GPU here", file=sys.stderr)
        return NO_CARD
    from daemon import Daemon
    measured = {"devices": doctor(args, env)["devices"]}
    config = {"models": models_of(args), "budgets": {"gpu": {"limit": args.limit}}}
    failures = 0
    with Daemon(config, env=env) as daemon:
        for scenario in SCENARIOS:
            name = scenario.__name__.removeprefix("scenario_")
            try:
                scenario(daemon, measured)
                print(f"ok      {name}: {scenario.__doc__}")
            except (Failed, AssertionError, KeyError, StopIteration) as error:
                failures += 1
                print(f"FAILED  {name}: {error!r}")
    print(json.dumps(measured, indent=1))
    print(f"{len(SCENARIOS) - failures} passed, {failures} failed")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
