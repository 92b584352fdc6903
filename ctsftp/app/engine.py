"""Everything that works on uploads, wired: the store, the spool, the queue, the loader, the sweeper.

The engine has no listener. `serve` adds one; a command that finds no `serve` runs an engine of its own,
under the same lock, for as long as its work takes.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import structlog

from ctsftp.app.clock import utc_now
from ctsftp.app.lock import data_lock
from ctsftp.clients.config import ClientConfig
from ctsftp.clients.folder import Clients
from ctsftp.contract.codes import Fault
from ctsftp.contract.names import SegmentFile, read_name
from ctsftp.errors import NotFoundError
from ctsftp.ingest.inspection import inspect
from ctsftp.ingest.loader import Loader
from ctsftp.ingest.queue import Lane, UploadQueue
from ctsftp.ingest.sweeper import Sweeper
from ctsftp.settings import Settings
from ctsftp.spool.disk import LocalDisk
from ctsftp.spool.ids import UploadIds
from ctsftp.spool.spool import Spool, StoredUpload
from ctsftp.store.store import Store

log = structlog.get_logger()


class Engine:
    """The parts that work on uploads, and what they are asked by others."""

    def __init__(self, settings: Settings, store: Store, tasks: asyncio.TaskGroup) -> None:
        self.settings = settings
        self.store = store
        self.tasks = tasks
        self.clients = Clients(settings.keys_dir)
        self._ids = UploadIds()
        self.spool = Spool(settings.data_dir / "clients", disk=LocalDisk(), next_id=self._ids.next)
        self.queue = UploadQueue(
            self._load,
            lane_of=_lane_of,
            workers=settings.ingest.workers,
            size=settings.ingest.queue_size,
        )
        self._loader = Loader(
            settings.ingest, store=store, config_of=self.config_of, now=utc_now, try_again=self._try_again
        )
        self.sweeper = Sweeper(
            spool=self.spool,
            store=store,
            queue=self.queue,
            settings=settings.sweep,
            retention=settings.spool,
            max_file_size_bytes=settings.sftp.max_file_size_bytes,
            now=utc_now,
        )

    @classmethod
    @asynccontextmanager
    async def open(cls, settings: Settings) -> AsyncIterator["Engine"]:
        """Take the data folder, put right what a dead process left, and work until the block ends.

        At the end what is being loaded goes back to `received`, and the next engine takes it up.
        """
        with one_fault(), data_lock(settings.data_dir):
            store = await Store.open(settings.database, clock=utc_now, migrate=True)
            try:
                async with asyncio.TaskGroup() as tasks:
                    engine = cls(settings, store, tasks)
                    await engine._recover()
                    working = tasks.create_task(engine.queue.run())
                    try:
                        yield engine
                    finally:
                        working.cancel()
            finally:
                await store.close()

    def config_of(self, client: str) -> ClientConfig:
        """Read what holds for one client; the defaults, where its folder is gone but its uploads are here."""
        try:
            return self.clients.get(client).config
        except NotFoundError:
            return ClientConfig()

    def inspect(self, upload: StoredUpload) -> Fault | None:
        """Tell the sender at CLOSE what the first bytes show."""
        return inspect(upload, self.config_of(upload.client))

    def landed(self, upload: StoredUpload) -> None:
        """Queue an upload that was just acknowledged; what does not fit is the sweep's."""
        self.queue.offer(upload)

    async def take_up(self, upload_id: str) -> None:
        """Queue an upload that an admin sent back to `received`, and wait until it is done."""
        row = await self.store.ledger.upload(upload_id)
        upload = await asyncio.to_thread(self.spool.upload, row.client, upload_id)
        if upload and self.queue.offer(upload):
            await self.queue.wait_for([upload_id])

    async def _load(self, upload: StoredUpload) -> None:
        await self._loader.load(upload)

    def _try_again(self, upload: StoredUpload, delay_s: float) -> None:
        asyncio.get_running_loop().call_later(delay_s, self.queue.offer, upload)

    async def _recover(self) -> None:
        cleared = await asyncio.to_thread(self.spool.clear_staging)
        newest = max((upload.id for upload in self.spool.uploads()), default=None)
        if newest:
            self._ids.start_after(newest)
        await self.store.recover()
        log.info("recovered", staging_files_deleted=cleared)


@contextmanager
def one_fault() -> Iterator[None]:
    """Raise the single error in a TaskGroup's group as itself, so that the command line can name it."""
    try:
        yield
    except BaseExceptionGroup as group:
        fault: BaseException = group
        while isinstance(fault, BaseExceptionGroup) and len(fault.exceptions) == 1:
            fault = fault.exceptions[0]
        raise fault from None


def _lane_of(upload: StoredUpload) -> Lane:
    """Tell the segment that an upload is for; other files need no order."""
    name = read_name(upload.filename)
    return (upload.client, name.key if isinstance(name, SegmentFile) else upload.id)
