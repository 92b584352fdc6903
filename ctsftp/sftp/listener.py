"""The listening sockets: takes newcomers a few at a time, and says so when it cannot.

asyncio's own servers accept all that wait in one turn of the event loop, and where the process has no descriptors left
the peer's connection just ends: nobody is told.
"""

import asyncio
import socket
from collections.abc import Callable

import structlog

BACKLOG = 1024  # a flood must not fill the kernel's queue: who waits there is not counted
ACCEPTED_A_TURN = 8
# How long to wait when accept() fails for want of descriptors or memory, and how often that is told.
PAUSE_S = 0.2
TELL_INTERVAL_S = 10.0

log = structlog.get_logger()


class Listener:
    """Accepts connections, and hands each to `arrived` with its peer's address."""

    def __init__(self, sockets: list[socket.socket], arrived: Callable[[socket.socket, str], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._sockets = sockets
        self._arrived = arrived
        self._failures = 0
        self._telling: asyncio.TimerHandle | None = None
        for sock in sockets:
            self._loop.add_reader(sock, self._accept, sock)

    @classmethod
    async def open(cls, host: str, port: int, arrived: Callable[[socket.socket, str], None]) -> "Listener":
        """Listen on every address of a host, on one port; OSError if one cannot be had."""
        found = await asyncio.get_running_loop().getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        sockets: list[socket.socket] = []
        try:
            for family, kind, number, _, address in dict.fromkeys(found):
                sock = socket.socket(family, kind, number)
                sockets.append(sock)
                sock.setblocking(False)  # noqa: FBT003  the socket's
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                sock.bind((address[0], sockets[0].getsockname()[1] or port, *address[2:]))
                sock.listen(BACKLOG)
        except OSError:
            for sock in sockets:
                sock.close()
            raise
        return cls(sockets, arrived)

    @property
    def port(self) -> int:
        """The port that is listened on."""
        return int(self._sockets[0].getsockname()[1])

    def close(self) -> None:
        """Listen no more; closing twice is fine."""
        for sock in self._sockets:
            if sock.fileno() >= 0:
                self._loop.remove_reader(sock)
                sock.close()
        if self._telling:
            self._telling.cancel()
            self._tell()

    def _accept(self, sock: socket.socket) -> None:
        for _ in range(ACCEPTED_A_TURN):
            try:
                peer, address = sock.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as exc:
                self._pause(sock, exc)
                return
            peer.setblocking(False)  # noqa: FBT003  the socket's
            self._arrived(peer, address[0])

    def _pause(self, sock: socket.socket, exc: OSError) -> None:
        """Leave newcomers in the kernel's queue for a moment, and tell of it: the first time at once, then in sums."""
        self._loop.remove_reader(sock)
        self._loop.call_later(PAUSE_S, self._resume, sock)
        if self._telling:
            self._failures += 1
            return
        log.error(
            "no connection can be accepted",
            error=exc.strerror or str(exc),
            hint="Raise LimitNOFILE (systemd) or ulimit -n: each connection and each open file takes a descriptor.",
        )
        self._telling = self._loop.call_later(TELL_INTERVAL_S, self._tell)

    def _resume(self, sock: socket.socket) -> None:
        if sock.fileno() >= 0:
            self._loop.add_reader(sock, self._accept, sock)

    def _tell(self) -> None:
        self._telling = None
        if self._failures:
            log.error("no connection could be accepted", times=self._failures)
            self._failures = 0
