"""Decides who may connect: counts what is open, in total, by source, by client, and before a login.

Pure: chance is an argument. Before a login there is random early drop, as in OpenSSH's MaxStartups, with one
difference: the one that has to go is drawn from all that have not signed in, the newcomer among them. A flood that
sits on its connections would otherwise shut out everybody; so its own give way, and who signs in quickly gets in. A
known source (`standing.py`) gives way only where there is no stranger to do so.
"""

from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar

from ctsftp.sftp.settings import SftpSettings

T = TypeVar("T", bound=Hashable)


class Crowd(StrEnum):
    """Which limit was reached: for the log."""

    CONNECTIONS = "max_connections"
    ADDRESS = "max_connections_per_address"
    UNAUTHENTICATED_ADDRESS = "unauthenticated_per_address"
    UNAUTHENTICATED = "unauthenticated_start"


@dataclass(frozen=True, slots=True)
class Arrival(Generic[T]):
    """Why somebody has to go, and who: the newcomer, or another one in its place. Both None: nobody."""

    limit: Crowd | None = None
    leaves: T | None = None


class Admission(Generic[T]):
    """Everybody who is connected, each by a token of the caller's own.

    `chance` gives a number from 0 to 1; `draw` picks one of several.
    """

    def __init__(self, limits: SftpSettings, *, chance: Callable[[], float], draw: Callable[[Sequence[T]], T]) -> None:
        self.limits = limits
        self._chance = chance
        self._draw = draw
        self._sources: dict[T, str] = {}
        self._waiting: dict[T, str] = {}
        self._strangers: dict[T, None] = {}  # of those that wait
        self._by_source: Counter[str] = Counter()
        self._waiting_by_source: Counter[str] = Counter()
        self._by_client: Counter[str] = Counter()
        self._clients: dict[T, str] = {}

    def arrive(self, who: T, source: str, *, trusted: bool, known: bool) -> Arrival[T]:
        """Count a newcomer, and tell who has to go; a newcomer that has to go is not counted.

        A `trusted` source has no limits of its own: it may be a proxy, with everybody behind it.
        """
        limit = self._limit_reached(source, trusted=trusted)
        if limit is None or (limit is Crowd.CONNECTIONS and known and self._strangers):
            leaves = self._draw(self._drawn_from(who, known=known)) if limit or self._is_one_too_many() else None
        else:
            leaves = who
        if leaves != who:
            self._count(who, source, known=known)
        return Arrival() if leaves is None else Arrival(limit or Crowd.UNAUTHENTICATED, leaves)

    def sign_in(self, who: T, client: str) -> bool:
        """Count a login, once; return False, and count none, where the client has as many connections as it may."""
        self._wait_no_more(who)
        if who in self._clients:
            return True
        if self._by_client[client] >= self.limits.max_connections_per_client:
            return False
        self._clients[who] = client
        self._by_client[client] += 1
        return True

    def leave(self, who: T) -> None:
        """Count somebody no longer; once is enough."""
        self._wait_no_more(who)
        if (source := self._sources.pop(who, None)) is not None:
            _less(self._by_source, source)
        if (client := self._clients.pop(who, None)) is not None:
            _less(self._by_client, client)

    def _limit_reached(self, source: str, *, trusted: bool) -> Crowd | None:
        limits = self.limits
        if not trusted:
            if self._by_source[source] >= limits.max_connections_per_address:
                return Crowd.ADDRESS
            if self._waiting_by_source[source] >= limits.unauthenticated_per_address:
                return Crowd.UNAUTHENTICATED_ADDRESS
        return Crowd.CONNECTIONS if len(self._sources) >= limits.max_connections else None

    def _is_one_too_many(self) -> bool:
        return self._chance() * 100 < self._drop_percent(len(self._waiting))

    def _drawn_from(self, who: T, *, known: bool) -> list[T]:
        """List those of whom one may have to go: strangers, and nobody else as long as there are any."""
        if known:
            return [*self._strangers] or [*self._waiting, who]
        return [*self._strangers, who]

    def _count(self, who: T, source: str, *, known: bool) -> None:
        self._sources[who] = self._waiting[who] = source
        if not known:
            self._strangers[who] = None
        self._by_source[source] += 1
        self._waiting_by_source[source] += 1

    def _wait_no_more(self, who: T) -> None:
        self._strangers.pop(who, None)
        if (source := self._waiting.pop(who, None)) is not None:
            _less(self._waiting_by_source, source)

    def _drop_percent(self, waiting: int) -> float:
        """Tell how likely one has to go when so many wait: none below `start`, the rate there, all from `full` on."""
        limits = self.limits
        if waiting < limits.unauthenticated_start:
            return 0
        if waiting >= limits.unauthenticated_full:
            return 100
        rate, start = limits.unauthenticated_drop_percent, limits.unauthenticated_start
        return rate + (100 - rate) * (waiting - start) / (limits.unauthenticated_full - start)


def _less(counter: Counter[str], key: str) -> None:
    """Count one less, and forget what is none: a stranger must not make the table grow."""
    counter[key] -= 1
    if not counter[key]:
        del counter[key]
