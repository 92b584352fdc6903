"""What a person sees at a glance: many segments, uploads and clients, each by one statement however many there are."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy import Connection

from ctsftp.contract.states import State
from ctsftp.store.database import Database
from ctsftp.store.records import Logins, Segment
from ctsftp.store.tables import client_logins, segments, snapshots, uploads

TREND_SIZES = 20
CHART_SIZES = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """Uploads of one segment (by its key) that ask for a person: so many in a state."""

    client: str
    key: str | None
    state: State
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentTotals:
    """How many segments there are: in use, of these overdue (as `report_overdue` found), and retired."""

    in_use: int
    overdue: int
    retired: int


class Overview:
    """Reads for pages; `client` narrows to one client's, None is all."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def trends(self, client: str | None) -> dict[int, list[int]]:
        """Give the sizes of each segment's kept snapshots, old to new, by the id of its current snapshot."""
        query = (
            sa.select(segments.c.current_snapshot_id, snapshots.c.members)
            .join(snapshots, snapshots.c.segment_id == segments.c.id)
            .order_by(snapshots.c.segment_id, snapshots.c.number)
        )
        if client is not None:
            query = query.where(segments.c.client == client)

        def work(conn: Connection) -> dict[int, list[int]]:
            found = defaultdict(list)
            for snapshot_id, members in conn.execute(query):
                found[snapshot_id].append(members)
            return {snapshot_id: sizes[-TREND_SIZES:] for snapshot_id, sizes in found.items()}

        return await self._database.read(work)

    async def trends_of(self, page: Sequence[Segment]) -> dict[int, list[int]]:
        """Give what `trends` does for some segments, whatever else there is; 500 at most."""
        current, kept = snapshots.alias("current"), snapshots.alias("kept")
        age = sa.func.row_number().over(partition_by=kept.c.segment_id, order_by=kept.c.number.desc())
        aged = (
            sa.select(current.c.id, kept.c.number, kept.c.members, age.label("age"))
            .join(kept, kept.c.segment_id == current.c.segment_id)
            .where(current.c.id.in_([one.snapshot_id for one in page]))
            .subquery()
        )
        query = sa.select(aged.c.id, aged.c.members).where(aged.c.age <= TREND_SIZES).order_by(aged.c.id, aged.c.number)
        found = defaultdict(list)
        for snapshot_id, members in await self._database.read(lambda conn: conn.execute(query).all()):
            found[snapshot_id].append(members)
        return dict(found)

    async def totals(self, client: str | None) -> SegmentTotals:
        """Count the segments."""
        in_use = segments.c.retired_at.is_(None)
        query = sa.select(
            sa.func.count().filter(in_use).label("in_use"),
            sa.func.count().filter(in_use, segments.c.overdue_since.is_not(None)).label("overdue"),
            sa.func.count().filter(~in_use).label("retired"),
        )
        if client is not None:
            query = query.where(segments.c.client == client)
        return SegmentTotals(**await self._database.read(lambda conn: conn.execute(query).mappings().one()))

    async def waiting(self, client: str | None) -> list[Waiting]:
        """Count the uploads that are held or failed."""
        columns = uploads.c
        query = (
            sa.select(columns.client, columns.segment_key.label("key"), columns.state, sa.func.count().label("count"))
            .where(columns.state.in_((State.HELD, State.FAILED)))
            .group_by(columns.client, columns.segment_key, columns.state)
        )
        if client is not None:
            query = query.where(columns.client == client)
        rows = await self._database.read(lambda conn: conn.execute(query).mappings().all())
        return [Waiting(**row) for row in rows]

    async def sizes(self, client: str, key: str) -> list[tuple[str, int]]:
        """Give the newest loads of a segment, old to new: when, and how many members it had then.

        They stand in the ledger, which outlives the snapshots.
        """
        columns = uploads.c
        query = (
            sa.select(columns.finished_at, columns.members)
            .where(columns.client == client, columns.segment_key == key, columns.state == State.LOADED)
            .order_by(columns.id.desc())
            .limit(CHART_SIZES)
        )
        rows = await self._database.read(lambda conn: conn.execute(query).all())
        return sorted((at, members) for at, members in rows)

    async def segment_counts(self, client: str | None) -> dict[str, int]:
        """Count the segments of each client that has any, retired ones too."""
        query = sa.select(segments.c.client, sa.func.count()).group_by(segments.c.client)
        if client is not None:
            query = query.where(segments.c.client == client)
        return dict(await self._database.read(lambda conn: [tuple(row) for row in conn.execute(query)]))

    async def logins(self) -> dict[str, Logins]:
        """Give the last login and the last refusal of each client that had any."""
        rows = await self._database.read(lambda conn: conn.execute(sa.select(client_logins)).mappings().all())
        facts = [dict(row) for row in rows]
        return {row.pop("client"): Logins(**row) for row in facts}
