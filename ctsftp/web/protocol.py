"""uvicorn's HTTP protocol, with limits: on connections, on the size and time of a request's head, on a peer's patience.

A peer that takes nothing of its answers would keep its connection for ever, however it is told to close.
"""

import asyncio
from functools import partial
from typing import Any

import structlog
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from ctsftp.web.settings import HttpSettings

log = structlog.get_logger()


class LimitedProtocol(HttpToolsProtocol):
    """One connection; what breaks a limit is cut off, since it has not asked anything yet."""

    def __init__(self, *args: Any, limits: HttpSettings, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._limits = limits
        self._head_bytes = 0
        self._is_in_head = False
        self._head_timer: asyncio.TimerHandle | None = None
        self._stall_timer: asyncio.TimerHandle | None = None

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
        self._stall_timer = self.loop.call_later(self._limits.stalled_s, self._cut_stalled)

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
        """Read on; a head that does not end is cut off. What it began with may stand in one piece with a body."""
        was_in_head = self._is_in_head
        super().data_received(data)
        if was_in_head and self._is_in_head:
            self._head_bytes += len(data)
            if self._head_bytes > self._limits.max_head_bytes:
                self.transport.abort()

    def on_message_begin(self) -> None:
        """Begin a request."""
        self._is_in_head = True
        self._head_bytes = 0
        self._await_head()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Take the request's head."""
        self._is_in_head = False
        self._stop_timer()
        super().on_headers_complete()

    def _await_head(self) -> None:
        self._stop_timer()
        self._head_timer = self.loop.call_later(self._limits.head_timeout_s, self.transport.abort)

    def _cut_stalled(self) -> None:
        log.warning("an answer was broken off", error=f"Nothing of it was taken for {self._limits.stalled_s:g} s.")
        self.transport.abort()

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
