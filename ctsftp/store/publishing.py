"""Publishing: the one transaction in which a list of members becomes what readers see.

It asks the judge about the segment as it is now, under its lock: since the load began, an admin may have rolled
the segment back, or retired it, and another node may have published a newer list.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, Row

from ctsftp.contract.codes import Notice, harmless
from ctsftp.contract.rows import RejectedRow
from ctsftp.contract.states import State
from ctsftp.contract.verdict import SegmentFacts, Verdict, change_notice, title_notice
from ctsftp.errors import StoreError
from ctsftp.model.records import Clock, Facts, Outcome, Upload
from ctsftp.model.timeline import StepKind
from ctsftp.model.writing import iso
from ctsftp.store.backend import bulk
from ctsftp.store.ledger import read_upload, twin
from ctsftp.store.moves import keep_rejected_rows, move
from ctsftp.store.parts import count_in_parts
from ctsftp.store.rowsets import Difference, Prepared, find_base, give_to, put_rows
from ctsftp.store.tables import segments, snapshots, uploads
from ctsftp.store.timeline import note

# Given the segment, or None, the sha256 of the upload's twin, or None, and whether an admin approved the upload.
# It must be pure: it is asked under the lock.
Judge = Callable[[SegmentFacts | None, str | None, bool], Verdict]


def facts_for(conn: Connection, client: str, key: str | None) -> SegmentFacts | None:
    """Tell what the judge needs to know about a segment, None if there is none."""
    return _facts_of(_find(conn, client, key))


def _facts_of(segment: Row[Any] | None) -> SegmentFacts | None:
    if segment is None:
        return None
    return SegmentFacts(
        retired=segment.retired_at is not None,
        rolled_back=segment.rolled_back,
        newest_stamp=segment.newest_stamp,
        members=segment.members,
        newest_upload=segment.newest_upload_id,
        id_title=segment.id_title,
    )


def lock_segment(conn: Connection, client: str, key: str | None) -> None:
    """Keep other writers off a segment until the transaction ends, also if it is yet to be made."""
    lock = sa.select(segments.c.id).where(segments.c.client == client, segments.c.key == key).with_for_update()
    if not conn.execute(lock).first():
        bulk(conn).lock_name(conn, f"{client}/{key}")
        conn.execute(lock)  # another node may just have made it


def publish(
    conn: Connection,
    prepared: Prepared | None,
    *,
    upload_id: str,
    clock: Clock,
    judge: Judge,
    rejects: Sequence[RejectedRow],
    facts: Facts,
) -> Outcome | None:
    """Make a snapshot current and its upload loaded, or give the upload the state that the judge says.

    None, and nothing is done, if it is to load and there is no snapshot. `BaseChangedError` if it was compared with
    another list than is now current. The clock is read when the rows are in their place: that is when it is done.
    """
    upload = read_upload(conn, upload_id)
    lock_segment(conn, upload.client, upload.segment_key)
    segment = _find(conn, upload.client, upload.segment_key)
    verdict = judge(
        _facts_of(segment),
        twin(conn, upload.client, upload.filename, other_than=upload_id),
        _is_approved(conn, upload_id),
    )
    if prepared is None:
        if verdict.state is State.LOADED:
            return None
    else:
        _require_complete(conn, prepared.snapshot_id, upload_id, facts["members"])
    told: Facts = {**facts, "code": verdict.code, "reason": verdict.reason or None}
    if prepared is None or verdict.state is not State.LOADED:
        move(conn, upload_id, verdict.state, now=clock(), **told)
        keep_rejected_rows(conn, upload_id, rejects)
        return Outcome(state=verdict.state, code=verdict.code, reason=told["reason"])
    row_set = put_rows(conn, prepared, find_base(conn, upload.client, upload.segment_key))
    change = prepared.difference
    told["warnings"] = [*facts.get("warnings", ()), *_notices(upload, segment, change)]
    now = clock()
    move(conn, upload_id, State.LOADED, now=now, tell={"entered": change.entered, "left": change.left}, **told)
    keep_rejected_rows(conn, upload_id, rejects)
    _overtake(conn, upload, now)
    publish_list = _publish_first if segment is None else partial(_publish_next, segment=segment)
    number = publish_list(conn, upload, prepared, row_set, at=iso(now))
    is_tidy = segment is None or row_set == segment.row_set
    return Outcome(state=State.LOADED, number=number, entered=change.entered, left=change.left, is_tidy=is_tidy)


def _require_complete(conn: Connection, snapshot_id: int, upload_id: str, members: int) -> None:
    """Raise a `StoreError` unless the snapshot is this upload's, unpublished, whole, and as long as its file says."""
    query = sa.select(snapshots.c.upload_id, snapshots.c.segment_id, snapshots.c.members)
    found = conn.execute(query.where(snapshots.c.id == snapshot_id)).one_or_none()
    if found != (upload_id, None, members) or count_in_parts(conn, snapshot_id) != members:
        raise StoreError(
            f"The snapshot {snapshot_id} cannot be published for the upload {upload_id} with {members} members:"
            f" the database holds {found}."
        )


