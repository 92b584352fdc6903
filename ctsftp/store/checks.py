"""What `ctsftp doctor` asks of the database: whether it is whole, and what in it waits for a person."""

from collections.abc import AsyncIterator, Iterator
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, Row

from ctsftp.contract.finding import Finding, Level
from ctsftp.contract.states import State
from ctsftp.errors import DamagedListError, SnapshotGoneError
from ctsftp.model.writing import iso
from ctsftp.store.database import Database
from ctsftp.store.rows import RowSets
from ctsftp.store.snapshots import Snapshots
from ctsftp.store.tables import client_logins, segments, snapshots, uploads
from ctsftp.store.telling import overdue, overdue_at

LOAD_PATIENCE = timedelta(minutes=45)  # two sweeps, and more
DATED = 20  # newest uploads whose dates are compared with the clock: those before say nothing of today
SHOWN = 5  # uploads or segments that are named one by one


class CheckUp:
    """Checks of an open database; it was opened, so its tables are of this version."""

    def __init__(self, database: Database, snapshots: Snapshots, rows: RowSets) -> None:
        self._database = database
        self._snapshots = snapshots
        self._rows = rows

    async def integrity(self) -> list[Finding]:
        """Read the whole database for damage."""
        damage = await self._database.read(self._database.backend.check_integrity)
        if damage:
            do = "Go back to a backup: ctsftp backup --help tells how."
            return [Finding("database", Level.BAD, f"It is damaged: {damage}.", do)]
        if found := [finding async for finding in self._lists()]:
            return found
        return [Finding("database", Level.OK, f"{self._database.name} is whole and up to date.")]

    async def _lists(self) -> AsyncIterator[Finding]:
        """Read every part of every list, and hold the rows of the current ones against them."""
        do = "Go back to a backup: ctsftp backup --help tells how."
        for row in await self._database.read(_published):
            try:
                async for _ in self._snapshots.stream_members(row.id):
                    pass
                if row.row_set is not None and not await self._rows.mirrors(row.row_set, row.id):
                    text = f'The rows that SQL reads of "{row.title}" of {row.client} are not those of its list.'
                    yield Finding("database", Level.BAD, text, do)
            except SnapshotGoneError:
                continue  # pruned meanwhile
            except DamagedListError as error:
                text = f'The list number {row.number} of "{row.title}" of {row.client} is damaged. {error}'
                yield Finding("database", Level.BAD, text, do)

    async def waiting(self, now: datetime) -> list[Finding]:
        """Find the uploads and segments that wait for a person."""
        return await self._database.read(
            lambda conn: [
                *_held(conn),
                *_failed(conn),
                *_stuck(conn, now),
                *_rolled_back(conn),
                *_overdue(conn, now),
            ]
        )

    async def latest_upload_at(self) -> str | None:
        """Tell the latest time that one of the newest uploads was dated, by the clock of then; None for no uploads."""
        newest = sa.select(uploads.c.received_at).order_by(uploads.c.id.desc()).limit(DATED).subquery()
        query = sa.select(sa.func.max(newest.c.received_at))
        return await self._database.read(lambda conn: conn.execute(query).scalar())

    async def signed_in_before(self, moment: str) -> list[str]:
        """List the clients whose last login was before a moment (`iso`)."""
        query = sa.select(client_logins.c.client).where(client_logins.c.login_at < moment).order_by("client")
        return await self._database.read(lambda conn: list(conn.execute(query).scalars()))

    async def login_addresses(self) -> list[tuple[str, str]]:
        """List the clients with the address of their last login."""
        query = sa.select(client_logins.c.client, client_logins.c.login_address)
        query = query.where(client_logins.c.login_address.is_not(None)).order_by(client_logins.c.client)
        return await self._database.read(lambda conn: [(row[0], row[1]) for row in conn.execute(query)])


def _published(conn: Connection) -> list[Row[Any]]:
    """List every list, with the set of rows of each that is current."""
    is_current = snapshots.c.id == segments.c.current_snapshot_id
    query = (
        sa.select(
            *snapshots.c["id", "number"],
            *segments.c["client", "title"],
            sa.case((is_current, segments.c.row_set)).label("row_set"),
        )
        .join(segments, segments.c.id == snapshots.c.segment_id)
        .order_by(snapshots.c.id)
    )
    return list(conn.execute(query))


def _held(conn: Connection) -> Iterator[Finding]:
    do = "ctsftp upload show {id}, then ctsftp upload approve or discard"
    yield from _each(conn, State.HELD, Level.WARN, "is held.", do)


def _failed(conn: Connection) -> Iterator[Finding]:
    text = "failed, and is not tried again by itself."
    do = "ctsftp upload show {id}, then ctsftp upload retry {id}"
    yield from _each(conn, State.FAILED, Level.BAD, text, do, uploads.c.retry_at.is_(None))
    again = conn.execute(
        sa.select(sa.func.count()).where(uploads.c.state == State.FAILED, uploads.c.retry_at.is_not(None))
    ).scalar_one()
    if again:
        yield Finding(
            "uploads",
            Level.WARN,
            f"{again:,} failed by a fault of this machine, and are tried again by themselves.",
            "ctsftp upload list --state failed",
        )


def _stuck(conn: Connection, now: datetime) -> Iterator[Finding]:
    """Find the uploads that wait longer than the sweep lets anything wait that can be loaded."""
    text = f"waits to be loaded, though it came over {LOAD_PATIENCE.seconds // 60} minutes ago."
    do = "ctsftp sweep; if it still waits then, the file of {id} is not on this disk: have it sent again."
    yield from _each(conn, State.RECEIVED, Level.BAD, text, do, uploads.c.received_at < iso(now - LOAD_PATIENCE))


def _rolled_back(conn: Connection) -> Iterator[Finding]:
    """Name the segments in use that stand still until an admin decides."""
    query = sa.select(segments.c.client, segments.c.title).where(
        segments.c.rolled_back, segments.c.retired_at.is_(None)
    )
    for row in conn.execute(query.order_by(segments.c.id)):
        yield Finding(
            "segments",
            Level.WARN,
            f'"{row.title}" of {row.client} was rolled back: its uploads are held until one is approved.',
            "Approve the next file that is right: ctsftp upload list --state held, then ctsftp upload approve ID",
        )


def _overdue(conn: Connection, now: datetime) -> Iterator[Finding]:
    """Name the segments that are overdue now, whether or not a server runs that would have told of them."""
    for row in sorted(overdue(conn, now), key=overdue_at):
        yield Finding(
            "segments",
            Level.WARN,
            f'"{row.title}" of {row.client} is overdue since {iso(overdue_at(row))}.',
            "Look at the Connect job: such jobs expire silently, and start up to 15 minutes late.",
        )


def _each(
    conn: Connection, state: State, level: Level, text: str, do: str, *further: sa.ColumnElement[bool]
) -> Iterator[Finding]:
    """Name the first uploads of a state one by one, `{id}` in `do` being each one's, and count the others."""
    which = sa.and_(uploads.c.state == state, *further)
    query = sa.select(uploads.c.client, uploads.c.filename, uploads.c.id).where(which).order_by(uploads.c.id)
    for client, filename, upload_id in conn.execute(query.limit(SHOWN)).all():
        yield Finding("uploads", level, f'"{filename}" of {client} {text}', do.format(id=upload_id))
    count = conn.execute(sa.select(sa.func.count()).select_from(uploads).where(which)).scalar_one()
    if count > SHOWN:
        text = f"{count - SHOWN:,} more are {state}."
        yield Finding("uploads", Level.WARN, text, f"ctsftp upload list --state {state}")
