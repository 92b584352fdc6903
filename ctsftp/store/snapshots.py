"""Snapshots: their lists are written in short transactions, read part by part, deleted in pieces, and never changed.

A snapshot belongs to no segment until it is published (`publishing`), and one that is to be deleted first
loses its segment. So whatever is cut off in the middle looks alike: a snapshot of no segment, whose upload is
not being loaded. `delete_abandoned` deletes those.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import timedelta
from functools import partial
from typing import Any, Unpack

import numpy as np
import sqlalchemy as sa
from sqlalchemy import Connection

from ctsftp.contract.rows import NO_IDS, Ids, RejectedRow
from ctsftp.contract.states import State
from ctsftp.lists import MAX_PART_IDS, changes, in_memory
from ctsftp.model.records import Clock, Facts, Outcome
from ctsftp.model.writing import iso
from ctsftp.store import publishing
from ctsftp.store.backend import bulk_of
from ctsftp.store.database import Database
from ctsftp.store.ledger import read_upload
from ctsftp.store.moves import state_of
from ctsftp.store.parts import Batch, batches, delete_parts, open_list, write_parts
from ctsftp.store.rows import RowSets
from ctsftp.store.tables import segments, snapshots, uploads

SNAPSHOTS_AT_ONCE = 100  # looked at in one transaction that deletes
READ_AT_ONCE = MAX_PART_IDS

# Measured in SQLite, with what pages need around them: 11.5 for ids of 8 digits, 16.5 for ids of 19, and up to 3 for
# the parts of ids that do not lie scattered. What is written stands in the log a second time for a while.
MEMBER_BYTES = 20
LOG_BYTES = 64 << 20


class Snapshots:
    """The snapshots of all segments, by their id."""

    def __init__(self, database: Database, clock: Clock, rows: RowSets) -> None:
        self._database = database
        self._clock = clock
        self._rows = rows
        self._bulk = bulk_of(database.backend)

    async def write(self, upload_id: str, ids: Ids) -> int:
        """Write the list of an upload that is being loaded: ascending ids without repetitions; give its snapshot.

        Nobody sees it until it is published. A transaction writes `WRITTEN_BYTES`; others get their turn in between.
        """
        coming = batches(ids)
        batch = await asyncio.to_thread(_next, coming)
        snapshot_id = await self._database.write(partial(_begin, upload_id=upload_id, members=len(ids), batch=batch))
        while batch := await asyncio.to_thread(_next, coming):
            await self._database.write(partial(_go_on, snapshot_id=snapshot_id, batch=batch))
        return snapshot_id

    async def publish(
        self,
        upload_id: str,
        snapshot_id: int | None,
        *,
        judge: publishing.Judge,
        rejects: Sequence[RejectedRow] = (),
        **facts: Unpack[Facts],
    ) -> Outcome | None:
        """Make a complete snapshot its segment's current one, together with the ledger's move, or neither.

        `members` must be among the facts. `judge` is asked within the transaction, about the segment as it then
        is. If it no longer says `loaded`, the upload moves to the state that it says, and the snapshot is left to
        `delete_abandoned`. Without a snapshot, for an upload that was not to load, None says that now it is.
        After one that is loaded, `RowSets.tidy` has work to do.
        """
        publish = partial(
            publishing.publish, upload_id=upload_id, clock=self._clock, judge=judge, rejects=rejects, facts=facts
        )
        if snapshot_id is None:
            return await self._database.write(lambda conn: publish(conn, None))
        upload = await self._database.read(lambda conn: read_upload(conn, upload_id))
        return await self._rows.publish(upload.client, upload.segment_key, lambda _: snapshot_id, publish)

    async def stream_members(self, snapshot_id: int) -> AsyncIterator[Ids]:
        """Read a snapshot's ids, ascending, in pages; `SnapshotGoneError` if it was deleted meanwhile."""
        above = 0
        while (page := await self._database.read_page(partial(self._read_page, snapshot_id, above))).size:
            above = int(page[-1])
            yield page

    async def changes(self, old_id: int, new_id: int) -> tuple[Ids, Ids]:
        """Tell who entered and who left between two snapshots, both ascending."""

        def compare(conn: Any) -> tuple[Ids, Ids]:
            entered, left = [NO_IDS], [NO_IDS]
            for change in changes(*(open_list(conn, self._bulk, one) for one in (old_id, new_id))):
                entered.append(change.entered)
                left.append(change.left)
            return np.concatenate(entered), np.concatenate(left)

        return await self._database.read_page(compare)

    async def count_changes(self, snapshot_id: int, ids: Ids) -> tuple[int, int]:
        """Count who would enter and who would leave with these ids: ascending, without repetitions."""

        def count(conn: Any) -> tuple[int, int]:
            entered = left = 0
            for change in changes(open_list(conn, self._bulk, snapshot_id), in_memory(ids)):
                entered += change.entered.size
                left += change.left.size
            return entered, left

        return await self._database.read_page(count)

    async def prune(self, *, keep_last: int, keep_days: int) -> int:
        """Delete old snapshots: not a segment's current one, its last, nor the last of each of the last days.

        Days are UTC's, and today is the first of them. Returns how many snapshots were deleted.
        """
        if keep_last < 1:
            raise ValueError("A segment's newest snapshot must stay: the next one is numbered after it.")
        first_day = iso(self._clock() - timedelta(days=keep_days - 1))[:10]
        await self._database.write(partial(_unpublish_old, keep_last=keep_last, first_day=first_day))
        return await self.delete_abandoned()

    async def delete_abandoned(self) -> int:
        """Delete the snapshots that belong to no segment and are not being written, and rows that nobody needs.

        Returns how many snapshots there were.
        """
        left: Sequence[int] = await self._database.read(_abandoned)
        found = len(left)
        while left:
            left = await self._database.write(partial(_delete_some, snapshot_ids=left))
        await self._rows.delete_abandoned()
        return found

    def _read_page(self, snapshot_id: int, above: int, conn: Any) -> Ids:
        return next(open_list(conn, self._bulk, snapshot_id).pages(above, READ_AT_ONCE), NO_IDS)


