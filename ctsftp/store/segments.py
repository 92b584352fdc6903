"""The segments: what readers ask of them, and what an admin may do to them.

A retired segment keeps its snapshots and is listed, but nobody is a member of it: it is out of use.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from ctsftp.contract.freshness import Expectation
from ctsftp.contract.names import segment_key
from ctsftp.contract.rows import MAX_ID, Ids
from ctsftp.contract.states import State
from ctsftp.contract.verdict import SegmentFacts
from ctsftp.errors import NotFoundError, RefusedError, StoreError
from ctsftp.model.records import Clock, Diff, Segment, Snapshot
from ctsftp.model.timeline import StepKind
from ctsftp.model.writing import iso
from ctsftp.store import ledger, publishing
from ctsftp.store.database import Database
from ctsftp.store.gates import gates_of
from ctsftp.store.rows import RowSets
from ctsftp.store.rowsets import BaseChangedError, Prepared, find_base, put_rows
from ctsftp.store.snapshots import Snapshots, unpublish
from ctsftp.store.tables import in_code_points, member_rows, row_sets, segments, snapshots, timeline, uploads
from ctsftp.store.telling import forget_overdue, forget_troubles, is_due_to_tell, tell_if_overdue
from ctsftp.store.timeline import before, changed_by_rollback, note, periods, replaced


class Segments:
    """The segments of all clients, each named by its client and its key (`contract.names.segment_key`)."""

    def __init__(self, database: Database, clock: Clock, snapshots: Snapshots, rows: RowSets) -> None:
        self._database = database
        self._clock = clock
        self._snapshots = snapshots
        self._rows = rows

    async def segments(
        self,
        *,
        client: str | None = None,
        search: str = "",
        after: tuple[str, ...] | None = None,
        limit: int | None = None,
        retired: bool | None = None,
    ) -> list[Segment]:
        """List the segments by client and title.

        `after` is the client and the title of the last one that was seen, `search` stands in the key or the client, and
        `retired` narrows to those that are retired, or are not. With a `limit` it costs what the page does, however
        many there are.
        """
        narrowed = [*_narrowed(client, search), *_behind(client, after)]
        if retired is not None:
            narrowed.append(segments.c.retired_at.is_not(None) if retired else segments.c.retired_at.is_(None))
        if limit is not None:  # before the joins, or a database without statistics would join all of them first
            page = sa.select(segments.c.id).where(*narrowed).order_by(*_PLACE).limit(limit)
            narrowed = [segments.c.id.in_(page)]
        return await self._database.read(lambda conn: _read(conn, _current(*narrowed)))

    async def in_need(self, *, limit: int, client: str | None = None, search: str = "") -> list[Segment]:
        """List the first segments that ask for a person, by client and title: overdue, or with an upload that is held.

        Overdue is what `report_overdue` found.
        """
        held = sa.select(uploads.c.client, uploads.c.segment_key).where(uploads.c.state == State.HELD)
        asks = sa.or_(segments.c.overdue_since.is_not(None), sa.tuple_(segments.c.client, segments.c.key).in_(held))
        narrowed = (segments.c.retired_at.is_(None), asks, *_narrowed(client, search))
        return await self._database.read(lambda conn: _read(conn, _current(*narrowed).limit(limit)))

    async def segment(self, client: str, key: str) -> Segment:
        """Tell all about one segment; `NotFoundError` if there is none."""
        return await self._database.read(lambda conn: _one(conn, client, key))

    async def resolve_segment(self, key: str, *, client: str | None = None) -> list[Segment]:
        """List the segments of that key, of one client or of all."""
        return await self._database.read(partial(_select, key=key, client=client))

    async def facts_for(self, client: str, key: str) -> SegmentFacts | None:
        """Tell what the judge needs to know about a segment, None if there is none."""
        return await self._database.read(lambda conn: publishing.facts_for(conn, client, key))

    async def facts_and_twin(
        self, client: str, key: str, filename: str, *, other_than: str
    ) -> tuple[SegmentFacts | None, str | None]:
        """Tell what the judge needs to know about a segment and about other uploads of a file's name, by one look."""
        return await self._database.read(
            lambda conn: (
                publishing.facts_for(conn, client, key),
                ledger.twin(conn, client, filename, other_than=other_than),
            )
        )

    async def member_segments(self, ct_user_id: int) -> list[Segment]:
        """List the segments in use that a member is in, of all clients."""
        if not 0 < ct_user_id <= MAX_ID:
            return []
        return await self._database.read(partial(_select, with_member=ct_user_id))

    async def history(self, client: str, key: str) -> list[Snapshot]:
        """List a segment's snapshots that still exist, newest first; `NotFoundError` if there is no segment."""
        return await self._database.read(lambda conn: _history(conn, client, key))

    async def diff(self, client: str, key: str, old: int | None = None, new: int | None = None) -> Diff:
        """Compare two snapshots by number: by default the current one with what readers had until it came."""

        def work(conn: Connection) -> tuple[Snapshot, Snapshot]:
            history = _history(conn, client, key)
            if old is not None and new is not None:
                return _numbered(history, old), _numbered(history, new)
            current = _current_of(history)
            return _before(history, [replaced(conn, client, key, current.upload_id)]), current

        old_one, new_one = await self._database.read(work)
        entered, left = await self._snapshots.changes(old_one.id, new_one.id)
        return Diff(old=old_one, new=new_one, entered=entered, left=left)

    async def count_changes(self, client: str, key: str, ids: Ids) -> tuple[int, int]:
        """Count who would enter and who would leave if the segment had these ids: ascending, without repetitions."""
        segment = await self.segment(client, key)
        return await self._snapshots.count_changes(segment.snapshot_id, ids)

    async def rollback(self, client: str, key: str, number: int | None = None) -> Segment:
        """Make another snapshot current: the one of that number, else what readers had before the current one came.

        The segment's uploads are then held until one is approved. A newest stamp that lies in the future is forgotten:
        a list that was let in by mistake does not outdate all that come until then.
        """

        def work(conn: Connection, prepared: Prepared) -> Segment:
            publishing.lock_segment(conn, client, key)
            target = _target(conn, client, key, number)
            if target.id != prepared.snapshot_id:
                raise BaseChangedError("The segment got another list meanwhile.")
            row_set = put_rows(conn, prepared, find_base(conn, client, key))
            _update(conn, client, key, current_snapshot_id=target.id, row_set=row_set, rolled_back=True)
            self._note(conn, client, key, StepKind.ROLLED_BACK)
            publishing.forget_approvals(conn, client, key)
            if _one(conn, client, key).newest_stamp > f"{self._clock():%Y%m%d_%H%M}":
                _update(conn, client, key, newest_stamp=target.stamp, newest_upload_id=target.upload_id)
            return _one(conn, client, key)

        segment = await self._rows.publish(client, key, lambda conn: _target(conn, client, key, number).id, work)
        with suppress(StoreError):  # nobody reads those rows, and the sweep looks at them, too
            await self._rows.tidy(client, key)
        return segment

    async def retire(self, client: str, key: str) -> None:
        """Take a segment out of use: it has no members for its readers, and takes no uploads."""

        def work(conn: Connection) -> None:
            publishing.lock_segment(conn, client, key)
            segment = _one(conn, client, key)
            if segment.retired_at:
                raise RefusedError(f'The segment "{segment.title}" is retired already, since {segment.retired_at}.')
            _update(conn, client, key, retired_at=iso(self._clock()), overdue_since=None)
            self._note(conn, client, key, StepKind.RETIRED)
            forget_troubles(conn, client, key)

        await self._database.write(work)

    async def restore(self, client: str, key: str) -> None:
        """Put a retired segment back into use, as it was."""

        def work(conn: Connection) -> None:
            publishing.lock_segment(conn, client, key)
            segment = _one(conn, client, key)
            if not segment.retired_at:
                raise RefusedError(f'The segment "{segment.title}" is in use: there is nothing to restore.')
            _update(conn, client, key, retired_at=None)
            self._note(conn, client, key, StepKind.RESTORED)

        await self._database.write(work)

    async def expect(self, client: str, key: str, expectation: Expectation | None) -> Segment:
        """Expect a segment's file every so often, None: no longer; whether it is overdue is found anew."""
        every_s, grace_s = (expectation.every_s, expectation.grace_s) if expectation else (None, None)

        def work(conn: Connection) -> Segment:
            _one(conn, client, key)
            _update(conn, client, key, expect_every_s=every_s, expect_grace_s=grace_s, overdue_since=None)
            forget_overdue(conn, client, key)
            return _one(conn, client, key)

        return await self._database.write(work)

    async def report_overdue(self) -> int:
        """Tell of every segment that became overdue, once each; give how many. Writes only if there are any."""
        now = self._clock()
        is_due = await self._database.read(lambda conn: is_due_to_tell(conn, now))
        return await self._database.write(lambda conn: tell_if_overdue(conn, now)) if is_due else 0

    async def delete(self, client: str, key: str) -> None:
        """Delete a retired segment and its snapshots for good; the ledger keeps its uploads."""

        def work(conn: Connection) -> None:
            publishing.lock_segment(conn, client, key)
            segment = _one(conn, client, key)
            if not segment.retired_at:
                raise RefusedError(
                    f'The segment "{segment.title}" is in use: `ctsftp segment retire` takes it out of use first.'
                )
            if opened := gates_of(conn, client, key):
                raise RefusedError(
                    f'The segment "{segment.title}" opens gates ({", ".join(opened)}):'
                    " `ctsftp gate set` or `ctsftp gate remove` takes it out of them first."
                )
            forget_troubles(conn, client, key)
            this = sa.and_(segments.c.client == client, segments.c.key == key)
            ids = sa.select(segments.c.id).where(this)
            conn.execute(timeline.delete().where(timeline.c.segment_id.in_(ids)))
            conn.execute(row_sets.update().where(row_sets.c.segment_id.in_(ids)).values(segment_id=None))
            unpublish(conn, sa.select(snapshots.c.id).where(snapshots.c.segment_id.in_(ids)))
            conn.execute(segments.delete().where(this))

        await self._database.write(work)
        await self._snapshots.delete_abandoned()

    def _note(self, conn: Connection, client: str, key: str, kind: StepKind) -> None:
        this = sa.select(segments.c.id).where(segments.c.client == client, segments.c.key == key)
        note(conn, conn.execute(this).scalar_one(), kind, at=iso(self._clock()))


