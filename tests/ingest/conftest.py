"""A store, a spool and a loader in a temporary folder."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import structlog
from structlog.typing import EventDict

from ctsftp.store import Store

from .bench import Bench, StandingClock


@pytest.fixture(autouse=True)
def events() -> Iterator[list[EventDict]]:
    """What is logged; nobody draws the tracebacks, which takes longer than most tests."""
    with structlog.testing.capture_logs() as captured:
        yield captured


@pytest.fixture
def clock() -> StandingClock:
    return StandingClock()


@pytest.fixture
async def store(database_url: str, clock: StandingClock) -> AsyncIterator[Store]:
    opened = await Store.open(database_url, clock=clock, migrate=True)
    try:
        yield opened
    finally:
        await opened.close()


@pytest.fixture
def bench(store: Store, tmp_path: Path, clock: StandingClock) -> Bench:
    return Bench(tmp_path, store, clock)
