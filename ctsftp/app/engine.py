"""Everything that works on uploads, wired: the store, the spool, the queue, the loader, the sweeper.

The engine has no listener. `serve` adds one; a command that finds no `serve` runs an engine of its own,
under the same lock, for as long as its work takes.
"""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from functools import cached_property, partial
from typing import TYPE_CHECKING

import structlog

from ctsftp.app.answers import Answers, answer_to
from ctsftp.app.clock import utc_now
from ctsftp.app.faults import one_fault
from ctsftp.app.lock import data_lock
from ctsftp.app.touches import Touches
from ctsftp.clients.config import ClientConfig
from ctsftp.clients.folder import Clients
from ctsftp.cluster.heartbeat import Heartbeat
from ctsftp.cluster.node import check_clock, node_name, until_taken_up, watch_decisions
from ctsftp.contract.codes import Fault
from ctsftp.contract.counting import some
from ctsftp.contract.finding import Level
from ctsftp.contract.names import SegmentFile, read_name
from ctsftp.contract.places import Named, Places
from ctsftp.contract.states import REFUSED_STATES, State
from ctsftp.contract.verdict import Verdict
from ctsftp.errors import CtsftpError, DiskError, NotFoundError, RefusedError, SettingsError
from ctsftp.ingest.holdings import Holdings
from ctsftp.ingest.inspection import Inspections, inspect
from ctsftp.ingest.loader import Loader
from ctsftp.ingest.naming import name_upload
from ctsftp.ingest.queue import Lane, UploadQueue
from ctsftp.ingest.reading import Reading
from ctsftp.ingest.sweeper import Sweeper
from ctsftp.settings import Settings
from ctsftp.sftp.landing import Answer, Ask, Awaited
from ctsftp.sftp.settings import SftpSettings
from ctsftp.spool.disk import LocalDisk
from ctsftp.spool.ground import check_ground
from ctsftp.spool.ids import UploadIds
from ctsftp.spool.reserve import Reserve
from ctsftp.spool.room import Room
from ctsftp.spool.spool import Spool
from ctsftp.spool.stored import StoredUpload
from ctsftp.store.store import Store

if TYPE_CHECKING:
    from ctsftp.notify.notifier import Notifier

BEATS_A_LEASE = 5
RESERVE_INTERVAL_S = 5
TOLD_WITHIN_S = 10
SENDERS_FIRST_S = 0.5  # that a load is put off, at most
FORESEEN_BESIDE_LOADS = 1

log = structlog.get_logger()


class Watch:
    """Hears what the engine does, to count it; this one does not listen."""

    def landed(self, upload: StoredUpload) -> None:
        """Hear of an upload that was acknowledged."""

    def loaded(self, seconds: float) -> None:
        """Hear what a load took, however it ended."""

    def told(self, upload: StoredUpload, state: State, code: str | None, reading: Reading | None) -> None:
        """Hear a verdict; `reading` is what was read of the file, if it was."""


