"""One database: transactions that nothing can break in the middle.

A transaction is a plain function of a connection. It cannot await anything but the database, so it never
holds a lock while it waits for something else. On SQLite one writes at a time. On PostgreSQL several nodes do,
so a writer reads `with_for_update` what it then changes (SQLite, which needs none, leaves that out), and may be
run again from its beginning: it changes nothing but the database.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from copy import copy
from typing import Any, Self, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from ctsftp.errors import StoreError
from ctsftp.store import schema
from ctsftp.store.backend import open_backend
from ctsftp.store.telling import NEWS

T = TypeVar("T")


class Database:
    """An open database; `close` it.

    Whatever the database cannot do is a `StoreError`.
    """

    def __init__(self, url: str) -> None:
        self.backend = open_backend(url)
        self.name = self.backend.name
        self.shared = self.backend.shared
        self._writer = self.backend.writers
        self._readers = self.backend.readers
        self._own_readers = self.backend.own_readers
        # Two, so that a look-up never waits for the pages of a long list.
        self._lookups = self.backend.new_looker("look-up")
        self._pages = self.backend.new_looker("page")
        self._transactions: set[asyncio.Task[Any]] = set()
        self._closing = asyncio.Event()
        # Set after every transaction that wrote something to be delivered (`telling.NEWS`).
        self.news = asyncio.Event()

    @classmethod
    async def open(cls, url: str, *, migrate: bool) -> Self:
        """Open the database at `url`, or raise a `StoreError` and leave it as it is.

        With `migrate` it is made if it is not there, and its tables are brought up to date.
        """
        database = cls(url)
        try:
            if migrate:
                database.backend.make()
                await database.write(database._check_and_upgrade)
            else:
                database.backend.require()
                await database.read(database._check_and_require)
        except BaseException:
            await database.close()
            raise
        return database

    async def close(self) -> None:
        """Wait for the transactions that run, then close every connection; a second call does nothing."""
        self._closing.set()
        if self._transactions:
            await asyncio.wait(self._transactions)
        for engine in (self._writer, self.backend.own_readers, self._readers):
            await engine.dispose()
        for looker in (self._lookups, self._pages):
            await asyncio.to_thread(looker.close)

    def for_readers(self) -> Self:
        """Give this database to whoever only looks: its `read` takes none of the connections of the server's own work.

        However many ask, a load, a login and a sign of health find a connection free.
        """
        other = copy(self)
        other._own_readers = self._readers  # noqa: SLF001  the same class
        return other

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run a short transaction that sees one moment of the database, and cannot write."""
        return await self._unbroken(self._again(lambda: self._read(work)))

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Run a transaction: all that `work` does is done, or nothing if it raises.

        If the caller is cancelled meanwhile, the transaction still comes to its end, and may have been done.
        """
        async with self.backend.turn():
            return await self._unbroken(self._again(lambda: self._write(work)))

    async def look_up(self, sql: str, parameters: Mapping[str, Any]) -> list[Any]:
        """Give the rows of one quick statement that reads, with `:named` parameters: for what is asked very often."""
        return await self._look(self._lookups.look(lambda conn: conn.execute(sql, parameters).fetchall()))

    async def probe(self, sql: str, parameters: Mapping[str, Any]) -> list[Any]:
        """Do what `look_up` does, for a statement that finds each row by a unique key: it is answered sooner."""
        return await self._look(self._lookups.probe(sql, parameters))

    async def read_page(self, work: Callable[[Any], T]) -> T:
        """Run statements that read a page of a long list, and make of it what is wanted, all in a thread."""
        return await self._look(self._pages.look(work))

    @asynccontextmanager
    async def alone(self, name: str) -> AsyncIterator[bool]:
        """Tell whether no other node is at the work of this name, and keep them off it until the block ends."""
        answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        over = asyncio.Event()
        # A task of its own: if the caller were cancelled in a statement, the connection would be left to the collector.
        task = asyncio.create_task(self._hold(name, answer, over))
        self._transactions.add(task)
        task.add_done_callback(self._transactions.discard)
        try:
            with self._errors_in_words():
                mine = await answer
            yield mine
        finally:
            over.set()

    async def _hold(self, name: str, answer: "asyncio.Future[bool]", over: asyncio.Event) -> None:
        try:
            async with self.backend.alone(name) as mine:
                if not answer.done():
                    answer.set_result(mine)
                await over.wait()
        except Exception as error:  # noqa: BLE001  whoever waits is told
            if not answer.done():
                answer.set_exception(error)

    async def _look(self, look: Coroutine[Any, Any, T]) -> T:
        if self._closing.is_set():
            look.close()
            raise StoreError(f"The database {self.name} is closed.")
        with self._errors_in_words():
            return await look

    async def _read(self, work: Callable[[Connection], T]) -> T:
        async with self._own_readers.begin() as conn:
            return await conn.run_sync(work)

    async def _write(self, work: Callable[[Connection], T]) -> T:
        # Before the transaction, so that an error of the one is never taken for an error of the other.
        await self.backend.before_write()
        async with self._writer.connect() as conn:
            await conn.begin()
            result, is_news = await conn.run_sync(_noticing_news(work))
            try:
                await conn.commit()
            except DBAPIError as error:
                if not self.backend.is_lost(error.orig):
                    raise
                # Whether it was done is known to the server alone: to do it again might do it twice.
                raise StoreError(f"The database {self.name} was lost while it was told to keep a change.") from None
        if is_news:
            self.news.set()
        return result

    async def _again(self, transaction: Callable[[], Awaitable[T]]) -> T:
        """Run a transaction, and run it anew if it was broken off without a trace; a few times."""
        for wait_s in self.backend.waits_s:
            try:
                return await transaction()
            except Exception as error:
                fault = error.orig if isinstance(error, DBAPIError) else error
                if not self.backend.heals(fault):
                    raise
                if self.backend.is_lost(fault):
                    for engine in (self._writer, self._readers):  # what waits in their pools is gone, too
                        await engine.dispose()
            await asyncio.sleep(wait_s * random.uniform(0.5, 1.5))  # noqa: S311  two nodes shall not meet again
        return await transaction()

    async def _unbroken(self, transaction: Coroutine[Any, Any, T]) -> T:
        """Let a transaction run to its end even if the caller is cancelled.

        A cancelled statement would leave its connection, and with it the write lock, to the garbage collector.
        """
        if self._closing.is_set():
            transaction.close()
            raise StoreError(f"The database {self.name} is closed.")
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
        # Its cause is left out: a driver's own text may quote members' ids.
        except DBAPIError as error:
            raise StoreError(self.backend.explain(error.orig)) from None
        except self.backend.faults as error:
            raise StoreError(self.backend.explain(error)) from None
        except PoolTimeoutError:
            raise StoreError(f"The database {self.name} is too busy: all connections are in use.") from None

    def _check_and_upgrade(self, conn: Connection) -> None:
        self.backend.check(conn, migrate=True)
        schema.refuse_strangers(conn, name=f"The database {self.name}")
        schema.upgrade(conn)

    def _check_and_require(self, conn: Connection) -> None:
        self.backend.check(conn, migrate=False)
        schema.refuse_strangers(conn, name=f"The database {self.name}")
        schema.require(conn, name=f"The database {self.name}")


def _noticing_news(work: Callable[[Connection], T]) -> Callable[[Connection], tuple[T, bool]]:
    """Tell besides the result of `work` whether it left news; those of a transaction that failed are forgotten."""

    def noticing(conn: Connection) -> tuple[T, bool]:
        conn.info.pop(NEWS, None)
        result = work(conn)
        return result, bool(conn.info.pop(NEWS, False))

    return noticing
