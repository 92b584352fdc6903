"""Takes one upload from `received` to where it ends: reads it, has it judged, and publishes what is to load.

Faults are told apart here: the file's (rejected), ours (failed, tried again later) and a server that is
stopping (back to `received`, as if nothing had happened).
"""

import asyncio
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import nullcontext, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import structlog

from ctsftp.clients.config import ClientConfig
from ctsftp.contract.codes import Code, Fault, harmless
from ctsftp.contract.counting import some
from ctsftp.contract.ids import unix_ms_of
from ctsftp.contract.names import SegmentFile, read_name
from ctsftp.contract.places import Elsewhere, Named, directory_notice
from ctsftp.contract.reasons import NO_ID
from ctsftp.contract.states import State
from ctsftp.contract.verdict import Case, SegmentFacts, Verdict
from ctsftp.errors import CtsftpError, DiskError, StoreError
from ctsftp.ingest.inspection import Inspected, Inspections
from ctsftp.ingest.naming import IGNORED, TOUCHED
from ctsftp.ingest.reading import Reading, id_titles, max_rows_of, read_in_thread
from ctsftp.ingest.settings import IngestSettings
from ctsftp.model.records import Facts, NewUpload, Outcome, Upload
from ctsftp.model.twins import say_twin
from ctsftp.spool.stored import StoredUpload
from ctsftp.store.snapshots import bytes_to_write
from ctsftp.store.store import Store

MAX_DOUBLINGS = 16
TO_LOAD = Verdict(State.LOADED)
MAX_INTERNAL_FAULTS = 3
SHOWN_FAULT_CHARACTERS = 200

log = structlog.get_logger()

# Hears each verdict: the upload, its state and code, and what was read of it.
Told = Callable[[StoredUpload, State, str | None, Reading | None], None]

# Hears, once, what a sender that waits is told: a verdict that is in the ledger, or that a list is to load.
Judged = Callable[[StoredUpload, Verdict], Awaitable[None]]


async def _unheard(_upload: StoredUpload, _verdict: Verdict) -> None:
    pass


