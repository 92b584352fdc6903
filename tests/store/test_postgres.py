"""What only PostgreSQL can do, or fail at: other nodes at the same time, connections that break, partitions."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from typing import Any

import numpy as np
import psycopg
import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection

from ctsftp.contract.freshness import Expectation
from ctsftp.contract.states import State
from ctsftp.errors import NotFoundError, RefusedError, StoreError
from ctsftp.store import Store, postgres, publishing, rows, schema
from ctsftp.store.backup import back_up
from ctsftp.store.database import Database
from ctsftp.store.rowsets import find_base
from ctsftp.store.tables import metadata
from tests.postgres import Postgres

from .conftest import Feed, StandingClock, accept, account

DATABASE_KINDS = ("postgresql",)

MARK = "INSERT INTO client_logins (client) VALUES (%s)"
MARKS = "SELECT client FROM client_logins ORDER BY client"
SLOW = "SELECT count(*) FROM generate_series(1, 300000)"
NOBODY = "postgresql+psycopg://ctsftp:hunter2@127.0.0.1:9/ctsftp"


@pytest.fixture
def database(store: Store) -> Database:
    return store._database


@pytest.fixture
async def other(url: str, store: Store, clock: StandingClock) -> AsyncIterator[Store]:
    """Another node's store."""
    opened = await Store.open(url, clock=clock, migrate=True)
    yield opened
    await opened.close()


@pytest.fixture
def outside(url: str) -> Iterator[psycopg.Connection]:
    """A connection of somebody else's; each statement is a transaction."""
    with closing(psycopg.connect(url.replace("+psycopg", ""), autocommit=True)) as conn:
        yield conn


def marks(outside: psycopg.Connection) -> list[str]:
    return [client for (client,) in outside.execute(MARKS)]


def backend_of(conn: Connection) -> int:
    return int(conn.exec_driver_sql("SELECT pg_backend_pid()").scalar_one())


async def refused(url: str, clock: StandingClock, *, migrate: bool = True) -> str:
    with pytest.raises(StoreError) as caught:
        await Store.open(url, clock=clock, migrate=migrate)
    reason = str(caught.value)
    assert "\n" not in reason
    assert "hunter2" not in reason
    return reason


# Opening.


async def test_the_migrations_make_the_tables_that_the_queries_know(store: Store, url: str) -> None:
    engine = sa.create_engine(url)
    with engine.connect() as conn:

        def is_ours(thing: object, name: str | None, kind: str, *_: object) -> bool:
            return not (kind == "table" and str(name).startswith("member_rows_"))

        context = MigrationContext.configure(conn, opts={"include_object": is_ours})
        assert compare_metadata(context, metadata) == []
        keys = sa.inspect(conn).get_foreign_keys("segments")
        assert ["current_snapshot_id"] in [key["constrained_columns"] for key in keys]
    engine.dispose()


@pytest.mark.parametrize("scheme", ["postgres://", "postgresql://", "postgresql+psycopg://"])
async def test_a_url_may_be_written_as_others_write_it(
    store: Store, url: str, clock: StandingClock, scheme: str
) -> None:
    await (await Store.open(scheme + url.partition("://")[2], clock=clock, migrate=False)).close()


async def test_two_nodes_that_start_at_once_make_the_tables_once(url_of_empty: str, clock: StandingClock) -> None:
    stores = await asyncio.gather(*(Store.open(url_of_empty, clock=clock, migrate=True) for _ in range(4)))
    assert [await store.segments.segments() for store in stores] == [[]] * 4
    await asyncio.gather(*(store.close() for store in stores))


@pytest.fixture
def url_of_empty(postgres: Postgres) -> Iterator[str]:
    with postgres.database() as url:
        yield url


async def test_an_empty_database_is_left_to_serve(url_of_empty: str, clock: StandingClock) -> None:
    assert "is empty: start `ctsftp serve`" in await refused(url_of_empty, clock, migrate=False)


async def test_a_server_that_does_not_answer_is_named_without_the_password(clock: StandingClock) -> None:
    assert "127.0.0.1:9/ctsftp cannot be reached" in await refused(NOBODY, clock)


async def test_another_driver_is_refused(clock: StandingClock) -> None:
    reason = await refused("postgresql+asyncpg://ctsftp:hunter2@127.0.0.1/ctsftp", clock)
    assert "use postgresql+psycopg://" in reason


