"""Whose turn it is: the work that connections make is done in bounded pieces, one client after another.

Each turn of the event loop serves those that wait, for so long in all and so long each, and then everything else has
its turn: HTTP, the disk's answers, the senders whose packets are there. So a thousand peers that send as fast as they
can leave a good sender its place. Who has signed in, who did so lately, and strangers wait in lines of their own, each
with its share of a turn. In a line, a client has one place with all its connections, and a stranger's address too.
"""

import asyncio
from collections import deque
from time import perf_counter
from typing import Protocol

from ctsftp.sftp.standing import Standing

# Of a turn of the event loop. One packet may take longer (a key exchange, 3 ms), and then is alone in its turn. A load
# takes some two hundred turns, a login and a put some thirty.
SHARES_S = {Standing.SIGNED_IN: 0.0005, Standing.KNOWN: 0.0005, Standing.STRANGER: 0.0003}
EACH_S = 0.0003


class Waiting(Protocol):
    """A connection whose packets wait."""

    standing: Standing
    owner: str  # a client that has signed in; before, an address

    def work(self, until_s: float) -> bool:
        """Do what waits, up to a time of `perf_counter`; return whether more waits."""


class _Line:
    """Those that wait, by their owners, and the time that they may still take in this turn."""

    def __init__(self, share_s: float) -> None:
        self.share_s = self.left_s = share_s
        self._owners: deque[str] = deque()
        self._waiting: dict[str, deque[Waiting]] = {}

    def __bool__(self) -> bool:
        """Whether anybody waits."""
        return bool(self._owners)

    def add(self, who: Waiting) -> None:
        """Let one wait behind the others of its owner, and its owner behind the others."""
        if others := self._waiting.get(who.owner):
            others.append(who)
        else:
            self._waiting[who.owner] = deque([who])
            self._owners.append(who.owner)

    def next(self) -> Waiting:
        """Take the one whose turn it is; its owner comes again when all others had a turn."""
        owner = self._owners.popleft()
        others = self._waiting[owner]
        who = others.popleft()
        if others:
            self._owners.append(owner)
        else:
            del self._waiting[owner]
        return who


class Turns:
    """The lines of those that wait; all connections of a server share them."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._lines = {standing: _Line(share_s) for standing, share_s in SHARES_S.items()}
        self._coming = False

    def add(self, who: Waiting) -> None:
        """Let a connection work: at once, where nobody waits and time is left, else when it is its turn."""
        if not self._coming:
            self._coming = True
            self._loop.call_soon(self._serve)
        line = self._lines[who.standing]
        if line or line.left_s <= 0:
            line.add(who)
        else:
            self._let_work(who, line)

    def _serve(self) -> None:
        """Begin a turn: in each line let them work, one after another, until its time is over."""
        for line in self._lines.values():
            line.left_s = line.share_s
            while line and line.left_s > 0:
                self._let_work(line.next(), line)
        self._coming = any(self._lines.values())
        if self._coming:
            self._loop.call_soon(self._serve)

    def _let_work(self, who: Waiting, line: _Line) -> None:
        """Let one work; it waits again if it has more, where it stands by now."""
        began_s = perf_counter()
        if who.work(began_s + min(EACH_S, line.left_s)):
            self._lines[who.standing].add(who)
        line.left_s -= perf_counter() - began_s