class Loader:
    """Loads uploads, one call each; calls for the same segment must not overlap (the queue sees to that)."""

    def __init__(
        self,
        settings: IngestSettings,
        *,
        store: Store,
        config_of: Callable[[str], ClientConfig],
        name_of: Callable[[StoredUpload], Named],
        now: Callable[[], datetime],
        try_again: Callable[[StoredUpload, float], None],
        told: Told,
        judged: Judged = _unheard,
        quietly: Callable[[StoredUpload], bool] = lambda _: False,
        inspections: Inspections | None = None,
        spare_bytes: Callable[[], int] = lambda: sys.maxsize,
    ) -> None:
        self._settings = settings
        self._store = store
        self._config_of = config_of
        # Blocks; what cannot be read now (a client.toml, the file) is a fault of ours.
        self._name_of = name_of
        self._now = now
        self._try_again = try_again
        self._told = told
        self._judged = judged
        self._quietly = quietly
        self._inspections = inspections or Inspections()
        # What the disk of the database has above the floor.
        self._spare_bytes = spare_bytes
        # What each load that is under way was promised of it.
        self._promised: dict[str, int] = {}
        # The faults of ours that an upload has met, until it is done: the ledger may be what fails.
        self._faults: dict[str, Counter[Code]] = {}
        # Held by an upload that may have killed a server: of two that were loading then, only one did it.
        self._one_suspect = asyncio.Lock()

    async def load(self, upload: StoredUpload) -> None:
        """Take an upload to the end of its way, or note when to try again; never raises an `Exception`.

        Cancelled, it leaves the upload `received`: a server that stops in good order is no load that died.
        """
        try:
            await self._load_or_fail(upload)
        except asyncio.CancelledError:
            # What the database says now must not hide that this is to end.
            with suppress(CtsftpError):
                await self._store.ledger.move(upload.id, State.RECEIVED, expect=State.LOADING)
            raise

    async def _load_or_fail(self, upload: StoredUpload) -> None:
        try:
            await self._load(upload)
        except DiskError as exc:
            await self._failed(upload, Code.DISK, str(exc))
        except OSError as exc:
            await self._failed(upload, Code.DISK, f"The file could not be read: {exc.strerror or exc}.")
        except StoreError as exc:
            await self._failed(upload, Code.DATABASE, str(exc))
        except Exception as exc:
            log.exception("load failed", upload=upload.id)
            what = harmless(repr(exc), limit=SHOWN_FAULT_CHARACTERS)
            await self._failed(
                upload, Code.INTERNAL, f"The loader could not do it: {what}. The server's log says more."
            )
        else:
            self._faults.pop(upload.id, None)
        finally:
            self._promised.pop(upload.id, None)

    async def _load(self, upload: StoredUpload) -> None:
        name, unread, size = await asyncio.to_thread(self._look_at, upload)
        row = await self._enter(upload, name.file if isinstance(name, Elsewhere) else name, size)
        if row.state is State.LOADING or (row.state is State.FAILED and row.retry_at):
            # An earlier try of this process. Whoever else moves it meanwhile queues it, too.
            if not await self._store.ledger.move(upload.id, State.RECEIVED, expect=row.state):
                return
        elif row.state is not State.RECEIVED:
            return
        if unread:
            await self._store.ledger.move(upload.id, State.LOADING)
            raise unread
        if isinstance(name, Elsewhere) and not row.approved and not await self._is_known_folder(upload, name):
            name = name.fault
        if name is None:
            await self._end(upload, State.IGNORED, IGNORED)
        elif isinstance(name, Fault):
            await self._end(upload, State.REJECTED, name)
        elif row.size == 0 and (await asyncio.to_thread(self._config_of, upload.client)).touch_first:
            await self._end(upload, State.IGNORED, TOUCHED)
        else:
            async with self._one_suspect if row.deaths else nullcontext():
                await self._store.ledger.move(upload.id, State.LOADING)
                await self._load_segment_file(upload, name, approved=row.approved)

    def _look_at(self, upload: StoredUpload) -> tuple[Named, DiskError | OSError | None, int]:
        """Tell an upload's name and size; where its client's settings cannot be read, its name by itself, and why."""
        size = upload.path.stat().st_size
        try:
            return self._name_of(upload), None, size
        except (DiskError, OSError) as exc:
            return read_name(upload.filename), exc, size

    async def _is_known_folder(self, upload: StoredUpload, name: Elsewhere) -> bool:
        """Tell whether lists of the segment were taken from this folder before, where no setting names the folders."""
        return not name.named and await self._store.ledger.came_from(upload.client, name.file.key, upload.directory)

    async def _enter(self, upload: StoredUpload, name: SegmentFile | Fault | None, size: int) -> Upload:
        """Enter the upload in the ledger, if it is not there yet, and give its row."""
        known = name if isinstance(name, SegmentFile) else None
        await self._store.ledger.receive(
            NewUpload(
                id=upload.id,
                client=upload.client,
                filename=upload.filename,
                segment_title=known.title if known else None,
                segment_key=known.key if known else None,
                stamp=known.stamp if known else None,
                size=size,
                directory=upload.directory,
                received_at=datetime.fromtimestamp(unix_ms_of(upload.id) / 1000, UTC),
            )
        )
        return await self._store.ledger.upload(upload.id)

    async def _load_segment_file(self, upload: StoredUpload, found: SegmentFile | Elsewhere, *, approved: bool) -> None:
        await self._require_room(upload, 1)
        config = await asyncio.to_thread(self._config_of, upload.client)
        inspected = self._inspected(upload, config)
        reading = inspected.reading if inspected else await self._read(upload, config)
        name = found.file if isinstance(found, Elsewhere) else found
        if isinstance(found, Elsewhere):
            reading.notices.append(directory_notice(upload.directory))
        if reading.fault:
            await self._end(upload, State.REJECTED, reading.fault, reading)
        else:
            is_to_load = inspected is not None and inspected.is_to_load
            await self._judge_and_publish(upload, name, config, reading, approved=approved, is_to_load=is_to_load)

    def _inspected(self, upload: StoredUpload, config: ClientConfig) -> Inspected | None:
        """Give what was read of a list at its CLOSE, unless its client's settings have changed since."""
        inspected = self._inspections.take(upload.id)
        return inspected if inspected and inspected.config == config else None

    async def _read(self, upload: StoredUpload, config: ClientConfig) -> Reading:
        max_rows = max_rows_of(config, self._settings.max_rows)
        return await read_in_thread(upload.path, id_titles=id_titles(config), max_rows=max_rows)

    async def _case(self, upload: StoredUpload, file: SegmentFile, config: ClientConfig, reading: Reading) -> Case:
        return reading.case(
            file,
            guards=config.guards_for(file.key, self._settings.guards),
            today=self._now().date(),
            upload_id=upload.id,
            # It is only asked of a file whose last row may be cut off.
            ends_lines=bool(reading.signs.last_row) and await self._store.ledger.ends_lines(upload.client),
        )

    async def _facts_and_twin(self, upload: StoredUpload, name: SegmentFile) -> tuple[SegmentFacts | None, str | None]:
        return await self._store.segments.facts_and_twin(upload.client, name.key, upload.filename, other_than=upload.id)

    async def is_to_load(self, upload: StoredUpload) -> bool:
        """Judge a list that was read at its CLOSE, and that no other of its segment is before; write nothing down.

        Its load says it in the end; but a sender that waits need not wait until a worker has time.
        """
        inspected = self._inspections.find(upload.id)
        if inspected is None or not isinstance(inspected.name, SegmentFile):
            return False
        case = await self._case(upload, inspected.name, inspected.config, inspected.reading)
        facts, twin = await self._facts_and_twin(upload, inspected.name)
        inspected.is_to_load = case.verdict(facts, twin).state is State.LOADED
        return inspected.is_to_load and not await self._remark(upload, inspected.reading)  # its load says that

    async def _remark(self, upload: StoredUpload, reading: Reading) -> str:
        """Give what the sender of a list that is loaded should know at once; "" where that is nothing.

        A client's first list tells nobody whether its lists end with a line break: it may be cut off. Of rejected rows
        those tell nothing whose id is empty: contacts outside the loyalty program are in every export.
        """
        remarks: list[str] = []
        if wrong := next((row for row in reading.rejected_rows if row.reason != NO_ID), None):
            count = f"{reading.rejected:,} of {some(reading.rows, 'row')}"
            remarks.append(f'Rejected are {count}, among them line {wrong.line}, "{wrong.value}": {wrong.reason}.')
        if reading.signs.last_row and not await self._store.ledger.has_applied(upload.client):
            remarks.append(
                "The last line does not end with a line break. If the file was cut off, its last row is wrong:"
                f' "{reading.signs.last_row}".'
            )
        return " ".join(remarks)

    async def _judge_and_publish(
        self,
        upload: StoredUpload,
        name: SegmentFile,
        config: ClientConfig,
        reading: Reading,
        *,
        approved: bool,
        is_to_load: bool,
    ) -> None:
        """Judge, unless it is known that it `is_to_load`; write a new snapshot then; judge again as it is published."""
        case = await self._case(upload, name, config, reading)
        outcome = None
        while outcome is None:  # judged not to load, and then to load: another node has changed the segment
            snapshot = None
            if is_to_load or case.verdict(*await self._facts_and_twin(upload, name), approved).state is State.LOADED:
                await self._require_room(upload, bytes_to_write(reading.members))
                await self._judged(upload, replace(TO_LOAD, reason=await self._remark(upload, reading)))
                snapshot = await self._store.snapshots.write(upload.id, reading.ids)
                reading.drop_ids()
            outcome = await self._store.snapshots.publish(
                upload.id, snapshot, judge=case.verdict, rejects=reading.rejected_rows, **reading.facts
            )
        self._tell(upload, outcome.state, outcome.code, reading, outcome)
        if outcome.state is not State.LOADED:
            await self._judged(upload, await self._as_told(upload, outcome))
        if not outcome.is_tidy:
            await self._tidy_rows(upload, name)

    async def _tidy_rows(self, upload: StoredUpload, name: SegmentFile) -> None:
        """Bring up the rows that the next list will need; nobody reads them, so a fault is none of the load's."""
        try:
            await self._store.rows.tidy(upload.client, name.key)
        except CtsftpError as exc:
            log.warning("rows not tidied", upload=upload.id, error=str(exc))

    async def _as_told(self, upload: StoredUpload, outcome: Outcome) -> Verdict:
        """Give the verdict as its sender is told it: of what came before, sent again, what has become of that."""
        if outcome.state is State.DUPLICATE:
            with suppress(CtsftpError):
                twin = await self._store.ledger.twin_of(await self._store.ledger.upload(upload.id))
                if twin and twin.state is State.HELD:
                    return _verdict(State.HELD, twin.code, twin.reason)
                return _verdict(State.DUPLICATE, None, None if twin and twin.is_current else say_twin(twin))
        return _verdict(outcome.state, outcome.code, outcome.reason)

    async def _require_room(self, upload: StoredUpload, needed_bytes: int) -> None:
        """Promise a load room for what it writes to the database; DiskError if that would go below the floor.

        What was deleted from the database's file is filled first, and counts as free.
        """
        self._promised.pop(upload.id, None)
        spare_bytes = await asyncio.to_thread(self._spare_bytes)
        if spare_bytes - sum(self._promised.values()) < needed_bytes:
            spare_bytes += await self._store.numbers.reusable_bytes()
        if spare_bytes - sum(self._promised.values()) < needed_bytes:
            raise DiskError(
                f"The disk of the database is nearly full: this list needs {needed_bytes:,} bytes above those that are"
                " left free (free_floor_bytes, free_floor_percent). It is loaded when there is room."
            )
        self._promised[upload.id] = needed_bytes

    async def _end(
        self, upload: StoredUpload, state: State, why: Fault | Verdict | None = None, reading: Reading | None = None
    ) -> None:
        """Bring an upload that makes no snapshot to its end, or to where it waits for an admin."""
        facts: Facts = reading.facts if reading else {}
        facts["code"] = why.code if why else None
        facts["reason"] = (why.reason if why else "") or None
        await self._store.ledger.finish(
            upload.id,
            state,
            rejects=reading.rejected_rows if reading else (),
            quietly=facts["code"] is Code.EMPTY_FILE and self._quietly(upload),
            **facts,
        )
        self._tell(upload, state, why.code if why else None, reading)
        await self._judged(upload, _verdict(state, facts["code"], facts["reason"]))

    async def _failed(self, upload: StoredUpload, code: Code, reason: str) -> None:
        """Note a fault of ours, in the ledger if it can be had, and try again later; the wait doubles each time."""
        faults = self._faults.setdefault(upload.id, Counter())
        faults[code] += 1
        attempts = faults.total()
        delay_s = min(self._settings.retry_first_s * 2 ** min(attempts - 1, MAX_DOUBLINGS), self._settings.retry_most_s)
        # The disk and the database heal; a bug, or too little memory, does not: that waits for `upload retry`.
        gives_up = faults[Code.INTERNAL] >= MAX_INTERNAL_FAULTS
        written = False
        try:
            written = await self._store.ledger.move(
                upload.id,
                State.FAILED,
                expect=State.LOADING,
                code=code,
                reason=reason,
                attempts=attempts,
                retry_at=None if gives_up else self._now() + timedelta(seconds=delay_s),
            )
        except CtsftpError as exc:
            log.warning("failure not written down", upload=upload.id, error=str(exc))
        log.error(
            "load failed", upload=upload.id, client=upload.client, code=str(code), reason=reason, attempts=attempts
        )
        self._told(upload, State.FAILED, code, None)
        if gives_up and written:
            del self._faults[upload.id]
        else:
            self._try_again(upload, delay_s)

    def _tell(
        self,
        upload: StoredUpload,
        state: State,
        code: str | None,
        reading: Reading | None,
        outcome: Outcome | None = None,
    ) -> None:
        log.info(
            "verdict",
            upload=upload.id,
            client=upload.client,
            file=upload.filename,
            state=str(state),
            code=code,
            rows=reading.rows if reading else None,
            members=reading.members if reading else None,
            rejected=reading.rejected if reading else None,
            entered=outcome.entered if outcome else None,
            left=outcome.left if outcome else None,
        )
        self._told(upload, state, code, reading)


def _verdict(state: State, code: str | None, reason: str | None) -> Verdict:
    return Verdict(state, Code(code) if code else None, reason or "")
