"""The HTTP side of a model server: what Tonnage asks of one, with the standard library only.

It listens on a port of the loopback or on a unix socket at once, loads the model beside that, and
answers GET /health with 503 until the model is there and with 200 from then on. Bodies, requests at
once and silences are bounded. Errors have OpenAI's shape. SIGTERM ends it, whatever it is doing.
"""

import argparse
import http.server
import json
import os
import select
import signal
import socket
import socketserver
import sys
import threading
import traceback
from dataclasses import dataclass, field

BODY_BYTES_MAX = 25 << 20  # OpenAI's own limit for audio files
DRAINED_BYTES_MAX = 64 << 20  # of a refused body, so that its sender gets to read why
LINE_BYTES_MAX = 1 << 10
REQUESTS_MAX = 16  # at once, those that wait for the model included
SILENCE_SECONDS_MAX = 60


class RequestError(Exception):
    """Why a request is refused, for the client."""

    def __init__(self, status, message, param=None, code=None):
        super().__init__(message)
        self.status = status
        self.param = param
        self.code = code

    def body(self):
        kind = "server_error" if self.status >= 500 else "invalid_request_error"
        return json.dumps({"error": {"message": str(self), "type": kind, "param": self.param,
                                     "code": self.code}}).encode()


@dataclass(frozen=True)
class Answer:
    body: bytes
    content_type: str


@dataclass(frozen=True)
class Request:
    content_type: str
    body: bytes = field(repr=False)
    connection: socket.socket = field(repr=False)

    def is_abandoned(self):
        """Whether the client has closed its connection: nobody wants the answer any more."""
        readable, _, _ = select.select([self.connection], [], [], 0)
        try:
            return bool(readable) and not self.connection.recv(1, socket.MSG_PEEK)
        except OSError:
            return True


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = SILENCE_SECONDS_MAX

    def do_GET(self):
        if self.path != "/health":
            self.refuse(RequestError(404, f"there is no GET {self.path}"))
        elif self.server.routes is None:
            self.refuse(RequestError(503, "the model is loading", code="model_loading"))
        else:
            self.answer(200, Answer(b'{"status":"ok"}', "application/json"))

    def do_POST(self):
        self.is_body_read = False
        has_place = self.server.places.acquire(blocking=False)
        try:
            if not has_place:
                raise RequestError(503, f"limit of {REQUESTS_MAX} concurrent requests reached")
            self.answer(200, self.result())
        except RequestError as error:
            self.refuse(error)
        except (ConnectionError, TimeoutError):
            self.close_connection = True  # nobody is there to be told
        except Exception:  # one request must not end the others
            traceback.print_exc()
            self.refuse(RequestError(500, "the server failed; its log says more"))
        finally:
            if has_place:
                self.server.places.release()

    def result(self):
        routes = self.server.routes
        if routes is None:
            raise RequestError(503, "the model is loading", code="model_loading")
        path = self.path.partition("?")[0]
        if path not in routes:
            raise RequestError(404, f"there is no POST {path}")
        body = self.read_body()
        self.is_body_read = True
        return routes[path](Request(self.headers.get("Content-Type", ""), body, self.connection))

    def read_body(self):
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            return self.read_chunks()
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdigit()):
            raise RequestError(411, "the request says no Content-Length")
        if int(length) > BODY_BYTES_MAX:
            self.drain(int(length))
            raise too_large()
        return self.read_exactly(int(length))

    def read_chunks(self):
        body = bytearray()
        while True:
            digits = self.rfile.readline(LINE_BYTES_MAX).partition(b";")[0].strip()
            try:
                size = int(digits, 16)
            except ValueError:
                raise RequestError(400, "a chunk of the body has no size") from None
            if size < 0 or len(body) + size > BODY_BYTES_MAX:
                raise too_large()
            if size == 0:
                break
            body += self.read_exactly(size)
            self.read_exactly(2)
        while self.rfile.readline(LINE_BYTES_MAX).strip():
            pass  # trailers
        return bytes(body)

    def read_exactly(self, size):
        data = self.rfile.read(size)
        if len(data) < size:
            raise ConnectionError("the client went in the middle of the body")
        return data

    def drain(self, length):
        left = min(length, DRAINED_BYTES_MAX)
        while left > 0:
            piece = self.rfile.read(min(left, 1 << 16))
            if not piece:
                return
            left -= len(piece)

    def answer(self, status, answer):
        self.send_response(status)
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(len(answer.body)))
        if status == 503:
            self.send_header("Retry-After", "1")
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(answer.body)

    def refuse(self, error):
        if not getattr(self, "is_body_read", True):
            self.close_connection = True  # what is left of the body is no request
        self.answer(error.status, Answer(error.body(), "application/json"))

    def send_error(self, code, message=None, explain=None):
        """What the standard library refuses, in the same shape."""
        self.close_connection = True
        self.refuse(RequestError(int(code), message or "the request cannot be understood"))

    def log_request(self, code="-", size="-"):
        if getattr(self, "path", None) != "/health":  # a bad request line has no path
            super().log_request(code, size)

    def address_string(self):
        return "client"


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 64

    def __init__(self, address):
        if isinstance(address, str):
            self.address_family = socket.AF_UNIX
        elif ":" in address[0]:
            self.address_family = socket.AF_INET6
        self.routes = None  # until the model is loaded
        self.places = threading.BoundedSemaphore(REQUESTS_MAX)
        super().__init__(address, Handler)

    def server_bind(self):
        socketserver.TCPServer.server_bind(self)  # HTTPServer's asks the DNS for a name

    def get_request(self):
        connection, _ = self.socket.accept()
        return connection, ("client", 0)


class Ended(Exception):
    """SIGTERM or SIGINT."""


def too_large():
    return RequestError(413, f"the body is larger than {BODY_BYTES_MAX >> 20} MiB",
                        code="body_too_large")


def argument_parser(description):
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--port", type=int, help="0: the kernel chooses, and a line says which")
    where.add_argument("--socket", metavar="PATH", help="listen on a unix socket instead")
    return parser


def listen(options):
    if not options.socket:
        return Server((options.host, options.port))
    if os.path.exists(options.socket):
        os.unlink(options.socket)  # of a server that was killed
    before = os.umask(0o077)
    try:
        return Server(options.socket)
    finally:
        os.umask(before)


def serve(options, load):
    """Serves until SIGTERM. `load` returns {path: function(Request) -> Answer}; it is called by
    another thread. What it raises ends the program with status 1."""
    def end(*_):
        raise Ended

    def load_beside():
        try:
            server.routes = load()
        except BaseException as error:  # SystemExit too: a thread would swallow it
            print(f"the model cannot be loaded: {error}", file=sys.stderr, flush=True)
            os._exit(1)
        print("the model is loaded", flush=True)

    try:
        server = listen(options)
    except OSError as error:
        sys.exit(f"cannot listen on {options.socket or f'{options.host}:{options.port}'}: {error}")
    try:
        signal.signal(signal.SIGTERM, end)
        signal.signal(signal.SIGINT, end)
        place = options.socket or f"http://{options.host}:{server.server_address[1]}"
        print(f"listening on {place}", flush=True)
        threading.Thread(target=load_beside, daemon=True).start()
        server.serve_forever()
    except Ended:
        pass
    if options.socket:
        os.unlink(options.socket)
    os._exit(0)  # threads in native code would be waited for
