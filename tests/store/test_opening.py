import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from ctsftp.errors import StoreError
from ctsftp.store import Store, schema, sqlite
from ctsftp.store.tables import metadata

from .conftest import Feed, StandingClock


def contents(path: Path) -> bytes:
    return path.read_bytes()


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def is_there(path: Path) -> bool:
    return path.exists()


def put(path: Path, data: bytes) -> None:
    path.write_bytes(data)


async def refused(url: str, clock: StandingClock, *, migrate: bool) -> str:
    """Open a database that cannot be opened, and give the reason: one line."""
    with pytest.raises(StoreError) as caught:
        await Store.open(url, clock=clock, migrate=migrate)
    reason = str(caught.value)
    assert "\n" not in reason
    return reason


async def test_a_new_database_is_made_for_its_owner_and_group(url: str, path: Path, clock: StandingClock) -> None:
    store = await Store.open(url, clock=clock, migrate=True)
    assert await store.segments.segments() == []
    assert mode(path.with_name(f"{path.name}-wal")) & 0o137 == 0
    await store.close()
    assert mode(path) & 0o137 == 0


async def test_what_was_written_is_there_after_it_is_opened_again(
    store: Store, feed: Feed, url: str, clock: StandingClock
) -> None:
    await feed.load([1, 2])
    await store.close()
    for migrate in (False, True):
        again = await Store.open(url, clock=clock, migrate=migrate)
        assert [segment.members for segment in await again.segments.segments()] == [2]
        await again.close()


async def test_closing_twice_is_closing_once_and_a_closed_store_says_so(store: Store, clock: StandingClock) -> None:
    await store.close()
    await store.close()
    with pytest.raises(StoreError, match="is closed"):
        await store.ledger.uploads()
    with pytest.raises(StoreError, match="is closed"):
        await store.ledger.due(clock())


async def test_a_missing_database_is_not_made_by_a_reader(url: str, path: Path, clock: StandingClock) -> None:
    assert "ctsftp serve" in await refused(url, clock, migrate=False)
    assert not is_there(path)


async def test_a_database_in_a_missing_folder_is_refused(tmp_path: Path, clock: StandingClock) -> None:
    reason = await refused(f"sqlite+aiosqlite:///{tmp_path}/none/ctsftp.db", clock, migrate=True)
    assert "No such file or directory" in reason


@pytest.mark.parametrize("url", ["nonsense", "sqlite+aiosqlite://", "sqlite+aiosqlite:///:memory:", "sqlite:///a.db"])
async def test_a_url_that_names_no_database_file_is_refused(url: str, clock: StandingClock) -> None:
    assert "sqlite+aiosqlite:///PATH" in await refused(url, clock, migrate=True)


async def test_a_url_is_refused_without_telling_its_password(clock: StandingClock) -> None:
    assert "hunter2" not in await refused("postgresql+psycopg://ct:hunter2@db.invalid/ct", clock, migrate=True)


@pytest.mark.parametrize("migrate", [True, False])
@pytest.mark.parametrize("garbage", [b"members\n1\n2\n", b"\xff" * 20_000], ids=["short", "long"])
async def test_a_file_that_is_no_database_is_refused_and_left_as_it_is(
    url: str, path: Path, clock: StandingClock, garbage: bytes, *, migrate: bool
) -> None:
    put(path, garbage)
    assert "not an SQLite database" in await refused(url, clock, migrate=migrate)
    assert contents(path) == garbage


@pytest.mark.parametrize("migrate", [True, False])
async def test_a_damaged_database_is_refused_and_left_as_it_is(
    store: Store, feed: Feed, url: str, path: Path, *, clock: StandingClock, migrate: bool
) -> None:
    for _ in range(50):
        await feed.receive()
    await store.close()
    with closing(sqlite3.connect(path)) as conn:
        (root,) = conn.execute("SELECT rootpage FROM sqlite_master WHERE name = 'uploads'").fetchone()
        (page_size,) = conn.execute("PRAGMA page_size").fetchone()
    damaged = bytearray(contents(path))
    damaged[(root - 1) * page_size : root * page_size] = b"\x55" * page_size
    put(path, bytes(damaged))
    assert "is damaged" in await refused(url, clock, migrate=migrate)
    assert contents(path) == damaged


