"""News for open pages: server-sent events that say only that something changed.

A page then fetches itself, so there is one way to show things. Whoever changes something calls `beat`; nobody
asks the database again and again. A token that is bound to a client hears of its client's changes only. A page
says which beat it was made at, so that it misses none between its making and its stream, or while that is broken.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable

QUIET_S = 25.0  # until a comment is sent, by which a connection that broke is found
PAUSE_S = 0.5  # between two beats of a page: a hundred uploads at once are a few
BEAT, COMMENT = "event: change\ndata: -\n\n", ":\n\n"


class Live:
    """The streams of all open pages, at most so many."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._closed = False
        self._waiting: dict[asyncio.Event, str | None] = {}
        self._beats: Counter[str | None] = Counter()

    @property
    def is_full(self) -> bool:
        """Whether one more stream would be too many."""
        return self._closed or len(self._waiting) >= self._most

    def count(self, client: str | None) -> int:
        """Count the beats that a page of this client's, or of all clients', had to hear."""
        return self._beats.total() if client is None else self._beats[client] + self._beats[None]

    def beat(self, client: str | None = None) -> None:
        """Wake the pages that show what is this client's, or all pages."""
        self._beats[client] += 1
        for news, only in self._waiting.items():
            if None in (client, only) or client == only:
                news.set()

    def close(self) -> None:
        """End all streams, so that the server can stop; closing twice is fine."""
        self._closed = True
        self.beat()

    async def stream(
        self, client: str | None, heard: int, is_signed_in: Callable[[], Awaitable[bool]]
    ) -> AsyncIterator[str]:
        """Yield events, from the beat after `heard` on, until the session or the server ends, or the reader leaves."""
        news = asyncio.Event()
        if heard != self.count(client):
            news.set()
        self._waiting[news] = client
        try:
            yield COMMENT
            while not self._closed:
                try:
                    async with asyncio.timeout(QUIET_S):
                        await news.wait()
                    text = BEAT
                except TimeoutError:
                    text = COMMENT
                news.clear()  # before anything is asked: what changes from now on is news again
                if not await is_signed_in():
                    return
                if not self._closed:
                    yield text
                await asyncio.sleep(PAUSE_S)
        finally:
            del self._waiting[news]
