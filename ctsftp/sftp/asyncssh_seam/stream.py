"""A channel's stream of requests and answers: what is taken from the channel ahead, and when answers may go out.

Rests on `_recv_buf` and `_limit` of asyncssh's stream session, on which its `SSHReader` and `SSHWriter` work.
"""

import asyncio
from typing import Any

from asyncssh.stream import SSHServerStreamSession

from ctsftp.sftp.asyncssh_seam.wire import JOINED_BYTES, join_small

AHEAD_BYTES = 128 << 10  # of requests


class RequestStream(SSHServerStreamSession[bytes]):
    """A session whose memory is bounded; `answerable` is the connection's: set while its peer takes answers."""

    def __init__(self, *, answerable: asyncio.Event) -> None:
        super().__init__(None)
        self.is_gone = False  # the peer, who takes no answers any more
        self._answerable = answerable
        self._channel_writable = asyncio.Event()
        self._channel_writable.set()
        self._interrupted = False

    async def until_writable(self) -> None:
        """Wait while the peer takes no answers: no window, a full socket, or a key exchange."""
        if not self._channel_writable.is_set():
            await self._channel_writable.wait()
        if not self._answerable.is_set():
            await self._answerable.wait()

    def connection_made(self, chan: Any) -> None:
        """Take no more from the channel than is soon worked off: what is beyond waits there, within its window."""
        super().connection_made(chan)
        self._limit = AHEAD_BYTES

    def data_received(self, data: bytes, datatype: int | None) -> None:
        """Keep what came in few pieces: a reader takes them from the front of a list."""
        super().data_received(data, datatype)
        if len(data) >= JOINED_BYTES:
            return
        waiting = self._recv_buf[datatype]
        if len(waiting) > 1 and isinstance(waiting[-2], bytes) and (joined := join_small(waiting[-2], data)):
            waiting[-2:] = [joined]

    def pause_writing(self) -> None:
        """Note that the peer leaves no window for more answers."""
        super().pause_writing()
        self._channel_writable.clear()

    def resume_writing(self) -> None:
        """Note that the peer takes answers again."""
        super().resume_writing()
        self._channel_writable.set()

    def exception_received(self, exc: Exception) -> None:
        """Let the first signal or break end the session; a busy one would collect them without a limit."""
        if not self._interrupted:
            self._interrupted = True
            super().exception_received(exc)

    def connection_lost(self, exc: Exception | None) -> None:
        """Let nobody wait for a peer that is gone."""
        super().connection_lost(exc)
        self.is_gone = True
        self._channel_writable.set()