def bytes_to_write(members: int) -> int:
    """Estimate how much a snapshot of so many members takes of the disk while it is written."""
    kept = members * MEMBER_BYTES
    return kept + min(kept, LOG_BYTES)


def unpublish(conn: Connection, ids: sa.Select[tuple[int]]) -> None:
    """Take snapshots out of their segment's history at once; `delete_abandoned` then deletes them bit by bit."""
    conn.execute(snapshots.update().where(snapshots.c.id.in_(ids)).values(segment_id=None, number=None))


def _next(coming: Iterator[Batch]) -> Batch:
    return next(coming, [])


def _begin(conn: Connection, *, upload_id: str, members: int, batch: Batch) -> int:
    state = state_of(conn, upload_id)
    if state is not State.LOADING:
        raise ValueError(f"A snapshot is made by an upload that is loading, not {state}.")
    row = snapshots.insert().values(upload_id=upload_id, members=members).returning(snapshots.c.id)
    snapshot_id = int(conn.execute(row).scalar_one())
    write_parts(conn, snapshot_id, batch)
    return snapshot_id


def _go_on(conn: Connection, *, snapshot_id: int, batch: Batch) -> None:
    this = sa.select(snapshots.c.id).where(snapshots.c.id == snapshot_id, snapshots.c.segment_id.is_(None))
    if not conn.execute(this.with_for_update()).first():
        raise ValueError(f"The snapshot {snapshot_id} is not being written.")
    write_parts(conn, snapshot_id, batch)


def _unpublish_old(conn: Connection, *, keep_last: int, first_day: str) -> None:
    conn.execute(sa.select(segments.c.id).order_by(segments.c.id).with_for_update())
    columns = snapshots.c
    day = sa.func.substr(columns.published_at, 1, 10)
    # One window, in the order of an index: nothing is sorted, however many there are.
    window: dict[str, Any] = {"partition_by": columns.segment_id, "order_by": columns.number.desc()}
    ranked = (
        sa.select(
            columns.id,
            day.label("day"),
            sa.func.row_number().over(**window).label("place"),
            sa.func.lag(day).over(**window).label("next_day"),
        )
        .where(columns.segment_id.is_not(None))
        .subquery()
        .c
    )
    kept = sa.or_(
        ranked.place <= keep_last,
        sa.and_(ranked.day >= first_day, ranked.day.is_distinct_from(ranked.next_day)),
    )
    current = sa.select(segments.c.current_snapshot_id).where(segments.c.current_snapshot_id.is_not(None))
    unpublish(conn, sa.select(ranked.id).where(sa.not_(kept), ranked.id.not_in(current)))


def _abandoned(conn: Connection) -> list[int]:
    query = (
        sa.select(snapshots.c.id)
        .join(uploads, uploads.c.id == snapshots.c.upload_id)
        .where(snapshots.c.segment_id.is_(None), uploads.c.state != State.LOADING)
    )
    return list(conn.execute(query).scalars())


def _delete_some(conn: Connection, *, snapshot_ids: Sequence[int]) -> Sequence[int]:
    """Delete as much of these snapshots as a transaction may; return those of which something is left.

    One that another node is deleting is left to that.
    """
    for place, snapshot_id in enumerate(snapshot_ids):
        if place == SNAPSHOTS_AT_ONCE:
            return snapshot_ids[place:]
        this = snapshots.c.id == snapshot_id
        if conn.execute(sa.select(snapshots.c.id).where(this).with_for_update(skip_locked=True)).first():
            if not delete_parts(conn, snapshot_id):
                return snapshot_ids[place:]
            conn.execute(snapshots.delete().where(this))
    return ()
