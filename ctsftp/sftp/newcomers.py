"""Strangers that were accepted and are no connections yet: so many a second become some, one address after another.

A connection costs half a millisecond when it begins and 2 ms by the end of its key exchange. Of strangers that come
again as soon as they were disconnected no more are begun than leave the server most of its time; the others wait here,
where one costs a socket, or are told to come later. Known addresses (`standing.py`) do not come here.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from socket import socket

from ctsftp.sftp.admission import Crowd
from ctsftp.sftp.penalties import source_of
from ctsftp.sftp.settings import SftpSettings

STRANGERS_PER_S = 100
STRANGERS_AT_ONCE = 20  # after a pause

Newcomer = tuple[socket, str]  # and its address


class Newcomers:
    """Those that wait; `begin` makes a connection of one, `refuse` ends one that is too many, `draw` picks a source."""

    def __init__(
        self,
        *,
        begin: Callable[[socket, str], None],
        refuse: Callable[[socket, str, Crowd], None],
        draw: Callable[[Sequence[str]], str],
    ) -> None:
        self._begin = begin
        self._refuse = refuse
        self._draw = draw
        self._loop = asyncio.get_running_loop()
        self._by_source: dict[str, deque[Newcomer]] = {}  # in the order of their turns
        self._count = 0
        self._due_s = 0.0  # when the next one was to begin, if all had come at the pace
        self._timer: asyncio.TimerHandle | None = None

    def add(self, peer: socket, address: str, limits: SftpSettings) -> None:
        """Let one wait for its turn, or begin at once; where that is one too many, one has to go."""
        source = source_of(address)
        others = self._by_source.setdefault(source, deque())
        if len(others) >= limits.unauthenticated_per_address:
            self._refuse(peer, address, Crowd.UNAUTHENTICATED_ADDRESS)
            return
        others.append((peer, address))
        self._count += 1
        if self._count > limits.unauthenticated_full:
            self._refuse(*self._take(self._draw([*self._by_source])), Crowd.UNAUTHENTICATED)
        if self._timer is None:
            self._next()

    def close(self) -> None:
        """Let go of all; closing twice is fine."""
        if self._timer:
            self._timer.cancel()
        for others in self._by_source.values():
            for peer, _ in others:
                peer.close()
        self._by_source.clear()

    def _next(self) -> None:
        self._timer = None
        while self._by_source:
            now_s = self._loop.time()
            self._due_s = max(self._due_s, now_s - STRANGERS_AT_ONCE / STRANGERS_PER_S)
            if self._due_s >= now_s:
                self._timer = self._loop.call_at(self._due_s + 1 / STRANGERS_PER_S, self._next)
                return
            self._due_s += 1 / STRANGERS_PER_S
            self._begin(*self._take(next(iter(self._by_source))))

    def _take(self, source: str) -> Newcomer:
        """Take the first of a source, which then waits behind the others."""
        others = self._by_source.pop(source)
        self._count -= 1
        first = others.popleft()
        if others:
            self._by_source[source] = others
        return first
