"""A machine with GPUs that do not exist: driver libraries, an engine and other users' programs."""

import contextlib
import http.client
import json
import os
import shutil
import socket
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from daemon import BUILD, TONNAGE, Daemon, wait_until
from sparse_model import write_model

PROGRAMS = BUILD / "fake_gpu"
MIB = 1 << 20
GIB = 1 << 30
FIRST = "GPU-11111111-2222-3333-4444-555555555555"
SECOND = "GPU-66666666-7777-8888-9999-000000000000"

# The last words of servers that fail for other reasons than memory.
MISSING_LIBRARY = ("llama-server: error while loading shared libraries: libcudart.so.13: cannot "
                   "open shared object file: No such file or directory")
OLD_DRIVER = ("ggml_cuda_init: failed to initialize CUDA: CUDA driver version is insufficient for "
              "CUDA runtime version")


@dataclass
class Card:
    name: str = "small"
    total_mib: int = 8192
    reserved_mib: int = 300
    uuid: str = FIRST
    address: str = "0000:08:00.0"
    unified: bool = False
    instances: tuple = ()  # of MIG: (UUID, MiB)


class GpuRig:
    """Everything lies in a folder of its own, which is gone at the end of the `with` block."""

    def __init__(self, *cards, lag_ms=200, drivers="current"):
        self.cards = cards or (Card(),)
        self.lag_ms = lag_ms
        self.drivers = PROGRAMS / drivers
        self.folder = None
        self.behaviour = {}

    def __enter__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="tonnage-rig-"))
        self.state = self.folder / "gpus"
        self.engine = self.folder / "engine"
        self.engine.mkdir()
        for program in ("llama-server", "llama-fit-params"):
            shutil.copy(PROGRAMS / "engine" / program, self.engine)
        self.behaviour = {"state": str(self.state), "default": {}, "models": {}}
        self._write_behaviour()
        words = ["new", f"lag {self.lag_ms}", "live"]
        for number, card in enumerate(self.cards):
            words.append(f"card {card.uuid} {card.name} {card.address} {card.total_mib} "
                         f"{card.reserved_mib}")
            if card.unified:
                words.append(f"unified {number}")
        for number, card in enumerate(self.cards):
            words += [f"mig {number} {uuid} {mib}" for uuid, mib in card.instances]
        self.control(*words)
        return self

    def __exit__(self, kind, value, trace):
        shutil.rmtree(self.folder, ignore_errors=True)

    # The devices.

    def control(self, *commands):
        words = " then ".join(commands).split()
        return subprocess.run([PROGRAMS / "fake-gpu", self.state, *words], check=True,
                              capture_output=True, text=True).stdout

    def report(self):
        return json.loads(self.control("report"))

    def device(self, number=0):
        return self.report()["devices"][number]

    def used_mib(self, number=0):
        return self.device(number)["used"] // MIB

    def device_of(self, pid):
        """The number of a device on which a process holds memory, or None."""
        for number, device in enumerate(self.report()["devices"]):
            if str(pid) in device["processes"]:
                return number
        return None

    def refused(self, owner):
        """How often an owner's kind was refused, over all devices."""
        return sum(d["owners"][owner]["refused"] for d in self.report()["devices"])

    def wait_looks(self, count=3):
        """Until NVML was asked so often again."""
        def looks():
            return self.report()["counters"].get("nvml", 0)
        before = looks()
        wait_until(lambda: looks() >= before + count, 20, "the devices are looked at")

    @contextlib.contextmanager
    def hog(self, mib, device=0, **options):
        """Another user's program; see fake-gpu-hog for `options`."""
        words = [f"{name}={value}" for name, value in options.items()]
        program = subprocess.Popen([PROGRAMS / "fake-gpu-hog", self.state, str(device), str(mib),
                                    *words], stdin=subprocess.PIPE)
        try:
            yield program
        finally:
            program.stdin.close()
            program.wait(10)

    # The engine.

    def behave(self, model=None, **keys):
        """Adds to what servers do, of one model or of all: with their next request or start."""
        entry = (self.behaviour["default"] if model is None
                 else self.behaviour["models"].setdefault(model, {}))
        entry.update(keys)
        self._write_behaviour()

    def _write_behaviour(self):
        file = self.engine / "behaviour.json"
        new = file.with_suffix(".new")
        new.write_text(json.dumps(self.behaviour), encoding="utf-8")
        new.rename(file)

    def model(self, name, gib, **keys):
        """The path of a new model file."""
        return write_model(self.folder / f"{name}.gguf", int(gib * GIB), **keys)

    # The daemon.

    def environment(self, **more):
        return {"FAKE_GPU_STATE": str(self.state), "LD_LIBRARY_PATH": str(self.drivers),
                "PATH": f"{self.drivers}:{os.environ['PATH']}",
                "TONNAGE_ENGINE_LLAMA_SERVER": str(self.engine / "llama-server"), **more}

    def daemon(self, config, env=None, **more):
        return Daemon(config, env=self.environment(**(env or {})), **more)

    def doctor(self):
        """What tonnage says of the devices."""
        done = subprocess.run([TONNAGE, "doctor", "--json"], text=True, capture_output=True,
                              check=False,
                              env={**os.environ, **self.environment(),
                                   "XDG_CONFIG_HOME": str(self.folder)})
        return json.loads(done.stdout)["gpus"]


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout=30):
        super().__init__("localhost", timeout=timeout)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Engine:
    """A server of the rig without a daemon, started as the daemon starts one."""

    def __init__(self, rig, model, *flags, context=4096, slots=2, env=None):
        self.rig = rig
        self.socket = rig.folder / f"{model}.sock"
        self.arguments = [rig.engine / "llama-server", "--host", self.socket,
                          "--model", rig.folder / f"{model}.gguf", "--alias", model,
                          "--ctx-size", str(context), "--parallel", str(slots),
                          "--batch-size", "512", "--ubatch-size", "512",
                          "--cache-type-k", "f16", "--cache-type-v", "f16",
                          "--ctx-checkpoints", "0", "--cache-ram", "0", "--fit", "off",
                          "--load-mode", "mmap", "--threads-http", "4", "--no-warmup",
                          "--offline", "--no-ui", *(flags or ("--gpu-layers", "999"))]
        self.env = env or {}
        self.process = None
        self.log = ""

    def __enter__(self):
        self.socket.unlink(missing_ok=True)
        self.process = subprocess.Popen(self.arguments, env=self.env, stdin=subprocess.DEVNULL,
                                        stderr=subprocess.PIPE, text=True)
        return self

    def __exit__(self, kind, value, trace):
        if self.process.poll() is None:
            self.process.kill()
        self.wait()

    def wait(self):
        """(exit status, log), once it has ended."""
        if not self.process.stderr.closed:
            self.log = self.process.communicate(timeout=30)[1]
        return self.process.returncode, self.log

    def request(self, method, path, body=None):
        connection = UnixConnection(self.socket)
        try:
            connection.request(method, path, json.dumps(body) if body is not None else None)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def is_ready(self):
        try:
            return self.request("GET", "/health")[0] == 200
        except OSError:
            return False

    def wait_ready(self):
        wait_until(lambda: self.process.poll() is not None or self.is_ready(), 20, "it is ready")
        assert self.process.poll() is None, self.wait()
        return self

    def chat(self, stream=False, max_tokens=4, path="/v1/chat/completions"):
        """(status, text)."""
        body = {"max_tokens": max_tokens, "stream": stream, "prompt": "Hello",
                "messages": [{"role": "user", "content": "Hello"}]}
        status, text = self.request("POST", path, body)
        if status != 200:
            return status, text
        if not stream:
            choice = json.loads(text)["choices"][0]
            return status, choice.get("text") or choice["message"]["content"]
        events = [line[6:] for line in text.splitlines() if line.startswith("data: ")]
        assert events[-1] == "[DONE]", text
        choices = [json.loads(event)["choices"][0] for event in events[:-1]]
        return status, "".join(choice.get("text") or choice.get("delta", {}).get("content", "")
                               for choice in choices)
