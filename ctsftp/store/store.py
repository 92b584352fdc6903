"""The store: the database, and the things in it that the rest of ctsftp knows."""

from collections.abc import Callable
from copy import copy
from typing import Self

from ctsftp.model.records import Clock
from ctsftp.store.checks import CheckUp
from ctsftp.store.database import Database
from ctsftp.store.export import Export
from ctsftp.store.gates import Gates
from ctsftp.store.ledger import Ledger
from ctsftp.store.logins import LoginBook
from ctsftp.store.lookups import Lookups
from ctsftp.store.numbers import Numbers
from ctsftp.store.outbox import Outbox
from ctsftp.store.overview import Overview
from ctsftp.store.receipts import ReceiptBook
from ctsftp.store.rows import RowSets
from ctsftp.store.segments import Segments
from ctsftp.store.sessions import Sessions
from ctsftp.store.snapshots import Snapshots
from ctsftp.store.timeline import Timeline
from ctsftp.store.tokens import Tokens
from ctsftp.store.upgrading import make_missing_parts


class Store:
    """An open database, and what is in it, a thing an attribute. `open` it, and `close` it.

    Every method may raise `StoreError`. A cancelled write may have been done.
    """

    def __init__(self, database: Database, clock: Clock, node: Callable[[], str] | None = None) -> None:
        self._database = database
        self._clock = clock
        # Whoever holds a database file is alone, and takes every upload in it for its own.
        self.node = node() if node and database.shared else None
        self.ledger = Ledger(database, clock, self.node)
        self.rows = RowSets(database)
        self.snapshots = Snapshots(database, clock, self.rows)
        self.segments = Segments(database, clock, self.snapshots, self.rows)
        self.logins = LoginBook(database, clock)
        self.outbox = Outbox(database, clock)
        self.checks = CheckUp(database, self.snapshots, self.rows)
        self.gates = Gates(database, clock)
        self.numbers = Numbers(database)
        self.folder = database.backend.folder
        # Nobody but readers asks these.
        readers = database.for_readers()
        self.receipts = ReceiptBook(readers)
        self.lookups = Lookups(readers)
        self.export = Export(readers)
        self.tokens = Tokens(readers, clock)
        self.sessions = Sessions(readers, clock)
        self.overview = Overview(readers)
        self.timeline = Timeline(readers)

    @classmethod
    async def open(cls, url: str, *, clock: Clock, migrate: bool, node: Callable[[], str] | None = None) -> Self:
        """Open the database at `url`, such as sqlite+aiosqlite:////var/lib/ctsftp/ctsftp.db.

        With `migrate` (for the process that holds the lock) it is made, or brought up to date. A database
        that is missing, damaged, of a newer ctsftp or of another program is a `StoreError`, and is left as it is.
        `node` names this one among those that share a database; it is asked only if this is shared.
        """
        database = await Database.open(url, migrate=migrate)
        try:
            if migrate:
                await make_missing_parts(database)
            return cls(database, clock, node)
        except BaseException:
            await database.close()
            raise

    def for_readers(self) -> Self:
        """Give this store to whoever only looks: its reads take no connection of the server's own work."""
        other = copy(self)
        readers = self._database.for_readers()
        other.ledger = Ledger(readers, self._clock, self.node)
        other.snapshots = Snapshots(readers, self._clock, self.rows)
        other.segments = Segments(readers, self._clock, other.snapshots, self.rows)
        other.logins = LoginBook(readers, self._clock)
        other.gates = Gates(readers, self._clock)
        other.numbers = Numbers(readers)
        return other

    async def clock_ahead_s(self) -> float:
        """Tell by how many seconds our clock is ahead of the shared database's; 0 where none is shared."""
        if not self._database.shared:
            return 0
        theirs = await self._database.read(
            lambda conn: conn.exec_driver_sql("SELECT extract(epoch FROM clock_timestamp())").scalar_one()
        )
        return self._clock().timestamp() - float(theirs)

    async def close(self) -> None:
        """Wait for what is being written, and close the database; a second call does nothing."""
        await self._database.close()

    async def recover(self, *, wait_s: float = 0) -> list[str]:
        """Clear away what a dead process left behind, before anything loads; list the uploads to load, in order.

        `wait_s` is `Ledger.recover`'s.
        """
        await self.ledger.recover(wait_s=wait_s)
        await self.snapshots.delete_abandoned()
        return await self.ledger.due(self._clock())
