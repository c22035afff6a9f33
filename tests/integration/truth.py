"""Samples what model servers and dry runs really hold, every 20 ms, as a separate process.

The truth is the sum over model servers and dry runs of anonymous and shared memory, plus each
mapped model file once, plus locked memory that is not part of such a file. Nothing here comes from
tonnage: processes are found as descendants of the daemon, files by their mapping.

  truth.py DAEMON_PID    samples until its standard input closes, then prints one JSON object
"""

import json
import os
import select
import sys
import time

INTERVAL_S = 0.020
CHILDREN = "/proc/{0}/task/{0}/children"


def descendants(pid):
    """Every process below `pid`. Children of other threads than the first do not occur here."""
    found, todo = [], [pid]
    while todo:
        try:
            with open(CHILDREN.format(todo.pop()), encoding="ascii") as file:
                children = [int(word) for word in file.read().split()]
        except (FileNotFoundError, ProcessLookupError):
            continue
        found += children
        todo += children
    return found


def status_bytes(pid):
    """RssAnon, RssShmem, VmLck of one process, in bytes."""
    wanted = {"RssAnon:": 0, "RssShmem:": 0, "VmLck:": 0}
    with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as file:
        for line in file:
            name, _, rest = line.partition("\t")
            if name in wanted:
                wanted[name] = int(rest.split()[0]) * 1024
    return wanted["RssAnon:"], wanted["RssShmem:"], wanted["VmLck:"]


def mapped_models(pid):
    """(device, inode) -> file size, of the model files that one process maps."""
    files = {}
    with open(f"/proc/{pid}/maps", encoding="utf-8", errors="replace") as file:
        for line in file:
            if ".gguf" not in line:
                continue
            fields = line.split(None, 5)
            try:
                files[(fields[3], fields[4])] = os.stat(fields[5].strip()).st_size
            except OSError:
                pass
    return files


def sample(daemon):
    own = locked = 0
    files = {}
    servers = 0
    for pid in descendants(daemon):
        try:
            anon, shmem, lock = status_bytes(pid)
            mapped = mapped_models(pid)
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
        servers += 1
        own += anon + shmem
        locked += max(0, lock - sum(mapped.values()))
        files.update(mapped)
    return own + locked + sum(files.values()), own, servers


def main():
    daemon = int(sys.argv[1])
    peak = peak_own = samples = most_servers = 0
    late_ms = 0.0
    due = time.monotonic()
    while True:
        total, own, servers = sample(daemon)
        samples += 1
        peak, peak_own = max(peak, total), max(peak_own, own)
        most_servers = max(most_servers, servers)
        due += INTERVAL_S
        pause = due - time.monotonic()
        late_ms = max(late_ms, -pause * 1000)
        if pause < 0:
            due = time.monotonic()
        ready, _, _ = select.select([sys.stdin], [], [], max(0, pause))
        if ready:
            break
    print(json.dumps({"peak_bytes": peak, "peak_own_bytes": peak_own, "samples": samples,
                      "most_servers": most_servers, "late_ms_max": round(late_ms, 1)}))


if __name__ == "__main__":
    main()
