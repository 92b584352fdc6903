"""News for open pages: server-sent events that say only that something changed, or that all is well.

A page then fetches itself, so there is one way to show things. Whoever changes something calls `beat`; nobody
asks the database again and again for news. A token that is bound to a client hears of its client's changes only. A
page says at which beat it was made, so that it misses none between its making and its stream, or while that is
broken; a beat of another process (a restart, another node) is none of ours, and the page is told at once.

A page that hears nothing for a few seconds knows that it is blind. So a stream says every `QUIET_S` that it is
there, after a look at its session: it ends with that.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from secrets import token_hex

from ctsftp.model.records import Token

QUIET_S = 2.0  # console.js waits a little longer
PAUSE_S = 0.5  # between two beats of a page: a hundred uploads at once are a few
BEAT, ALIVE = "event: change\ndata: -\n\n", "event: alive\ndata: -\n\n"


class Live:
    """The streams of all open pages, at most so many.

    When all places are taken, a new page takes one of the token that has most, unless that is its own.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._process = token_hex(4)
        self._closed = False
        self._places: list[_Place] = []
        self._beats: Counter[str | None] = Counter()

    def mark(self, client: str | None) -> str:
        """Name the beat that a page of this client's, or of all clients', had to hear last."""
        count = self._beats.total() if client is None else self._beats[client] + self._beats[None]
        return f"{self._process}.{count}"

    def beat(self, client: str | None = None) -> None:
        """Wake the pages that show what is this client's, or all pages."""
        self._beats[client] += 1
        for place in self._places:
            if client is None or place.client in (None, client):
                place.news.set()

    def close(self) -> None:
        """End all streams, so that the server can stop; closing twice is fine."""
        self._closed = True
        for place in self._places:
            place.end()

    def has_room(self, token: Token) -> bool:
        """Tell whether there is a place for one more stream of a token."""
        return not self._closed and (len(self._places) < self._most or self._greediest(token.id) is not None)

    async def stream(self, token: Token, heard: str, is_signed_in: Callable[[], Awaitable[bool]]) -> AsyncIterator[str]:
        """Yield events, from the beat after `heard` on, until the session or the server ends, or the reader leaves.

        None are yielded where there is no place.
        """
        if not self.has_room(token):
            return
        if len(self._places) >= self._most and (greediest := self._greediest(token.id)) is not None:
            first = next(place for place in self._places if place.token_id == greediest)
            first.end()
            self._places.remove(first)
        place = _Place(token)
        self._places.append(place)
        if heard != self.mark(token.client):
            place.news.set()
        try:
            async for text in place.events(is_signed_in):
                yield text
        finally:
            if place in self._places:
                self._places.remove(place)

    def _greediest(self, token_id: int) -> int | None:
        """Find the token that has most places, if it has more than this one would have with one of them."""
        taken = Counter(place.token_id for place in self._places)
        most = taken.most_common(1)
        return most[0][0] if most and most[0][1] > taken[token_id] + 1 else None


class _Place:
    """One stream: of a page that shows what is a client's, or all clients' (None)."""

    def __init__(self, token: Token) -> None:
        self.client = token.client
        self.token_id = token.id
        self.news = asyncio.Event()
        self._ended = False

    def end(self) -> None:
        """End the stream; the page asks for another one, or learns that there is none."""
        self._ended = True
        self.news.set()

    async def events(self, is_signed_in: Callable[[], Awaitable[bool]]) -> AsyncIterator[str]:
        """Yield events until the place is given up, or the session ends."""
        yield ALIVE
        while not self._ended:
            try:
                async with asyncio.timeout(QUIET_S):
                    await self.news.wait()
                text = BEAT
            except TimeoutError:
                text = ALIVE
            self.news.clear()  # before anything is asked: what changes from now on is news again
            if not await is_signed_in():
                return
            if not self._ended:
                yield text
                await asyncio.sleep(PAUSE_S)