@pytest.mark.parametrize("migrate", [True, False])
async def test_a_database_of_a_newer_ctsftp_is_refused_and_left_as_it_is(
    store: Store, url: str, path: Path, clock: StandingClock, *, migrate: bool
) -> None:
    await store.close()
    with closing(sqlite3.connect(path)) as conn, conn:
        conn.execute("UPDATE alembic_version SET version_num = '0999'")
    before = contents(path)
    assert "newer ctsftp" in await refused(url, clock, migrate=migrate)
    assert contents(path) == before


async def test_a_database_of_an_older_ctsftp_is_left_to_serve(
    store: Store, url: str, path: Path, clock: StandingClock
) -> None:
    await store.close()
    with closing(sqlite3.connect(path)) as conn, conn:
        conn.execute("UPDATE alembic_version SET version_num = '0000'")
    assert "older ctsftp: start `ctsftp serve`" in await refused(url, clock, migrate=False)


@pytest.mark.parametrize("migrate", [True, False])
async def test_a_database_of_another_program_is_refused(
    url: str, path: Path, clock: StandingClock, *, migrate: bool
) -> None:
    with closing(sqlite3.connect(path)) as conn, conn:
        conn.execute("CREATE TABLE recipes (id)")
    assert "other tables" in await refused(url, clock, migrate=migrate)


@pytest.mark.parametrize("migrate", [True, False])
async def test_a_database_whose_version_is_gone_is_left_as_it_is(
    store: Store, url: str, path: Path, clock: StandingClock, *, migrate: bool
) -> None:
    await store.close()
    with closing(sqlite3.connect(path)) as conn, conn:
        conn.execute("DELETE FROM alembic_version")
    assert "other tables" in await refused(url, clock, migrate=migrate)


async def test_a_table_that_an_admin_added_is_none_of_ours(
    store: Store, url: str, path: Path, clock: StandingClock
) -> None:
    await store.close()
    with closing(sqlite3.connect(path)) as conn, conn:
        conn.execute('CREATE TABLE "my notes; --" (id)')
    await (await Store.open(url, clock=clock, migrate=True)).close()


async def test_an_empty_file_is_a_database_yet_to_be_made(url: str, path: Path, clock: StandingClock) -> None:
    put(path, b"")
    assert "is empty" in await refused(url, clock, migrate=False)
    await (await Store.open(url, clock=clock, migrate=True)).close()
    await (await Store.open(url, clock=clock, migrate=False)).close()


async def test_a_migration_that_fails_leaves_nothing_behind(
    url: str, path: Path, clock: StandingClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut_off(conn: sa.Connection) -> None:
        upgrade(conn)
        conn.exec_driver_sql("SELECT * FROM nothing_such")

    upgrade = schema.upgrade
    monkeypatch.setattr(schema, "upgrade", cut_off)
    await refused(url, clock, migrate=True)
    with closing(sqlite3.connect(path)) as conn:
        assert conn.execute("SELECT name FROM sqlite_master").fetchall() == []


async def test_a_database_that_another_program_holds_is_refused_after_a_while(
    store: Store, url: str, path: Path, clock: StandingClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT_MS", 20)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert "locked by another program" in await refused(url, clock, migrate=True)


async def test_the_migrations_make_the_tables_that_the_queries_know(store: Store, path: Path) -> None:
    await store.close()
    engine = sa.create_engine(f"sqlite:///{path}")
    with engine.connect() as conn:
        assert compare_metadata(MigrationContext.configure(conn), metadata) == []
        texts = conn.exec_driver_sql("SELECT name, sql FROM sqlite_master WHERE type = 'table'").all()
    engine.dispose()
    made = {name: " ".join(sql.split()) for name, sql in texts}
    assert "WITHOUT ROWID" in made["member_rows"]
    assert "WITHOUT ROWID" in made["rejected_rows"]
    assert "AUTOINCREMENT" in made["snapshots"]
    assert "FOREIGN KEY(current_snapshot_id) REFERENCES snapshots (id)" in made["segments"]


def test_the_newest_migration_is_the_one_that_is_asked_for() -> None:
    config = Config()
    config.set_main_option("script_location", "ctsftp.store:migrations")
    script = ScriptDirectory.from_config(config)
    assert script.get_heads() == [schema.REVISION]
