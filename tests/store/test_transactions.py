"""One writer, short readers, and what happens when either is cut off."""

import asyncio
import sqlite3
from contextlib import closing, suppress
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import Connection

from ctsftp.contract.states import State
from ctsftp.errors import StoreError
from ctsftp.lists import build
from ctsftp.store import Store, sqlite
from ctsftp.store.database import Database
from ctsftp.store.parts import write_parts

from .conftest import Feed, StandingClock, accept, account

# Rows enough to be cut off among, and a change that shows whether the transaction was done.
SLOW_ROWS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 40000) SELECT i FROM n"
MARK = "INSERT INTO client_logins (client) VALUES (?)"

FULL = 2  # of PRAGMA synchronous


@pytest.fixture
def database(store: Store) -> Database:
    return store._database


def marks(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as conn:
        return [client for (client,) in conn.execute("SELECT client FROM client_logins ORDER BY rowid")]


def size(path: Path) -> int:
    return path.stat().st_size


def is_writable(path: Path) -> bool:
    with closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as conn, suppress(sqlite3.OperationalError):
        conn.execute("BEGIN IMMEDIATE")
        conn.execute("ROLLBACK")
        return True
    return False


async def test_a_write_that_is_cancelled_in_the_middle_is_done_and_leaves_the_database_writable(
    database: Database, path: Path
) -> None:
    for round_number in range(5):
        begun = asyncio.Event()

        def work(conn: Connection, mark: str = f"m{round_number}", begun: asyncio.Event = begun) -> None:
            conn.exec_driver_sql(MARK, (mark,))
            begun.set()
            conn.exec_driver_sql(SLOW_ROWS)

        task = asyncio.create_task(database.write(work))
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert is_writable(path)
    assert marks(path) == ["m0", "m1", "m2", "m3", "m4"]


async def test_a_write_that_is_cancelled_again_and_again_still_ends(database: Database, path: Path) -> None:
    begun = asyncio.Event()

    def work(conn: Connection) -> None:
        begun.set()
        conn.exec_driver_sql(SLOW_ROWS)
        conn.exec_driver_sql(MARK, ("done",))

    task = asyncio.create_task(database.write(work))
    await begun.wait()
    for _ in range(3):
        task.cancel()
        await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError):
        await task
    assert marks(path) == ["done"]


async def test_a_write_that_is_cancelled_before_its_turn_is_never_done(database: Database, path: Path) -> None:
    begun = asyncio.Event()

    def work(conn: Connection) -> None:
        begun.set()
        conn.exec_driver_sql(SLOW_ROWS)

    first = asyncio.create_task(database.write(work))
    await begun.wait()
    second = asyncio.create_task(database.write(lambda conn: conn.exec_driver_sql(MARK, ("second",))))
    await asyncio.sleep(0)
    second.cancel()
    await first
    with pytest.raises(asyncio.CancelledError):
        await second
    assert marks(path) == []


async def test_a_read_that_is_cancelled_does_not_keep_its_connection(database: Database) -> None:
    def work(conn: Connection, begun: asyncio.Event) -> None:
        begun.set()
        conn.exec_driver_sql(SLOW_ROWS)

    for _ in range(sqlite.READER_CONNECTIONS + 1):
        begun = asyncio.Event()
        task = asyncio.create_task(database.read(lambda conn, begun=begun: work(conn, begun)))
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert database._readers.pool.checkedout() == 0  # type: ignore[attr-defined]


async def test_closing_waits_for_the_transaction_that_runs(database: Database, path: Path) -> None:
    begun = asyncio.Event()

    def work(conn: Connection) -> None:
        begun.set()
        conn.exec_driver_sql(SLOW_ROWS)
        conn.exec_driver_sql(MARK, ("done",))

    task = asyncio.create_task(database.write(work))
    await begun.wait()
    await database.close()
    assert task.done()
    await task
    assert marks(path) == ["done"]


async def test_a_write_takes_the_lock_when_it_begins(database: Database, path: Path) -> None:
    assert not await database.write(lambda _conn: is_writable(path))
    assert await database.read(lambda _conn: is_writable(path))


async def test_what_is_written_is_on_disk_and_belongs_together(database: Database, path: Path) -> None:
    def work(conn: Connection) -> list[object]:
        pragmas = ("journal_mode", "synchronous", "foreign_keys")
        return [conn.exec_driver_sql(f"PRAGMA {pragma}").scalar_one() for pragma in pragmas]

    assert await database.write(work) == ["wal", FULL, 1]


