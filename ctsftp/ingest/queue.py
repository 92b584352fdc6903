"""The bounded queue behind the hook: uploads of one segment one after another, several segments at once.

The ledger and the spool are what is durable; this queue only saves waiting for the sweep. An upload
that does not fit is left to the sweep, which `overflowed` calls for.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable

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
        self._lanes: dict[Lane, deque[StoredUpload]] = {}
        self._ready: asyncio.Queue[Lane] = asyncio.Queue()
        self._known: set[str] = set()
        self._changed = asyncio.Event()
        self.overflowed = asyncio.Event()

    def __len__(self) -> int:
        """How many uploads wait or are being loaded."""
        return len(self._known)

    def offer(self, upload: StoredUpload) -> bool:
        """Queue an upload, once; False if the queue is full."""
        if upload.id in self._known:
            return True
        if len(self._known) >= self._size:
            self.overflowed.set()
            return False
        self._known.add(upload.id)
        lane = self._lane_of(upload)
        waiting = self._lanes.get(lane)
        if waiting is None:
            self._lanes[lane] = deque([upload])
            self._ready.put_nowait(lane)
        else:
            waiting.append(upload)
        return True

    async def run(self) -> None:
        """Work until cancelled; what is being worked on then is cancelled too."""
        async with asyncio.TaskGroup() as workers:
            for _ in range(self._workers):
                workers.create_task(self._run_worker())

    async def wait_for(self, upload_ids: Iterable[str] | None = None) -> None:
        """Return when none of these uploads (of all, without an argument) waits or is being loaded."""
        awaited = None if upload_ids is None else set(upload_ids)
        while self._known if awaited is None else self._known & awaited:
            self._changed.clear()
            await self._changed.wait()

    async def _run_worker(self) -> None:
        while True:
            lane = await self._ready.get()
            upload = self._lanes[lane][0]
            try:
                await self._work(upload)
            finally:
                self._done(lane, upload)

    def _done(self, lane: Lane, upload: StoredUpload) -> None:
        """Take the upload out of its lane, and put the lane behind the others that wait."""
        self._known.discard(upload.id)
        waiting = self._lanes[lane]
        waiting.popleft()
        if waiting:
            self._ready.put_nowait(lane)
        else:
            del self._lanes[lane]
        self._changed.set()
