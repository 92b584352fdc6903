"""Whose turn it is: of one asker's requests a few are answered at a time, and the others wait in a line of their own.

So a token that sends hundreds at once waits for itself: everybody else's next request, and the next step of a load,
come after a few of its steps, not after hundreds. A request that waits costs nothing but its connection.
"""

import asyncio
from collections.abc import Hashable
from dataclasses import dataclass, field

from ctsftp.web.problems import Problem

AT_ONCE = 4
LONGEST_WAIT_S = 10.0
RETRY_AFTER_S = 1


@dataclass(slots=True)
class Line:
    """One asker's requests: how many there are, and those that are being answered."""

    turns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))
    length: int = 0


class Turns:
    """The lines of all that ask now; `longest` is how many requests a line may hold."""

    def __init__(self, longest: int) -> None:
        self._longest = longest
        self._lines: dict[Hashable, Line] = {}

    async def wait(self, asker: Hashable) -> "Turn":
        """Wait for a turn; a 429 problem if too many wait, or it takes too long. `leave` it."""
        line = self._lines.setdefault(asker, Line())
        if line.length >= self._longest:
            raise self._too_many()
        turn = Turn(self, asker, line)
        try:
            async with asyncio.timeout(LONGEST_WAIT_S if line.turns.locked() else None):
                await line.turns.acquire()
            turn.has_come = True
        except TimeoutError:
            raise self._too_many() from None
        finally:
            if not turn.has_come:
                turn.leave()
        return turn

    def forget(self, asker: Hashable) -> None:
        """Forget a line that nobody stands in."""
        del self._lines[asker]

    def _too_many(self) -> Problem:
        return Problem(
            429,
            "too-many",
            f"Too many requests at once: {AT_ONCE} of a token are answered at a time, and {self._longest} may be open."
            " Wait for answers before you ask on.",
            headers={"Retry-After": str(RETRY_AFTER_S)},
        )


class Turn:
    """A place in a line."""

    __slots__ = ("_asker", "_line", "_turns", "has_come")

    def __init__(self, turns: Turns, asker: Hashable, line: Line) -> None:
        self._turns = turns
        self._asker = asker
        self._line: Line | None = line
        self.has_come = False
        line.length += 1

    def leave(self) -> None:
        """Let the next one have its turn; a second call does nothing."""
        line, self._line = self._line, None
        if line is None:
            return
        line.length -= 1
        if self.has_come:
            line.turns.release()
        if line.length == 0:
            self._turns.forget(self._asker)
