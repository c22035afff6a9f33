"""How fast the simulator goes, as processor time: how many seeds somebody can afford to run."""

import re
import resource
import subprocess

SEEDS = 600
SEEDS_QUICK = 100
EVENTS_A_SECOND_MIN = 300_000


def run(machine, quick):
    seeds = SEEDS_QUICK if quick else SEEDS
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    out = subprocess.run([machine.build / "tonnage-sim", "--seeds", str(seeds), "--jobs", "1"],
                         capture_output=True, text=True, check=True).stdout
    took = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before
    steps = int(re.search(r"^(\d+) steps in ", out, re.MULTILINE)[1])
    a_seed = int(re.search(r"\((\d+) a seed\)", out)[1])
    speed = steps / max(took, 0.01)
    return {"rows": [
        ("simulator: events a second on one core, half of them checked", f"{speed:,.0f}",
         f">= {EVENTS_A_SECOND_MIN:,}", speed >= EVENTS_A_SECOND_MIN),
        ("simulator: events of one seed", f"{a_seed}", ">= 500", a_seed >= 500),
    ], "data": {"events_per_second": speed, "events_per_seed": a_seed, "seeds": seeds}}
