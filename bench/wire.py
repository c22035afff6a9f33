"""HTTP as the benchmarks speak it, over loopback ports and unix sockets."""

import contextlib
import http.client
import json
import socket
import time

from machine import BenchError

# Readiness is looked for at the rate of tonnage's supervisor (src/engine/server.cc), so that
# neither side of a comparison learns of it earlier.
POLL_S_MIN = 0.002
POLL_S_MAX = 0.050
POLL_SHARE = 20


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout):
        super().__init__("localhost", timeout=timeout)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def connect(address, timeout):
    """`address` is a port of this machine, or the path of a unix socket."""
    if isinstance(address, int):
        return http.client.HTTPConnection("127.0.0.1", address, timeout=timeout)
    return UnixConnection(address, timeout)


def post(address, path, body, timeout=600):
    """(status, body)."""
    with contextlib.closing(connect(address, timeout)) as connection:
        connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        return answer.status, answer.read()


def get(address, path, timeout=10):
    with contextlib.closing(connect(address, timeout)) as connection:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()


def first_event(address, path, body, timeout=600):
    """Sends a streaming request; returns when the first event of its answer is here."""
    with contextlib.closing(connect(address, timeout)) as connection:
        connection.request("POST", path, json.dumps({**body, "stream": True}),
                           {"Content-Type": "application/json"})
        answer = connection.getresponse()
        if answer.status != 200:
            raise BenchError(f"{path}: {answer.status} {answer.read(500).decode(errors='replace')}")
        while line := answer.readline():
            if line.startswith(b"data:"):
                at = time.monotonic()
                if b'"error"' in line:
                    raise BenchError(f"{path}: {line.decode(errors='replace')}")
                answer.read()
                return at
    raise BenchError(f"{path}: the answer ended without an event")


def wait_healthy(address, process, started, pause, seconds=120):
    """Polls /health; `pause` waits for so many seconds."""
    while True:
        with contextlib.suppress(OSError, http.client.HTTPException):
            if get(address, "/health")[0] == 200:
                return
        spent = time.monotonic() - started
        if process.poll() is not None or spent > seconds:
            text = process.log.read_text(encoding="utf-8", errors="replace")
            raise BenchError(f"a server did not become ready:\n{text[-1500:]}")
        pause(min(max(spent / POLL_SHARE, POLL_S_MIN), POLL_S_MAX))
