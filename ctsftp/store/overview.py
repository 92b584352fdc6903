"""What a person sees at a glance: many segments, uploads and clients, each by one statement however many there are."""

from dataclasses import dataclass

import sqlalchemy as sa

from ctsftp.contract.states import State
from ctsftp.model.records import Logins
from ctsftp.store.database import Database
from ctsftp.store.tables import client_logins, segments, uploads


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
