"""Writing down what happened, in the transaction in which it happens, and who is to be told of it.

An event and its deliveries are committed together with what they tell of, or not at all: whatever dies, no
event is lost, and none is told that did not happen.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any
from uuid import uuid4

import sqlalchemy as sa
from sqlalchemy import Connection, Row

from ctsftp.contract.events import OF_STATE, DeliveryState, EventKind, hear, reason_of
from ctsftp.contract.freshness import Expectation, write_span
from ctsftp.contract.states import State
from ctsftp.model.records import Upload
from ctsftp.model.writing import iso
from ctsftp.store.tables import deliveries, events, hooks, segments, told_troubles, uploads

# What a transaction leaves in its connection's `info` if it wrote something that is to be delivered.
NEWS = "news"
# What the clocks of two nodes may differ by.
CLOCK_TOLERANCE = timedelta(minutes=1)


def emit(
    conn: Connection,
    kind: EventKind,
    *,
    now: datetime,
    data: dict[str, Any],
    client: str | None = None,
    segment_key: str | None = None,
    segment: str | None = None,
    upload_id: str | None = None,
) -> None:
    """Write an event down, with a delivery for every hook that is to hear of it."""
    event_id = conn.execute(
        events.insert()
        .values(
            message_id=f"evt_{uuid4().hex}",
            kind=kind.value,
            at=iso(now),
            client=client,
            segment_key=segment_key,
            segment=segment,
            upload_id=upload_id,
            data=data,
        )
        .returning(events.c.id)
    ).scalar_one()
    lane = lane_of(client, segment_key)
    reason = reason_of(kind, data)
    concerned = sa.select(*hooks.c["id", "events", "secret"]).where(
        sa.or_(hooks.c.client.is_(None), hooks.c.client == client)
    )
    told = [hook.id for hook in conn.execute(concerned).all() if _is_told(conn, hook, kind, lane, reason, now=now)]
    if told:
        due = {"event_id": event_id, "lane": lane, "state": DeliveryState.PENDING.value, "attempts": 0}
        conn.execute(deliveries.insert(), [{"hook_id": hook_id, **due} for hook_id in told])
        conn.info[NEWS] = True


def tell_of_move(
    conn: Connection,
    upload_id: str,
    to: State,
    *,
    now: datetime,
    is_first: bool,
    besides: Mapping[str, int] = MappingProxyType({}),
) -> None:
    """Tell of an upload that just came to a state, if anybody should know; and that its segment was heard of.

    `is_first`: no failure of it was written down before, though there may have been some.
    """
    if to not in OF_STATE and to not in {State.DUPLICATE, State.DISCARDED}:
        return
    upload = Upload(**conn.execute(sa.select(uploads).where(uploads.c.id == upload_id)).mappings().one())
    if to in OF_STATE and _is_worth_telling(upload, is_first=is_first):
        waits = {"waits": True} if _waits(upload) else {}
        _emit_of(conn, OF_STATE[to], upload, now=now, data={**upload.as_json(), **waits, **besides})
    if to in {State.LOADED, State.DUPLICATE}:
        _note_heard(conn, upload, now=now)
    if to is State.DISCARDED:  # an admin has decided: the next one that waits is news
        _forget(conn, lane_of(upload.client, upload.segment_key), EventKind.UPLOAD_HELD)


def overdue(conn: Connection, now: datetime) -> list[Row[Any]]:
    """List the segments in use whose file did not come in time."""
    columns = segments.c
    expecting = sa.select(segments).where(
        columns.expect_every_s.is_not(None), columns.heard_at.is_not(None), columns.retired_at.is_(None)
    )
    return [row for row in conn.execute(expecting.order_by(columns.id)) if overdue_at(row) < now]


def is_due_to_tell(conn: Connection, now: datetime) -> bool:
    """Whether `tell_if_overdue` would write anything."""
    ahead = sa.select(sa.exists().where(_heard_ahead(now)))
    return bool(_newly_overdue(conn, now)) or bool(conn.execute(ahead).scalar())


def tell_if_overdue(conn: Connection, now: datetime) -> int:
    """Tell of every segment that became overdue; give how many.

    One that was heard of in the future was so while the clock was wrong: its time begins anew.
    """
    conn.execute(segments.update().where(_heard_ahead(now)).values(heard_at=iso(now)))
    told = 0
    for row in _newly_overdue(conn, now):
        since = iso(overdue_at(row))
        this = segments.update().where(segments.c.id == row.id, segments.c.overdue_since.is_(None))
        if not conn.execute(this.values(overdue_since=since)).rowcount:
            continue  # another node was quicker
        told += 1
        emit(
            conn,
            EventKind.SEGMENT_OVERDUE,
            now=now,
            client=row.client,
            segment_key=row.key,
            segment=row.title,
            data={"every": write_span(row.expect_every_s), "heard_at": row.heard_at, "overdue_at": since},
        )
    return told


def forget_troubles(conn: Connection, client: str, key: str) -> None:
    """Forget that anybody was told of troubles of a segment: the next one is news."""
    conn.execute(told_troubles.delete().where(told_troubles.c.lane == lane_of(client, key)))


def forget_overdue(conn: Connection, client: str, key: str) -> None:
    """Forget that anybody was told that a segment is overdue."""
    _forget(conn, lane_of(client, key), EventKind.SEGMENT_OVERDUE)


def lane_of(client: str | None, segment_key: str | None) -> str:
    """Name what is told in order: a segment, else a client, else the server. A client's name holds no slash."""
    return f"{client or ''}/{segment_key or ''}"


