"""uvicorn's HTTP protocol, with the limits that no proxy keeps for a server that strangers reach without one.

So many connections: one that asks nothing, or takes nothing of its answer, makes room for a newcomer. A head, the
fields behind a chunked body, and the sizes of its chunks are gathered by the parser without an end, so they have one; a
request comes within its time, since it has a turn of its asker's while its body comes. And what others on the way may
read otherwise than we do is refused. How fast a peer takes an answer, and TLS, is a proxy's work.
"""

import asyncio
import re
from enum import IntEnum
from functools import partial
from itertools import chain
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from ctsftp.web.guard import HEADERS, HEALTH
from ctsftp.web.problems import Problem
from ctsftp.web.settings import HttpSettings

# Connections above the limit, for monitors: no crowd makes them believe that the server is dead.
HEALTH_PLACES = 8
# Of these fields others on the way may believe the one, and we the other (RFC 9110, section 5.3).
SINGLE_FIELDS = (b"host", b"authorization", b"content-length", b"transfer-encoding", b"content-type")
# uri-host [ ":" port ] (RFC 9112, section 3.2; RFC 3986, section 3.2.2); empty where a request names no server.
HOST = re.compile(rb"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~!$&'()*+,;=%-]*)(:[0-9]*)?")
HEADERS_SENT = [(name.encode(), value.encode()) for name, value in HEADERS.items()]


class Idle(IntEnum):
    """Why a connection may make room for another, the first reasons first."""

    UNASKED = 0  # its first request is not whole yet, or the one that it is about
    BETWEEN = 1  # it is answered, and waits
    NOT_TAKING = 2  # its peer takes nothing of an answer for now


