"""What the store asks of a database beyond portable SQL: two modules answer, `sqlite` and `postgres`.

A `Backend` is one open database: its engines, who may write when, its errors in words. What touches members
in bulk are plain functions of a connection, so that whoever has a connection can call them.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Protocol, TypeVar

from sqlalchemy import Connection, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncEngine

from ctsftp.contract.rows import Ids
from ctsftp.errors import StoreError
from ctsftp.store import postgres, sqlite

T = TypeVar("T")

USE = "use sqlite+aiosqlite:///PATH, or postgresql+psycopg://USER@HOST/NAME"


class Looker(Protocol):
    """Reads past SQLAlchemy, in threads of its own.

    A connection takes `:named` parameters, and its `execute` gives what sqlite3's does.
    """

    async def look(self, work: Callable[[Any], T]) -> T:
        """Have one thread do `work`, given a connection."""

    async def probe(self, sql: str, parameters: Mapping[str, Any]) -> list[Any]:
        """Give the rows of a statement that finds each by a unique key, as quickly as can be."""

    def close(self) -> None:
        """Wait for what runs, and close; call it off the event loop."""


class Backend(Protocol):
    """An open database."""

    name: str  # how an error calls it, without a password
    shared: bool  # whether several nodes may work on it
    folder: Path | None  # where its file lies; None where it is on another machine's disk
    writers: AsyncEngine
    own_readers: AsyncEngine  # of the server's own work: no reader takes its connections
    readers: AsyncEngine
    faults: tuple[type[Exception], ...]  # what the driver raises where it is called past SQLAlchemy
    members_among: str  # the statement of `Lookups.members_among`
    waits_s: Sequence[float]  # before each further try of a transaction that was broken off

    def new_looker(self, name: str) -> Looker:
        """Make threads that read, called by this name."""

    def make(self) -> None:
        """Make the database if it is not there, where it is ours to make."""

    def require(self) -> None:
        """Raise a `StoreError` if the database was never made."""

    def turn(self) -> AbstractAsyncContextManager[None]:
        """Wait until a write may begin."""

    def alone(self, name: str) -> AbstractAsyncContextManager[bool]:
        """Tell whether no other node is at the work of this name, and keep them off it until the block ends."""

    def require_same(self) -> None:
        """Raise a `LostDatabaseError` if what others would open now is another database, or none."""

    async def before_write(self) -> None:
        """Do what must be done between two writes."""

    def check(self, conn: Connection, *, migrate: bool) -> None:
        """Raise a `StoreError` for a database that cannot be used; keep others from migrating until the end."""

    def check_integrity(self, conn: Connection) -> str | None:
        """Read the whole database for damage, where that is ours to do, and tell the first that is found."""

    def heals(self, error: BaseException | None) -> bool:
        """Tell whether a transaction that met this error left no trace, and may succeed if it is tried again."""

    def is_lost(self, error: BaseException | None) -> bool:
        """Tell whether an error says that the connection is gone."""

    def explain(self, error: BaseException | None) -> str:
        """Say in a sentence what could not be done, and what to do about it."""


class Bulk(Protocol):
    """Members in bulk, and a lock without a row, as a module that takes connections."""

    def lock_name(self, conn: Connection, name: str) -> None:
        """Wait until no other transaction holds this name, and hold it until this one ends."""

    def new_row_set_id(self, conn: Connection, members: int) -> int | None:
        """Choose the id of a set of so many rows; None where the table does."""

    def insert_rows(self, conn: Connection, row_set: int, ids: Ids) -> int:
        """Add ascending ids to a set, and tell how many were not there yet."""

    def delete_rows(self, conn: Connection, row_set: int, ids: Ids) -> int:
        """Take ids out of a set, and tell how many were there."""

    def complete_rows(self, conn: Connection, row_set: int) -> None:
        """Make the rows of a new set readable, when the last are there."""

    def read_rows(self, conn: Connection, row_set: int, *, above: int, limit: int) -> Ids:
        """Read the first ids of a set that are greater than `above`, ascending."""

    def drop_rows(self, conn: Connection, row_set: int) -> bool | None:
        """Drop all rows of a set at once; False: delete them bit by bit; None: they are in use, try later."""

    def fetch_blob(self, conn: Any, sql: str, parameters: Mapping[str, Any]) -> bytes | None:
        """Give the one value of a statement, given a looker's connection; None where there is no row."""

    def reusable_bytes(self, conn: Connection) -> int:
        """Tell how much may be written before the database's file grows."""


def open_backend(url: str) -> Backend:
    """Open the engines of the database that a URL names; nothing is connected yet. `StoreError` for other URLs."""
    try:
        driver = make_url(url).drivername
    except (ArgumentError, ValueError) as error:
        shown = url.rpartition("@")[2]  # without a password
        raise StoreError(f"{shown!r} is no database URL: {USE}.") from error
    if driver.startswith("postgres"):
        return postgres.PostgresBackend(url)
    return sqlite.SqliteBackend(url)


def bulk(conn: Connection) -> Bulk:
    """Find what a connection's database does in bulk."""
    return postgres if conn.dialect.name == "postgresql" else sqlite


def bulk_of(backend: Backend) -> Bulk:
    """Find what a database does in bulk, for those who have a looker's connection."""
    return postgres if isinstance(backend, postgres.PostgresBackend) else sqlite
