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


class _Line:
    """Those that wait, and the time that they may still take in this turn."""

    def __init__(self, share_s: float) -> None:
        self.share_s = self.left_s = share_s
        self.waiting: deque[Waiting] = deque()

    def serve(self) -> None:
        """Begin a turn: let them work, one after another, until its time is over."""
        self.left_s = self.share_s
        while self.waiting and self.left_s > 0:
            self.let_work(self.waiting.popleft())

    def let_work(self, who: Waiting) -> None:
        """Let one work; it waits again if it has more."""
        began_s = perf_counter()
        if who.work(began_s + min(EACH_S, self.left_s)):
            self.waiting.append(who)
        self.left_s -= perf_counter() - began_s


class Turns:
    """The lines of those that wait; all connections of a server share them."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._signed_in = _Line(SIGNED_IN_S)
        self._strangers = _Line(STRANGERS_S)
        self._coming = False

    def add(self, who: Waiting) -> None:
        """Let a connection work: at once, where nobody waits and time is left, else when it is its turn."""
        if not self._coming:
            self._coming = True
            self._loop.call_soon(self._serve)
        line = self._signed_in if who.signed_in else self._strangers
        if line.waiting or line.left_s <= 0:
            line.waiting.append(who)
        else:
            line.let_work(who)

    def _serve(self) -> None:
        self._signed_in.serve()
        self._strangers.serve()
        self._coming = bool(self._signed_in.waiting or self._strangers.waiting)
        if self._coming:
            self._loop.call_soon(self._serve)