async def test_writes_are_done_in_the_order_in_which_they_came(database: Database, path: Path) -> None:
    names = [f"{number:02}" for number in range(20)]
    await asyncio.gather(
        *(database.write(lambda conn, name=name: conn.exec_driver_sql(MARK, (name,))) for name in names)
    )
    assert marks(path) == names


async def test_a_write_that_raises_changes_nothing(database: Database, path: Path) -> None:
    def work(conn: Connection) -> None:
        conn.exec_driver_sql(MARK, ("lost",))
        raise RuntimeError("changed its mind")

    with pytest.raises(RuntimeError, match="changed its mind"):
        await database.write(work)
    assert marks(path) == []
    assert is_writable(path)


async def test_a_reader_cannot_write(database: Database, path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be written"):
        await database.read(lambda conn: conn.exec_driver_sql(MARK, ("sly",)))
    assert marks(path) == []


async def test_nobody_sees_a_transaction_before_it_is_done(database: Database, path: Path) -> None:
    def work(conn: Connection) -> list[str]:
        conn.exec_driver_sql(MARK, ("new",))
        return marks(path)

    assert await database.write(work) == []
    assert marks(path) == ["new"]


async def test_a_reader_sees_one_moment_whatever_is_written_meanwhile(database: Database, path: Path) -> None:
    def work(conn: Connection) -> tuple[int, int]:
        count = "SELECT count(*) FROM client_logins"
        before = conn.exec_driver_sql(count).scalar_one()
        with closing(sqlite3.connect(path)) as other, other:
            other.execute(MARK, ("meanwhile",))
        return before, conn.exec_driver_sql(count).scalar_one()

    assert await database.read(work) == (0, 0)
    assert marks(path) == ["meanwhile"]


async def test_an_error_shows_neither_statement_nor_members(feed: Feed) -> None:
    upload_id = await feed.loading()
    snapshot_id = await feed.written(upload_id, [4711])
    again = partial(write_parts, snapshot_id=snapshot_id, batch=list(build(np.array([4711]))))
    with pytest.raises(StoreError) as caught:
        await feed.store._database.write(again)
    assert "unique" in str(caught.value).lower()
    assert "4711" not in f"{caught.value} {caught.value.__cause__}"


async def test_a_database_that_another_program_holds_is_an_error_and_then_writable_again(
    url: str, path: Path, clock: StandingClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT_MS", 20)
    store = await Store.open(url, clock=clock, migrate=True)
    upload = Feed(store, clock).new()
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="locked by another program"):
            await store.ledger.receive(upload)
        # Readers do not mind.
        assert await store.ledger.uploads() == []
    assert await store.ledger.receive(upload)
    await store.close()


async def test_a_full_disk_is_named_and_nothing_is_lost(feed: Feed, path: Path) -> None:
    database = feed.store._database
    upload_id = await feed.loading()

    def fill(conn: Connection) -> None:
        pages = conn.exec_driver_sql("PRAGMA page_count").scalar_one()
        conn.exec_driver_sql(f"PRAGMA max_page_count = {pages}")

    await database.write(fill)
    with pytest.raises(StoreError, match="the disk is full"):
        await feed.written(upload_id, range(1, 100_000))
    await database.write(lambda conn: conn.exec_driver_sql("PRAGMA max_page_count = 1000000"))
    snapshot_id = await feed.written(upload_id, [1, 2])
    outcome = await feed.store.snapshots.publish(upload_id, snapshot_id, judge=accept, **account(2))
    assert outcome.state is State.LOADED


async def test_the_log_is_written_back_once_it_is_long(feed: Feed, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wal = path.with_name(f"{path.name}-wal")
    upload_id = await feed.loading()
    with closing(sqlite3.connect(path, isolation_level=None)) as reader:
        # A reader that stays keeps SQLite's own checkpoints from starting the log anew.
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM uploads").fetchone()
        await feed.written(upload_id, range(1, 300_001))
        for _ in range(200):
            await feed.receive()
        reader.execute("COMMIT")
    long = size(wal)
    assert long > 1_000_000
    monkeypatch.setattr(sqlite, "WAL_LIMIT_BYTES", 1_000_000)
    await feed.receive()
    assert size(wal) < 100_000


async def test_a_reader_that_stays_delays_no_write_for_long(
    feed: Feed, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "WAL_LIMIT_BYTES", 0)
    await feed.receive()
    with closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM uploads").fetchone()
        async with asyncio.timeout(4):
            await feed.receive()
        assert reader.execute("SELECT count(*) FROM uploads").fetchone() == (1,)
    assert len(await feed.store.ledger.uploads()) == 2
