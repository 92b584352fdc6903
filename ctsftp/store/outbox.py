"""The outbox: who is to be told, what is still to be delivered to whom, and what came of it."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Any, Required, TypedDict

import sqlalchemy as sa
from sqlalchemy import Connection, Row

from ctsftp.contract.events import DeliveryState, EventKind
from ctsftp.errors import NotFoundError, RefusedError
from ctsftp.model.records import Attempt, Clock, Delivery, Event, Hook
from ctsftp.model.writing import iso
from ctsftp.store.database import Database
from ctsftp.store.tables import deliveries, events, hooks, standing, told_troubles
from ctsftp.store.telling import NEWS, emit

MAX_HOOKS = 100
DELETED_AT_ONCE = 2_000


class Happening(TypedDict, total=False):
    """What is known of an event."""

    client: str
    segment_key: str
    segment: str
    data: Required[dict[str, Any]]


_PENDING = deliveries.c.state == DeliveryState.PENDING


class Outbox:
    """Hooks, and their deliveries in order: of one lane the first that is pending, and only when its time has come."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    @property
    def news(self) -> asyncio.Event:
        """Set after each transaction that wrote something to be delivered; whoever waits for it clears it."""
        return self._database.news

    @property
    def is_shared(self) -> bool:
        """Whether others may write what is to be delivered, which is no `news` here."""
        return self._database.shared

    async def add_hook(
        self, url: str, *, shown: str, client: str | None, kinds: Sequence[EventKind], secret: str | None
    ) -> Hook:
        """Add a hook for the events from now on: of one client or of all, of some kinds or (none named) of all."""

        def work(conn: Connection) -> Hook:
            if conn.execute(sa.select(sa.func.count()).select_from(hooks)).scalar_one() >= MAX_HOOKS:
                raise RefusedError(f"There are {MAX_HOOKS} hooks already: remove one first, with `ctsftp hook remove`.")
            added = hooks.insert().values(
                url=url,
                shown=shown,
                client=client,
                events=[kind.value for kind in kinds] or None,
                secret=secret,
                created_at=iso(self._clock()),
            )
            return _hook(conn, conn.execute(added.returning(hooks.c.id)).scalar_one())

        return await self._database.write(work)

    async def remove_hook(self, hook_id: int) -> Hook:
        """Remove a hook and its deliveries; `NotFoundError` if there is none."""

        def work(conn: Connection) -> Hook:
            hook = _hook(conn, hook_id)
            for table in (deliveries, told_troubles):
                conn.execute(table.delete().where(table.c.hook_id == hook_id))
            conn.execute(hooks.delete().where(hooks.c.id == hook_id))
            return hook

        return await self._database.write(work)

    async def hooks(self) -> list[Hook]:
        """List the hooks in the order in which they were added."""
        query = sa.select(hooks).order_by(hooks.c.id)
        rows = await self._database.read(lambda conn: conn.execute(query).mappings().all())
        return [Hook(**row) for row in rows]

    async def backlog(self) -> dict[tuple[int, DeliveryState], int]:
        """Count what is pending and what is dead, by hook and state; what there is none of is left out."""
        columns = deliveries.c["hook_id", "state"]
        query = (
            sa.select(*columns, sa.func.count().label("number"))
            .where(deliveries.c.state != DeliveryState.DELIVERED.value)
            .group_by(*columns)
        )
        rows = await self._database.read(lambda conn: conn.execute(query).all())
        return {(row.hook_id, DeliveryState(row.state)): row.number for row in rows}

    async def silent(self, since: datetime) -> dict[int, str]:
        """Give the last error of each hook that failed to take something of before a moment, by the hook's id."""
        query = (
            sa.select(*deliveries.c["hook_id", "last_error"])
            .join(events, events.c.id == deliveries.c.event_id)
            .where(_PENDING, deliveries.c.attempts > 0, events.c.at < iso(since))
            .order_by(deliveries.c.event_id.desc())
        )
        rows = await self._database.read(lambda conn: conn.execute(query).all())
        return {row.hook_id: row.last_error for row in rows}

    async def hook(self, hook_id: int) -> Hook:
        """Tell all about one hook; `NotFoundError` if there is none."""
        return await self._database.read(lambda conn: _hook(conn, hook_id))

    async def has_hook(self, hook_id: int) -> bool:
        """Tell whether a hook is there still."""
        this = sa.select(hooks.c.id).where(hooks.c.id == hook_id)
        return await self._database.read(lambda conn: conn.execute(this).first() is not None)

    async def waiting(self, now: datetime) -> tuple[list[Hook], datetime | None]:
        """List the hooks that have something to deliver now, and tell when the next delivery's time comes, if any."""

        def work(conn: Connection) -> tuple[list[Hook], datetime | None]:
            ready = sa.exists().where(deliveries.c.hook_id == hooks.c.id, _PENDING, ~_is_blocked(now))
            found = conn.execute(sa.select(hooks).where(ready).order_by(hooks.c.id)).mappings().all()
            later = sa.select(sa.func.min(deliveries.c.next_at)).where(_PENDING, deliveries.c.next_at > iso(now))
            next_at = conn.execute(later).scalar_one()
            return [Hook(**row) for row in found], datetime.fromisoformat(next_at) if next_at else None

        return await self._database.read(work)

    async def due(self, hook_id: int, now: datetime, *, limit: int) -> list[Delivery]:
        """List what a hook is to be told now, oldest first; a lane whose first delivery waits is left out."""
        query = (
            sa.select(*deliveries.c["lane", "attempts"], *_EVENT)
            .join(events, events.c.id == deliveries.c.event_id)
            .where(deliveries.c.hook_id == hook_id, _PENDING, ~_is_blocked(now))
            .order_by(deliveries.c.event_id)
            .limit(limit)
        )
        rows = await self._database.read(lambda conn: conn.execute(query).all())
        return [Delivery(hook_id=hook_id, lane=row.lane, attempts=row.attempts, event=_event(row)) for row in rows]

    def alone(self, hook_id: int) -> AbstractAsyncContextManager[bool]:
        """Tell whether no other node delivers to a hook now, and keep them off it until the block ends."""
        return self._database.alone(f"hook {hook_id}")

    async def settle(self, attempts: Sequence[Attempt]) -> None:
        """Note what came of deliveries, in one transaction; those of a hook that was removed meanwhile are nobody's."""
        now = iso(self._clock())
        rows = [_outcome(attempt, now) for attempt in attempts]
        this = sa.and_(
            deliveries.c.hook_id == sa.bindparam("of_hook"), deliveries.c.event_id == sa.bindparam("of_event"), _PENDING
        )
        if rows:
            await self._database.write(lambda conn: conn.execute(deliveries.update().where(this), rows))

    async def deliveries(
        self, *, hook_id: int | None = None, state: DeliveryState | None = None, limit: int | None = None
    ) -> list[dict[str, Any]]:
        """List deliveries, newest event first, with the fields of `hook deliveries --json`."""
        query = (
            sa.select(
                deliveries.c.hook_id.label("hook"),
                hooks.c.shown.label("address"),
                deliveries.c.event_id.label("event"),
                *events.c["message_id", "kind", "at", "client", "segment", "upload_id"],
                *deliveries.c["state", "attempts", "next_at", "done_at", "last_error"],
            )
            .join(events, events.c.id == deliveries.c.event_id)
            .join(hooks, hooks.c.id == deliveries.c.hook_id)
            .order_by(deliveries.c.event_id.desc(), deliveries.c.hook_id)
            .limit(limit)
        )
        if hook_id is not None:
            query = query.where(deliveries.c.hook_id == hook_id)
        if state is not None:
            query = query.where(deliveries.c.state == state.value)
        rows = await self._database.read(lambda conn: conn.execute(query).mappings().all())
        return [{str(name): value for name, value in row.items()} for row in rows]

    async def revive(self, hook_id: int) -> int:
        """Deliver a hook's dead deliveries once more, and tell how many there are."""

        def work(conn: Connection) -> int:
            _hook(conn, hook_id)
            dead = sa.and_(deliveries.c.hook_id == hook_id, deliveries.c.state == DeliveryState.DEAD.value)
            again = {"state": DeliveryState.PENDING.value, "attempts": 0, "next_at": None, "done_at": None}
            conn.info[NEWS] = True
            return conn.execute(deliveries.update().where(dead).values(again)).rowcount

        return await self._database.write(work)

    async def tell(self, kind: EventKind, found: Sequence[Happening]) -> None:
        """Write down events that no upload's move tells of, in one transaction."""
        now = self._clock()

        def work(conn: Connection) -> None:
            for one in found:
                emit(conn, kind, now=now, **one)

        await self._database.write(work)

    async def report(
        self, kind: EventKind, found: Mapping[tuple[str, str], dict[str, Any]], *, subject: str | None = None
    ) -> None:
        """Tell of all that was found of a kind, each once until it is no longer found.

        `found` is the event's data by client ("" for the server itself) and by what was found. It writes only if
        something changed, and what was told before a restart is not told again. With `subject` it was looked for
        that alone: of others, nothing is said.
        """
        now = self._clock()

        def known(conn: Connection) -> set[tuple[str, str]]:
            query = sa.select(standing.c.client, standing.c.subject).where(standing.c.kind == kind.value)
            if subject is not None:
                query = query.where(standing.c.subject == subject)
            return {(client, subject) for client, subject in conn.execute(query)}

        def work(conn: Connection) -> None:
            before = known(conn)
            for client, what in sorted(before - found.keys()):
                over = standing.c.client == client, standing.c.subject == what
                conn.execute(standing.delete().where(standing.c.kind == kind.value, *over))
            for client, what in sorted(found.keys() - before):
                row = {"kind": kind.value, "client": client, "subject": what, "at": iso(now)}
                conn.execute(standing.insert().values(row))
                emit(conn, kind, now=now, client=client or None, data=found[client, what])

        if await self._database.read(known) != found.keys():
            await self._database.write(work)

    async def prune(self, before: datetime) -> int:
        """Delete the events before a moment, delivered or not, with their deliveries; tell how many.

        What is no longer pending after so long a time will not be wanted any more. Also forgotten is that somebody
        was told of a file whose name names no segment: no load can ever say that this is over.
        """
        old = sa.select(events.c.id).where(events.c.at < iso(before)).order_by(events.c.id).limit(DELETED_AT_ONCE)

        def work(conn: Connection) -> int:
            ids = sa.select(old.subquery().c.id)
            conn.execute(deliveries.delete().where(deliveries.c.event_id.in_(ids)))
            nameless = told_troubles.c.lane.endswith("/")
            conn.execute(told_troubles.delete().where(nameless, told_troubles.c.at < iso(before)))
            return conn.execute(events.delete().where(events.c.id.in_(ids))).rowcount

        deleted = 0
        while await self._database.read(lambda conn: conn.execute(old.limit(1)).first()):
            deleted += await self._database.write(work)
        return deleted


