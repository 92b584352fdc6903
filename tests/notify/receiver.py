"""A real HTTP server that is told how to answer, and remembers what it got."""

import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

PATIENCE_S = 20.0
DOWN = 0  # the connection ends without an answer


@dataclass(frozen=True)
class Request:
    path: str
    headers: dict[str, str]
    body: bytes
    status: int

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def json(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found


class Receiver:
    """It answers the nth request with what `answer` gives for n: a status, or DOWN."""

    def __init__(self, answer: Callable[[int], int]) -> None:
        self.answer = answer
        self.requests: list[Request] = []
        self.port = 0
        self.location = ""
        self._more = threading.Condition()
        self._count = 0

    @property
    def taken(self) -> list[Request]:
        """What was answered with OK, in order."""
        return [request for request in self.requests if 200 <= request.status < 300]

    def wait_until(self, holds: Callable[[], bool]) -> None:
        with self._more:
            assert self._more.wait_for(holds, PATIENCE_S), self.requests

    def wait_for_taken(self, count: int) -> list[Request]:
        self.wait_until(lambda: len(self.taken) >= count)
        return self.taken

    def next_number(self) -> int:
        with self._more:
            self._count += 1
            return self._count

    def remember(self, request: Request) -> None:
        with self._more:
            self.requests.append(request)
            self._more.notify_all()


@contextmanager
def receiving(answer: Callable[[int], int] = lambda _: 204, *, tls: ssl.SSLContext | None = None) -> Iterator[Receiver]:
    """Receive until the block ends; every request is over then."""
    receiver = Receiver(answer)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            status = receiver.answer(receiver.next_number())
            headers = {name.lower(): value for name, value in self.headers.items()}
            if status == DOWN:
                self.close_connection = True
            else:
                self.send_response(status)
                self.send_header("content-length", "4")
                if receiver.location:
                    self.send_header("location", receiver.location)
                self.end_headers()
                self.wfile.write(b"body")
            receiver.remember(Request(self.path, headers, body, status))

        def log_message(self, *_: object) -> None:
            """Print nothing."""

        def handle(self) -> None:
            try:
                super().handle()
            except OSError:  # whoever asked has gone
                self.close_connection = True

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """Print nothing: a peer that refuses our certificate is what a test is about."""

    with Quiet(("127.0.0.1", 0), Handler) as server:
        if tls:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        receiver.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield receiver
        finally:
            server.shutdown()
            thread.join()