def _select(
    conn: Connection,
    *,
    client: str | None = None,
    key: str | None = None,
    with_member: int | None = None,
) -> list[Segment]:
    narrowed = _narrowed(client)
    if key is not None:
        narrowed.append(segments.c.key == key)
    if with_member is not None:
        member = sa.exists().where(
            member_rows.c.row_set == segments.c.row_set,
            member_rows.c.ct_user_id == with_member,
        )
        narrowed += [segments.c.retired_at.is_(None), member]
    return _read(conn, _current(*narrowed))


def _current(*narrowed: sa.ColumnElement[bool]) -> sa.Select[Any]:
    """Select segments, each with its current snapshot, by client and title."""
    current = snapshots.c
    return (
        sa.select(
            *segments.c["client", "key", "title", "newest_stamp", "rolled_back", "retired_at"],
            *segments.c["heard_at", "expect_every_s", "expect_grace_s", "overdue_since"],
            *current["members", "upload_id", "number", "entered", "left"],
            current.id.label("snapshot_id"),
            current.published_at.label("loaded_at"),
            uploads.c.stamp,
        )
        .join(snapshots, current.id == segments.c.current_snapshot_id)
        .join(uploads, uploads.c.id == current.upload_id)
        .where(*narrowed)
        .order_by(*_PLACE)
    )