def _notices(upload: Upload, segment: Row[Any] | None, change: Difference) -> list[Notice]:
    """Say what to warn of, now that it is known what a list does to its segment."""
    if segment is None:
        return []
    found = (
        title_notice(segment.title, upload.segment_title or ""),
        change_notice(segment.members, change.entered, change.left),
    )
    return [one for one in found if one]


def _publish_first(conn: Connection, upload: Upload, prepared: Prepared, row_set: int, *, at: str) -> int:
    """Make the segment, with this as its snapshot number 1: all its members have just entered."""
    segment_id = conn.execute(
        segments.insert()
        .values(
            client=upload.client,
            key=upload.segment_key,
            title=upload.segment_title,
            current_snapshot_id=prepared.snapshot_id,
            row_set=row_set,
            newest_stamp=upload.stamp,
            newest_upload_id=upload.id,
            rolled_back=False,
            created_at=at,
            heard_at=upload.received_at,
        )
        .returning(segments.c.id)
    ).scalar_one()
    give_to(conn, row_set, segment_id)
    _number(conn, prepared, segment_id=segment_id, number=1, published_at=at)
    note(conn, segment_id, StepKind.LOADED, at=at)
    return 1


def _publish_next(
    conn: Connection, upload: Upload, prepared: Prepared, row_set: int, *, at: str, segment: Row[Any]
) -> int:
    """Move the segment's pointers to this snapshot and its rows."""
    # The newest snapshot is never pruned, so no number is given twice.
    newest = sa.select(sa.func.max(snapshots.c.number)).where(snapshots.c.segment_id == segment.id)
    number = int(conn.execute(newest).scalar_one()) + 1
    newest_stamp, newest_upload_id = max(
        (segment.newest_stamp, segment.newest_upload_id), (upload.stamp or "", upload.id)
    )
    conn.execute(
        segments.update()
        .where(segments.c.id == segment.id)
        .values(
            current_snapshot_id=prepared.snapshot_id,
            row_set=row_set,
            newest_stamp=newest_stamp,
            newest_upload_id=newest_upload_id,
            # Whatever the judge lets in after a rollback, it is no longer the rolled back list that is shown.
            rolled_back=False,
        )
    )
    give_to(conn, row_set, segment.id)
    _number(conn, prepared, segment_id=segment.id, number=number, published_at=at, previous_id=prepared.base_id)
    note(conn, segment.id, StepKind.LOADED, at=at)
    return number


def _number(conn: Connection, prepared: Prepared, **values: Any) -> None:
    this = snapshots.update().where(snapshots.c.id == prepared.snapshot_id)
    change = prepared.difference
    conn.execute(this.values(values | {"entered": change.entered, "left": change.left}))


def forget_approvals(conn: Connection, client: str, key: str | None, *which: sa.ColumnElement[bool]) -> None:
    """Have uploads that were approved, but are not loaded yet, judged like all others: the segment is another one now.

    Call it under the segment's lock.
    """
    pending = uploads.c.state.in_((State.RECEIVED, State.LOADING, State.FAILED, State.REJECTED))
    approved = sa.and_(uploads.c.client == client, uploads.c.segment_key == key, uploads.c.approved, pending)
    conn.execute(uploads.update().where(approved, *which).values(approved=False))


def _is_approved(conn: Connection, upload_id: str) -> bool:
    """Tell it as it is under the lock: an approval that was overtaken meanwhile is none."""
    return bool(conn.execute(sa.select(uploads.c.approved).where(uploads.c.id == upload_id)).scalar_one())


def _overtake(conn: Connection, upload: Upload, now: datetime) -> None:
    """Give up the held uploads of the segment that are older than this one, by their stamp, then by their CLOSE.

    Those that are approved, but come later, would be given up too, had they been approved a moment later.
    """
    columns = uploads.c
    older = sa.or_(columns.stamp < upload.stamp, sa.and_(columns.stamp == upload.stamp, columns.id < upload.id))
    held = sa.select(columns.id).where(
        columns.client == upload.client,
        columns.segment_key == upload.segment_key,
        columns.state == State.HELD,
        older,
    )
    reason = f"A newer file was loaded: {harmless(upload.filename, limit=255)}."
    for upload_id in conn.execute(held).scalars().all():
        move(conn, upload_id, State.SUPERSEDED, now=now, expect=State.HELD, reason=reason)
    forget_approvals(conn, upload.client, upload.segment_key, older)


def _find(conn: Connection, client: str, key: str | None) -> Row[Any] | None:
    query = (
        sa.select(segments, snapshots.c.members, uploads.c.id_title)
        .join(snapshots, snapshots.c.id == segments.c.current_snapshot_id)
        .join(uploads, uploads.c.id == snapshots.c.upload_id)
    )
    return conn.execute(query.where(segments.c.client == client, segments.c.key == key)).one_or_none()
