"""What the daemon itself costs: its memory with 20 models configured, its CPU when idle."""

from machine import cpu_seconds, idle_for, status_bytes
from wire import get, post

MODELS = 20
RSS_BYTES_MAX = 25 << 20
IDLE_PERCENT_MAX = 0.1


def run(machine, quick):
    seconds = 5 if quick else 20
    files = sorted(machine.demo_models("--preset", "test").glob("*.gguf"))
    process, port = machine.serve({
        "models": {f"model-{i:02}": {"gguf": str(files[i % 3]), "context": 512, "slots": 2}
                   for i in range(MODELS)},
    }, "idle-tonnage")
    post(port, "/v1/completions", {"model": "model-00", "prompt": "Hello", "max_tokens": 1})
    get(port, "/api/memory/status")
    get(port, "/metrics")
    rss = status_bytes(process.pid, "VmRSS")
    idle_for(2)  # the request is over, and its server has been measured
    before = cpu_seconds(process.pid)
    idle_for(seconds)
    percent = (cpu_seconds(process.pid) - before) / seconds * 100
    return {
        "rows": [
            (f"daemon: RSS with {MODELS} models", f"{rss / (1 << 20):.1f} MiB", "<= 25 MiB",
             rss <= RSS_BYTES_MAX),
            (f"daemon: idle CPU over {seconds} s, one model ready", f"{percent:.2f} %",
             f"<= {IDLE_PERCENT_MAX} %", percent <= IDLE_PERCENT_MAX),
        ],
        "data": {"rss_bytes": rss, "idle_percent": percent, "idle_seconds": seconds},
    }
