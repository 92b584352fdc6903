"""Whose turn it is: the work that connections make is done in bounded pieces, one connection after another.

Each turn of the event loop serves those that wait, for so long in all and so long each, and then everything else has
its turn: HTTP, the disk's answers, the senders whose packets are there. So a thousand peers that send as fast as they
can leave a good sender its place. Who has not signed in waits in a line of its own, which has a share of each turn.
"""

import asyncio
from collections import deque
from time import perf_counter
from typing import Protocol

# Of a turn of the event loop. One packet may take longer (a key exchange, 3 ms), and then is alone in its turn.
SIGNED_IN_S = 0.004
STRANGERS_S = 0.002
EACH_S = 0.001


class Waiting(Protocol):
    """A connection whose packets wait."""

    @property
    def signed_in(self) -> bool:
        """Whether it has signed in."""

    def work(self, until_s: float) -> bool:
        """Do what waits, up to a time of `perf_counter`; return whether more waits."""


class Turns:
    """The lines of those that wait; all connections of a server share them."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._signed_in: deque[Waiting] = deque()
        self._strangers: deque[Waiting] = deque()
        self._coming = False

    def add(self, who: Waiting) -> None:
        """Let a connection wait for its turn; it is to be in the line once."""
        (self._signed_in if who.signed_in else self._strangers).append(who)
        if not self._coming:
            self._coming = True
            self._loop.call_soon(self._serve)

    def _serve(self) -> None:
        self._serve_line(self._signed_in, SIGNED_IN_S)
        self._serve_line(self._strangers, STRANGERS_S)
        self._coming = bool(self._signed_in or self._strangers)
        if self._coming:
            self._loop.call_soon(self._serve)

    def _serve_line(self, line: deque[Waiting], seconds: float) -> None:
        now_s = perf_counter()
        end_s = now_s + seconds
        while line and now_s < end_s:
            who = line.popleft()
            if who.work(min(now_s + EACH_S, end_s)):
                self.add(who)
            now_s = perf_counter()
