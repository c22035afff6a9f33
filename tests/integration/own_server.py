#!/usr/bin/env python3
"""A model server of a user's own: holds real memory, loads slowly, leaves a grandchild behind."""

import argparse
import http.server
import json
import os
import socketserver
import subprocess
import sys
import threading
import time


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def address_string(self):
        return "client"

    def answer(self, status, body):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self):
        ready = LOADED.is_set()
        self.answer(200 if ready else 503, {"status": "ok" if ready else "loading"})

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if b"hold more" in body:
            HELD.append(bytearray(os.urandom(1 << 20)) * ARGUMENTS.more)
        if not LOADED.is_set():
            return self.answer(500, {"error": "asked before it was ready"})
        self.answer(200, {"choices": [{"index": 0, "message": {
            "role": "assistant", "content": f"{ARGUMENTS.name} at {self.path}"}}]})


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    address_family = 2  # AF_INET; AF_UNIX for a path

    def server_bind(self):
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = "own", 0


def load():
    threading.Event().wait(ARGUMENTS.load_s)
    HELD.append(bytearray(os.urandom(1 << 20)) * ARGUMENTS.hold)
    LOADED.set()


parser = argparse.ArgumentParser()
parser.add_argument("--port", type=int)
parser.add_argument("--socket")
parser.add_argument("--name", default="own")
parser.add_argument("--hold", type=int, default=20, help="MiB")
parser.add_argument("--more", type=int, default=100, help="MiB, when a body asks for it")
parser.add_argument("--load-s", type=float, default=0)
parser.add_argument("--child", help="a file for the pid of a grandchild in a session of its own")
ARGUMENTS = parser.parse_args()
HELD = []
LOADED = threading.Event()

if ARGUMENTS.child:
    child = subprocess.Popen(["sleep", "1000"], start_new_session=True, stdin=subprocess.DEVNULL,
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    with open(ARGUMENTS.child, "w", encoding="ascii") as file:
        file.write(str(child.pid))
threading.Thread(target=load, daemon=True).start()
if ARGUMENTS.socket:
    Server.address_family = 1
    server = Server(ARGUMENTS.socket, Handler)
else:
    server = Server(("127.0.0.1", ARGUMENTS.port), Handler)
print(f"own server {ARGUMENTS.name} began at {time.strftime('%H:%M:%S')}", file=sys.stderr)
server.serve_forever()
