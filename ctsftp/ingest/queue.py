"""The bounded queue behind the hook: uploads of one segment one after another, several segments at once.

The ledger and the spool are what is durable; this queue only saves waiting for the sweep. An upload
that does not fit is left to the sweep, which `overflowed` calls for.
"""

import asyncio
from bisect import insort
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from operator import attrgetter

from ctsftp.spool.stored import StoredUpload

Lane = tuple[str, str]


class UploadQueue:
    """Hands uploads to `work`, each segment's in the order of their ids, with a fair turn for each segment.

    Large uploads never take the last of several workers: a small one never waits for a large one to end.
    """

    def __init__(
        self,
        work: Callable[[StoredUpload], Awaitable[None]],
        *,
        lane_of: Callable[[StoredUpload], Lane],
        workers: int,
        size: int,
        is_large: Callable[[StoredUpload], bool],
    ) -> None:
        self._work = work
        self._lane_of = lane_of
        self._workers = workers
        self._size = size
        self._is_large = is_large
        # What waits in each lane; a lane is here for as long as one of its uploads waits or is worked on.
        self._lanes: dict[Lane, deque[StoredUpload]] = {}
        self._ready: deque[Lane] = deque()
        self._waiting: set[str] = set()
        self._working: set[str] = set()
        self._large: set[str] = set()
        self._wake = asyncio.Event()
        self._changed = asyncio.Event()
        self.overflowed = asyncio.Event()

    def __len__(self) -> int:
        """How many uploads wait or are being worked on."""
        return len(self._waiting) + len(self._working)

    def __contains__(self, upload_id: object) -> bool:
        """Whether an upload waits or is being worked on."""
        return upload_id in self._waiting or upload_id in self._working

    def is_next(self, upload: StoredUpload) -> bool:
        """Whether no other upload of its lane waits before it, or is being worked on."""
        lane = self._lane_of(upload)
        return lane in self._ready and self._lanes[lane][0].id == upload.id

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
        if self._is_large(upload):
            self._large.add(upload.id)
        lane = self._lane_of(upload)
        if lane in self._lanes:
            insort(self._lanes[lane], upload, key=attrgetter("id"))
        else:
            self._lanes[lane] = deque([upload])
            self._ready.append(lane)
            self._wake.set()
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

    async def wait_for_room(self) -> None:
        """Return when one more upload would be taken."""
        while len(self) >= self._size:
            self._changed.clear()
            await self._changed.wait()

    async def _run_worker(self) -> None:
        while True:
            lane = await self._next_lane()
            upload = self._lanes[lane].popleft()
            self._waiting.discard(upload.id)
            self._working.add(upload.id)
            try:
                await self._work(upload)
            finally:
                self._done(lane, upload)

    async def _next_lane(self) -> Lane:
        """Wait for a lane whose first upload may be worked on now, and take it: the one that has waited longest."""
        while (lane := self._first_ready()) is None:
            self._wake.clear()
            await self._wake.wait()
        self._ready.remove(lane)
        return lane

    def _first_ready(self) -> Lane | None:
        full = len(self._large & self._working) >= max(1, self._workers - 1)
        return next((lane for lane in self._ready if not (full and self._lanes[lane][0].id in self._large)), None)

    def _done(self, lane: Lane, upload: StoredUpload) -> None:
        """Let go of an upload, and put its lane behind the others that wait."""
        self._working.discard(upload.id)
        if upload.id not in self._waiting:
            self._large.discard(upload.id)
        if self._lanes[lane]:
            self._ready.append(lane)
        else:
            del self._lanes[lane]
        self._wake.set()
        self._changed.set()
