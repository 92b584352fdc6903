"""Whose turn it is: of one asker's requests a few are answered at a time, and the others wait in a line of their own.

So a token that sends hundreds at once waits for itself: everybody else's next request, and the next step of a load,
come after a few of its steps, not after hundreds. A request that waits costs nothing but its connection; one that is
refused at once would be back at once. A crowd is answered at leisure: each of its turns is followed by a pause that is
as long as several of them, which leaves the most of the event loop's time to all others.
"""

import asyncio
from collections.abc import Hashable
from dataclasses import dataclass, field

from ctsftp.web.problems import Problem

AT_ONCE = 4
LONGEST_WAIT_S = 10.0
CROWD = 16  # requests in one line; who waits for each answer before he asks on has fewer
PAUSE_TURNS = 9
LONGEST_PAUSE_S = 1.0
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
            turn.begin()
        except TimeoutError:
            raise self._too_many() from None
        finally:
            if not turn.has_begun:
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
            " Wait for answers before you send more.",
            headers={"Retry-After": str(RETRY_AFTER_S)},
        )


class Turn:
    """A place in a line."""

    __slots__ = ("_asker", "_began_at", "_line", "_loop", "_turns")

    def __init__(self, turns: Turns, asker: Hashable, line: Line) -> None:
        self._turns = turns
        self._asker = asker
        self._line: Line | None = line
        self._loop = asyncio.get_running_loop()
        self._began_at: float | None = None
        line.length += 1

    @property
    def has_begun(self) -> bool:
        """Tell whether the turn has come."""
        return self._began_at is not None

    def begin(self) -> None:
        """Note that the turn has come."""
        self._began_at = self._loop.time()

    def leave(self) -> None:
        """Let the next one have its turn, of a crowd after a pause; a second call does nothing."""
        line, self._line = self._line, None
        if line is None:
            return
        if self._began_at is not None:
            if line.length > CROWD:
                pause_s = PAUSE_TURNS * (self._loop.time() - self._began_at)
                self._loop.call_later(min(pause_s, LONGEST_PAUSE_S), line.turns.release)
            else:
                line.turns.release()
        line.length -= 1
        if line.length == 0:
            self._turns.forget(self._asker)