def _newly_overdue(conn: Connection, now: datetime) -> list[Row[Any]]:
    return [row for row in overdue(conn, now) if row.overdue_since is None]


def _heard_ahead(now: datetime) -> sa.ColumnElement[bool]:
    return segments.c.heard_at > iso(now + CLOCK_TOLERANCE)


def _emit_of(conn: Connection, kind: EventKind, upload: Upload, *, now: datetime, data: dict[str, Any]) -> None:
    emit(
        conn,
        kind,
        now=now,
        client=upload.client,
        segment_key=upload.segment_key,
        segment=upload.segment_title,
        upload_id=upload.id,
        data=data,
    )


def _is_worth_telling(upload: Upload, *, is_first: bool) -> bool:
    """Leave out the faults of a load that is tried again: told are the first, and that it waits for a person."""
    return upload.state is not State.FAILED or is_first or _waits(upload)


def _waits(upload: Upload) -> bool:
    return upload.state is State.FAILED and upload.retry_at is None


def _note_heard(conn: Connection, upload: Upload, *, now: datetime) -> None:
    """Note that a segment's job is alive, and tell that it is back if it was overdue."""
    this = sa.and_(segments.c.client == upload.client, segments.c.key == upload.segment_key)
    heard = segments.c.heard_at
    earlier = sa.or_(heard.is_(None), heard < upload.received_at, _heard_ahead(now))
    conn.execute(segments.update().where(this, earlier).values(heard_at=upload.received_at))
    row = conn.execute(sa.select(segments).where(this, segments.c.overdue_since.is_not(None))).one_or_none()
    if row and overdue_at(row) > now:  # an admin may also have approved a file that is old
        conn.execute(segments.update().where(this).values(overdue_since=None))
        data = {"overdue_since": row.overdue_since, "filename": upload.filename, "heard_at": row.heard_at}
        _emit_of(conn, EventKind.SEGMENT_BACK, upload, now=now, data=data)


def overdue_at(row: Row[Any]) -> datetime:
    """Tell when the time for a segment's file is up, or was."""
    return Expectation(row.expect_every_s, row.expect_grace_s).overdue_at(datetime.fromisoformat(row.heard_at))


def _forget(conn: Connection, lane: str, kind: EventKind) -> None:
    this = sa.and_(told_troubles.c.lane == lane, told_troubles.c.reason.startswith(f"{kind}/", autoescape=True))
    conn.execute(told_troubles.delete().where(this))


def _is_told(conn: Connection, hook: Row[Any], kind: EventKind, lane: str, reason: str, *, now: datetime) -> bool:
    """Decide whether a hook hears of an event; note of which troubles its people know then."""
    asked = None if hook.events is None else [EventKind(one) for one in hook.events if one in set(EventKind)]
    if hook.secret:
        return asked is None or kind in asked
    this = sa.and_(told_troubles.c.hook_id == hook.id, told_troubles.c.lane == lane)
    before = frozenset(conn.execute(sa.select(told_troubles.c.reason).where(this)).scalars())
    told, after = hear(before, kind, reason, asked=asked)
    for over in before - after:
        conn.execute(told_troubles.delete().where(this, told_troubles.c.reason == over))
    for new in after - before:
        conn.execute(told_troubles.insert().values(hook_id=hook.id, lane=lane, reason=new, at=iso(now)))
    return told
