"""What a scrape asks of the database: counts that its indexes answer, however long the ledger has grown."""

from collections import Counter
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy import Connection

from ctsftp.contract.rows import KEPT_REJECTED
from ctsftp.contract.states import State
from ctsftp.store.backend import bulk
from ctsftp.store.database import Database
from ctsftp.store.snapshots import MEMBER_BYTES
from ctsftp.store.tables import segments, snapshots, uploads

# A rejected row with its value and its reason, and the index's entry.
REJECTED_BYTES = 250
CODED = (State.REJECTED, State.HELD, State.FAILED)


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentNumbers:
    """A segment's current list: how many members, and when it was published (`iso`)."""

    client: str
    title: str
    members: int
    loaded_at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerNumbers:
    """Uploads by state and code, the segments that are not retired, and how many of all of them are overdue."""

    uploads: dict[tuple[str, str | None], int]
    segments: list[SegmentNumbers]
    segment_count: int
    overdue: int


class Numbers:
    """Counts what is in the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def read(self, *, segments: int) -> LedgerNumbers:
        """Count everything in one moment; of the segments, the first ones that were ever made, up to a number."""
        self._database.backend.require_same()
        return await self._database.read(lambda conn: _read(conn, segments))

    async def held_bytes(self) -> dict[str, int]:
        """Estimate what the database holds of each client: its lists as rows and parts, and rejected rows."""
        return await self._database.read(_held_bytes)

    async def reusable_bytes(self) -> int:
        """Tell how much may be written before the database's file grows."""
        return await self._database.read(lambda conn: bulk(conn).reusable_bytes(conn))

    async def answers(self) -> None:
        """Read something small; `StoreError` if the database does not answer, or is another one by now."""
        self._database.backend.require_same()
        await self._database.read(lambda conn: conn.execute(sa.select(uploads.c.id).limit(1)).first())


def bytes_held(members: int, rejected: int) -> int:
    """Estimate what an upload leaves in the database."""
    return members * MEMBER_BYTES + min(rejected, KEPT_REJECTED) * REJECTED_BYTES


def _held_bytes(conn: Connection) -> dict[str, int]:
    members = (
        sa.select(uploads.c.client, sa.func.sum(snapshots.c.members))
        .join(uploads, uploads.c.id == snapshots.c.upload_id)
        .group_by(uploads.c.client)
    )
    kept = sa.case((uploads.c.rejected > KEPT_REJECTED, KEPT_REJECTED), else_=uploads.c.rejected)
    rejected = sa.select(uploads.c.client, sa.func.sum(kept)).where(uploads.c.rejected > 0).group_by(uploads.c.client)
    held: Counter[str] = Counter()
    for client, count in conn.execute(members):
        held[client] += int(count) * MEMBER_BYTES
    for client, count in conn.execute(rejected):
        held[client] += int(count) * REJECTED_BYTES
    return held


def _read(conn: Connection, shown: int) -> LedgerNumbers:
    live = segments.c.retired_at.is_(None)
    current = (
        sa.select(segments.c.client, segments.c.title, snapshots.c.members, snapshots.c.published_at)
        .join(snapshots, snapshots.c.id == segments.c.current_snapshot_id)
        .where(live)
        .order_by(segments.c.id)
        .limit(shown)
    )
    return LedgerNumbers(
        uploads=_count_uploads(conn),
        segments=[
            SegmentNumbers(client=client, title=title, members=members, loaded_at=loaded_at)
            for client, title, members, loaded_at in conn.execute(current)
        ],
        segment_count=_count(conn, live),
        overdue=_count(conn, sa.and_(live, segments.c.overdue_since.is_not(None))),
    )


def _count_uploads(conn: Connection) -> dict[tuple[str, str | None], int]:
    """Count by state from the index alone; only of the few that have a code, the rows are read."""
    count = sa.func.count()
    plain = sa.select(uploads.c.state, sa.null(), count).where(uploads.c.state.not_in(CODED)).group_by(uploads.c.state)
    coded = (
        sa.select(uploads.c.state, uploads.c.code, count)
        .where(uploads.c.state.in_(CODED))
        .group_by(uploads.c.state, uploads.c.code)
    )
    return {(state.value, code): number for query in (plain, coded) for state, code, number in conn.execute(query)}


def _count(conn: Connection, condition: sa.ColumnElement[bool]) -> int:
    return int(conn.execute(sa.select(sa.func.count()).select_from(segments).where(condition)).scalar_one())
