"""`migrate-database`: copy a database file to PostgreSQL, compare the two, and only then let servers open the copy.

While it goes on, the target's version is `COPYING`, which no ctsftp opens. When everything was copied, both databases
are read and compared, and one transaction then makes the segments, and the version. A copy that was broken off is
thrown away by the next run, which starts again.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

import numpy as np
import sqlalchemy as sa
from sqlalchemy import Connection

from ctsftp.errors import RefusedError, StoreError
from ctsftp.store import postgres, schema
from ctsftp.store.backend import bulk
from ctsftp.store.database import Database
from ctsftp.store.tables import metadata, segments, snapshot_members, snapshots, uploads

ROWS_AT_ONCE = 5_000
MEMBERS_AT_ONCE = 100_000

# Told what is being copied, how many rows and members are done, and how many there are.
Progress = Callable[[str, int, int], None]

_LATE = {
    table
    for table in metadata.sorted_tables
    if table not in {segments, snapshots, snapshot_members}
    and any(key.column.table in {segments, snapshots} for key in table.foreign_keys)
}
_EARLY = [table for table in metadata.sorted_tables if table not in {segments, snapshots, snapshot_members, *_LATE}]


async def copy_database(source_url: str, target_url: str, *, node: str, progress: Progress) -> int:
    """Copy everything from a file to an empty PostgreSQL database, and compare; return the members copied.

    The uploads become those of `node`, which has their files. Nobody may write to the source meanwhile: hold its
    folder's lock. Raises `RefusedError` for a target that holds something else, `StoreError` where the two turn out
    different.
    """
    source = await Database.open(source_url, migrate=False)
    try:
        if source.shared:
            raise RefusedError(f"{source.name} is no database file: name the file first, and PostgreSQL second.")
        target = Database(target_url)
        try:
            if not target.shared:
                raise RefusedError(f"{target.name} is not on PostgreSQL: name the file first, and PostgreSQL second.")
            await target.write(partial(_begin, backend=target.backend, name=target.name))
            return await _Copy(source, target, node, progress).run()
        finally:
            await target.close()
    finally:
        await source.close()


class _Copy:
    """One run; `new_id` gives a snapshot its id in the target."""

    def __init__(self, source: Database, target: Database, node: str, progress: Progress) -> None:
        self._source = source
        self._target = target
        self._node = node
        self._progress = progress
        self._done = 0
        self._total = 0
        self._large: set[int] = set()

    async def run(self) -> int:
        """Copy, compare, and make the target a database of ctsftp's."""
        published = await self._source.read(_published)
        self._large = {row["id"] for row in published if row["members"] >= postgres.LARGE_FROM_MEMBERS}
        members = int(sum(row["members"] for row in published))
        rows = await self._source.read(lambda conn: sum(_count(conn, table) for table in _EARLY))
        self._total = 2 * (members + rows)  # each is copied, and then compared
        for table in _EARLY:
            await self._copy_rows(table)
        for row in published:
            await self._copy_snapshot(row)
        for table in _EARLY:
            await self._compare_rows(table)
        for row in published:
            await self._compare_members(row)
        late = await self._source.read(lambda conn: {table: _rows(conn, table) for table in (segments, *_LATE)})
        await self._target.write(partial(self._finish, published=published, late=late))
        return members

    def new_id(self, snapshot_id: int) -> int:
        """Give a snapshot its id in the target, where large ones have ids of their own."""
        return snapshot_id + postgres.LARGE_FROM_ID if snapshot_id in self._large else snapshot_id

    async def _copy_rows(self, table: sa.Table) -> None:
        done = 0
        while rows := await self._source.read(partial(_page, table=table, offset=done)):
            await self._target.write(partial(_put, table=table, rows=rows))
            done += len(rows)
            self._tell(table.name, len(rows))

    async def _copy_snapshot(self, row: dict[str, Any]) -> None:
        new_id, name = self.new_id(row["id"]), f"snapshot {row['id']}"
        bare = row | {"id": new_id, "segment_id": None, "number": None}
        bare["previous_id"] = self.new_id(row["previous_id"]) if row["previous_id"] else None
        await self._target.write(partial(_begin_snapshot, row=bare))
        copied = above = 0
        while (ids := await self._source.read(partial(_ids, snapshot_id=row["id"], above=above))).size:
            copied, above = copied + len(ids), int(ids[-1])
            await self._target.write(partial(postgres.insert_members, snapshot_id=new_id, ids=ids))
            self._tell(name, len(ids))
        await self._target.write(partial(postgres.complete_members, snapshot_id=new_id))
        if copied != row["members"]:
            raise StoreError(f"The {name} should have {row['members']} members, and has {copied}.")

    async def _compare_rows(self, table: sa.Table) -> None:
        digests = []
        for database in (self._source, self._target):
            digest, offset = 0, 0
            while rows := await database.read(partial(_page, table=table, offset=offset)):
                digest = (digest + sum(_digest(row) for row in rows)) % 2**256
                offset += len(rows)
            digests.append((offset, digest))
        if digests[0] != digests[1]:
            raise _differs(f"the table {table.name}")
        self._tell(f"{table.name}, compared", digests[0][0])

    async def _compare_members(self, row: dict[str, Any]) -> None:
        above, seen = 0, 0
        while seen < row["members"]:
            theirs = await self._source.read(partial(_ids, snapshot_id=row["id"], above=above))
            ours = await self._target.read(partial(_ids, snapshot_id=self.new_id(row["id"]), above=above))
            if not theirs.size or not np.array_equal(theirs, ours):
                raise _differs(f"the snapshot {row['id']}")
            seen, above = seen + len(theirs), int(theirs[-1])
            self._tell(f"snapshot {row['id']}, compared", len(theirs))

    def _finish(self, conn: Connection, *, published: list[dict[str, Any]], late: dict[sa.Table, list[Any]]) -> None:
        """Make the segments, and with them everything visible."""
        conn.execute(uploads.update().values(node=self._node))
        own = [row | {"current_snapshot_id": self.new_id(row["current_snapshot_id"])} for row in late[segments]]
        _put(conn, table=segments, rows=own)
        for row in published:
            this = snapshots.update().where(snapshots.c.id == self.new_id(row["id"]))
            conn.execute(this.values(segment_id=row["segment_id"], number=row["number"]))
        for table in sorted(_LATE, key=metadata.sorted_tables.index):
            _put(conn, table=table, rows=late[table])
        _set_sequences(conn)
        schema.set_revision(conn, schema.REVISION)

    def _tell(self, what: str, count: int) -> None:
        self._done += count
        self._progress(what, self._done, self._total)


