"""Samples what model servers really hold, every 25 ms, as a separate process.

The truth is the sum of their anonymous and shared memory, plus locked memory that is no part of a
model file, plus each mapped model file once. Nothing here comes from the program that is measured.

  truth_sampler.py [--itself] PID...    counts the processes below each PID, with --itself that
                                        process too; samples until standard input closes, then
                                        prints one JSON object
"""

import contextlib
import json
import os
import select
import sys
import time

from machine import descendants

INTERVAL_S = 0.025


def own_bytes(pid):
    """(anonymous and shared, locked) of one process."""
    own = locked = 0
    with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as file:
        for line in file:
            if line.startswith(("RssAnon:", "RssShmem:")):
                own += int(line.split()[1]) * 1024
            elif line.startswith("VmLck:"):
                locked = int(line.split()[1]) * 1024
    return own, locked


def mapped_models(pid):
    """(device, inode) -> size, of the model files that one process maps."""
    files = {}
    with open(f"/proc/{pid}/maps", encoding="utf-8", errors="replace") as file:
        for line in file:
            if ".gguf" not in line:
                continue
            fields = line.split(None, 5)
            with contextlib.suppress(OSError):
                files[(fields[3], fields[4])] = os.stat(fields[5].strip()).st_size
    return files


def sample(pids):
    total = 0
    files = {}
    for pid in pids:
        with contextlib.suppress(OSError):
            own, locked = own_bytes(pid)
            mapped = mapped_models(pid)
            total += own + max(0, locked - sum(mapped.values()))
            files.update(mapped)
    return total + sum(files.values())


def main(words):
    itself = "--itself" in words
    roots = [int(word) for word in words if word != "--itself"]
    peak = samples = 0
    late_s = 0.0
    due = time.monotonic()
    while True:
        pids = [pid for root in roots for pid in [*([root] if itself else []), *descendants(root)]]
        peak = max(peak, sample(pids))
        samples += 1
        due += INTERVAL_S
        now = time.monotonic()
        late_s = max(late_s, now - due)
        due = max(due, now)
        if select.select([sys.stdin], [], [], due - now)[0]:
            break
    print(json.dumps({"peak_bytes": peak, "samples": samples, "late_s_max": round(late_s, 3)}))


if __name__ == "__main__":
    main(sys.argv[1:])
