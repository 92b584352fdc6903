"""What is PostgreSQL's own: its connections, its errors in words, loading by COPY, a partition a large row set.

Several nodes work on one database, so a writer that reads what it then changes reads it `with_for_update`.
The rows of small sets share one partition. A large set has a partition of its own, so that a load builds its index in
one go, and deleting it is dropping a table; its id is above all of the small ones', so that no partition needs a look
at the others' rows. More than some hundreds of partitions would slow every join with the rows: that is why small sets
have none of their own.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import orjson
from sqlalchemy import URL, Connection, event, make_url, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from ctsftp.contract.rows import Ids
from ctsftp.errors import StoreError
from ctsftp.store.postgres_looker import Looker, named

T = TypeVar("T")

OLDEST_VERSION = 15
CONNECTIONS = 10  # of the server's own work
READER_CONNECTIONS = 4
CONNECT_TIMEOUT_S = 5
POOL_TIMEOUT_S = 10
# A node that is cut off notices after so long, and so does the server, which then lets go of the node's locks.
SILENCE_LIMIT_S = 10
IDLE_IN_TRANSACTION_S = 30
# Dropping a partition waits for its readers, and makes new ones wait: not for long, the next sweep tries again.
LOCK_TIMEOUT_S = 10
DROP_TIMEOUT_MS = 300

# A set of so many rows has a partition of its own, and an id from here on (the ids of both are int4).
LARGE_FROM_MEMBERS = 2_000_000
LARGE_FROM_ID = 1_000_000_000
COPY_FROM = 20_000  # rows: fewer are inserted by a statement, which passes over those that are there
MIGRATION_LOCK = 0x6374_7366  # any number that no other program on the database uses for an advisory lock

LOCKED = "55P03"  # the SQLSTATE of a lock that was not to be had in time

CONNECTION: dict[str, Any] = {
    "connect_timeout": CONNECT_TIMEOUT_S,
    "application_name": "ctsftp",
    "tcp_user_timeout": SILENCE_LIMIT_S * 1000,
    "keepalives_idle": SILENCE_LIMIT_S,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    # What is asked seldom is not worth to be kept.
    "prepare_threshold": None,
}

SETTINGS = {
    # A plan for all partitions at once would be made, and lock them all, where one for the ids that are asked does not.
    "plan_cache_mode": "force_custom_plan",
    "idle_in_transaction_session_timeout": f"{IDLE_IN_TRANSACTION_S}s",
    "lock_timeout": f"{LOCK_TIMEOUT_S}s",
    "tcp_keepalives_idle": str(SILENCE_LIMIT_S),
    "tcp_keepalives_interval": "2",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": str(SILENCE_LIMIT_S * 1000),
}


# For statements that a reader's connection keeps, which find by unique keys. A plan that was made while the tables
# were small must not be one that reads them to their end when they are large.
KEPT_PLANS = {"plan_cache_mode": "force_generic_plan", "enable_seqscan": "off", "jit": "off"}


class PostgresBackend:
    """A database on a server, which other nodes may share."""

    shared = True
    folder: Path | None = None
    # A transaction that two nodes' work broke off, or whose connection was lost, is tried again after so long.
    waits_s: Sequence[float] = (0.02, 0.1, 0.5, 1.0)

    def __init__(self, url: str) -> None:
        parsed = _parse(url)
        try:
            import psycopg  # noqa: PLC0415  an optional extra
        except ImportError as error:
            raise StoreError("The driver of PostgreSQL is not installed: pip install 'ctsftp[postgres]'.") from error
        self.members_among = MEMBERS_AMONG
        self.name = f"{parsed.username or ''}@{parsed.host or 'localhost'}:{parsed.port or 5432}/{parsed.database}"
        self.faults: tuple[type[Exception], ...] = (psycopg.Error,)
        self._lost_fault = psycopg.OperationalError
        self._parsed = parsed
        self._locks: AsyncConnection | None = None
        self._locks_pool: object = None
        self._holders = 0
        self._locking = asyncio.Lock()
        self.writers = self._engine(CONNECTIONS)
        self.own_readers = _reading(self.writers)
        self.readers = _reading(self._engine(READER_CONNECTIONS))

    def _engine(self, connections: int) -> AsyncEngine:
        engine = create_async_engine(
            self._parsed,
            isolation_level="READ COMMITTED",
            connect_args=CONNECTION | dict(self._parsed.query),
            pool_size=connections,
            max_overflow=0,
            pool_timeout=POOL_TIMEOUT_S,
            hide_parameters=True,
        )
        event.listen(engine.sync_engine, "connect", _configure)
        return engine

    def new_looker(self, name: str) -> Looker:
        """Make threads that read, called by this name."""
        return Looker(self._connect, self.is_lost, name)

    def make(self) -> None:
        """Leave that to whoever owns the server."""

    def require(self) -> None:
        """Leave that to the first connection."""

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Let writers in as they come: their rows' locks keep them apart."""
        yield

    @asynccontextmanager
    async def alone(self, name: str) -> AsyncIterator[bool]:
        """Hold an advisory lock; all of a node's are held by one connection, and go with it."""
        this = {"name": name}
        async with self._locking:
            self._holders += 1
            try:
                if self._locks is None:
                    self._locks = await self.writers.connect()
                    self._locks_pool = self.writers.pool
                    await self._locks.execution_options(isolation_level="AUTOCOMMIT")
                mine = bool((await self._locks.execute(_TAKE, this)).scalar_one())
            except BaseException:
                await self._leave(lost=True)
                raise
        try:
            yield mine
        finally:
            async with self._locking:
                try:
                    if mine and self._locks is not None:
                        await self._locks.execute(_LET_GO, this)
                except DBAPIError:
                    await self._leave(lost=True)
                else:
                    await self._leave(lost=False)

    async def _leave(self, *, lost: bool) -> None:
        """Give the connection of the locks back when nobody holds one, or when it is gone."""
        self._holders -= 1
        if self._locks is not None and (lost or not self._holders):
            locks, self._locks = self._locks, None
            if lost or self._locks_pool is not self.writers.pool:  # which was made anew: nobody would close it there
                await locks.invalidate()
            await locks.close()

    def require_same(self) -> None:
        """Do nothing: a server keeps its files."""

    async def before_write(self) -> None:
        """Do nothing."""

    def check(self, conn: Connection, *, migrate: bool) -> None:
        """Refuse a server that is too old, or another encoding; let one node migrate at a time."""
        version, encoding = conn.exec_driver_sql(
            "SELECT current_setting('server_version_num')::int, current_setting('server_encoding')"
        ).one()
        if version < OLDEST_VERSION * 10_000:
            raise StoreError(
                f"The server of {self.name} is PostgreSQL {version // 10_000}: upgrade it to {OLDEST_VERSION} or later."
            )
        if encoding != "UTF8":
            raise StoreError(f"The database {self.name} is encoded in {encoding}: make one with ENCODING 'UTF8'.")
        if migrate:
            conn.exec_driver_sql("SELECT pg_advisory_xact_lock(%s)", (MIGRATION_LOCK,))

    def check_integrity(self, conn: Connection) -> str | None:
        """Leave that to the server's own tools (checksums, amcheck)."""

    def heals(self, error: BaseException | None) -> bool:
        """Try again what another node's work broke off, and what lost its connection.

        Of two that insert the same row, the second finds it there when it is tried again.
        """
        return _state(error) in {"40001", "40P01", "23505"} or self.is_lost(error)

    def _connect(self) -> Any:
        """Connect a reader past SQLAlchemy: each statement is a transaction, and none may write."""
        import psycopg  # noqa: PLC0415

        own: dict[str, Any] = {**self._parsed.translate_connect_args(username="user", database="dbname")}
        options = CONNECTION | own | dict(self._parsed.query)
        # Values stand in the statement: what may be null has a type then, and partitions are chosen by the planner.
        connection = psycopg.connect(**options, autocommit=True, cursor_factory=psycopg.ClientCursor)
        _configure(connection, None)
        for name, value in KEPT_PLANS.items():
            connection.execute(f"SET {name} = {value}")
        connection.prepare_threshold = 0  # of those that `probe` runs: a client cursor's are none
        connection.read_only = True
        return connection

    def is_lost(self, error: BaseException | None) -> bool:
        """Tell whether the connection is gone, or never came to be."""
        state = _state(error)
        if not isinstance(error, self._lost_fault):
            return False
        return not state or state.startswith(("08", "57P")) or state == "25P03"

    def explain(self, error: BaseException | None) -> str:
        """Say in a sentence what could not be done, and what to do; a driver's own text may quote members' ids."""
        state = _state(error)
        for prefix, sentence in _SENTENCES.items():
            if state.startswith(prefix):
                return f"The database {self.name} {sentence}"
        diagnosis: Any = getattr(error, "diag", None)
        told = " ".join(str(diagnosis.message_primary if state else error).split())
        if isinstance(error, self._lost_fault) and not state:
            refusal = told.partition("FATAL: ")[2].strip()  # of the user, the password, or the database's name
            how = f"refuses the connection: {refusal}" if refusal else f"cannot be reached: {told}"
            return f"The database {self.name} {how}."
        return f"The database {self.name} could not do what was asked: {told}."


