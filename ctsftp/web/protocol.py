"""uvicorn's HTTP protocol, with limits: on connections, on the size and time of a request's head, on a peer's patience.

A peer that takes nothing of its answers would keep its connection for ever, however it is told to close.
"""

import asyncio
from array import array
from fcntl import ioctl
from functools import partial
from termios import TIOCOUTQ
from typing import Any

import structlog
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from ctsftp.web.settings import HttpSettings

log = structlog.get_logger()


class LimitedProtocol(HttpToolsProtocol):
    """One connection; what breaks a limit is cut off, since it has not asked anything yet."""

    def __init__(self, *args: Any, limits: HttpSettings, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._limits = limits
        self._head_bytes = 0
        self._is_in_head = False
        self._is_behind_chunk = False  # in the next one's size, or in the fields behind the last
        self._head_timer: asyncio.TimerHandle | None = None
        self._stall_timer: asyncio.TimerHandle | None = None
        self._untaken_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin, if there is room for one more."""
        super().connection_made(transport)
        if len(self.connections) > self._limits.max_connections:
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
    return partial(LimitedProtocol, limits=limits)
