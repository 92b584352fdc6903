"""uvicorn's HTTP protocol, with limits: on connections, on the size and time of a request's head, on a peer's patience.

A peer that takes nothing of its answers would keep its connection for ever, however it is told to close.
"""

import asyncio
import re
from array import array
from fcntl import ioctl
from functools import partial
from itertools import chain
from termios import TIOCOUTQ
from typing import Any

import structlog
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from ctsftp.web.guard import HEADERS, HEALTH
from ctsftp.web.problems import Problem
from ctsftp.web.settings import HttpSettings

log = structlog.get_logger()

# Connections above the limit, for monitors: no crowd makes them believe that the server is dead.
HEALTH_PLACES = 8
# Of these fields others on the way may believe the one, and we the other (RFC 9110, section 5.3).
SINGLE_FIELDS = (b"host", b"authorization", b"content-length", b"transfer-encoding", b"content-type")
# uri-host [ ":" port ] (RFC 9112, section 3.2; RFC 3986, section 3.2.2); empty where a request names no server.
HOST = re.compile(rb"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~!$&'()*+,;=%-]*)(:[0-9]*)?")
HEADERS_SENT = [(name.encode(), value.encode()) for name, value in HEADERS.items()]


class Places:
    """So many connections, of which the oldest that asks nothing makes room for a new one when all places are taken.

    Those that never asked go first, then those that wait between two requests.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._taken: set[LimitedProtocol] = set()
        self._unasked: dict[LimitedProtocol, None] = {}
        self._between: dict[LimitedProtocol, None] = {}

    def enter(self, newcomer: "LimitedProtocol") -> bool:
        """Take a place, and tell whether there was one to be had."""
        if len(self._taken) >= self._most:
            oldest = next(chain(self._unasked, self._between), None)
            if oldest is None:
                return False
            self.leave(oldest)
            oldest.transport.abort()
        self._taken.add(newcomer)
        self._unasked[newcomer] = None
        return True

    def ask(self, connection: "LimitedProtocol") -> None:
        """Note that a connection asks something."""
        self._unasked.pop(connection, None)
        self._between.pop(connection, None)

    def wait(self, connection: "LimitedProtocol") -> None:
        """Note that a connection is answered, and asks nothing for now."""
        if connection in self._taken:
            self._between[connection] = None

    def leave(self, connection: "LimitedProtocol") -> None:
        """Give a place back."""
        self.ask(connection)
        self._taken.discard(connection)


class LimitedProtocol(HttpToolsProtocol):
    """One connection; what breaks a limit is cut off, since it has not asked anything yet."""

    def __init__(self, *args: Any, limits: HttpSettings, places: Places, health_places: Places, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._limits = limits
        self._places = places
        self._health_places = health_places
        self._refusal: Problem | None = None
        self._head_bytes = 0
        self._is_in_head = False
        self._is_behind_chunk = False  # in the next one's size, or in the fields behind the last
        self._head_timer: asyncio.TimerHandle | None = None
        self._stall_timer: asyncio.TimerHandle | None = None
        self._untaken_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin, if there is room for one more, be it for a question about health alone."""
        super().connection_made(transport)
        if not self._places.enter(self):
            self._places = self._health_places
            if not self._places.enter(self):
                transport.abort()
                return
        transport.set_write_buffer_limits(0)  # so that it is told of every byte that is not taken
        self._await_head()

    def pause_writing(self) -> None:
        """Wait for the peer to take what is sent, but not for ever."""
        super().pause_writing()
        self._await_taking()

    def resume_writing(self) -> None:
        """Go on: the peer took it."""
        self._stop_stall_timer()
        super().resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self._stop_timer()
        self._stop_stall_timer()
        self._places.leave(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on; a head that does not end is cut off. What it began with may stand in one piece with a body.

        Bytes that begin no request, such as the rest of a body that was answered already, end uvicorn's wait for the
        next one: they must not keep the connection.
        """
        was_in_head, was_behind_chunk = self._is_in_head, self._is_behind_chunk
        super().data_received(data)
        if (was_in_head and self._is_in_head) or (was_behind_chunk and self._is_behind_chunk):
            self._count_head(len(data))
        cycle: RequestResponseCycle | None = self.cycle
        is_idle = cycle is None or cycle.response_complete
        if is_idle and not self._head_timer and not self.timeout_keep_alive_task and not self.transport.is_closing():
            self._await_head()

    def on_message_begin(self) -> None:
        """Begin a request."""
        self._is_in_head = True
        self._is_behind_chunk = False
        self._head_bytes = 0
        self._await_head()
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a field of the head. Those behind a chunked body (RFC 9112, section 7.1.2) are only counted."""
        if self._is_in_head:
            super().on_header(name, value)
        else:
            self._count_head(len(name) + len(value))

    def on_headers_complete(self) -> None:
        """Take the request's head."""
        self._is_in_head = False
        self._stop_timer()
        self._places.ask(self)
        self._refusal = self._find_fault()
        if self._refusal is not None:
            raise ValueError(self._refusal.detail)  # the parser stops, and has `send_400_response` called
        super().on_headers_complete()

    def on_chunk_header(self) -> None:
        """Note that a chunk's size was read; behind the last one, of 0 bytes, come fields that the parser gathers."""
        self._is_behind_chunk = True

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body."""
        self._is_behind_chunk = False
        super().on_body(body)

    def on_message_complete(self) -> None:
        """End the request."""
        self._is_behind_chunk = False
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        super().on_response_complete()
        if self.cycle.response_complete and not self.transport.is_closing():
            self._places.wait(self)

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

    def _await_head(self) -> None:
        self._stop_timer()
        self._head_timer = self.loop.call_later(self._limits.head_timeout_s, self.transport.abort)

    def _count_head(self, more_bytes: int) -> None:
        self._head_bytes += more_bytes
        if self._head_bytes > self._limits.max_head_bytes:
            self.transport.abort()

    def _await_taking(self) -> None:
        self._untaken_bytes = self._count_untaken()
        self._stall_timer = self.loop.call_later(self._limits.stalled_s, self._look_at_taking)

    def _look_at_taking(self) -> None:
        """Cut off who took nothing since the last look; writing goes on only when all is taken, which may take long."""
        if self._count_untaken() < self._untaken_bytes:
            self._await_taking()
            return
        log.warning("an answer was broken off", error=f"Nothing of it was taken for {self._limits.stalled_s:g} s.")
        self.transport.abort()

    def _count_untaken(self) -> int:
        """Count the bytes that the peer did not take yet: the system may hold megabytes, and asks for more in lumps."""
        held = array("i", [0])
        ioctl(self.transport.get_extra_info("socket").fileno(), TIOCOUTQ, held)  # SIOCOUTQ, tcp(7)
        return self.transport.get_write_buffer_size() + held[0]

    def _stop_stall_timer(self) -> None:
        if self._stall_timer is not None:
            self._stall_timer.cancel()
            self._stall_timer = None

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None


def limited_protocol(limits: HttpSettings) -> Any:
    """Make what uvicorn makes its connections of."""
    places, health_places = Places(limits.max_connections), Places(HEALTH_PLACES)
    return partial(LimitedProtocol, limits=limits, places=places, health_places=health_places)
