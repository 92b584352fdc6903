"""What is SQLite's own: opening a file, its locks and its log, loading ids in bulk, its errors in words.

Everything else in the store is portable. A second database is a second module with these names.
"""

import asyncio
import os
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import orjson
from sqlalchemy import URL, Connection, event, inspect, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from ctsftp.contract.rows import Ids
from ctsftp.errors import LostDatabaseError, StoreError
from ctsftp.store.tables import client_logins, gate_segments, gates, row_sets, segments, snapshots, tokens, uploads

T = TypeVar("T")

BUSY_TIMEOUT_MS = 5_000
CHECKPOINT_TIMEOUT_MS = 100
WAL_LIMIT_BYTES = 64 * 1024 * 1024
READER_CONNECTIONS = 4
READER_CACHE_KIB = 256
PRIMARY_CODE = 0xFF  # the bits of a result code that say what happened; the others say how
FILE_MODE = 0o640


class SqliteBackend:
    """A database file; one process at a time works on it (`data/lock`), and one transaction at a time writes."""

    shared = False
    faults: tuple[type[Exception], ...] = (sqlite3.Error,)
    waits_s: Sequence[float] = ()

    def __init__(self, url: str) -> None:
        self.path = path_of(url)
        self.name = str(self.path)
        self.folder: Path | None = self.path.parent
        self.writers = writer_engine(self.path)
        self.own_readers = reader_engine(self.path)
        self.readers = reader_engine(self.path)
        self._turn = asyncio.Lock()
        self._file: tuple[int, int] | None = None
        self.members_among = MEMBERS_AMONG

    def new_looker(self, name: str) -> "Looker":
        """Make threads that read, called by this name."""
        return Looker(self.path, name)

    def make(self) -> None:
        """Make an empty file if there is none."""
        make_file(self.path)
        self._file = _file_at(self.path)

    def require(self) -> None:
        """Refuse a file that is not there: to connect would make it."""
        if not self.path.exists():
            raise StoreError(f"There is no database {self.path} yet: start `ctsftp serve` once, or name another.")
        self._file = _file_at(self.path)

    def require_same(self) -> None:
        """Compare the file that stands at the path with the one that was opened: SQLite would write on into that."""
        if _file_at(self.path) != self._file:
            raise LostDatabaseError(
                f"The database {self.path} was deleted or replaced while it was open, and nothing is written any more:"
                " stop the server, put the file or a backup in its place (`ctsftp backup --help`), and start it."
            )

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Let one write in at a time, in the order in which they came."""
        async with self._turn:
            yield

    @asynccontextmanager
    async def alone(self, name: str) -> AsyncIterator[bool]:  # noqa: ARG002
        """There is no other node."""
        yield True

    async def before_write(self) -> None:
        """Refuse to write into a file that is lost; shorten the log if it has grown long."""
        self.require_same()
        await truncate_wal(self.writers, self.path)

    def check(self, conn: Connection, *, migrate: bool) -> None:  # noqa: ARG002  the write lock keeps others out
        """Refuse a damaged file."""
        if damage := find_damage(conn):
            raise StoreError(
                f"The database {self.path} is damaged ({damage})."
                " It was left as it is: restore a backup, or move it away."
            )

    def check_integrity(self, conn: Connection) -> str | None:
        """Read the whole file for damage, and tell the first that is found."""
        return check_integrity(conn)

    def heals(self, error: BaseException | None) -> bool:  # noqa: ARG002  the busy timeout has waited already
        """Nothing is tried again."""
        return False

    def is_lost(self, error: BaseException | None) -> bool:  # noqa: ARG002
        """There is no connection that could break."""
        return False

    def explain(self, error: BaseException | None) -> str:
        """Say in a sentence what could not be done, and what to do about it."""
        return explain(error, self.path)


def path_of(url: str) -> Path:
    """Find the file that a database URL names; `StoreError` for what is no file of SQLite."""
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise StoreError(f"{url!r} is no database URL: use sqlite+aiosqlite:///PATH.") from error
    if parsed.drivername != "sqlite+aiosqlite" or parsed.database in (None, "", ":memory:"):
        raise StoreError(f"{parsed.render_as_string()} does not name a file: use sqlite+aiosqlite:///PATH.")
    return Path(str(parsed.database)).absolute()


def make_file(path: Path) -> None:
    """Make an empty database file that only its owner and group may read, if there is none.

    SQLite gives its log and shared memory the mode of the file.
    """
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE))
    except OSError as error:
        raise StoreError(f"The database {path} cannot be made: {error.strerror}.") from error


def _file_at(path: Path) -> tuple[int, int] | None:
    """Give the device and inode of the file at a path; None if none can be looked at."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def writer_engine(path: Path) -> AsyncEngine:
    """Make the engine with the one connection that writes; a transaction takes the write lock when it begins."""
    return _engine(path, ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"), "BEGIN IMMEDIATE", connections=1)


def reader_engine(path: Path) -> AsyncEngine:
    """Make the engine whose connections cannot write; a transaction sees one moment of the database."""
    return _engine(path, ("query_only=ON", f"cache_size=-{READER_CACHE_KIB}"), "BEGIN", connections=READER_CONNECTIONS)


def _engine(path: Path, pragmas: tuple[str, ...], begin: str, *, connections: int) -> AsyncEngine:
    engine = create_async_engine(
        URL.create("sqlite+aiosqlite", database=str(path)),
        # The driver shall begin nothing by itself: transactions begin with `begin`, and DDL is part of them.
        connect_args={"isolation_level": None, "timeout": BUSY_TIMEOUT_MS / 1000},
        pool_size=connections,
        max_overflow=0,
        pool_use_lifo=True,  # each connection has a cache of its own: those that are not needed fill none
        # A statement's parameters are members' ids, up to 100,000 of them: not for logs.
        hide_parameters=True,
    )
    event.listen(engine.sync_engine, "connect", _set_pragmas(pragmas))
    event.listen(engine.sync_engine, "begin", lambda conn: conn.exec_driver_sql(begin))
    return engine


def _set_pragmas(pragmas: tuple[str, ...]) -> Callable[[Any, Any], None]:
    def on_connect(connection: Any, _record: Any) -> None:
        cursor = connection.cursor()
        for pragma in pragmas:
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    return on_connect


def find_damage(conn: Connection) -> str | None:
    """Look for damage in the tables that all else hangs on, and tell the first that is found.

    Rows, parts and rejected rows may be gigabytes, which no start can wait for: damage there is met by whoever reads
    them.
    """
    there = inspect(conn).get_table_names()
    for table in (one.name for one in _TABLES if one.name in there):
        found = conn.exec_driver_sql(f"PRAGMA quick_check({table})").scalars().first()
        if found != "ok":
            return str(found)
    return None


def check_integrity(conn: Connection) -> str | None:
    """Look for damage in every table and index, and for rows whose other half is gone; tell the first that is found.

    Reads the whole file: about a second a gigabyte, and more on a slow disk.
    """
    found = str(conn.exec_driver_sql("PRAGMA quick_check(1)").scalar_one())
    if found != "ok":
        return found
    orphan = conn.exec_driver_sql("PRAGMA foreign_key_check").first()
    return f"a row of {orphan[0]} names a row of {orphan[2]} that is gone" if orphan else None


_TABLES = (segments, uploads, snapshots, row_sets, client_logins, tokens, gates, gate_segments)


class Looker:
    """Reads past SQLAlchemy, in threads of its own: a look-up costs a thread's turn, not a millisecond.

    Each thread has a connection of its own, and a statement is a transaction: it sees one moment of the database.
    """

    def __init__(self, path: Path, name: str) -> None:
        self._path = path
        self._threads = ThreadPoolExecutor(READER_CONNECTIONS, thread_name_prefix=name)
        self._own = threading.local()
        self._all: list[sqlite3.Connection] = []
        self._quick: sqlite3.Connection | None = None

    async def look(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Have one thread do `work`, which may only read."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._look, work)

    async def probe(self, sql: str, parameters: Mapping[str, Any]) -> list[Any]:
        """Read a few pages on the event loop: a thread's turn would take ten times as long.

        Readers wait for nobody but a program that has locked the whole file; a thread waits for that.
        """
        if self._quick is None:
            self._quick = self._connect(timeout_s=0)
        try:
            return self._quick.execute(sql, parameters).fetchall()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & PRIMARY_CODE != sqlite3.SQLITE_BUSY:
                raise
            return await self.look(lambda conn: conn.execute(sql, parameters).fetchall())

    def close(self) -> None:
        """Wait for what runs, and close; call it off the event loop."""
        self._threads.shutdown()
        while self._all:
            self._all.pop().close()

    def _look(self, work: Callable[[sqlite3.Connection], T]) -> T:
        if not hasattr(self._own, "connection"):
            self._own.connection = self._connect(timeout_s=BUSY_TIMEOUT_MS / 1000)
        return work(self._own.connection)

    def _connect(self, *, timeout_s: float) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, timeout=timeout_s, isolation_level=None, check_same_thread=False)
        self._all.append(connection)
        connection.execute("PRAGMA query_only=ON")
        return connection


# A join with json_each instead of IN would scan the ids once for every row of the set.
MEMBERS_AMONG = (
    "SELECT json_group_array(ct_user_id) FROM (SELECT ct_user_id FROM member_rows"
    " WHERE row_set = (SELECT row_set FROM segments"
    " WHERE client = :client AND key = :key AND retired_at IS NULL)"
    " AND ct_user_id IN (SELECT value FROM json_each(:ids)) ORDER BY ct_user_id)"
)


def insert_rows(conn: Connection, row_set: int, ids: Ids) -> int:
    """Add ids to a set, and tell how many were not there yet.

    It is fastest where they are ascending and above all others, since the b-tree then grows at its right end. One
    statement with the ids as JSON is four times as fast as a parameter an id, and frees the GIL.
    """
    statement = "INSERT OR IGNORE INTO member_rows SELECT ?, value FROM json_each(?)"
    return conn.exec_driver_sql(statement, (row_set, _as_json(ids))).rowcount


def delete_rows(conn: Connection, row_set: int, ids: Ids) -> int:
    """Take ids out of a set, and tell how many were there."""
    statement = "DELETE FROM member_rows WHERE row_set = ? AND ct_user_id IN (SELECT value FROM json_each(?))"
    return conn.exec_driver_sql(statement, (row_set, _as_json(ids))).rowcount


def _as_json(ids: Ids) -> str:
    # As text: newer versions of SQLite take a BLOB for their own binary JSON.
    return orjson.dumps(np.ascontiguousarray(ids), option=orjson.OPT_SERIALIZE_NUMPY).decode()


def lock_name(conn: Connection, name: str) -> None:
    """Do nothing: one transaction at a time writes."""


def new_row_set_id(conn: Connection, members: int) -> None:
    """Let the table choose the id."""


def complete_rows(conn: Connection, row_set: int) -> None:
    """Do nothing: what is inserted is readable."""


def drop_rows(conn: Connection, row_set: int) -> bool:  # noqa: ARG001
    """Leave them to be deleted bit by bit."""
    return False


def fetch_blob(conn: sqlite3.Connection, sql: str, parameters: Mapping[str, Any]) -> bytes | None:
    """Give the one value of a statement, given a looker's connection; None where there is no row."""
    row = conn.execute(sql, parameters).fetchone()
    return row[0] if row else None


def reusable_bytes(conn: Connection) -> int:
    """Tell how many bytes of the file were freed by deletions; it never shrinks, and they are filled first."""
    pages = conn.exec_driver_sql("PRAGMA freelist_count").scalar_one()
    return int(pages) * int(conn.exec_driver_sql("PRAGMA page_size").scalar_one())


def read_rows(conn: Connection, row_set: int, *, above: int, limit: int) -> Ids:
    """Read the first `limit` ids of a set that are greater than `above`, ascending.

    They come as one text: as rows, they would hold up the event loop three times as long.
    """
    return _ids_of(
        conn.exec_driver_sql(
            "SELECT group_concat(ct_user_id) FROM (SELECT ct_user_id FROM member_rows"
            " WHERE row_set = ? AND ct_user_id > ? ORDER BY ct_user_id LIMIT ?)",
            (row_set, above, limit),
        ).scalar_one()
    )


def _ids_of(text: str | None) -> Ids:
    """Read `1,2,3`; SQLite promises no order inside a group_concat, so it is made here."""
    return np.sort(np.fromstring(text, dtype=np.int64, sep=",")) if text else np.empty(0, dtype=np.int64)


async def truncate_wal(engine: AsyncEngine, path: Path) -> None:
    """Write the log back into the database if it has grown past `WAL_LIMIT_BYTES`; call it between transactions.

    SQLite's own checkpoints never shorten a log that some reader is always reading. A reader that is in the way is
    waited for only briefly, since this holds the write lock; the next call tries again.
    """
    try:
        if path.with_name(f"{path.name}-wal").stat().st_size <= WAL_LIMIT_BYTES:
            return
    except FileNotFoundError:
        return
    async with engine.connect() as conn:
        driver: Any = (await conn.get_raw_connection()).driver_connection
        await driver.execute_fetchall(f"PRAGMA busy_timeout={CHECKPOINT_TIMEOUT_MS}")
        try:
            await driver.execute_fetchall("PRAGMA wal_checkpoint(TRUNCATE)")
        finally:
            await driver.execute_fetchall(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")


def explain(error: BaseException | None, path: Path) -> str:
    """Say in a sentence what SQLite could not do, and what to do about it."""
    name = str(getattr(error, "sqlite_errorname", ""))
    for prefix, sentence in _SENTENCES.items():
        if name.startswith(prefix):
            return f"The database {path} {sentence}"
    return f"The database {path} could not do what was asked: {error}."


_SENTENCES = {
    "SQLITE_BUSY": f"is locked by another program, for over {BUSY_TIMEOUT_MS // 1000} s: close that program.",
    "SQLITE_NOTADB": "is not an SQLite database. It was left as it is: restore a backup, or move it away.",
    "SQLITE_CORRUPT": "is damaged. It was left as it is: restore a backup, or move it away.",
    "SQLITE_FULL": "cannot grow: the disk is full.",
    "SQLITE_READONLY": "cannot be written: see the owner and the mode of the file and its folder.",
    "SQLITE_CANTOPEN": "cannot be opened: see the owner and the mode of the file and its folder.",
    "SQLITE_IOERR": "could not be read or written: the disk failed.",
}