_PLACE = (in_code_points(segments.c.client), in_code_points(segments.c.title))


def _narrowed(client: str | None, search: str = "") -> list[sa.ColumnElement[bool]]:
    narrowed: list[sa.ColumnElement[bool]] = []
    if client is not None:  # in the order's own words, or PostgreSQL would not read it from the order's index
        narrowed.append(_PLACE[0] == client)
    if wanted := segment_key(search):
        columns = (segments.c.key, segments.c.client)
        narrowed.append(sa.or_(*(column.contains(wanted, autoescape=True) for column in columns)))
    return narrowed


def _behind(client: str | None, after: tuple[str, ...] | None) -> list[sa.ColumnElement[bool]]:
    if after is None:
        return []
    return [_PLACE[1] > after[1]] if client == after[0] else [sa.tuple_(*_PLACE) > after]


def _read(conn: Connection, query: sa.Select[Any]) -> list[Segment]:
    found = [Segment(**row) for row in conn.execute(query).mappings()]
    # What the load of a list had counted is not what its readers saw, where a rollback brought it back.
    saw = changed_by_rollback(conn, [one.snapshot_id for one in found if one.rolled_back])
    changes = [saw.get(one.snapshot_id, (one.entered, one.left)) for one in found]
    return [replace(one, entered=entered, left=left) for one, (entered, left) in zip(found, changes, strict=True)]