class Places:
    """So many connections, of which the oldest idle one makes room for a new one when all places are taken."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._taken: set[LimitedProtocol] = set()
        self._idle: dict[Idle, dict[LimitedProtocol, None]] = {reason: {} for reason in Idle}

    def enter(self, newcomer: "LimitedProtocol") -> bool:
        """Take a place, and tell whether there was one to be had."""
        if len(self._taken) >= self._most:
            oldest = next(chain.from_iterable(self._idle.values()), None)
            if oldest is None:
                return False
            self.leave(oldest)
            oldest.transport.abort()
        self._taken.add(newcomer)
        self.note(newcomer, Idle.UNASKED)
        return True

    def note(self, connection: "LimitedProtocol", idle: Idle | None) -> None:
        """Note why a connection may make room from now on; None where it may not."""
        for reason, connections in self._idle.items():
            if reason is not idle:
                connections.pop(connection, None)
        if idle is not None and connection in self._taken:
            self._idle[idle].setdefault(connection)

    def leave(self, connection: "LimitedProtocol") -> None:
        """Give a place back."""
        self.note(connection, None)
        self._taken.discard(connection)


class LimitedProtocol(HttpToolsProtocol):
    """One connection; what breaks a limit is cut off, since it has not asked anything yet."""

    def __init__(self, *args: Any, limits: HttpSettings, places: Places, health_places: Places, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._limits = limits
        self._places = places
        self._health_places = health_places
        self._refusal: Problem | None = None
        self._gathered_bytes = 0  # by the parser, which has made nothing of them
        self._is_in_head = False
        self._is_paused = False
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin, if there is room for one more, be it for a question about health alone."""
        super().connection_made(transport)
        if not self._places.enter(self):
            self._places = self._health_places
            if not self._places.enter(self):
                transport.abort()
                return
        self._await_request(self._limits.head_timeout_s)

    def pause_writing(self) -> None:
        """Wait for the peer to take what is sent."""
        super().pause_writing()
        self._is_paused = True
        self._tell_places()

    def resume_writing(self) -> None:
        """Go on: the peer took it."""
        self._is_paused = False
        self._tell_places()
        super().resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self._stop_timer()
        self._places.leave(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on.

        Bytes that begin no request, such as the rest of a body that was answered already, end uvicorn's wait for the
        next one: they must not keep the connection.
        """
        self._gathered_bytes += len(data)
        super().data_received(data)
        if self._gathered_bytes > self._limits.max_head_bytes:
            self.transport.abort()
        is_waiting = self._timer or self.timeout_keep_alive_task
        if self._is_idle and not is_waiting and not self.transport.is_closing():
            self._await_request(self._limits.head_timeout_s)

    def on_message_begin(self) -> None:
        """Begin a request."""
        self._is_in_head = True
        self._await_request(self._limits.head_timeout_s)
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a field of the head. One behind a chunked body (RFC 9112, section 7.1.2) is none: it is let be."""
        if self._is_in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Take the request's head, and wait for its body."""
        self._is_in_head = False
        self._gathered_bytes = 0
        self._refusal = self._find_fault()
        if self._refusal is not None:
            self._stop_timer()
            raise ValueError(self._refusal.detail)  # the parser stops, and has `send_400_response` called
        super().on_headers_complete()
        self._await_request(self._limits.body_timeout_s)

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body."""
        self._gathered_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Have the request whole."""
        self._gathered_bytes = 0
        self._stop_timer()
        super().on_message_complete()
        self._tell_places()

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        super().on_response_complete()
        self._tell_places()

    def send_400_response(self, msg: str) -> None:
        """Refuse what cannot be read, or must not be believed, and end; nothing may come between two answers."""
        refusal = self._refusal or Problem(400, "malformed", msg)
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is not None and not cycle.response_complete:
            self.transport.abort()
            return
        answer = refusal.response()
        fields = [*answer.raw_headers, (b"connection", b"close"), *HEADERS_SENT]
        lines = [b"%s: %s\r\n" % field for field in fields]
        self.transport.write(b"".join([STATUS_LINE[refusal.status], *lines, b"\r\n", bytes(answer.body)]))
        self.transport.close()

    def _find_fault(self) -> Problem | None:
        """Find what forbids an answer to this head: fields that others may read otherwise, or no place to ask."""
        names = [name for name, _ in self.headers]
        if twice := next((name for name in SINGLE_FIELDS if names.count(name) > 1), None):
            return Problem(400, "malformed", f"The field {twice.decode().title()} is in the request more than once.")
        host = next((value for name, value in self.headers if name == b"host"), None)
        if host is None and self.parser.get_http_version() == "1.1":
            return Problem(400, "malformed", "The request has no Host field.")
        coding = next((value for name, value in self.headers if name == b"transfer-encoding"), None)
        if coding is not None and (coding.lower() != b"chunked" or self.parser.get_http_version() != "1.1"):
            return Problem(400, "malformed", "A request's Transfer-Encoding is chunked, and of HTTP/1.1.")
        if host is not None and not HOST.fullmatch(host):
            return Problem(400, "malformed", "The Host field is not a name or address, with or without a port.")
        path = self.url.partition(b"?")[0].decode("latin-1")
        if self._places is self._health_places and path not in HEALTH:
            detail = "The server has no connection left: try again later."
            return Problem(503, "busy", detail, headers={"Retry-After": "10"})
        return None

    @property
    def _is_idle(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is None or cycle.response_complete

    def _tell_places(self) -> None:
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is None or (cycle.more_body and not cycle.response_complete):
            self._places.note(self, Idle.UNASKED)
        elif cycle.response_complete:
            self._places.note(self, Idle.BETWEEN)
        else:
            self._places.note(self, Idle.NOT_TAKING if self._is_paused else None)

    def _await_request(self, timeout_s: float) -> None:
        self._stop_timer()
        self._timer = self.loop.call_later(timeout_s, self.transport.abort)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def limited_protocol(limits: HttpSettings) -> Any:
    """Make what uvicorn makes its connections of."""
    places, health_places = Places(limits.max_connections), Places(HEALTH_PLACES)
    return partial(LimitedProtocol, limits=limits, places=places, health_places=health_places)
