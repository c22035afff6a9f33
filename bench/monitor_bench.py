"""What watching memory costs, and how soon a level of pressure is told: on a fake GPU, through the
real driver interface."""

import json
import os
import statistics
import sys
import threading
import time
import urllib.request

from machine import ROOT, BenchError, cpu_seconds, idle_for, status_bytes

INTERVALS = [("2s", 2.0, 0.1), ("250ms", 0.25, 1.0)]
RSS_BYTES_MAX = 1 << 20
LATE_S_MAX = 0.010
CARD_MIB = 8192


def rig_module(build):
    """The rig of the tests, which looks for its programs in a build folder."""
    os.environ["TONNAGE_BUILD_DIR"] = str(build)
    folder = str(ROOT / "tests/integration")
    if folder not in sys.path:
        sys.path.insert(0, folder)
    import gpu_rig
    return gpu_rig


def settings(rig, interval):
    return {"models": {"one": {"gguf": str(rig.model("one", 1)), "context": 512}},
            "probe": {"interval": interval, "active_interval": interval}, "pressure": "balanced",
            "load": {"profile_ahead": False}}


def idle_cost(rig, config, seconds, arguments=()):
    """Percent of a core and resident bytes of a daemon that has nothing to do but watch."""
    with rig.daemon(config, arguments=arguments) as daemon:
        idle_for(2)
        before = cpu_seconds(daemon.process.pid)
        idle_for(seconds)
        percent = (cpu_seconds(daemon.process.pid) - before) / seconds * 100
        return percent, status_bytes(daemon.process.pid, "VmRSS")


class Listener:
    """Reads the event stream of a daemon and notes when a level is told."""

    def __init__(self, port):
        self.told = threading.Event()
        self.at = 0.0
        self.stream = urllib.request.urlopen(
            urllib.request.Request(f"http://127.0.0.1:{port}/api/memory/events",
                                   headers={"Accept": "text/event-stream"}), timeout=30)
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        try:
            for line in self.stream:
                if line.startswith(b"data:") and json.loads(line[5:]).get("kind") == "level":
                    self.at = time.monotonic()
                    self.told.set()
        except (OSError, ValueError):
            return

    def wait(self, seconds):
        if not self.told.wait(seconds):
            raise BenchError("no level was told")
        self.told.clear()
        return self.at


def level_times(rig, config, count):
    """Seconds from an allocation to the event that tells of its level, for so many levels."""
    times = []
    with rig.daemon(config) as daemon:
        listener = Listener(daemon.port)
        for number in range(count):
            # Deeper each time: a level up is told at once, one down after its dwell.
            pid = os.getpid()
            mib = [5200, 1600, 900][number]
            began = time.monotonic()
            rig.control(f"allocate 0 {pid} {mib}")
            times.append(listener.wait(10) - began)
    return times


def run(machine, quick):
    gpu_rig = rig_module(machine.build)
    rows, data = [], {}
    with gpu_rig.GpuRig() as rig:
        seconds = 5 if quick else 20
        _, without = idle_cost(rig, settings(rig, "2s"), 1, arguments=("--cpu",))
        for interval, length, bound in INTERVALS:
            percent, rss = idle_cost(rig, settings(rig, interval), seconds)
            rows.append((f"monitor: CPU at {interval}, idle, one GPU", f"{percent:.2f} %",
                         f"<= {bound} %", percent <= bound))
            data[f"percent_{interval}"] = percent
            if interval == "2s":
                more = max(0, rss - without)
                rows.append(("monitor: memory beside --cpu", f"{more / 1024:.0f} KiB", "< 1 MiB",
                             more < RSS_BYTES_MAX))
                data["rss_more_bytes"] = more
    for interval, length, _ in INTERVALS:
        with gpu_rig.GpuRig() as rig:
            times = level_times(rig, settings(rig, interval), 2 if quick else 3)
        worst = max(times)
        rows.append((f"monitor: level told after use moved, at {interval}, worst of {len(times)}",
                     f"{worst * 1000:.0f} ms", f"<= {(length + LATE_S_MAX) * 1000:.0f} ms",
                     worst <= length + LATE_S_MAX))
        data[f"level_s_{interval}"] = times
        data[f"level_median_s_{interval}"] = statistics.median(times)
    return {"rows": rows, "data": data}
