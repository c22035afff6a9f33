"""Processes of a benchmark: started, watched through /proc, and gone when the benchmark is."""

import contextlib
import ctypes
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
START_S_MAX = 60
STOP_S_MAX = 10
PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None, use_errno=True)


class BenchError(Exception):
    """What could not be measured, and why."""


def wait_until(condition, seconds, what, pause=0.005):
    """Polls `condition`; the deadline bounds a broken program and measures nothing."""
    never = threading.Event()
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise BenchError(f"not within {seconds} s: {what}")
        never.wait(pause)


def idle_for(seconds):
    threading.Event().wait(seconds)


def cache_folder():
    named = os.environ.get("TONNAGE_CACHE_DIR")
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(named or Path(home) / "tonnage")


def descendants(pid):
    """Every process below `pid`, whichever of its threads started it."""
    found, waiting = [], [pid]
    while waiting:
        folder = f"/proc/{waiting.pop()}/task"
        with contextlib.suppress(OSError):
            for task in os.listdir(folder):
                with contextlib.suppress(OSError):
                    with open(f"{folder}/{task}/children", encoding="ascii") as file:
                        children = [int(word) for word in file.read().split()]
                    found += children
                    waiting += children
    return found


def cpu_seconds(pid):
    """User and system time of one process, all its threads together."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S


def status_bytes(pid, name):
    for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1]) * 1024
    return 0


def command_of(pid):
    return Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")[:-1]


def environment_of(pid):
    words = Path(f"/proc/{pid}/environ").read_bytes().decode().split("\0")
    return dict(word.split("=", 1) for word in words if "=" in word)


def real_model(name):
    """The file of a model that tools/real_models has fetched, or nothing."""
    asked = subprocess.run([ROOT / "tools/real_models", "--path", name], capture_output=True,
                           text=True, check=False)
    return asked.stdout.strip() if asked.returncode == 0 else None


def warm(paths):
    """Reads files into the page cache; they must fit beside what the machine holds."""
    size = sum(Path(path).stat().st_size for path in paths)
    for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
        if line.startswith("MemAvailable:") and int(line.split()[1]) * 1024 < 2 * size:
            raise BenchError(f"{2 * size >> 20} MiB of memory must be available to keep the model "
                             f"files warm and run them, and {int(line.split()[1]) >> 10} MiB are")
    for path in paths:
        with open(path, "rb", buffering=0) as file:
            while file.read(1 << 22):
                pass


def _die_with_parent():
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Machine:
    """Everything that a benchmark started, and a folder for its sockets and logs."""

    def __init__(self, build, real=False):
        self.build = Path(build)
        self.real = real  # real models where a benchmark has the choice, and no generated ones
        self.folder = Path(tempfile.mkdtemp(prefix="tonnage-bench-"))
        self.processes = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in list(self.processes):
            self.stop(process)
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self, argv, name, env=None, pass_fds=()):
        log = open(self.folder / f"{name}.log", "ab")
        with log:
            process = subprocess.Popen(
                [str(word) for word in argv], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=env, pass_fds=pass_fds, start_new_session=True, preexec_fn=_die_with_parent,
                cwd=self.folder)
        process.log = self.folder / f"{name}.log"
        self.processes.append(process)
        return process

    def stop(self, process):
        """SIGTERM, and SIGKILL for the whole group once it had its time."""
        below = descendants(process.pid)
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(STOP_S_MAX)
            except subprocess.TimeoutExpired:
                process.kill()
        with contextlib.suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for pid in below:  # servers in groups of their own
            with contextlib.suppress(OSError):
                if "llama" in command_of(pid)[0] or "stub_server" in command_of(pid)[0]:
                    os.kill(pid, signal.SIGKILL)
        self.processes.remove(process)

    def demo_models(self, *arguments):
        """A folder of generated models, kept between runs and shared with the tests."""
        name = "-".join(word for word in arguments if not word.startswith("--"))
        folder = cache_folder() / "test-models" / name
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run([self.build / "tonnage-demo-models", folder, *arguments], check=True,
                       stdout=subprocess.DEVNULL)
        return folder

    def serve(self, config, name="tonnage"):
        """A tonnage daemon that listens on a port of the kernel's choice: (process, port)."""
        path = self.folder / f"{name}.yaml"
        path.write_text(json.dumps({"runtime_dir": str(self.folder / f"{name}-run"),
                                    "state_dir": str(self.folder / f"{name}-state"), **config}),
                        encoding="utf-8")
        env = {key: value for key, value in os.environ.items() if not key.startswith("TONNAGE_")}
        process = self.start([self.build / "tonnage", "serve", "--config", path, "--listen",
                              "127.0.0.1:0"], name, env=env)

        def port():
            text = process.log.read_text(encoding="utf-8", errors="replace")
            found = re.search(r" at http://127\.0\.0\.1:(\d+)", text)
            if found is None and process.poll() is not None:
                raise BenchError(f"tonnage did not start:\n{text[-2000:]}")
            return int(found[1]) if found else None
        return process, wait_until(port, START_S_MAX, "tonnage prints its address")

    def servers_of(self, process):
        """id of the model -> pid, of the model servers below a process."""
        found = {}
        for pid in descendants(process.pid):
            with contextlib.suppress(OSError):
                words = command_of(pid)
                if "--alias" in words:
                    found[words[words.index("--alias") + 1]] = pid
        return found


class Sampler:
    """The truth about the memory below some processes, sampled by another process."""

    def __init__(self, pids, itself=False):
        words = [sys.executable, str(ROOT / "bench/truth_sampler.py")]
        words += ["--itself"] if itself else []
        self.process = subprocess.Popen([*words, *map(str, pids)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True,
                                        preexec_fn=_die_with_parent)

    def finish(self):
        out, _ = self.process.communicate("\n", timeout=STOP_S_MAX)
        return json.loads(out)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