async def test_a_database_that_is_not_there_is_named(postgres: Postgres, clock: StandingClock) -> None:
    assert 'refuses the connection: database "nowhere" does not exist' in await refused(postgres.url("nowhere"), clock)


async def test_a_server_that_is_too_old_is_refused(
    url_of_empty: str, clock: StandingClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "OLDEST_VERSION", 99)
    assert "upgrade it to 99 or later" in await refused(url_of_empty, clock)


async def test_a_database_in_another_encoding_is_refused(postgres: Postgres, clock: StandingClock) -> None:
    postgres.execute("CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0")
    assert "encoded in LATIN1" in await refused(postgres.url("latin"), clock)
    postgres.drop_database("latin")


@pytest.mark.parametrize("migrate", [True, False])
async def test_tables_of_a_newer_ctsftp_are_refused(
    store: Store, url: str, outside: psycopg.Connection, clock: StandingClock, *, migrate: bool
) -> None:
    outside.execute("UPDATE alembic_version SET version_num = '0999'")
    assert "newer ctsftp: upgrade ctsftp" in await refused(url, clock, migrate=migrate)


@pytest.mark.parametrize("migrate", [True, False])
async def test_tables_of_another_program_are_refused(
    url_of_empty: str, postgres: Postgres, clock: StandingClock, *, migrate: bool
) -> None:
    postgres.execute("CREATE TABLE recipes (id int)", database=url_of_empty.rpartition("/")[2])
    assert "other tables" in await refused(url_of_empty, clock, migrate=migrate)


async def test_a_user_who_may_not_make_tables_is_told_what_to_grant(
    url_of_empty: str, postgres: Postgres, clock: StandingClock
) -> None:
    postgres.execute("DROP ROLE IF EXISTS guest")
    postgres.execute("CREATE ROLE guest LOGIN")
    assert "GRANT" in await refused(url_of_empty.replace("ctsftp@", "guest@"), clock)


