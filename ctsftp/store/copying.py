"""`migrate-database`: copy a database file to PostgreSQL, compare the two, and only then let servers open the copy.

While it goes on, the target's version is `COPYING`, which no ctsftp opens. Lists go over as their parts, from which the
rows of the current ones are made anew. When everything was copied, both databases are read and compared, and one
transaction then makes the segments, and the version. A copy that was broken off is thrown away by the next run, which
starts again.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from ctsftp.errors import DamagedListError, RefusedError, StoreError
from ctsftp.lists.parts import digest_of
from ctsftp.store import postgres, schema
from ctsftp.store.database import Database
from ctsftp.store.rows import RowSets
from ctsftp.store.rowsets import give_to
from ctsftp.store.tables import member_rows, metadata, row_sets, segments, snapshot_parts, snapshots, uploads

ROWS_AT_ONCE = 5_000
PARTS_AT_ONCE = 20  # some megabytes, where they are as large as they may be

# Told what is being copied, how many rows and members are done, and how many there are.
Progress = Callable[[str, int, int], None]

_LISTS = {segments, snapshots, snapshot_parts, row_sets, member_rows}
_LATE = {
    table
    for table in metadata.sorted_tables
    if table not in _LISTS and any(key.column.table in {segments, snapshots} for key in table.foreign_keys)
}
_EARLY = [table for table in metadata.sorted_tables if table not in _LISTS | _LATE]


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
    """One run."""

    def __init__(self, source: Database, target: Database, node: str, progress: Progress) -> None:
        self._source = source
        self._target = target
        self._node = node
        self._progress = progress
        self._done = 0
        self._total = 0
        self._rows = RowSets(target)

    async def run(self) -> int:
        """Copy, compare, and make the target a database of ctsftp's."""
        published = await self._source.read(_published)
        own = await self._source.read(lambda conn: _rows(conn, segments))
        members = int(sum(row["members"] for row in published))
        rows = await self._source.read(lambda conn: sum(_count(conn, table) for table in _EARLY))
        shown = {segment["current_snapshot_id"] for segment in own}
        shown_members = int(sum(row["members"] for row in published if row["id"] in shown))
        self._total = 2 * (members + rows + shown_members)  # each is copied, and then compared
        for table in _EARLY:
            await self._copy_rows(table)
        for row in published:
            await self._copy_list(row)
        sets = {row["id"]: await self._make_rows(row) for row in published if row["id"] in shown}
        for table in _EARLY:
            await self._compare_rows(table)
        for row in published:
            await self._compare_lists(row, sets.get(row["id"]))
        late = await self._source.read(lambda conn: {table: _rows(conn, table) for table in _LATE})
        await self._target.write(partial(self._finish, published=published, own=own, sets=sets, late=late))
        return members

    async def _copy_rows(self, table: sa.Table) -> None:
        done = 0
        while rows := await self._source.read(partial(_page, table=table, offset=done)):
            await self._target.write(partial(_put, table=table, rows=rows))
            done += len(rows)
            self._tell(table.name, len(rows))

    async def _copy_list(self, row: dict[str, Any]) -> None:
        """Copy a snapshot and its parts."""
        snapshot_id, name = row["id"], f"snapshot {row['id']}"
        await self._target.write(partial(_put, table=snapshots, rows=[row | {"segment_id": None, "number": None}]))
        copied, after = 0, -1
        while parts := await self._source.read(partial(_parts, snapshot_id=snapshot_id, after=after)):
            _require_whole(parts, name)
            await self._target.write(partial(_put, table=snapshot_parts, rows=parts))
            after = parts[-1]["part"]
            copied += sum(part["members"] for part in parts)
            self._tell(name, sum(part["members"] for part in parts))
        if copied != row["members"]:
            raise StoreError(f"The {name} should have {row['members']} members, and has {copied}.")

    async def _make_rows(self, row: dict[str, Any]) -> int:
        """Make the rows of a current list from its parts."""
        row_set = await self._rows.make(row["id"])
        self._tell(f"rows of snapshot {row['id']}", row["members"])
        return row_set

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

    async def _compare_lists(self, row: dict[str, Any], row_set: int | None) -> None:
        """Compare the parts of a list on both sides, and the rows of a current one with its parts."""
        name, after = f"snapshot {row['id']}", -1
        while theirs := await self._source.read(partial(_parts, snapshot_id=row["id"], after=after)):
            ours = await self._target.read(partial(_parts, snapshot_id=row["id"], after=after))
            _require_whole(theirs, name)
            if theirs != ours:
                raise _differs(f"the {name}")
            after = theirs[-1]["part"]
            self._tell(f"{name}, compared", sum(part["members"] for part in theirs))
        if row_set is not None:
            if not await self._rows.mirrors(row_set, row["id"]):
                raise _differs(f"the {name}")
            self._tell(f"rows of {name}, compared", row["members"])

    def _finish(
        self,
        conn: Connection,
        *,
        published: list[dict[str, Any]],
        own: list[dict[str, Any]],
        sets: dict[int, int],
        late: dict[sa.Table, list[Any]],
    ) -> None:
        """Make the segments, and with them everything visible."""
        conn.execute(uploads.update().values(node=self._node))
        _put(conn, table=segments, rows=[row | {"row_set": sets[row["current_snapshot_id"]]} for row in own])
        for row in own:
            give_to(conn, sets[row["current_snapshot_id"]], row["id"])
        for row in published:
            this = snapshots.update().where(snapshots.c.id == row["id"])
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
    for row_set in conn.execute(sa.select(row_sets.c.id)).scalars():
        postgres.drop_rows(conn, row_set)
    conn.exec_driver_sql(f"TRUNCATE {', '.join(table.name for table in metadata.sorted_tables)}")


def _published(conn: Connection) -> list[dict[str, Any]]:
    query = sa.select(snapshots).where(snapshots.c.segment_id.is_not(None)).order_by(snapshots.c.id)
    return [dict(row) for row in conn.execute(query).mappings()]


def _parts(conn: Connection, *, snapshot_id: int, after: int) -> list[dict[str, Any]]:
    this = sa.and_(snapshot_parts.c.snapshot_id == snapshot_id, snapshot_parts.c.part > after)
    query = sa.select(snapshot_parts).where(this).order_by(snapshot_parts.c.part).limit(PARTS_AT_ONCE)
    return [dict(row) for row in conn.execute(query).mappings()]


def _require_whole(parts: Iterable[dict[str, Any]], name: str) -> None:
    for part in parts:
        if digest_of(part["blob"]) != part["digest"]:
            raise DamagedListError(f"The part {part['part']} of the {name} is damaged: `ctsftp doctor` tells more.")


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