def _one(conn: Connection, client: str, key: str) -> Segment:
    found = _select(conn, client=client, key=key)
    if not found:
        raise NotFoundError(f'The client {client} has no segment "{key}": `ctsftp segment list` shows them all.')
    return found[0]


def _history(conn: Connection, client: str, key: str) -> list[Snapshot]:
    _one(conn, client, key)
    is_current = (snapshots.c.id == segments.c.current_snapshot_id).label("current")
    old = snapshots.alias("old")
    query = (
        sa.select(
            *snapshots.c["id", "number", "upload_id", "members", "entered", "left", "published_at"],
            *uploads.c["filename", "stamp"],
            is_current,
            old.c.number.label("counted_from"),
        )
        .join(segments, segments.c.id == snapshots.c.segment_id)
        .outerjoin(old, sa.and_(old.c.id == snapshots.c.previous_id, old.c.segment_id == segments.c.id))
        .join(uploads, uploads.c.id == snapshots.c.upload_id)
        .where(segments.c.client == client, segments.c.key == key)
        .order_by(snapshots.c.number.desc())
    )
    rows = conn.execute(query).mappings().all()
    had = periods(conn, [row["upload_id"] for row in rows])
    kept = {row["upload_id"] for row in rows}
    previous = next((one for one in before(conn, client, key) if one in kept), None)
    return [Snapshot(**row, periods=had[row["upload_id"]], previous=row["upload_id"] == previous) for row in rows]


def _update(conn: Connection, client: str, key: str, **values: object) -> None:
    this = sa.and_(segments.c.client == client, segments.c.key == key)
    conn.execute(segments.update().where(this).values(values))


def _target(conn: Connection, client: str, key: str, number: int | None) -> Snapshot:
    """Find the snapshot to roll back to; `RefusedError` if there is none before, or readers would not get it."""
    if (segment := _one(conn, client, key)).retired_at:
        raise RefusedError(ledger.say_retired(segment.client, segment.title))
    history = _history(conn, client, key)
    target = _numbered(history, number) if number is not None else _before(history, before(conn, client, key))
    if target.current:
        raise RefusedError(f"The snapshot {target.number} is the current one already.")
    return target


def _current_of(history: Sequence[Snapshot]) -> Snapshot:
    return next(one for one in history if one.current)


def _before(history: Sequence[Snapshot], upload_ids: Sequence[str | None]) -> Snapshot:
    """Give the first of these uploads' snapshots that is kept."""
    kept = {one.upload_id: one for one in history}
    earlier = next((kept[one] for one in upload_ids if one in kept), None)
    if earlier is None:
        number = _current_of(history).number
        raise RefusedError(
            f"There is no snapshot before number {number} that readers had and that is kept: name another one"
            " (`ctsftp segment history` lists them)."
        )
    return earlier


def _numbered(history: Sequence[Snapshot], number: int) -> Snapshot:
    found = next((one for one in history if one.number == number), None)
    if found is None:
        kept = ", ".join(str(one.number) for one in reversed(history))
        raise NotFoundError(f"There is no snapshot number {number}: the kept ones are {kept}.")
    return found