async def test_a_migration_that_fails_leaves_nothing_behind(
    url_of_empty: str, postgres: Postgres, clock: StandingClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut_off(conn: Connection) -> None:
        upgrade(conn)
        conn.exec_driver_sql("SELECT * FROM nothing_such")

    upgrade = schema.upgrade
    monkeypatch.setattr(schema, "upgrade", cut_off)
    await refused(url_of_empty, clock)
    with closing(postgres.connect(url_of_empty.rpartition("/")[2])) as conn:
        assert conn.execute("SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace").fetchall() == []


def test_a_backup_is_left_to_pg_dump(url: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    with pytest.raises(RefusedError, match="pg_dump"):
        back_up(url, tmp_path_factory.mktemp("backup") / "copy.db", progress=lambda *_: None)


# Transactions.


async def test_a_write_that_is_cancelled_in_the_middle_is_done_and_gives_its_connection_back(
    database: Database, outside: psycopg.Connection
) -> None:
    for round_number in range(3):
        begun = asyncio.Event()

        def work(conn: Connection, mark: str = f"m{round_number}", begun: asyncio.Event = begun) -> None:
            conn.exec_driver_sql(MARK, (mark,))
            begun.set()
            conn.exec_driver_sql(SLOW)

        task = asyncio.create_task(database.write(work))
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert marks(outside) == ["m0", "m1", "m2"]
    assert database._writer.pool.checkedout() == 0  # type: ignore[attr-defined]


async def test_a_reader_cannot_write(database: Database, outside: psycopg.Connection) -> None:
    with pytest.raises(StoreError, match="cannot be written"):
        await database.read(lambda conn: conn.exec_driver_sql(MARK, ("sly",)))
    assert marks(outside) == []


async def test_a_reader_sees_one_moment_whatever_is_written_meanwhile(
    database: Database, outside: psycopg.Connection
) -> None:
    def work(conn: Connection) -> tuple[int, int]:
        count = "SELECT count(*) FROM client_logins"
        before = conn.exec_driver_sql(count).scalar_one()
        outside.execute(MARK, ("meanwhile",))
        return before, conn.exec_driver_sql(count).scalar_one()

    assert await database.read(work) == (0, 0)
    assert marks(outside) == ["meanwhile"]


async def test_nobody_sees_a_transaction_before_it_is_done(database: Database, outside: psycopg.Connection) -> None:
    def work(conn: Connection) -> list[str]:
        conn.exec_driver_sql(MARK, ("new",))
        return marks(outside)

    assert await database.write(work) == []
    assert marks(outside) == ["new"]


async def test_a_transaction_whose_connection_breaks_is_done_once(
    database: Database, outside: psycopg.Connection
) -> None:
    tries = []

    def work(conn: Connection) -> None:
        conn.exec_driver_sql(MARK, ("once",))
        tries.append(backend_of(conn))
        if len(tries) == 1:
            outside.execute("SELECT pg_terminate_backend(%s, 10000)", (tries[0],))
        conn.exec_driver_sql("SELECT 1")

    await database.write(work)
    assert len(tries) == 2
    assert marks(outside) == ["once"]


async def test_a_connection_that_breaks_at_the_commit_is_an_error_and_no_second_try(
    database: Database, outside: psycopg.Connection
) -> None:
    tries = []

    def work(conn: Connection) -> None:
        conn.exec_driver_sql(MARK, ("perhaps",))
        tries.append(backend_of(conn))
        outside.execute("SELECT pg_terminate_backend(%s, 10000)", (tries[-1],))

    with pytest.raises(StoreError, match="lost while it was told to keep a change"):
        await database.write(work)
    assert len(tries) == 1


async def test_idle_connections_that_broke_trouble_nobody(store: Store, outside: psycopg.Connection) -> None:
    await asyncio.gather(*(store.ledger.uploads() for _ in range(postgres.CONNECTIONS)))
    outside.execute("SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE application_name = 'ctsftp'")
    await asyncio.gather(*(store.ledger.uploads() for _ in range(postgres.CONNECTIONS)))


async def test_look_ups_work_again_after_an_outage_in_which_none_could_connect(
    database: Database, outside: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable() -> None:
        raise psycopg.OperationalError("connection refused")

    looker = database._lookups
    asked = ("SELECT 1 WHERE :x = 1", {"x": 1})
    await asyncio.gather(*(looker.look(lambda reader: reader.execute("SELECT pg_sleep(0.05)", {})) for _ in range(8)))
    with monkeypatch.context() as patched:
        patched.setattr(looker, "_connect", unreachable)
        outside.execute(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE application_name = 'ctsftp'"
        )
        for _ in range(8):
            with pytest.raises(StoreError, match="cannot be reached"):
                await database.probe(*asked)
    assert [await database.probe(*asked) for _ in range(8)] == [[(1,)]] * 8


async def test_a_copy_whose_connection_breaks_is_done_once(feed: Feed, outside: psycopg.Connection) -> None:
    upload_id = await feed.loading()
    snapshot_id = await feed.written(upload_id, range(1, 30_001))
    tries = []
    insert = postgres.insert_rows

    def break_off(conn: Connection, row_set: int, ids: np.ndarray) -> int:
        tries.append(backend_of(conn))
        if len(tries) == 1:
            outside.execute("SELECT pg_terminate_backend(%s, 10000)", (tries[0],))
        return insert(conn, row_set, ids)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(postgres, "insert_rows", break_off)
        outcome = await feed.store.snapshots.publish(upload_id, snapshot_id, judge=accept, **account(30_000))
    assert len(tries) == 2
    assert outcome is not None
    assert outcome.state is State.LOADED
    assert outside.execute("SELECT count(*) FROM segment_members").fetchone() == (30_000,)


# Two nodes at once.


async def test_a_token_that_one_node_revokes_is_refused_at_the_other_within_a_second(
    store: Store, other: Store, clock: StandingClock
) -> None:
    secret = await store.tokens.add("shop", client=None, admin=False, expires=None)
    assert await other.tokens.find(secret)
    await store.tokens.revoke("shop")
    assert await store.tokens.find(secret) is None
    clock.advance(seconds=1)
    assert await other.tokens.find(secret) is None


async def test_of_two_nodes_that_move_one_upload_one_does(store: Store, other: Store, feed: Feed) -> None:
    for _ in range(10):
        upload_id = await feed.receive()
        moved = await asyncio.gather(
            *(one.ledger.move(upload_id, State.LOADING, expect=State.RECEIVED) for one in (store, other))
        )
        assert sorted(moved) == [False, True]


async def test_of_two_nodes_that_find_a_segment_overdue_one_tells(
    store: Store, other: Store, feed: Feed, clock: StandingClock
) -> None:
    await feed.load([1])
    for _ in range(10):
        await store.segments.expect("acme", "vip", None)
        await store.segments.expect("acme", "vip", Expectation(3_600, 60))
        clock.advance(days=1)
        assert sorted(await asyncio.gather(*(one.segments.report_overdue() for one in (store, other)))) == [0, 1]


async def test_a_held_upload_that_is_approved_meanwhile_stays_approved_and_breaks_no_publishing(
    store: Store, feed: Feed, outside: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = await feed.held(stamp="20260310_0900")
    newer = await feed.loading(stamp="20260310_0901")
    snapshot = await feed.written(newer, [1])
    move = publishing.move

    def approved_just_before(conn: Connection, upload_id: str, to: State, **rest: Any) -> bool:
        if upload_id == held:
            outside.execute("UPDATE uploads SET state = 'received' WHERE id = %s", (held,))
        return move(conn, upload_id, to, **rest)

    monkeypatch.setattr(publishing, "move", approved_just_before)
    outcome = await store.snapshots.publish(newer, snapshot, judge=accept, **account(1))
    assert outcome is not None
    assert outcome.state is State.LOADED
    assert (await store.ledger.upload(held)).state is State.RECEIVED


async def test_of_two_nodes_that_enter_one_upload_one_does(store: Store, other: Store, feed: Feed) -> None:
    for _ in range(10):
        upload = feed.new()
        assert sorted(await asyncio.gather(store.ledger.receive(upload), other.ledger.receive(upload))) == [False, True]


async def test_a_publishing_waits_for_the_other_nodes_and_is_judged_by_what_it_left(
    store: Store, other: Store, feed: Feed
) -> None:
    """Both are written, and both were judged well, before either is published."""
    for round_number in range(10):
        title = f"S{round_number}"
        uploads = [await feed.loading(title=title, stamp=f"20260310_000{n}") for n in (1, 2)]
        written = [await feed.written(upload_id, [n]) for n, upload_id in enumerate(uploads, 1)]
        seen: list[str | None] = []

        def judge(segment, twin, approved, seen=seen):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
            seen.append(segment.newest_stamp if segment else None)
            return accept(segment, twin, approved)

        await asyncio.gather(
            *(
                one.snapshots.publish(upload_id, snapshot_id, judge=judge, **account(1))
                for one, upload_id, snapshot_id in zip((store, other), uploads, written, strict=True)
            )
        )
        # The first found no segment, the second the other's: once to find that it was compared with none.
        assert seen in [[None, *[stamp] * 2] for stamp in ("20260310_0001", "20260310_0002")]
        history = await store.segments.history("acme", title.casefold())
        assert [one.number for one in history] == [2, 1]


async def test_two_nodes_prune_and_roll_back_at_once_and_the_current_snapshot_stays(
    store: Store, other: Store, feed: Feed
) -> None:
    for round_number in range(5):
        title = f"S{round_number}"
        for number in range(1, 5):
            await feed.load([number], title=title, stamp=f"20260310_000{number}")
        results = await asyncio.gather(
            store.segments.rollback("acme", title.casefold(), 1),
            other.snapshots.prune(keep_last=1, keep_days=0),
            store.snapshots.prune(keep_last=1, keep_days=0),
            return_exceptions=True,
        )
        assert [one for one in results if isinstance(one, Exception) and not isinstance(one, NotFoundError)] == []
        segment = await store.segments.segment("acme", title.casefold())
        pages = store.snapshots.stream_members(segment.snapshot_id)
        assert [page.tolist() async for page in pages] == [[segment.number]]


async def test_work_of_a_name_is_one_nodes_at_a_time_and_goes_with_its_connection(
    store: Store, other: Store, outside: psycopg.Connection
) -> None:
    first, second = store._database, other._database
    async with first.alone("hook 1") as mine, first.alone("hook 2") as mine_too:
        assert (mine, mine_too) == (True, True)
        async with second.alone("hook 1") as theirs, second.alone("hook 3") as other_work:
            assert (theirs, other_work) == (False, True)
        outside.execute("SELECT pg_terminate_backend(pid, 10000) FROM pg_locks WHERE locktype = 'advisory'")
    await second.close()
    async with first.alone("hook 1") as again:
        assert again


# Large snapshots.


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(postgres, "LARGE_FROM_MEMBERS", 1000)
    return 150_000  # more than one chunk


def partitions(outside: psycopg.Connection) -> list[str]:
    query = "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'member_rows'::regclass ORDER BY 1"
    return [name for (name,) in outside.execute(query)]


def tables(outside: psycopg.Connection) -> set[str]:
    query = "SELECT relname FROM pg_class WHERE relkind = 'r' AND relname LIKE 'member_rows_%'"
    return {name for (name,) in outside.execute(query)}


async def load_large(feed: Feed, ids: range, **name: str) -> int:
    """Load a list, and give its set of rows."""
    await feed.load(ids, **name)
    base = await feed.store._database.read(lambda conn: find_base(conn, "acme", name.get("title", "VIP").casefold()))
    assert base is not None
    assert base.row_set is not None
    return base.row_set


async def test_a_large_set_has_a_partition_of_its_own_and_reads_like_any_other(
    feed: Feed, large: int, outside: psycopg.Connection
) -> None:
    await feed.load([1, 2, 3], title="Small")
    row_set = await load_large(feed, range(1, large + 1), title="Large")
    assert partitions(outside) == [f"member_rows_{row_set}", "member_rows_small"]
    segments = feed.store.segments
    assert await feed.store.lookups.members_among("acme", "large", [1, large, large + 1]) == f"[1,{large}]"
    assert await feed.store.lookups.is_member("acme", "large", large)
    assert [one.title for one in await segments.member_segments(3)] == ["Large", "Small"]
    assert [one.title for one in await segments.member_segments(large)] == ["Large"]
    pages = feed.store.snapshots.stream_members((await segments.segment("acme", "large")).snapshot_id)
    assert sum([len(page) async for page in pages]) == large
    assert outside.execute("SELECT count(*) FROM segment_members WHERE segment = 'Large'").fetchone() == (large,)
    assert "Large" in [one.title for one in await segments.segments()]


async def test_a_large_set_is_patched_and_swapped_like_any_other(
    feed: Feed, large: int, outside: psycopg.Connection
) -> None:
    await load_large(feed, range(1, large + 1))
    await load_large(feed, range(4_001, large + 4_001))
    second = await load_large(feed, range(8_001, large + 8_001))
    await load_large(feed, range(8_002, large + 8_002))
    third = await load_large(feed, range(14_001, large + 14_001))
    assert second != third
    assert tables(outside) == {"member_rows_small", f"member_rows_{second}", f"member_rows_{third}"}
    found = outside.execute("SELECT min(ct_user_id), max(ct_user_id), count(*) FROM segment_members").fetchone()
    assert found == (14_001, large + 14_000, large)


async def test_a_member_is_looked_up_by_one_probe_of_one_partition(
    feed: Feed, large: int, outside: psycopg.Connection
) -> None:
    row_set = await load_large(feed, range(1, large + 1))
    await load_large(feed, range(1, large + 1), title="Other")
    outside.execute("ANALYZE")
    plan = outside.execute(
        "EXPLAIN SELECT ct_user_id FROM member_rows WHERE row_set = %s AND ct_user_id = 7", (row_set,)
    ).fetchall()
    assert len(plan) == 2
    assert f"Index Only Scan using member_rows_{row_set}_pkey" in plan[0][0]


async def test_a_large_set_that_is_not_needed_is_dropped(feed: Feed, large: int, outside: psycopg.Connection) -> None:
    old = await load_large(feed, range(1, large + 1))
    new = await load_large(feed, range(10**6, 10**6 + large))
    assert tables(outside) == {"member_rows_small", f"member_rows_{new}"}
    assert old < new


async def test_a_large_set_whose_load_died_is_dropped(
    feed: Feed, large: int, outside: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies(*_: object, **__: object) -> None:
        raise StoreError("The power went.")

    upload_id = await feed.loading()
    snapshot_id = await feed.written(upload_id, range(1, large + 1))
    monkeypatch.setattr(rows, "end_changing", dies)
    with pytest.raises(StoreError, match="The power went"):
        await feed.store.snapshots.publish(upload_id, snapshot_id, judge=accept, **account(large))
    assert len(tables(outside)) == 2
    await feed.store.recover()
    assert tables(outside) == {"member_rows_small"}


async def test_a_partition_that_is_being_read_is_dropped_later(
    feed: Feed, large: int, outside: psycopg.Connection, url: str
) -> None:
    old = await load_large(feed, range(1, large + 1))
    with closing(psycopg.connect(url.replace("+psycopg", ""))) as reader:
        reader.execute("SELECT count(*) FROM member_rows WHERE row_set = %s", (old,))
        await load_large(feed, range(10**6, 10**6 + large))
        assert f"member_rows_{old}" in tables(outside)
    await feed.store.snapshots.delete_abandoned()
    assert f"member_rows_{old}" not in tables(outside)
