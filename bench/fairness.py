"""Who waits how long under which policy, in the simulator (tonnage-sim --fairness).

Simulated time throughout: the figures are the same on every machine. `fifo` is a baseline that
serves strictly in the order of arrival; `lru` and `value` are what tonnage can be configured to do.
"""

import json
import subprocess

RUNS = 20
RUNS_QUICK = 4
# The default may not let anybody wait longer than serving in the order of arrival does.
DEFAULT, BASELINE = "value", "fifo"
CLIENTS = {"greedy": "the greedy client", "others": "the other clients"}


def seconds(figures, *names):
    return " / ".join(f"{figures[name] / 1000:.1f}" for name in names) + " s"


def rows_of(runs):
    p95 = {(run["workload"], run["policy"]): run["wait"]["p95_ms"] for run in runs}
    for run in runs:
        name = f"fairness: {run['workload']}, {run['policy']}"
        target, met = "", None
        if run["policy"] == DEFAULT:
            limit = p95[run["workload"], BASELINE]
            target = f"p95 <= {limit / 1000:.1f} s of {BASELINE}"
            met = run["wait"]["p95_ms"] <= limit
        yield (f"{name}: wait p50 / p95 / p99", seconds(run["wait"], "p50_ms", "p95_ms", "p99_ms"),
               target, met)
        yield (f"{name}: switches an hour; worst model against mean",
               f"{run['switches_per_hour']}; {run['worst_model_permille'] / 1000:.1f}x", "", None)
        yield (f"{name}: wait p95 by model {' '.join(run['models'])}",
               " ".join(f"{wait['p95_ms'] / 1000:.0f}" for wait in run["models"].values()) + " s",
               "", None)
        for client, wait in run["clients"].items():
            yield (f"{name}: {CLIENTS[client]}, wait p50 / p95 / p99",
                   seconds(wait, "p50_ms", "p95_ms", "p99_ms"), "", None)


def run(machine, quick):
    out = subprocess.run([machine.build / "tonnage-sim", "--fairness", "--json",
                          "--runs", str(RUNS_QUICK if quick else RUNS)],
                         capture_output=True, text=True, check=True).stdout
    runs = json.loads(out)["runs"]
    return {"rows": list(rows_of(runs)), "data": runs}
