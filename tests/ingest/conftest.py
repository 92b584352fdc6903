"""A store, a spool and a loader in a temporary folder."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import structlog
from structlog.typing import EventDict

from ctsftp.store import Store

from .bench import Bench, StandingClock


def url_of(path: Path) -> str:
    return f"sqlite+aiosqlite:///{path}"


@pytest.fixture(scope="session")
def new_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database as it is made, once for all tests: the migrations take longer than most of them."""
    path = tmp_path_factory.mktemp("store") / "new.db"

    async def make() -> None:
        await (await Store.open(url_of(path), clock=StandingClock(), migrate=True)).close()

    asyncio.run(make())
    return path


@pytest.fixture(autouse=True)
def events() -> Iterator[list[EventDict]]:
    """What is logged; nobody draws the tracebacks, which takes longer than most tests."""
    with structlog.testing.capture_logs() as captured:
        yield captured


@pytest.fixture
def clock() -> StandingClock:
    return StandingClock()


@pytest.fixture
async def store(new_database: Path, tmp_path: Path, clock: StandingClock) -> AsyncIterator[Store]:
    path = tmp_path / "ctsftp.db"
    shutil.copy(new_database, path)
    opened = await Store.open(url_of(path), clock=clock, migrate=True)
    try:
        yield opened
    finally:
        await opened.close()


@pytest.fixture
def bench(store: Store, tmp_path: Path, clock: StandingClock) -> Bench:
    return Bench(tmp_path, store, clock)