def _begin(conn: Connection, *, backend: Any, name: str) -> None:
    """Make the tables in an empty database, and mark it; refuse one that holds anything but a broken-off copy."""
    backend.check(conn, migrate=True)
    if schema.revision(conn) == schema.COPYING:
        _discard(conn)
        return
    schema.refuse_strangers(conn, name=f"The database {name}")
    schema.upgrade(conn)
    if any(_count(conn, table) for table in metadata.sorted_tables):
        raise RefusedError(f"The database {name} has been in use already: name an empty one.")
    schema.set_revision(conn, schema.COPYING)


def _discard(conn: Connection) -> None:
    """Throw away what a copy left that was broken off."""
    for snapshot_id in conn.execute(sa.select(snapshots.c.id)).scalars():
        postgres.drop_members(conn, snapshot_id)
    conn.exec_driver_sql(f"TRUNCATE {', '.join(table.name for table in metadata.sorted_tables)}")


def _published(conn: Connection) -> list[dict[str, Any]]:
    query = sa.select(snapshots).where(snapshots.c.segment_id.is_not(None)).order_by(snapshots.c.id)
    return [dict(row) for row in conn.execute(query).mappings()]


def _begin_snapshot(conn: Connection, *, row: dict[str, Any]) -> None:
    if row["id"] >= postgres.LARGE_FROM_ID:
        postgres.make_table(conn, row["id"])
    conn.execute(snapshots.insert().values(row))


def _ids(conn: Connection, *, snapshot_id: int, above: int) -> Any:
    return bulk(conn).read_members(conn, snapshot_id, above=above, limit=MEMBERS_AT_ONCE)


def _count(conn: Connection, table: sa.Table) -> int:
    return int(conn.execute(sa.select(sa.func.count()).select_from(table)).scalar_one())


def _page(conn: Connection, *, table: sa.Table, offset: int) -> list[dict[str, Any]]:
    query = sa.select(table).order_by(*table.primary_key).offset(offset).limit(ROWS_AT_ONCE)
    return [dict(row) for row in conn.execute(query).mappings()]


def _rows(conn: Connection, table: sa.Table) -> list[dict[str, Any]]:
    return [dict(row) for row in conn.execute(sa.select(table)).mappings()]


def _put(conn: Connection, *, table: sa.Table, rows: Iterable[dict[str, Any]]) -> None:
    if rows := list(rows):
        conn.execute(table.insert(), rows)


def _digest(row: dict[str, Any]) -> int:
    """Make a number of a row; the sum of them does not depend on the rows' order, which collations change."""
    return int.from_bytes(hashlib.sha256(repr(sorted(row.items())).encode(errors="replace")).digest())


def _set_sequences(conn: Connection) -> None:
    """Let every table go on counting behind what was copied."""
    for table, column in _counted():
        below = f"WHERE {column} < {postgres.LARGE_FROM_ID}"
        conn.exec_driver_sql(
            f"SELECT setval(pg_get_serial_sequence('{table}', '{column}'),"  # noqa: S608  names are ours
            f" coalesce((SELECT max({column}) FROM {table} {below}), 0) + 1, false)"
        )
    conn.exec_driver_sql(
        "SELECT setval('large_snapshots', coalesce((SELECT max(id) FROM snapshots WHERE id >= %s), %s) + 1, false)",
        (postgres.LARGE_FROM_ID, postgres.LARGE_FROM_ID),
    )


def _counted() -> Iterator[tuple[str, str]]:
    for table in metadata.sorted_tables:
        column = table.autoincrement_column
        if column is not None:
            yield table.name, column.name


def _differs(what: str) -> StoreError:
    return StoreError(
        f"In the copy, {what} is not what it is in the original: something wrote to one of them meanwhile."
        " Stop it, make the copy's database anew, and begin again."
    )
