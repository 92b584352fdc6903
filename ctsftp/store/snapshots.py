"""Snapshots: written in short transactions, read in pages, deleted in chunks, and never changed.

A snapshot belongs to no segment until it is published (`publishing`), and one that is to be deleted first
loses its segment. So whatever is cut off in the middle looks alike: a snapshot of no segment, whose upload is
not being loaded. `delete_abandoned` deletes those.
"""

from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from functools import partial
from typing import Any, Unpack

import sqlalchemy as sa
from sqlalchemy import Connection

from ctsftp.contract.codes import Notice
from ctsftp.contract.rows import Ids, RejectedRow
from ctsftp.contract.states import State
from ctsftp.errors import NotFoundError, StoreError
from ctsftp.model.records import Clock, Facts, Outcome, Uncounted
from ctsftp.model.writing import iso
from ctsftp.store import publishing
from ctsftp.store.backend import bulk
from ctsftp.store.changes import compare, pages
from ctsftp.store.database import Database
from ctsftp.store.ledger import add_warnings
from ctsftp.store.moves import state_of
from ctsftp.store.tables import is_mine, segments, snapshot_members, snapshots, uploads

# An insert of so many holds the write lock for about 40 ms, a delete for about 13; a page of so many holds up
# the event loop for about 5 ms while its text becomes numbers.
INSERTED_AT_ONCE = 100_000
DELETED_AT_ONCE = 20_000
SNAPSHOTS_AT_ONCE = 100  # which, with no more members than that, take as long again
READ_AT_ONCE = 100_000

# Measured in SQLite, with what pages need around them: 11.5 for ids of 8 digits, 16.5 for ids of 19. What is written
# stands in the log a second time for a while.
MEMBER_BYTES = 17
LOG_BYTES = 64 << 20


class Snapshots:
    """The snapshots of all segments, by their id."""

    def __init__(self, database: Database, clock: Clock, node: str | None = None) -> None:
        self._database = database
        self._clock = clock
        self._node = node

    async def begin(self, upload_id: str, members: int = 0) -> int:
        """Begin the snapshot of an upload that is being loaded; nobody sees it until it is published.

        `members` is how many it will have, so that the database can lay them down accordingly.
        """

        def work(conn: Connection) -> int:
            state = state_of(conn, upload_id)
            if state is not State.LOADING:
                raise ValueError(f"A snapshot is made by an upload that is loading, not {state}.")
            row: dict[str, Any] = {"upload_id": upload_id, "members": 0}
            if (snapshot_id := bulk(conn).new_snapshot_id(conn, members)) is not None:
                row["id"] = snapshot_id
            return int(conn.execute(snapshots.insert().values(row).returning(snapshots.c.id)).scalar_one())

        return await self._database.write(work)

    async def add_members(self, snapshot_id: int, ids: Ids) -> None:
        """Add members to a snapshot that is being written: an ascending array without repetitions.

        A transaction a chunk: other writers get their turn in between.
        """
        for start in range(0, len(ids), INSERTED_AT_ONCE):
            chunk = ids[start : start + INSERTED_AT_ONCE]
            last = start + INSERTED_AT_ONCE >= len(ids)
            await self._database.write(partial(_insert, snapshot_id=snapshot_id, ids=chunk, last=last))

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
        """
        return await self._database.write(
            lambda conn: publishing.publish(
                conn, upload_id, snapshot_id, now=self._clock(), judge=judge, rejects=rejects, facts=facts
            )
        )

    async def set_changes(self, snapshot_id: int, *, entered: int, left: int, warnings: Sequence[Notice] = ()) -> None:
        """Note how many members entered and left with a snapshot, and what to warn of on its upload."""
        this = snapshots.c.id == snapshot_id

        def work(conn: Connection) -> None:
            conn.execute(snapshots.update().where(this).values(entered=entered, left=left))
            upload_id = conn.execute(sa.select(snapshots.c.upload_id).where(this)).scalar_one_or_none()
            if upload_id and warnings:
                add_warnings(conn, upload_id, warnings)

        await self._database.write(work)

    async def uncounted(self) -> list[Uncounted]:
        """List the snapshots whose changes a process that died had yet to count, where they still can be."""
        return await self._database.read(partial(_uncounted, node=self._node))

    def stream_members(self, snapshot_id: int) -> AsyncIterator[Ids]:
        """Read a snapshot's ids, ascending, in pages; `StoreError` if it was deleted meanwhile."""
        return stream_members(self._database, snapshot_id)

    def stream_changes(self, old_id: int, new_id: int) -> AsyncIterator[tuple[Ids, Ids]]:
        """Compare two snapshots in constant memory: pieces of who entered and who left, both ascending."""
        return compare(stream_members(self._database, old_id), stream_members(self._database, new_id))

    async def count_changes(self, snapshot_id: int, ids: Ids) -> tuple[int, int]:
        """Count who would enter and who would leave with these ids: ascending, without repetitions."""
        entered = left = 0
        async for came, went in compare(self.stream_members(snapshot_id), pages(ids)):
            entered += len(came)
            left += len(went)
        return entered, left

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
        """Delete the snapshots that belong to no segment and are not being written; returns how many there were."""
        left: Sequence[int] = await self._database.read(_abandoned)
        found = len(left)
        while left:
            left = await self._database.write(partial(_delete_some, snapshot_ids=left))
        return found


