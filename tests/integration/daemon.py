"""A real tonnage daemon on demo models, for the tests of this folder."""

import contextlib
import fcntl
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

BUILD = Path(os.environ.get("TONNAGE_BUILD_DIR", Path(__file__).parents[2] / "build/release"))
CACHE = Path(os.environ.get("TONNAGE_CACHE_DIR")
             or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tonnage")
MODELS = CACHE / "test-models"
TONNAGE = BUILD / "tonnage"
START_S_MAX = 30
PAUSE = threading.Event()  # never set


def write_models(folder, *arguments):
    """Other tests may want the same ones now: the first writes them, the others wait for it."""
    folder.mkdir(parents=True, exist_ok=True)
    with open(MODELS / f"{folder.name}.lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        subprocess.run([BUILD / "tonnage-demo-models", folder, *arguments], check=True,
                       stdout=subprocess.DEVNULL)


def demo_models(preset):
    """The folder of a preset's models; written once, kept between runs."""
    folder = MODELS / preset
    write_models(folder, "--preset", preset)
    return folder


def decoders(sizes, context):
    """The folder of decoders {id: size} that take `context` tokens; written once, kept."""
    folder = MODELS / f"context-{context}"
    for name, size in sizes.items():
        write_models(folder, "--id", name, "--size", size, "--context", str(context))
    return folder


def wait_until(condition, seconds, what):
    """Polls; the deadline is a bound for a broken program, not a measure of time."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what}")
        PAUSE.wait(0.01)  # between two looks; nothing is timed by it


class Daemon:
    """Starts in a folder of its own and is gone at the end of the `with` block."""

    start_s_max = START_S_MAX

    def __init__(self, config, env=None, arguments=(), stderr=subprocess.STDOUT):
        self.folder = Path(tempfile.mkdtemp(prefix="tonnage-test-"))
        self.runtime = self.folder / "run"
        self.config = self.folder / "tonnage.yaml"
        text = config if isinstance(config, str) else json.dumps(config, indent=1)
        self.config.write_text(text, encoding="utf-8")
        # The runner's own variables would be warned about as misspelt settings.
        inherited = {name: value for name, value in os.environ.items()
                     if name not in ("TONNAGE_BUILD_DIR", "TONNAGE_ENGINE_DIR")}
        self.state_dir = self.folder / "state"
        self.env = {**inherited, "TONNAGE_RUNTIME_DIR": str(self.runtime),
                    "TONNAGE_STATE_DIR": str(self.state_dir), **(env or {})}
        self.arguments = list(arguments)
        self.stderr = stderr  # by default it joins standard output in `log`
        self.process = None
        self.port = 0
        self.log = ""
        self.reader = None
        self.listening = threading.Event()

    def command_line(self):
        return [str(TONNAGE), "serve", "--config", str(self.config), "--listen", "127.0.0.1:0",
                *self.arguments]

    def __enter__(self):
        self.process = subprocess.Popen(self.command_line(), stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=self.stderr, env=self.env,
                                        text=True, errors="replace")
        self.reader = threading.Thread(target=self._read_log, daemon=True)
        self.reader.start()
        self.listening.wait(self.start_s_max)
        if not self.port:
            self.process.kill()
            self.process.wait()
            self.reader.join()
            self.process.stdout.close()
            shutil.rmtree(self.folder, ignore_errors=True)
            raise AssertionError(f"the daemon did not start:\n{self.log}")
        return self

    def _read_log(self):
        for line in self.process.stdout:
            self.log += line
            address = re.search(r" at http://(?:127\.0\.0\.1|localhost):(\d+)", line)
            if address and not self.port:
                self.port = int(address[1])
                self.listening.set()
        self.listening.set()

    def __exit__(self, kind, value, trace):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.reader.join(5)
        self.process.stdout.close()
        if kind is not None:
            sys.stderr.write(f"--- log of the daemon ---\n{self.log[-6000:]}\n")
        shutil.rmtree(self.folder, ignore_errors=True)

    # Requests.

    def connection(self, timeout=120):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)

    def request(self, method, path, body=None, headers=None, timeout=120):
        """(status, headers, body as text)."""
        connection = self.connection(timeout)
        try:
            if isinstance(body, (dict, list)):
                body = json.dumps(body)
                headers = {"Content-Type": "application/json", **(headers or {})}
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            text = answer.read().decode("utf-8", "replace")
            return answer.status, {k.lower(): v for k, v in answer.getheaders()}, text
        finally:
            connection.close()

    def get_json(self, path, **more):
        status, _, text = self.request("GET", path, **more)
        assert status == 200, f"GET {path}: {status} {text[:500]}"
        return json.loads(text)

    def chat(self, model, max_tokens=8, stream=False, timeout=120, content="Hello", **more):
        """(status, headers, text of the answer or of the error)."""
        body = {"model": model, "max_tokens": max_tokens, "temperature": 0, "stream": stream,
                "messages": [{"role": "user", "content": content}], **more}
        status, headers, text = self.request("POST", "/v1/chat/completions", body, timeout=timeout)
        if status != 200:
            return status, headers, text
        if not stream:
            return status, headers, json.loads(text)["choices"][0]["message"]["content"]
        pieces = []
        for line in text.splitlines():
            if not line.startswith("data: ") or line == "data: [DONE]":
                continue
            event = json.loads(line[6:])
            if "error" in event:
                return event["error"].get("code", 500), headers, line
            for choice in event.get("choices", []):
                pieces.append(choice.get("delta", {}).get("content") or "")
        return status, headers, "".join(pieces)

    def command(self, *words, env=None):
        """Runs a subcommand against this daemon."""
        return subprocess.run([str(TONNAGE), *words], env={**self.env, **(env or {})},
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60,
                              check=False)

    # State.

    def models(self):
        return {m["id"]: m for m in self.get_json("/api/memory/models")["data"]}

    def state(self, model):
        return self.models()[model]["state"]

    def server_pids(self):
        """pid -> id of the model (its --alias), of the running model servers."""
        found = {}
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        for pid in children.read_text(encoding="ascii").split():
            with contextlib.suppress(OSError):
                words = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
                if "--alias" in words:
                    found[int(pid)] = words[words.index("--alias") + 1]
        return found

    def server_pid(self, model):
        return next((pid for pid, name in self.server_pids().items() if name == model), None)

    def events(self, **query):
        parts = "&".join(f"{name}={value}" for name, value in {"limit": 2000, **query}.items())
        return self.get_json(f"/api/memory/events?{parts}")["data"]

    @contextlib.contextmanager
    def truth(self):
        """Samples memory from a separate process; yields a dict that is filled at the end."""
        sampler = subprocess.Popen([sys.executable, str(Path(__file__).with_name("truth.py")),
                                    str(self.process.pid)],
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        measured = {}
        try:
            yield measured
        finally:
            out, _ = sampler.communicate("\n", timeout=10)
            measured.update(json.loads(out))


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