class Engine:
    """The parts that work on uploads, and what they are asked by others."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        tasks: asyncio.TaskGroup,
        watch: Watch,
        changed: Callable[[str], None] = lambda _client: None,
    ) -> None:
        self.settings = settings
        self.store = store
        self.tasks = tasks
        self.watch = watch
        self.clients = Clients(settings.keys_dir)
        self.changed = changed
        self._tell_refusal: Callable[[StoredUpload, str], None] = lambda _upload, _reason: None
        # The sign of life in the data folder, where other nodes look for one.
        self.heartbeat: Heartbeat | None = None
        self._ids = UploadIds()
        self.holdings = Holdings(store)
        self.reserve = Reserve(settings.data_dir, settings.spool.reserve_bytes)
        self.spool = Spool(
            settings.data.clients, disk=LocalDisk(), next_id=self._ids.next, listed_bytes=self.holdings.bytes_of
        )
        self.queue = UploadQueue(
            self._load,
            lane_of=_lane_of,
            workers=settings.ingest.workers,
            size=settings.ingest.queue_size,
            is_large=self._is_large,
        )
        self.answers = Answers()
        self._inspections = Inspections()
        self._foreseeing: set[asyncio.Task[None]] = set()
        self._foreseen = asyncio.Event()
        self._lenient: set[str] = set()  # clients whose last upload was one of `refuse_at_close = false`
        self.touches = Touches(self._tell_of_empty)
        self.loader = Loader(
            settings.ingest,
            store=store,
            config_of=self.config_of,
            name_of=self._name,
            now=utc_now,
            try_again=self._try_again,
            told=self._hear,
            judged=self._answer,
            quietly=self.touches.ends_quietly,
            inspections=self._inspections,
            spare_bytes=self._spare_for_lists,
        )
        self.sweeper = Sweeper(
            spool=self.spool,
            store=store,
            queue=self.queue,
            settings=settings.sweep,
            retention=settings.spool,
            max_file_size_bytes=settings.sftp.max_file_size_bytes,
            now=utc_now,
            count=self.holdings.count,
        )

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        settings: Settings,
        watch: Watch | None = None,
        *,
        changed: Callable[[str], None] = lambda _client: None,
        by: str | None = None,
    ) -> AsyncIterator["Engine"]:
        """Take the data folder, put right what a dead process left, and work until the block ends.

        At the end what is being loaded goes back to `received`, and the next engine takes it up. `changed` is told
        the client whose uploads or segments changed. `by` is the node that does this for another one, whose folder it
        is.
        """
        with one_fault(), data_lock(settings.data_dir, disk=LocalDisk()):
            await asyncio.to_thread(_look_at_ground, settings)  # first: the database may fail for the same reason
            await asyncio.to_thread(Reserve(settings.data_dir, settings.spool.reserve_bytes).release_if_full)
            store = await Store.open(
                settings.database, clock=utc_now, migrate=True, node=lambda: node_name(settings.data_dir)
            )
            try:
                await check_clock(store)
                async with asyncio.TaskGroup() as tasks:
                    engine = cls(settings, store, tasks, watch or Watch(), changed)
                    await engine._begin_heartbeat(by)
                    await engine._recover()
                    working = [tasks.create_task(engine.queue.run())]
                    if store.node:
                        working.append(tasks.create_task(watch_decisions(store, engine.spool.upload, engine.queue)))
                    if engine.heartbeat:
                        beat = engine.heartbeat.beat(settings.takeover.after_s / BEATS_A_LEASE)
                        working.append(tasks.create_task(beat))
                    try:
                        yield engine
                    finally:
                        engine.spool.stop()
                        for task in (*working, *engine._foreseeing):
                            task.cancel()
            finally:
                await store.close()

    @cached_property
    def notifier(self) -> "Notifier":
        """What tells others; made when it is first needed: httpx and apprise take half a second."""
        from ctsftp.notify.notifier import Notifier  # noqa: PLC0415

        return Notifier(self.settings.notify, outbox=self.store.outbox, now=utc_now)

    def tell_refusals(self, tell: Callable[[StoredUpload, str], None]) -> None:
        """Have somebody told of each refused upload that shows in its home: its sender waits no longer to hear it."""
        self._tell_refusal = tell

    def config_of(self, client: str) -> ClientConfig:
        """Read what holds for one client's uploads."""
        return config_of(self.clients, client)

    def inspect(self, upload: StoredUpload) -> Fault | None:
        """Tell the sender at CLOSE what its name and its first bytes show, or all bytes of a short list."""
        config = self.config_of(upload.client)
        if config.refuse_at_close:
            self._lenient.discard(upload.client)
        else:
            self._lenient.add(upload.client)
        name = name_upload(upload, config, self.spool)
        most_rows = self.settings.ingest.max_rows
        inspections = self._inspections if self.settings.sftp.verdict_wait_s else None
        return inspect(upload, config, name, most_rows=most_rows, inspections=inspections)

    def is_upload_name(self, client: str, path: str) -> bool:
        """Tell whether a file that is renamed to this path is an upload; else it is only moved."""
        try:
            places = self.config_of(client).places
        except DiskError:  # the upload waits until client.toml can be read
            places = Places()
        return places.read(path) is not None

    def _name(self, upload: StoredUpload) -> Named:
        return name_upload(upload, self.config_of(upload.client), self.spool)

    def landed(self, upload: StoredUpload) -> Ask | None:
        """Queue an upload that has just landed, and give the answer to come; what does not fit is the sweep's."""
        self.watch.landed(upload)
        if not self.queue.offer(upload) or not self._is_answered(upload):
            return None
        return partial(self._expect, upload)

    def _expect(self, upload: StoredUpload) -> Awaited:
        if self._inspections.find(upload.id) and self.queue.is_next(upload):
            foresight = self.tasks.create_task(self._foresee(upload))
            self._foreseeing.add(foresight)
            foresight.add_done_callback(self._foreseen_one)
        return self.answers.expect(upload.id)

    def _foreseen_one(self, foresight: asyncio.Task[None]) -> None:
        self._foreseeing.discard(foresight)
        self._foreseen.set()

    def _is_answered(self, upload: StoredUpload) -> bool:
        """Whether anything but OK can be said of an upload while its sender waits."""
        waits = self.settings.sftp.verdict_wait_s > 0 and upload.client not in self._lenient
        return waits and read_name(upload.filename) is not None

    async def _foresee(self, upload: StoredUpload) -> None:
        """Answer the sender of a short list that is to load at once: its load may have to wait for those of others."""
        try:
            if await self.loader.is_to_load(upload):
                self.answers.tell(upload.id, None)
        except (CtsftpError, OSError):
            return  # its load will tell
        except Exception:
            log.exception("list not foreseen", upload=upload.id, client=upload.client)

    async def _let_senders_go_first(self) -> None:
        """Begin no load while many senders wait to hear that theirs will load, but for no longer than a moment."""
        with suppress(TimeoutError):
            async with asyncio.timeout(SENDERS_FIRST_S):
                while len(self._foreseeing) > FORESEEN_BESIDE_LOADS:
                    self._foreseen.clear()
                    await self._foreseen.wait()

    async def find_file(self, upload_id: str) -> StoredUpload | None:
        """Find the file of an upload in the ledger; `RefusedError` if it is no longer kept.

        None if it is another node's to keep and to load.
        """
        row = await self.store.ledger.upload(upload_id)
        if self.store.node and row.node != self.store.node:
            return None
        upload = await asyncio.to_thread(self.spool.upload, row.client, upload_id)
        if upload is None:
            days = self.settings.spool.keep_uploads_days
            raise RefusedError(
                f"The file of upload {upload_id} is no longer there (files are kept for {some(days, 'day')}):"
                " send it again."
            )
        return upload

    def apply(self, sftp: SftpSettings) -> None:
        """Take over limits that changed while the server runs."""
        self.settings = self.settings.model_copy(update={"sftp": sftp})

    def room(self) -> Room:
        """Tell how much room the disk of the data has; OSError where the folder is gone."""
        return Room.of(LocalDisk().room(self.settings.data_dir), self.settings.sftp.floor)

    async def keep_reserve(self) -> None:
        """Keep the reserve, for ever; a server does: a command's work is done before."""
        while True:
            await asyncio.to_thread(self.reserve.keep, self.settings.sftp.floor)
            await asyncio.sleep(RESERVE_INTERVAL_S)

    def _spare_for_lists(self) -> int:
        if self.store.folder is None:
            return sys.maxsize
        return Room.of(LocalDisk().room(self.store.folder), self.settings.sftp.floor).spare_bytes

    async def take_up(self, upload_id: str, upload: StoredUpload | None) -> None:
        """Queue an upload that an admin sent back to `received`, and wait until it is done, here or elsewhere."""
        if upload is None:
            await until_taken_up(self.store, upload_id)
        elif self.queue.offer(upload):
            await self.queue.wait_for([upload.id])

    async def wait_on(self) -> None:
        """Wait for the time of every upload that an earlier process was to try again: the next sweep may be late.

        Never for longer than anything waits: the clock may have been put back since.
        """
        ingest = self.settings.ingest
        longest_s = max(ingest.retry_most_s, 2 * ingest.retry_after_death_s)
        for upload, at in await self.put_off():
            self._try_again(upload, min(max(0.0, (at - utc_now()).total_seconds()), longest_s))

    async def put_off(self) -> list[tuple[StoredUpload, datetime]]:
        """List the uploads in this data folder that are to be tried again by themselves, and when."""
        return [
            (upload, datetime.fromisoformat(row.retry_at))
            for row in await self.store.ledger.uploads(state=State.FAILED)
            if row.retry_at and (upload := await asyncio.to_thread(self.spool.upload, row.client, row.id))
        ]

    async def _load(self, upload: StoredUpload) -> None:
        began = time.monotonic()
        try:
            await self._let_senders_go_first()
            await self.loader.load(upload)
        finally:
            self.answers.tell(upload.id, None)
        seconds = time.monotonic() - began
        self.watch.loaded(seconds)
        self.changed(upload.client)
        log.info("load ended", upload=upload.id, client=upload.client, seconds=round(seconds, 3))

    def _tell_of_empty(self, upload: StoredUpload) -> None:
        self.tasks.create_task(self._tell_when_rejected(upload))

    async def _tell_when_rejected(self, upload: StoredUpload) -> None:
        try:
            with suppress(TimeoutError):  # the server may be stopping, and the load with it
                async with asyncio.timeout(TOLD_WITHIN_S):
                    await self.queue.wait_for([upload.id])
            await self.store.ledger.tell_of_refusal(upload.id)
        except CtsftpError as exc:
            log.warning("nobody was told of an empty file", upload=upload.id, client=upload.client, error=str(exc))

    async def _answer(self, upload: StoredUpload, verdict: Verdict) -> None:
        """Put the home right, then tell the sender that waits."""
        answer, was_hidden = await asyncio.to_thread(self._settle, upload, verdict)
        if was_hidden:
            self._tell_refusal(upload, verdict.reason)
        self.answers.tell(upload.id, answer)

    def _settle(self, upload: StoredUpload, verdict: Verdict) -> tuple[Answer | None, bool]:
        """Let an upload stand in the home, or take a refused one out of it; give what its sender is told.

        And tell whether it was taken out.
        """
        was_hidden = False
        try:
            if verdict.state is State.LOADED and not verdict.reason:
                self.spool.settle(upload)
                return None, False
            config = self.config_of(upload.client)
            if verdict.state in REFUSED_STATES and config.refuse_at_close:
                was_hidden = self.spool.hide(upload)
            else:
                self.spool.settle(upload)
        except (CtsftpError, OSError) as exc:
            log.warning("home not put right", upload=upload.id, client=upload.client, error=str(exc))
            return None, False
        return answer_to(upload, verdict, config), was_hidden

    def _hear(self, upload: StoredUpload, state: State, code: str | None, reading: Reading | None) -> None:
        if reading:
            self.holdings.add(upload.client, state, reading)
        self.watch.told(upload, state, code, reading)

    def _is_large(self, upload: StoredUpload) -> bool:
        try:
            return upload.path.stat().st_size >= self.settings.ingest.large_from_bytes
        except OSError:  # the loader will say so
            return False

    def _try_again(self, upload: StoredUpload, delay_s: float) -> None:
        asyncio.get_running_loop().call_later(delay_s, self.queue.offer, upload)

    async def _begin_heartbeat(self, by: str | None) -> None:
        if self.store.node and self.settings.takeover.folders:
            self.heartbeat = Heartbeat(self.settings.data_dir, by or self.store.node)
            await asyncio.to_thread(self.heartbeat.begin)

    async def _recover(self) -> None:
        """Put right what a dead process left."""
        cleared = await asyncio.to_thread(self.spool.clear_staging)
        of_each = self.spool.of_each_client("recover", lambda client: max(self.spool.upload_ids(client), default=""))
        newest = await asyncio.to_thread(lambda: max(of_each, default=""))
        for upload in await self.store.ledger.uploads(limit=1):  # its file may be gone already
            newest = max(newest, upload.id)
        if newest:
            self._ids.start_after(newest)
        await self.store.recover(wait_s=self.settings.ingest.retry_after_death_s)
        log.info("recovered", staging_files_deleted=cleared)


def config_of(clients: Clients, client: str) -> ClientConfig:
    """Read what holds for one client's uploads; the defaults, where its folder is gone but its uploads are here.

    `DiskError` if it cannot be read: an upload waits for that, and is never judged by what nobody wrote down.
    """
    try:
        config, problems = clients.config(client)
    except NotFoundError:
        return ClientConfig()
    except RefusedError as exc:  # it is there, and this account may not read it
        raise DiskError(str(exc)) from exc
    if problems:
        raise DiskError(f"Its uploads wait until this is repaired: {problems[0]}.")
    return config


def _look_at_ground(settings: Settings) -> None:
    """Raise a `SettingsError` if no upload could land in the data folder; warn of a disk in the net."""
    for finding in check_ground(settings.data_dir, shared=settings.takeover.folders is not None):
        if finding.level is Level.BAD:
            raise SettingsError(f"{finding.text} {finding.do}")
        log.warning("data folder on a disk in the net", found=finding.text, do=finding.do)


def _lane_of(upload: StoredUpload) -> Lane:
    """Tell the segment that an upload is for; other files need no order."""
    name = read_name(upload.filename)
    return (upload.client, name.key if isinstance(name, SegmentFile) else upload.id)