def bytes_to_write(members: int) -> int:
    """Estimate how much a snapshot of so many members takes of the disk while it is written."""
    kept = members * MEMBER_BYTES
    return kept + min(kept, LOG_BYTES)


async def stream_members(database: Database, snapshot_id: int) -> AsyncIterator[Ids]:
    """Read a snapshot's ids, ascending, a page a transaction; `StoreError` if it was deleted meanwhile."""
    missing = await database.read(partial(_count, snapshot_id=snapshot_id))
    above = 0
    while missing > 0:
        page = await database.read(partial(_read_page, snapshot_id=snapshot_id, above=above))
        if not page.size or page.size > missing:
            raise StoreError(f"The snapshot {snapshot_id} was deleted while it was read.")
        missing -= page.size
        above = int(page[-1])
        yield page


def unpublish(conn: Connection, ids: sa.Select[tuple[int]]) -> None:
    """Take snapshots out of their segment's history at once; `delete_abandoned` then deletes them bit by bit."""
    conn.execute(snapshots.update().where(snapshots.c.id.in_(ids)).values(segment_id=None, number=None))


def _read_page(conn: Connection, *, snapshot_id: int, above: int) -> Ids:
    return bulk(conn).read_members(conn, snapshot_id, above=above, limit=READ_AT_ONCE)


def _insert(conn: Connection, *, snapshot_id: int, ids: Ids, last: bool) -> None:
    bulk(conn).insert_members(conn, snapshot_id, ids)
    if last:
        bulk(conn).complete_members(conn, snapshot_id)
    written = snapshots.update().where(snapshots.c.id == snapshot_id, snapshots.c.segment_id.is_(None))
    if conn.execute(written.values(members=snapshots.c.members + len(ids))).rowcount != 1:
        raise ValueError(f"The snapshot {snapshot_id} is not being written.")


def _count(conn: Connection, *, snapshot_id: int) -> int:
    """Tell how many members a published snapshot has; `NotFoundError` for one that is going away."""
    published = sa.and_(snapshots.c.id == snapshot_id, snapshots.c.segment_id.is_not(None))
    count = conn.execute(sa.select(snapshots.c.members).where(published)).scalar_one_or_none()
    if count is None:
        raise NotFoundError(f"The snapshot {snapshot_id} is not there any more.")
    return int(count)


def _uncounted(conn: Connection, *, node: str | None) -> list[Uncounted]:
    old = snapshots.alias()
    query = (
        sa.select(snapshots.c.id, old.c.id, old.c.members)
        .join(old, sa.and_(old.c.id == snapshots.c.previous_id, old.c.segment_id == snapshots.c.segment_id))
        .join(uploads, uploads.c.id == snapshots.c.upload_id)
        .where(snapshots.c.entered.is_(None), is_mine(node))
        .order_by(snapshots.c.id)
    )
    return [
        Uncounted(snapshot_id=new_id, previous_id=old_id, previous_members=members)
        for new_id, old_id, members in conn.execute(query)
    ]


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
    """Delete as much of these snapshots as a transaction may; return those of which something is left."""
    room = DELETED_AT_ONCE
    for place, snapshot_id in enumerate(snapshot_ids):
        if place == SNAPSHOTS_AT_ONCE:
            return snapshot_ids[place:]
        room -= _delete(conn, snapshot_id, room)
        if room <= 0:
            return snapshot_ids[place:]
    return ()


def _delete(conn: Connection, snapshot_id: int, most: int) -> int:
    """Delete up to `most` members of a snapshot, and it with its last; return how many that were.

    None of one that another node is deleting, or that the database cannot drop before the next sweep. A table that is
    dropped counts as `most`, whatever it held: until the transaction ends it keeps all others from reading.
    """
    this = sa.select(snapshots.c.id).where(snapshots.c.id == snapshot_id)
    if not conn.execute(this.with_for_update(skip_locked=True)).first():
        return 0
    dropped = bulk(conn).drop_members(conn, snapshot_id)
    if dropped is None:
        return 0
    if dropped:
        conn.execute(snapshots.delete().where(snapshots.c.id == snapshot_id))
        return most
    mine = snapshot_members.c.snapshot_id == snapshot_id
    ids = snapshot_members.c.ct_user_id
    last = conn.execute(sa.select(ids).where(mine).order_by(ids).offset(most - 1).limit(1)).scalar()
    if last is None:
        gone = conn.execute(snapshot_members.delete().where(mine)).rowcount
        conn.execute(snapshots.delete().where(snapshots.c.id == snapshot_id))
        return gone
    gone = conn.execute(snapshot_members.delete().where(mine, ids <= last)).rowcount
    fewer = snapshots.update().where(snapshots.c.id == snapshot_id)
    conn.execute(fewer.values(members=snapshots.c.members - gone))
    return gone
