"""What tests of every room may stand on: a new database of each kind that the store knows."""

import asyncio
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ctsftp.store import Store

from . import postgres as embedded
from .postgres import Postgres

KINDS = ("sqlite", "postgresql")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test that stands on a database on both kinds; one that asks for the file's `path`, on SQLite.

    A module that is about one kind says so in its DATABASE_KINDS. What stands on PostgreSQL is slow.
    """
    if "database_kind" in metafunc.fixturenames:
        kinds = getattr(metafunc.module, "DATABASE_KINDS", KINDS[:1] if "path" in metafunc.fixturenames else KINDS)
        marks = {"postgresql": [pytest.mark.slow]}
        metafunc.parametrize("database_kind", [pytest.param(kind, marks=marks.get(kind, ())) for kind in kinds])


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL that all tests of this process share, each with databases of its own."""
    embedded.require()
    server = Postgres()
    try:
        server.start()
        yield server
    finally:
        server.close()


@pytest.fixture(scope="session")
def postgres_template(postgres: Postgres) -> str:
    """The name of a database with ctsftp's tables, to make others from."""
    name = postgres.new_database()
    make_tables(postgres.url(name))
    return name


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database file with ctsftp's tables, made once: the migrations take longer than most tests."""
    path = tmp_path_factory.mktemp("store") / "new.db"
    make_tables(f"sqlite+aiosqlite:///{path}")
    return path


@pytest.fixture
def database_url(database_kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database with ctsftp's tables and nothing in them."""
    if database_kind == "sqlite":
        path = tmp_path / "ctsftp.db"
        shutil.copy(request.getfixturevalue("sqlite_template"), path)
        yield f"sqlite+aiosqlite:///{path}"
    else:
        server: Postgres = request.getfixturevalue("postgres")
        with server.database(template=request.getfixturevalue("postgres_template")) as url:
            yield url


def make_tables(url: str) -> None:
    async def make() -> None:
        await (await Store.open(url, clock=lambda: datetime.now(UTC), migrate=True)).close()

    asyncio.run(make())
