"""The quick way to a few rows of SQLite, past SQLAlchemy and past the threads."""

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from ctsftp.store.sqlite import Looker

FIND = "SELECT member FROM members WHERE member = :member"


@pytest.fixture
def other(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """Another program's connection to the file."""
    with closing(sqlite3.connect(tmp_path / "some.db", isolation_level=None)) as connection:
        connection.execute("CREATE TABLE members (member INTEGER PRIMARY KEY)")
        connection.execute("INSERT INTO members VALUES (7)")
        yield connection


@pytest.fixture
def looker(other: sqlite3.Connection, tmp_path: Path) -> Iterator[Looker]:
    made = Looker(tmp_path / "some.db", "test")
    yield made
    made.close()


async def test_a_probe_sees_what_was_committed_before_it(looker: Looker, other: sqlite3.Connection) -> None:
    assert await looker.probe(FIND, {"member": 7}) == [(7,)]
    other.execute("DELETE FROM members")
    assert await looker.probe(FIND, {"member": 7}) == []


async def test_a_probe_waits_beside_the_event_loop_for_whoever_has_locked_the_file(
    looker: Looker, other: sqlite3.Connection
) -> None:
    other.execute("BEGIN EXCLUSIVE")
    probing = asyncio.create_task(looker.probe(FIND, {"member": 7}))
    done, _ = await asyncio.wait([probing], timeout=0.05)
    assert not done
    other.execute("COMMIT")
    assert await probing == [(7,)]


async def test_what_is_wrong_with_a_probe_is_raised(looker: Looker) -> None:
    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        await looker.probe("SELECT 1 FROM no_table", {})


async def test_a_probe_cannot_write(looker: Looker) -> None:
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        await looker.probe("DELETE FROM members", {})