MEMBERS_AMONG = (
    "SELECT '[' || coalesce(string_agg(ct_user_id::text, ',' ORDER BY ct_user_id), '') || ']' FROM member_rows"
    " WHERE row_set = (SELECT row_set FROM segments"
    " WHERE client = :client AND key = :key AND retired_at IS NULL)"
    " AND ct_user_id = ANY (ARRAY(SELECT json_array_elements_text(:ids)::bigint))"
)


_TAKE = text("SELECT pg_try_advisory_lock(hashtextextended(:name, 1))")
_LET_GO = text("SELECT pg_advisory_unlock(hashtextextended(:name, 1))")


def lock_name(conn: Connection, name: str) -> None:
    """Hold an advisory lock until the transaction ends; two names of one hash wait for each other, no more."""
    conn.exec_driver_sql("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (name,))


def new_row_set_id(conn: Connection, members: int) -> int | None:
    """Choose the id of a large set, and make its table, which `complete_rows` makes a part of the rows'."""
    if members < LARGE_FROM_MEMBERS:
        return None
    row_set = int(conn.exec_driver_sql("SELECT nextval('large_row_sets')").scalar_one())
    table = _table(row_set)
    # The check spares `complete_rows` a look at every row.
    conn.exec_driver_sql(f"CREATE TABLE {table} (LIKE member_rows, CONSTRAINT {table}_own CHECK (row_set = {row_set}))")
    return row_set


def insert_rows(conn: Connection, row_set: int, ids: Ids) -> int:
    """Add ids to a set, and tell how many were not there yet; by COPY where the set is being made."""
    if row_set >= LARGE_FROM_ID and not _is_attached(conn, row_set):
        _copy(conn, row_set, _table(row_set), ids)
        return len(ids)
    if len(ids) >= COPY_FROM:
        _copy(conn, row_set, "member_rows", ids)
        return len(ids)
    statement = "INSERT INTO member_rows SELECT %s, unnest(%s::bigint[]) ON CONFLICT DO NOTHING"
    return conn.exec_driver_sql(statement, (row_set, _as_array(ids))).rowcount


def delete_rows(conn: Connection, row_set: int, ids: Ids) -> int:
    """Take ids out of a set, and tell how many were there."""
    statement = "DELETE FROM member_rows WHERE row_set = %s AND ct_user_id = ANY (%s::bigint[])"
    return conn.exec_driver_sql(statement, (row_set, _as_array(ids))).rowcount


def _as_array(ids: Ids) -> str:
    """Write `{1,2,3}`: the server reads it sooner than the driver would write a list's numbers."""
    text = orjson.dumps(np.ascontiguousarray(ids), option=orjson.OPT_SERIALIZE_NUMPY).decode()
    return f"{{{text[1:-1]}}}"


def _copy(conn: Connection, row_set: int, table: str, ids: Ids) -> None:
    """Add ids by COPY in its binary form."""
    rows = np.empty(len(ids), dtype=_ROW)
    rows["fields"], rows["id_bytes"], rows["member_bytes"] = 2, 4, 8
    rows["id"], rows["member"] = row_set, ids
    data = _HEADER + rows.tobytes() + _TRAILER

    async def copy(driver: Any) -> None:
        async with (
            driver.cursor() as cursor,
            cursor.copy(f"COPY {table} (row_set, ct_user_id) FROM STDIN (FORMAT BINARY)") as stream,
        ):
            await stream.write(data)

    adapted: Any = conn.connection.dbapi_connection
    conn.exec_driver_sql("SELECT 1")  # the transaction begins, also for SQLAlchemy
    adapted.run_async(copy)


def complete_rows(conn: Connection, row_set: int) -> None:
    """Build the index of a large set, and make its table a part of the rows'; once."""
    if row_set < LARGE_FROM_ID or _is_attached(conn, row_set):
        return
    table = _table(row_set)
    conn.exec_driver_sql(f"ALTER TABLE {table} ADD PRIMARY KEY (row_set, ct_user_id)")
    conn.exec_driver_sql(
        f"ALTER TABLE member_rows ATTACH PARTITION {table} FOR VALUES FROM ({row_set}) TO ({row_set + 1})"
    )
    conn.exec_driver_sql(f"ALTER TABLE {table} DROP CONSTRAINT {table}_own")


def fetch_blob(conn: Any, sql: str, parameters: Mapping[str, Any]) -> bytes | None:
    """Give the one value of a statement, given a looker's connection; in binary, which takes a seventh of the time."""
    row = conn.prober.execute(named(sql), parameters, prepare=True, binary=True).fetchone()
    return row[0] if row else None


def reusable_bytes(conn: Connection) -> int:  # noqa: ARG001
    """Tell nothing: its disk is not ours to watch."""
    return 0


def read_rows(conn: Connection, row_set: int, *, above: int, limit: int) -> Ids:
    """Read the first `limit` ids of a set that are greater than `above`, ascending.

    They come as one value: as rows, they would hold up the event loop.
    """
    return _ids(
        conn.exec_driver_sql(
            "SELECT string_agg(int8send(ct_user_id), '') FROM (SELECT ct_user_id FROM member_rows"
            " WHERE row_set = %s AND ct_user_id > %s ORDER BY ct_user_id LIMIT %s) AS page",
            (row_set, above, limit),
        ).scalar_one()
    )


def drop_rows(conn: Connection, row_set: int) -> bool | None:
    """Drop the table of a large set; the rows of small ones are deleted bit by bit.

    None if somebody reads the rows right now: while this waits, new readers wait behind it.
    """
    if row_set < LARGE_FROM_ID:
        return False
    try:
        with conn.begin_nested():
            conn.exec_driver_sql(f"SET LOCAL lock_timeout = {DROP_TIMEOUT_MS}")
            conn.exec_driver_sql(f"DROP TABLE IF EXISTS {_table(row_set)}")
    except DBAPIError as error:
        if _state(error.orig) != LOCKED:
            raise
        return None
    return True


# A row as COPY's binary form has it (postgresql.org/docs/current/sql-copy.html): all of it in network order.
_ROW = np.dtype(
    [("fields", ">i2"), ("id_bytes", ">i4"), ("id", ">i4"), ("member_bytes", ">i4"), ("member", ">i8")], align=False
)
_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_TRAILER = b"\xff\xff"

_SENTENCES = {
    "25006": "cannot be written: it is read-only; name the primary server.",
    "42501": "cannot be used by this user: GRANT it all on its schema, or make it the owner.",
    "53100": "cannot grow: the disk is full.",
    "53300": "has no connection left: raise its max_connections.",
    "53": "has too few resources: see its log.",
    LOCKED: f"is locked by other work, for over {LOCK_TIMEOUT_S} s.",
    "57P": "is starting or stopping.",
    "XX001": "is damaged: restore a backup.",
    "XX002": "is damaged: restore a backup.",
}


def _parse(url: str) -> URL:
    parsed = make_url(url)
    if parsed.drivername in {"postgres", "postgresql"}:  # as others' tools write it
        parsed = parsed.set(drivername="postgresql+psycopg")
    if parsed.drivername != "postgresql+psycopg" or not parsed.database:
        raise StoreError(
            f"{parsed.render_as_string()} names no database: use postgresql+psycopg://USER:PASSWORD@HOST/NAME."
        )
    return parsed


def _reading(engine: AsyncEngine) -> AsyncEngine:
    return engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)


def _configure(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    named = ", ".join(f"set_config('{name}', '{value}', false)" for name, value in SETTINGS.items())
    cursor.execute(f"SELECT {named}")
    cursor.close()
    connection.commit()


def _state(error: BaseException | None) -> str:
    """Give the SQLSTATE of an error, "" where it has none: the server did not answer."""
    return str(getattr(error, "sqlstate", None) or "")


def _table(row_set: int) -> str:
    return f"member_rows_{int(row_set)}"


def _is_attached(conn: Connection, row_set: int) -> bool:
    query = "SELECT relispartition FROM pg_class WHERE oid = %s::regclass"
    return bool(conn.exec_driver_sql(query, (_table(row_set),)).scalar_one())


def _ids(sent: bytes | None) -> Ids:
    """Read 8 bytes an id; an aggregate promises no order, so it is made here."""
    return np.sort(np.frombuffer(sent or b"", dtype=">i8").astype(np.int64))
