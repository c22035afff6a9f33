"""The core's own benchmarks (core_bench), as processor time."""

import json
import subprocess

NS = {"ns": 1, "us": 1e3, "ms": 1e6}
STEP_NS_MAX = 1_000
PLAN_NS_MAX = 100_000


def run(machine, quick):
    out = subprocess.run([machine.build / "bench/core_bench", "--benchmark_format=json",
                          f"--benchmark_min_time={0.1 if quick else 0.5}",
                          "--benchmark_repetitions=3", "--benchmark_report_aggregates_only=true"],
                         capture_output=True, text=True, check=True).stdout
    figures = {}
    for entry in json.loads(out)["benchmarks"]:
        if entry["aggregate_name"] != "median":
            continue
        name = entry["run_name"].split("/")[0]
        rate = entry.get("items_per_second")
        figures[name] = 1e9 / rate if rate else entry["cpu_time"] * NS[entry["time_unit"]]
    rows = []
    for name, what in (("ready_arrive", "step: request to a ready model arrives"),
                       ("ready_arrive_and_end", "step: it arrives and ends")):
        rows.append((f"core: {what}", f"{figures[name]:.0f} ns", f"<= {STEP_NS_MAX} ns",
                     figures[name] <= STEP_NS_MAX))
    for verdict in ("fits", "evicts", "waits"):
        value = figures[f"plan_{verdict}"]
        rows.append((f"core: plan over 1,000 models x 24 placements, {verdict}",
                     f"{value / 1000:.1f} us", f"<= {PLAN_NS_MAX // 1000} us",
                     value <= PLAN_NS_MAX))
    return {"rows": rows, "data": {"cpu_ns": figures}}
