"""The bounded queue behind the hook: uploads of one segment one after another, several segments at once.

The ledger and the spool are what is durable; this queue only saves waiting for the sweep. An upload
that does not fit is left to the sweep, which `overflowed` calls for.
"""

import asyncio
from bisect import insort
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from operator import attrgetter

from ctsftp.spool.spool import StoredUpload

Lane = tuple[str, str]


class UploadQueue:
    """Hands uploads to `work`, each segment's in the order of their ids, with a fair turn for each segment."""

    def __init__(
        self,
        work: Callable[[StoredUpload], Awaitable[None]],
        *,
        lane_of: Callable[[StoredUpload], Lane],
        workers: int,
        size: int,
    ) -> None:
        self._work = work
        self._lane_of = lane_of
        self._workers = workers
        self._size = size
        # What waits in each lane; a lane is here for as long as one of its uploads waits or is worked on.
        self._lanes: dict[Lane, deque[StoredUpload]] = {}
        self._ready: asyncio.Queue[Lane] = asyncio.Queue()
        self._waiting: set[str] = set()
        self._working: set[str] = set()
        self._changed = asyncio.Event()
        self.overflowed = asyncio.Event()

    def __len__(self) -> int:
        """How many uploads wait or are being worked on."""
        return len(self._waiting) + len(self._working)

    def __contains__(self, upload_id: object) -> bool:
        """Whether an upload waits or is being worked on."""
        return upload_id in self._waiting or upload_id in self._working

    def offer(self, upload: StoredUpload) -> bool:
        """Queue an upload, once; False if the queue is full.

        One that is being worked on is queued again: whatever calls for it may have come too late for that work.
        """
        if upload.id in self._waiting:
            return True
        if len(self) >= self._size:
            self.overflowed.set()
            return False
        self._waiting.add(upload.id)
        lane = self._lane_of(upload)
        if lane in self._lanes:
            insort(self._lanes[lane], upload, key=attrgetter("id"))
        else:
            self._lanes[lane] = deque([upload])
            self._ready.put_nowait(lane)
        return True

    async def run(self) -> None:
        """Work until cancelled; what is being worked on then is cancelled too."""
        async with asyncio.TaskGroup() as workers:
            for _ in range(self._workers):
                workers.create_task(self._run_worker())

    async def wait_for(self, upload_ids: Iterable[str] | None = None) -> None:
        """Return when none of these uploads (of all, without an argument) waits or is being worked on."""
        awaited = None if upload_ids is None else frozenset(upload_ids)
        while len(self) if awaited is None else awaited & (self._waiting | self._working):
            self._changed.clear()
            await self._changed.wait()

    async def _run_worker(self) -> None:
        while True:
            lane = await self._ready.get()
            upload = self._lanes[lane].popleft()
            self._waiting.discard(upload.id)
            self._working.add(upload.id)
            try:
                await self._work(upload)
            finally:
                self._done(lane, upload)

    def _done(self, lane: Lane, upload: StoredUpload) -> None:
        """Let go of an upload, and put its lane behind the others that wait."""
        self._working.discard(upload.id)
        if self._lanes[lane]:
            self._ready.put_nowait(lane)
        else:
            del self._lanes[lane]
        self._changed.set()
