"""What stands around the app: turns, the limit on bodies, the headers of every answer, and what becomes of a failure.

An answer that fails after it began is broken off: the connection ends in the middle of its chunks, so that no
reader takes a part of a list for the whole.
"""

from collections.abc import Callable, Hashable

import structlog
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ctsftp.errors import CtsftpError
from ctsftp.web.problems import Problem, problem_of
from ctsftp.web.turns import Turn, Turns

log = structlog.get_logger()

Asker = Callable[[Scope], Hashable]

# A monitor's questions wait for nobody.
HEALTH = frozenset({"/healthz", "/readyz"})
HEADERS = {"x-content-type-options": "nosniff", "cache-control": "no-store"}


class HeadAnswered(BaseException):  # no error: nothing that handles errors may take it for one
    """A long answer whose head alone was asked for has been told."""


class Guard:
    """An ASGI app around another."""

    def __init__(self, app: ASGIApp, *, asker: Asker, turns: Turns, max_body_bytes: int) -> None:
        self._app = app
        self._asker = asker
        self._turns = turns
        self._max_body_bytes = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, whatever happens."""
        if scope["type"] != "http":
            return
        answer = Answer(send, is_head=scope["method"] == "HEAD")
        if answer.is_head and scope["path"].startswith("/v1/"):
            scope = {**scope, "method": "GET"}  # the server, which has the other, sends no body
        try:
            if scope["path"] not in HEALTH:
                answer.turn = await self._turns.wait(self._asker(scope))
            await self._app(scope, self._limited(scope, receive), answer.send)
        except HeadAnswered:
            return
        except Exception as exc:
            if answer.ended:  # Starlette has told it, and raises it for whoever is outside
                return
            if not answer.begun:
                await problem_of(exc).response()(scope, receive, answer.send)
                return
            # Without its last chunk: the server closes the connection.
            is_meant = isinstance(exc, Problem | CtsftpError)
            log.warning(
                "an answer was broken off", path=scope["path"], error=str(exc), exc_info=None if is_meant else exc
            )
        finally:
            answer.end_turn()

    def _limited(self, scope: Scope, receive: Receive) -> Receive:
        """Count what comes; an HTTPException 413 for the body is too large, declared so or not."""
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

    def _too_large(self) -> HTTPException:
        """Make the one kind of error that FastAPI, which reads the body, leaves as it is."""
        return HTTPException(413, f"The body is larger than {self._max_body_bytes} bytes: send it in parts.")


class Answer:
    """Sends an answer, with the headers that every answer has."""

    __slots__ = ("_send", "begun", "ended", "is_head", "turn")

    def __init__(self, send: Send, *, is_head: bool) -> None:
        self._send = send
        self.is_head = is_head
        self.begun = self.ended = False
        self.turn: Turn | None = None

    def end_turn(self) -> None:
        """Let the next one have its turn: this answer is made, or is a long one, which has a place of its own."""
        if self.turn is not None:
            self.turn.leave()

    async def send(self, message: Message) -> None:
        """Pass a message on."""
        if message["type"] == "http.response.start":
            self.begun = True
            self.end_turn()
            headers = MutableHeaders(raw=message["headers"])
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
        if message["type"] == "http.response.body":
            self.ended = self.is_head or not message.get("more_body", False)
            if self.is_head and message.get("more_body", False):
                await self._send({"type": "http.response.body", "body": b""})
                raise HeadAnswered
        await self._send(message)
