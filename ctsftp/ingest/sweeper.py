"""The sweep: finds whatever the on-close hook did not, from the disk and the ledger alone.

At start and then every `interval_s`: files that came into a home by other means are adopted; uploads on
disk that the ledger does not know, and those that are due again, are queued; what has had its time is deleted.
"""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime, timedelta
from functools import partial

import structlog

from ctsftp.errors import CtsftpError
from ctsftp.ingest.queue import UploadQueue
from ctsftp.ingest.settings import SweepSettings
from ctsftp.spool.settings import SpoolSettings
from ctsftp.spool.spool import Spool
from ctsftp.store.store import Store

log = structlog.get_logger()

UPLOADS_AT_ONCE = 500  # that are looked up: so many, that the memory does not grow with them
DELETE_FOR_S = 0.2  # files are deleted without a pause: an admin's `retry` and the server's stop wait for it
CLIENT_FOR_S = 120.0  # of one sweep, for one client's files: what is left is the next one's


@dataclass(frozen=True, slots=True)
class Swept:
    """What one sweep did; `queued` are the ids of the uploads that it found."""

    adopted: int
    queued: list[str] = field(default_factory=list)
    uploads_deleted: int = 0
    partials_deleted: int = 0
    snapshots_deleted: int = 0

    def __add__(self, other: "Swept") -> "Swept":
        """Sum up two sweeps."""
        return Swept(*(getattr(self, one.name) + getattr(other, one.name) for one in fields(self)))


class Sweeper:
    """Sweeps when it is time, when the queue overflowed, and when asked."""

    def __init__(
        self,
        *,
        spool: Spool,
        store: Store,
        queue: UploadQueue,
        settings: SweepSettings,
        retention: SpoolSettings,
        max_file_size_bytes: int,
        now: Callable[[], datetime],
        count: Callable[[], Awaitable[None]],
    ) -> None:
        self._spool = spool
        self._store = store
        self._queue = queue
        self._settings = settings
        self._retention = retention
        self._max_file_size_bytes = max_file_size_bytes
        self._now = now
        self._count = count
        self._turn = asyncio.Lock()
        # Held while files are deleted; whoever sends an old upload back to `received` holds it meanwhile.
        self.deleting = asyncio.Lock()

    async def run(self) -> None:
        """Sweep at once and then for ever; a sweep that fails is logged, and the next one comes."""
        while True:
            try:
                await self.sweep()
            except (CtsftpError, OSError) as exc:
                log.warning("sweep failed, the next one will come", error=str(exc))
            except Exception:
                # Whatever lies in a home that nobody thought of: no reason to take no more uploads.
                log.exception("sweep failed, the next one will come")
            with suppress(TimeoutError):
                async with asyncio.timeout(self._settings.interval_s):
                    await self._queue.overflowed.wait()
                    await self._queue.wait_for()

    async def sweep(self) -> Swept:
        """Sweep once; two at a time wait for each other."""
        async with self._turn:
            self._queue.overflowed.clear()
            adopted = await self._sum_of_all("adopt", self._adopt)
            queued = await self._find()
            swept = Swept(
                adopted=adopted,
                queued=queued,
                uploads_deleted=await self._delete_uploads(),
                partials_deleted=await self._sum_of_all(
                    "delete partials",
                    partial(self._spool.drop_old_partials, keep_days=self._retention.keep_partials_days),
                ),
                snapshots_deleted=await self._store.snapshots.prune(
                    keep_last=self._settings.keep_snapshots, keep_days=self._settings.keep_snapshot_days
                ),
            )
            await self._count()
        log.info("swept", **(asdict(swept) | {"queued": len(queued)}))
        return swept

    async def _sum_of_all(self, what: str, work: Callable[[str], int]) -> int:
        return await asyncio.to_thread(lambda: sum(self._spool.of_each_client(what, work)))

    def _adopt(self, client: str) -> int:
        """Make uploads of the files that came into a home by other means; they are queued like all others."""
        adopted = 0
        for path in self._spool.strangers(client, quiet_s=self._retention.adopt_after_s):
            try:
                upload = self._spool.adopt(client, path, max_size_bytes=self._max_file_size_bytes)
            except (CtsftpError, OSError) as exc:
                log.warning("file not adopted", client=client, path=str(path), error=str(exc))
                continue
            if upload:
                log.info("file adopted", client=client, path=str(path), upload=upload.id)
                adopted += 1
        return adopted

    async def _find(self) -> list[str]:
        """Queue what the ledger does not know and what is due, in the order of their CLOSE; stop when it is full."""
        due = set(await self._store.ledger.due(self._now()))
        found: dict[str, str] = {}
        async for on_disk in self._on_disk():
            known = await self._store.ledger.known_ids(on_disk)
            found |= {one: on_disk[one] for one in on_disk if one not in known or one in due}
        queued: list[str] = []
        for upload_id in sorted(found):
            try:
                upload = await asyncio.to_thread(self._spool.upload, found[upload_id], upload_id)
            except (CtsftpError, OSError) as exc:
                log.warning("upload not looked at", upload=upload_id, error=str(exc))
                continue
            if upload is None or upload_id in self._queue:
                continue
            if not self._queue.offer(upload):
                break
            queued.append(upload_id)
        return queued

    async def _delete_uploads(self) -> int:
        """Delete the files of uploads that ended long ago; the ledger's rows stay."""
        before = self._now() - timedelta(days=self._retention.keep_uploads_days)
        old: dict[str, list[str]] = {}
        async for on_disk in self._on_disk():
            for upload_id in sorted(await self._store.ledger.prunable(on_disk, before=before)):
                old.setdefault(on_disk[upload_id], []).append(upload_id)
        deleted = 0
        for client, upload_ids in old.items():
            try:
                deleted += await self._delete_of(client, upload_ids, before)
            except (CtsftpError, OSError) as exc:
                log.warning("client left out", client=client, at="delete uploads", error=str(exc))
        return deleted

    async def _delete_of(self, client: str, upload_ids: list[str], before: datetime) -> int:
        """Delete one client's files, a few at a time: whoever waits for `deleting` has a turn in between."""
        deleted = 0
        loop = asyncio.get_running_loop()
        until = loop.time() + CLIENT_FOR_S
        with await asyncio.to_thread(self._spool.removal, client, upload_ids) as removal:
            while upload_ids and loop.time() < until:
                some, upload_ids = upload_ids[:UPLOADS_AT_ONCE], upload_ids[UPLOADS_AT_ONCE:]
                async with self.deleting:
                    still = await self._store.ledger.prunable(some, before=before)
                    ready = [one for one in some if one in still]
                    gone, left = await asyncio.to_thread(removal.remove, ready, for_s=DELETE_FOR_S)
                deleted += gone
                upload_ids = left + upload_ids
        return deleted

    async def _on_disk(self) -> AsyncIterator[dict[str, str]]:
        """Give the client of every upload on disk by the upload's id, and no more of it, a few at a time."""
        of_each = self._spool.of_each_client(
            "look", lambda client: [(one, client) for one in self._spool.upload_ids(client)]
        )
        all_of_them = itertools.chain.from_iterable(of_each)
        while some := await asyncio.to_thread(lambda: dict(itertools.islice(all_of_them, UPLOADS_AT_ONCE))):
            yield some
