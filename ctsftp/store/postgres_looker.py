"""Look-ups of PostgreSQL past SQLAlchemy: threads with a connection each, and statements that the server keeps."""

import asyncio
import re
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any, TypeVar

T = TypeVar("T")

LOOKERS = 4


class Looker:
    """Reads past SQLAlchemy, in threads with a connection each; one that was lost is made anew once."""

    def __init__(self, connect: Callable[[], Any], is_lost: Callable[[BaseException], bool], name: str) -> None:
        self._connect = connect
        self._is_lost = is_lost
        self._threads = ThreadPoolExecutor(LOOKERS, thread_name_prefix=name)
        self._own = threading.local()
        self._all: list[Any] = []

    async def look(self, work: Callable[[Any], T]) -> T:
        """Have one thread do `work`, which may only read."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._look, work)

    async def probe(self, sql: str, parameters: Mapping[str, Any]) -> list[Any]:
        """Run a statement that the server keeps with its plan: to make one takes longer than to follow it."""
        return await self.look(lambda reader: reader.prober.execute(named(sql), parameters, prepare=True).fetchall())

    def close(self) -> None:
        """Wait for what runs, and close; call it off the event loop."""
        self._threads.shutdown()
        while self._all:
            self._all.pop().close()

    def _look(self, work: Callable[[Any], T]) -> T:
        known = getattr(self._own, "reader", None)
        try:
            return work(known or self._reader())
        except Exception as error:
            if known is None or not self._is_lost(error):
                raise
            self._own.reader = None  # whether or not another can be had now
            self._all.remove(known.connection)
            known.connection.close()
            return work(self._reader())

    def _reader(self) -> "_Reader":
        reader = self._own.reader = _Reader(self._connect())
        self._all.append(reader.connection)
        return reader


class _Reader:
    """A connection that takes statements as sqlite3 does."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        import psycopg  # noqa: PLC0415

        self.prober = psycopg.Cursor(connection)

    def execute(self, statement: str, parameters: Mapping[str, Any]) -> Any:
        """Run a statement with `:named` parameters."""
        return self.connection.execute(named(statement), parameters)


@lru_cache
def named(statement: str) -> str:
    """Write `:named` parameters as psycopg does; `::` is a cast."""
    return re.sub(r"(?<!:):([a-z_][a-z_0-9]*)", r"%(\1)s", statement)
