"""Makes the parts of lists that a version before parts left as rows alone; a list a transaction.

Whatever dies in between: a list has all of its parts or none, and the next start goes on.
"""

import asyncio
from functools import partial

import numpy as np
import sqlalchemy as sa
from sqlalchemy import Connection

from ctsftp.contract.rows import NO_IDS, Ids
from ctsftp.errors import StoreError
from ctsftp.lists import build
from ctsftp.store.backend import bulk
from ctsftp.store.database import Database
from ctsftp.store.parts import Batch, write_parts
from ctsftp.store.tables import row_sets, snapshot_parts, snapshots

READ_AT_ONCE = 100_000


async def make_missing_parts(database: Database) -> int:
    """Make the parts of every list that has none; tell how many lists those were. Call it before anything loads."""
    missing = await database.read(_without_parts)
    for snapshot_id, members, row_set in missing:
        ids = await _read_rows(database, row_set)
        if len(ids) != members:
            raise StoreError(
                f"The rows of the snapshot {snapshot_id} are damaged: they are {len(ids):,}, and should be {members:,}."
                " Restore a backup."
            )
        parts = await asyncio.to_thread(_build, ids)
        await database.write(partial(_put, snapshot_id=snapshot_id, parts=parts))
    return len(missing)


def _build(ids: Ids) -> Batch:
    return list(build(ids))


async def _read_rows(database: Database, row_set: int) -> Ids:
    pages: list[Ids] = [NO_IDS]
    above = 0
    while True:
        page = await database.read(partial(_page, row_set=row_set, above=above))
        if not page.size:
            return np.concatenate(pages)
        pages.append(page)
        above = int(page[-1])


def _page(conn: Connection, *, row_set: int, above: int) -> Ids:
    return bulk(conn).read_rows(conn, row_set, above=above, limit=READ_AT_ONCE)


def _without_parts(conn: Connection) -> list[tuple[int, int, int]]:
    has_parts = sa.exists().where(snapshot_parts.c.snapshot_id == snapshots.c.id)
    query = (
        sa.select(snapshots.c.id, snapshots.c.members, sa.func.min(row_sets.c.id))
        .outerjoin(row_sets, row_sets.c.snapshot_id == snapshots.c.id)
        .where(snapshots.c.segment_id.is_not(None), snapshots.c.members > 0, ~has_parts)
        .group_by(snapshots.c.id, snapshots.c.members)
        .order_by(snapshots.c.id)
    )
    return [(snapshot_id, members, row_set or 0) for snapshot_id, members, row_set in conn.execute(query)]


def _put(conn: Connection, *, snapshot_id: int, parts: Batch) -> None:
    """Write the parts, unless another node was quicker, or the list is gone."""
    this = sa.select(snapshots.c.id).where(snapshots.c.id == snapshot_id, snapshots.c.segment_id.is_not(None))
    if not conn.execute(this.with_for_update()).first():
        return
    if not conn.execute(sa.select(sa.exists().where(snapshot_parts.c.snapshot_id == snapshot_id))).scalar_one():
        write_parts(conn, snapshot_id, parts)