_EVENT = events.c["id", "message_id", "kind", "at", "client", "segment", "upload_id", "data"]


def _is_blocked(now: datetime) -> sa.ColumnElement[bool]:
    """Tell of a delivery whether one of its hook and lane, itself or one before it, waits for its time."""
    waiting = deliveries.alias("waiting")
    return (
        sa.exists()
        .where(
            waiting.c.state == DeliveryState.PENDING.value,
            waiting.c.hook_id == deliveries.c.hook_id,
            waiting.c.lane == deliveries.c.lane,
            waiting.c.next_at > iso(now),
        )
        .correlate(deliveries)
    )


def _hook(conn: Connection, hook_id: int) -> Hook:
    row = conn.execute(sa.select(hooks).where(hooks.c.id == hook_id)).mappings().one_or_none()
    if row is None:
        raise NotFoundError(f"There is no hook {hook_id}: `ctsftp hook list` shows them all.")
    return Hook(**row)


def _event(row: Row[Any]) -> Event:
    return Event(
        id=row.id,
        message_id=row.message_id,
        kind=EventKind(row.kind),
        at=row.at,
        client=row.client,
        segment=row.segment,
        upload_id=row.upload_id,
        data=row.data,
    )


def _outcome(attempt: Attempt, now: str) -> dict[str, Any]:
    """Write an attempt as the delivery's columns; all of them, so that a batch is one statement."""
    failed = attempt.error is not None
    again = attempt.next_at
    state = DeliveryState.DELIVERED if not failed else DeliveryState.PENDING if again else DeliveryState.DEAD
    return {
        "of_hook": attempt.delivery.hook_id,
        "of_event": attempt.delivery.event.id,
        "state": state.value,
        "attempts": attempt.delivery.attempts + failed,
        "next_at": iso(again) if again else None,
        "done_at": None if again else now,
        "last_error": attempt.error,
    }
