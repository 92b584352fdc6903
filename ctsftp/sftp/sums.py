"""Tells in sums of events that come in floods: the first at once, with all that is known of it, the others together."""

import asyncio
from collections import Counter

import structlog

TELL_INTERVAL_S = 10.0

log = structlog.get_logger()


class Sums:
    """One kind of event, by the name under which the log has it; `events` where their sum has another."""

    def __init__(self, event: str, events: str | None = None) -> None:
        self._event = event
        self._events = events or event
        self._counts: Counter[str] = Counter()
        self._telling: asyncio.TimerHandle | None = None

    def tell(self, cause: str, **facts: object) -> None:
        """Tell of an event, or count it if one was told just now."""
        if self._telling:
            self._counts[cause] += 1
            return
        log.warning(self._event, cause=cause, **facts)
        self._telling = asyncio.get_running_loop().call_later(TELL_INTERVAL_S, self._tell)

    def close(self) -> None:
        """Tell what is untold; closing twice is fine."""
        if self._telling:
            self._telling.cancel()
            self._tell()

    def _tell(self) -> None:
        self._telling = None
        if self._counts:
            log.warning(self._events, times=self._counts.total(), **self._counts)
            self._counts.clear()
