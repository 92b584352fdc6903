"""What stands around the app: the limit on bodies, the headers of every answer, and what becomes of a failure.

An answer that fails after it began is broken off: the connection ends in the middle of its chunks, so that no
reader takes a part of a list for the whole.
"""

from typing import Any

import structlog
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ctsftp.web.problems import Problem, problem_of

log = structlog.get_logger()

HEADERS = {"x-content-type-options": "nosniff", "cache-control": "no-store"}


class Guard:
    """An ASGI app around another."""

    def __init__(self, app: ASGIApp, *, max_body_bytes: int) -> None:
        self._app = app
        self._max_body_bytes = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, whatever happens."""
        if scope["type"] != "http":
            return
        answer = Answer(send)
        try:
            await self._app(scope, self._limited(scope, receive), answer.send)
        except Exception as exc:  # noqa: BLE001  nothing of it may reach the peer, and all of it the log
            problem = problem_of(exc)
            if not answer.begun:
                await problem.response()(scope, receive, answer.send)
            else:
                # Without its last chunk: the server closes the connection.
                log.warning("an answer was broken off", path=scope["path"], error=str(exc))

    def _limited(self, scope: Scope, receive: Receive) -> Receive:
        """Count what comes; `Problem` 413 for a body that is too large, declared so or not."""
        left = self._max_body_bytes
        declared = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
        refused = int(declared) > left if declared.isdigit() else False

        async def limited() -> Message:
            nonlocal left
            if refused:
                raise self._too_large()
            message = await receive()
            left -= len(message.get("body", b""))
            if left < 0:
                raise self._too_large()
            return message

        return limited

    def _too_large(self) -> Problem:
        return Problem(413, "too-large", f"The body is larger than {self._max_body_bytes} bytes: send it in parts.")


class Answer:
    """Sends an answer, with the headers that every answer has."""

    __slots__ = ("_send", "begun")

    def __init__(self, send: Send) -> None:
        self._send = send
        self.begun = False

    async def send(self, message: Any) -> None:
        """Pass a message on."""
        if message["type"] == "http.response.start":
            self.begun = True
            headers = MutableHeaders(raw=message["headers"])
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
        await self._send(message)
