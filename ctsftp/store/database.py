"""One database: a single writer, a few readers, and transactions that nothing can break in the middle.

A transaction is a plain function of a connection. It cannot await anything but the database, so it never
holds the write lock while it waits for something else.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, Self, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from ctsftp.errors import StoreError
from ctsftp.store import schema, sqlite
from ctsftp.store.telling import NEWS

T = TypeVar("T")


class Database:
    """An open database; `close` it.

    Writers queue in the order in which they came. Whatever the database cannot do is a `StoreError`.
    """

    def __init__(self, url: str) -> None:
        self.path = sqlite.path_of(url)
        self._writer = sqlite.writer_engine(self.path)
        self._readers = sqlite.reader_engine(self.path)
        # Two, so that a look-up never waits for the pages of a long list.
        self._lookups = sqlite.Looker(self.path, "look-up")
        self._pages = sqlite.Looker(self.path, "page")
        self._turn = asyncio.Lock()
        self._transactions: set[asyncio.Task[Any]] = set()
        self._closed = False
        # Set after every transaction that wrote something to be delivered (`telling.NEWS`).
        self.news = asyncio.Event()

    @classmethod
    async def open(cls, url: str, *, migrate: bool) -> Self:
        """Open the database at `url`, or raise a `StoreError` and leave it as it is.

        With `migrate` it is made if it is not there, and its tables are brought up to date.
        """
        database = cls(url)
        if migrate:
            sqlite.make_file(database.path)
        elif not database.path.exists():
            raise StoreError(f"There is no database {database.path} yet: start `ctsftp serve` once, or name another.")
        try:
            if migrate:
                await database.write(database._check_and_upgrade)
            else:
                await database.read(database._check_and_require)
        except BaseException:
            await database.close()
            raise
        return database

    async def close(self) -> None:
        """Wait for the transactions that run, then close every connection; a second call does nothing."""
        self._closed = True
        if self._transactions:
            await asyncio.wait(self._transactions)
        await self._writer.dispose()
        await self._readers.dispose()
        for looker in (self._lookups, self._pages):
            await asyncio.to_thread(looker.close)

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run a short transaction that sees one moment of the database, and cannot write."""
        return await self._unbroken(self._read(work))

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Run a transaction alone: all that `work` does is done, or nothing if it raises.

        If the caller is cancelled meanwhile, the transaction still comes to its end, and may have been done.
        """
        async with self._turn:
            return await self._unbroken(self._write(work))

    async def look_up(self, sql: str, parameters: Mapping[str, Any]) -> list[Any]:
        """Give the rows of one quick statement that reads, with `:named` parameters: for what is asked very often."""
        return await self._look(self._lookups, lambda conn: conn.execute(sql, parameters).fetchall())

    async def read_page(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run statements that read a page of a long list, and make of it what is wanted, all in a thread."""
        return await self._look(self._pages, work)

    async def _look(self, looker: sqlite.Looker, work: Callable[[sqlite3.Connection], T]) -> T:
        if self._closed:
            raise StoreError(f"The database {self.path} is closed.")
        with self._errors_in_words():
            return await looker.look(work)

    async def _read(self, work: Callable[[Connection], T]) -> T:
        async with self._readers.begin() as conn:
            return await conn.run_sync(work)

    async def _write(self, work: Callable[[Connection], T]) -> T:
        # Before the transaction, so that an error of the one is never taken for an error of the other.
        await sqlite.truncate_wal(self._writer, self.path)
        async with self._writer.begin() as conn:
            result, is_news = await conn.run_sync(_noticing_news(work))
        if is_news:
            self.news.set()
        return result

    async def _unbroken(self, transaction: Coroutine[Any, Any, T]) -> T:
        """Let a transaction run to its end even if the caller is cancelled.

        A cancelled statement would leave its connection, and with it the write lock, to the garbage collector.
        """
        if self._closed:
            transaction.close()
            raise StoreError(f"The database {self.path} is closed.")
        task = asyncio.create_task(transaction)
        self._transactions.add(task)
        task.add_done_callback(self._transactions.discard)
        with self._errors_in_words():
            try:
                return await asyncio.shield(task)
            except asyncio.CancelledError:
                while not task.done():
                    with suppress(asyncio.CancelledError):
                        await asyncio.wait((task,))
                raise

    @contextmanager
    def _errors_in_words(self) -> Iterator[None]:
        try:
            yield
        except DBAPIError as error:
            raise StoreError(sqlite.explain(error.orig, self.path)) from error
        except sqlite3.Error as error:
            raise StoreError(sqlite.explain(error, self.path)) from error
        except PoolTimeoutError as error:
            raise StoreError(f"The database {self.path} is too busy: all connections are in use.") from error

    def _check_and_upgrade(self, conn: Connection) -> None:
        self._check(conn)
        schema.upgrade(conn)

    def _check_and_require(self, conn: Connection) -> None:
        self._check(conn)
        schema.require(conn, name=f"The database {self.path}")

    def _check(self, conn: Connection) -> None:
        schema.refuse_strangers(conn, name=f"The database {self.path}")
        if damage := sqlite.find_damage(conn):
            raise StoreError(
                f"The database {self.path} is damaged ({damage})."
                " It was left as it is: restore a backup, or move it away."
            )


def _noticing_news(work: Callable[[Connection], T]) -> Callable[[Connection], tuple[T, bool]]:
    """Tell besides the result of `work` whether it left news; those of a transaction that failed are forgotten."""

    def noticing(conn: Connection) -> tuple[T, bool]:
        conn.info.pop(NEWS, None)
        result = work(conn)
        return result, bool(conn.info.pop(NEWS, False))

    return noticing
