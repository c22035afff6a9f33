"""Processor time per proxied request: tonnage beside nginx, before the same kind of upstream."""

import json
import os
import re
import shutil
import socket
import statistics
import subprocess

from machine import BenchError, cpu_seconds, descendants, status_bytes, wait_until
from wire import get, post

CONNECTIONS = 16
BODY_BYTES = 1024
TARGET_RATIO = 2.0
RSS_MAX = 25 * 2**20

NGINX = """
daemon off;
worker_processes 1;
{user}
pid {folder}/nginx.pid;
error_log stderr error;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  client_body_temp_path {folder}/nginx-body;
  proxy_temp_path {folder}/nginx-proxy;
  fastcgi_temp_path {folder}/nginx-fastcgi;
  uwsgi_temp_path {folder}/nginx-uwsgi;
  scgi_temp_path {folder}/nginx-scgi;
  keepalive_requests 1000000000;
  upstream model {{
    server unix:{folder}/nginx-upstream.sock;
    keepalive {connections};
    keepalive_requests 1000000000;
  }}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://model;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
    }}
  }}
}}
"""

WRK = """
wrk.method = "POST"
wrk.body = [[{body}]]
wrk.headers["Content-Type"] = "application/json"
"""


def request_body():
    body = {"model": "stub", "max_tokens": 1, "prompt": ""}
    body["prompt"] = "x" * (BODY_BYTES - len(json.dumps(body)))
    return json.dumps(body)


def start_nginx(machine):
    """(process, port). The listening socket is made here, so that the kernel chooses the port."""
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
    if program is None:
        raise BenchError("nginx was not found: run `make setup`")
    machine.start([machine.build / "bench/stub_server", "--host",
                   machine.folder / "nginx-upstream.sock"], "nginx-upstream")
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(512)
        port = listener.getsockname()[1]
        config = machine.folder / "nginx.conf"
        config.write_text(NGINX.format(folder=machine.folder, port=port, connections=CONNECTIONS,
                                       user="user root;" if os.getuid() == 0 else ""),
                          encoding="utf-8")
        env = {**os.environ, "NGINX": f"{listener.fileno()};"}
        process = machine.start([program, "-c", config, "-p", machine.folder], "nginx", env=env,
                                pass_fds=[listener.fileno()])
    wait_until(lambda: len(descendants(process.pid)) >= 1, 10, "nginx starts its worker")
    return process, port


def start_tonnage(machine, model):
    config = {
        "engine": {"llama_server": str(machine.build / "bench/stub_server")},
        "models": {"stub": {"gguf": str(model), "type": "llm", "context": 512, "slots": 16,
                            "concurrency": 4 * CONNECTIONS}},
    }
    return machine.serve(config, "proxy-tonnage")


def load(machine, port, seconds):
    """Requests that wrk had answered."""
    script = machine.folder / "post.lua"
    script.write_text(WRK.format(body=request_body()), encoding="utf-8")
    out = subprocess.run(["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "-s", str(script),
                          f"http://127.0.0.1:{port}/v1/completions"],
                         capture_output=True, text=True, check=True).stdout
    if re.search(r"Non-2xx|Socket errors", out):
        raise BenchError(f"wrk met errors:\n{out}")
    return int(re.search(r"(\d+) requests in", out)[1])


def measure(machine, process, with_children, port, seconds):
    pids = [process.pid, *(descendants(process.pid) if with_children else [])]
    before = sum(cpu_seconds(pid) for pid in pids)
    requests = load(machine, port, seconds)
    return (sum(cpu_seconds(pid) for pid in pids) - before) / requests * 1e6


def run(machine, quick):
    if shutil.which("wrk") is None:
        raise BenchError("wrk was not found: run `make setup`")
    seconds = 2 if quick else 5
    models = machine.demo_models("--preset", "test")
    nginx, nginx_port = start_nginx(machine)
    tonnage, tonnage_port = start_tonnage(machine, sorted(models.glob("*.gguf"))[0])
    for port in (nginx_port, tonnage_port):
        status, body = post(port, "/v1/completions", json.loads(request_body()))
        if status != 200 or len(body) != BODY_BYTES:
            raise BenchError(f"port {port} answers {status}: {body[:300]}")
        load(machine, port, 1)
    figures = {"nginx": [], "tonnage": []}
    for _ in range(3):
        figures["nginx"].append(measure(machine, nginx, True, nginx_port, seconds))
        figures["tonnage"].append(measure(machine, tonnage, False, tonnage_port, seconds))
    if get(tonnage_port, "/health")[0] != 200:
        raise BenchError("tonnage is not well after the load")
    rss = status_bytes(tonnage.pid, "VmRSS")
    nginx_us = statistics.median(figures["nginx"])
    tonnage_us = statistics.median(figures["tonnage"])
    ratio = statistics.median(v / n for v, n in zip(figures["tonnage"], figures["nginx"]))
    return {
        "rows": [
            ("proxy: nginx, CPU per request", f"{nginx_us:.1f} us", "", None),
            ("proxy: tonnage, CPU per request", f"{tonnage_us:.1f} us", "", None),
            ("proxy: tonnage, RSS after the load, journal in memory full", f"{rss / 2**20:.1f} MiB",
             f"<= {RSS_MAX / 2**20:.0f} MiB", rss <= RSS_MAX),
            ("proxy: tonnage / nginx", f"{ratio:.2f}", f"<= {TARGET_RATIO}", ratio <= TARGET_RATIO),
        ],
        "data": {"cpu_us_per_request": figures, "ratio": ratio, "rss_bytes": rss},
    }
