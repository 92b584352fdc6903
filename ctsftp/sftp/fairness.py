"""What one client may take of the server, all its sessions together, so that enough is left for the others.

An open listing or receipt is kept in memory until it was read or closed: 29 bytes of OPENDIR may cost 20 MB. And
whatever waits for the disk waits in a thread: who asks for many copies of large files could have them all. And in a
turn of the event loop so many requests are answered, for so long, however many sessions ask: a READ of 256 KiB takes
one millisecond to three.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterator

from asyncssh import SFTPName

from ctsftp.errors import LimitError

# Of all sessions of a client. A request that has begun ends, however long it takes.
REQUESTS_A_TURN = 32
ANSWERS_S = 0.0005

# Measured: what asyncssh and we keep of one entry that was not read yet.
ENTRY_BYTES = 256


class FairShare:
    """One client's part of the server's threads and memory."""

    def __init__(self, *, threads: int, view_bytes: int) -> None:
        self.threads = asyncio.Semaphore(threads)
        # A listing takes more memory while it is made than afterwards.
        self.listing = asyncio.Lock()
        self._view_bytes = view_bytes
        self._taken_bytes = 0
        self._requests_left = REQUESTS_A_TURN
        self._left_s = ANSWERS_S
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._put_back = 0  # of those that wait: were called in this turn, and too late
        self._called = 1  # in this turn

    def answers_now(self) -> bool:
        """Tell whether one more request may be answered in this turn; if not, wait for `turn`."""
        if self._requests_left > 0 and self._left_s > 0:
            self._requests_left -= 1
            return True
        return False

    def spend(self, seconds: float) -> None:
        """Count how long an answer took."""
        self._left_s -= seconds

    async def turn(self) -> None:
        """Wait until one more request may be answered; the sessions take turns."""
        await self._wait(len(self._waiting))
        while self._left_s <= 0:
            self._put_back += 1
            await self._wait(self._put_back - 1)

    async def _wait(self, place: int) -> None:
        loop = asyncio.get_running_loop()
        if not self._waiting:
            loop.call_soon(self._next_turn)
        waiting = loop.create_future()
        self._waiting.insert(place, waiting)
        await waiting

    def take(self, bytes_: int) -> None:
        """Take memory for what is opened; LimitError where the client has too much of it."""
        if self._taken_bytes and self._taken_bytes + bytes_ > self._view_bytes:
            raise LimitError(
                f"Your open folders and receipts take more than {self._view_bytes:,} bytes of memory here "
                "(max_view_bytes_per_client): close some first."
            )
        self._taken_bytes += bytes_

    def give_back(self, bytes_: int) -> None:
        """Give memory back."""
        self._taken_bytes -= bytes_

    def _next_turn(self) -> None:
        """Call twice as many as came in time in the last turn: to be called in vain costs time too."""
        self._called = min(2 * (self._called - self._put_back) + 1, REQUESTS_A_TURN, len(self._waiting))
        self._left_s, self._put_back = ANSWERS_S, 0
        for _ in range(self._called):
            waiting = self._waiting.popleft()
            if not waiting.done():  # its session has ended
                waiting.set_result(None)
        if self._waiting:
            self._requests_left = 0  # who was called answers one, and waits behind them
            asyncio.get_running_loop().call_soon(self._next_turn)
        else:
            self._requests_left = REQUESTS_A_TURN - self._called


class Listing:
    """A folder's entries for one open handle, forgotten when the last was read; close it in any case."""

    def __init__(self, names: Iterator[SFTPName], count: int, share: FairShare) -> None:
        self._bytes = count * ENTRY_BYTES
        share.take(self._bytes)
        self._names = names
        self._share = share

    def __aiter__(self) -> AsyncIterator[SFTPName]:
        """Go on where the last READDIR ended."""
        return self

    async def __anext__(self) -> SFTPName:
        """Give the next entry."""
        for name in self._names:
            return name
        self.close()
        raise StopAsyncIteration

    def close(self) -> None:
        """Give the memory back; closing twice is fine."""
        self._names = iter(())
        self._share.give_back(self._bytes)
        self._bytes = 0
