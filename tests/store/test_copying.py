"""A database file that moves to PostgreSQL: all of it arrives, and a copy that is broken off starts again."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ctsftp.contract.rows import RejectedRow
from ctsftp.contract.states import State
from ctsftp.errors import RefusedError, StoreError
from ctsftp.lists import parts as cutting
from ctsftp.store import Store, copying, postgres
from ctsftp.store.copying import copy_database
from tests.postgres import Postgres

from .conftest import Feed, StandingClock, accept, account

DATABASE_KINDS = ("sqlite",)

BIG = 2_500  # over the limit from which a snapshot has a partition of its own in these tests


class CutOffError(Exception):
    """The power went."""


@pytest.fixture(autouse=True)
def _small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "LARGE_FROM_MEMBERS", 2_000)
    monkeypatch.setattr(copying, "ROWS_AT_ONCE", 3)
    monkeypatch.setattr(copying, "PARTS_AT_ONCE", 2)
    monkeypatch.setattr(cutting, "MAX_PART_IDS", 600)
    monkeypatch.setattr(cutting, "CONTAINER_BITS", 9)


@pytest.fixture
def target(postgres: Postgres) -> Iterator[str]:
    with postgres.database() as url:
        yield url


@pytest.fixture
async def filled(store: Store, feed: Feed, clock: StandingClock) -> Store:
    """Segments of two clients with a history, uploads in all kinds of states."""
    for number in range(1, 4):
        await feed.load(range(1, 10 * number), stamp=f"20260310_000{number}")
    await feed.load(range(1, BIG + 1), title="Big one", stamp="20260310_0001")
    await feed.load(range(2, BIG + 9), title="Big one", stamp="20260310_0002")
    await feed.load([], title="Nobody")
    await feed.load([2**63 - 1], client="zeta-1", title="Größe \udc80")
    await store.segments.rollback("acme", "vip", 2)
    await store.segments.retire("acme", "nobody")
    await feed.held()
    await feed.receive(title="Later")
    rejected = await feed.loading(title="Wrong")
    await store.ledger.finish(
        rejected, State.REJECTED, code="no_header", reason="None.", rejects=[RejectedRow(2, "x", "no number")]
    )
    await store.logins.record_login("zeta_1", address="::1", fingerprint="SHA256:x", algorithm="ssh-ed25519")
    await feed.written(await feed.loading(title="Died"), [1, 2])
    return store


async def contents(store: Store) -> list[object]:
    """Everything that a reader can see, whatever ids snapshots have, and whoever has the files."""
    seen: list[object] = [[replace(upload, node=None) for upload in await store.ledger.uploads()]]
    for segment in await store.segments.segments():
        shown = segment.as_json() | {"rolled_back": segment.rolled_back, "newest": segment.newest_stamp}
        for one in await store.segments.history(segment.client, segment.key):
            pages = [page async for page in store.snapshots.stream_members(one.id)]
            seen.append((shown, one.number, one.filename, one.current, [i for page in pages for i in page.tolist()]))
    for upload in await store.ledger.uploads(state=State.REJECTED):
        seen += await store.ledger.rejects(upload.id)
    seen.append(await store.logins.facts("zeta_1"))
    return seen


NO_LIMITS: dict[str, Any] = {"client": None, "admin": False, "expires": None}


def silent(*_: object) -> None:
    pass


async def test_everything_arrives(filled: Store, url: str, target: str, clock: StandingClock) -> None:
    told: list[tuple[int, int]] = []
    members = await copy_database(
        url, target, node="old", progress=lambda _what, done, total: told.append((done, total))
    )
    copy = await Store.open(target, clock=clock, migrate=True, node=lambda: "first")
    assert await contents(copy) == await contents(filled)
    assert members == 9 + 19 + 29 + BIG + BIG + 7 + 1
    assert told == sorted(told)
    assert told[-1][0] == told[-1][1]
    await copy.close()


async def test_work_goes_on_in_the_copy(filled: Store, feed: Feed, url: str, target: str, clock: StandingClock) -> None:
    await copy_database(url, target, node="old", progress=silent)
    copy = await Store.open(target, clock=clock, migrate=True, node=lambda: "first")
    await copy.recover()
    feed.store = copy
    assert (await feed.load([5], title="Big one", stamp="20260310_0003")).number == 3
    assert (await feed.load([5], title="Brand new")).number == 1
    upload_id = await feed.loading(title="Big one", stamp="20260310_0004")
    snapshot_id = await copy.snapshots.write(upload_id, np.arange(1, BIG + 1))
    outcome = await copy.snapshots.publish(upload_id, snapshot_id, judge=accept, **account(BIG))
    assert outcome is not None
    assert outcome.number == 4
    assert await copy.snapshots.prune(keep_last=1, keep_days=0) == 4
    assert [one.members for one in await copy.segments.segments(client="acme")] == [BIG, 1, 0, 19]
    await copy.close()


async def test_the_uploads_are_those_of_the_node_that_has_their_files(
    filled: Store, feed: Feed, url: str, target: str, clock: StandingClock
) -> None:
    held = await feed.held(title="Held")
    await copy_database(url, target, node="old", progress=silent)
    old, new = [
        await Store.open(target, clock=clock, migrate=True, node=node) for node in (lambda: "old", lambda: "new")
    ]
    assert {upload.node for upload in await old.ledger.uploads()} == {"old"}
    await old.ledger.approve(held)
    await old.ledger.move(held, State.LOADING)
    await new.recover()  # another node that starts
    assert (await old.ledger.upload(held)).state is State.LOADING
    assert await new.ledger.due(clock()) == []
    assert held in await old.ledger.due(clock())
    for one in (old, new):
        await one.close()


@pytest.mark.parametrize("steps", [1, 4, 9, 14, 20, 27])
async def test_a_copy_that_is_cut_off_is_opened_by_nobody_and_starts_again(
    filled: Store, url: str, target: str, clock: StandingClock, steps: int
) -> None:
    left = iter(range(steps))

    def cut_off(*_: object) -> None:
        if next(left, None) is None:
            raise CutOffError

    with pytest.raises(CutOffError):
        await copy_database(url, target, node="old", progress=cut_off)
    for migrate in (True, False):
        with pytest.raises(StoreError, match="not finished: run `ctsftp migrate-database` again"):
            await Store.open(target, clock=clock, migrate=migrate)
    await filled.ledger.discard((await filled.ledger.uploads(state=State.HELD))[0].id)  # a server ran meanwhile
    await copy_database(url, target, node="old", progress=silent)
    copy = await Store.open(target, clock=clock, migrate=True, node=lambda: "first")
    assert await contents(copy) == await contents(filled)
    await copy.close()


async def test_an_upload_that_arrived_otherwise_is_noticed(
    filled: Store, url: str, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = copying._put

    def change(conn: Any, *, table: Any, rows: Any) -> None:
        put(conn, table=table, rows=[row | ({"size": 7} if table.name == "uploads" else {}) for row in rows])

    monkeypatch.setattr(copying, "_put", change)
    with pytest.raises(StoreError, match="the table uploads is not what it is in the original"):
        await copy_database(url, target, node="old", progress=silent)


async def test_a_member_that_did_not_arrive_is_noticed(
    filled: Store, url: str, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    insert = postgres.insert_rows

    def insert_all_but_one(conn: Any, row_set: int, ids: Any) -> int:
        return insert(conn, row_set, ids[1:]) + 1

    monkeypatch.setattr(postgres, "insert_rows", insert_all_but_one)
    with pytest.raises(StoreError, match="the snapshot 2 is not what it is"):
        await copy_database(url, target, node="old", progress=silent)


@pytest.mark.parametrize("what", ["an upload", "a token"])
async def test_a_target_in_use_is_refused(
    filled: Store, url: str, target: str, clock: StandingClock, what: str
) -> None:
    other = await Store.open(target, clock=clock, migrate=True)
    await (Feed(other, clock).receive() if what == "an upload" else other.tokens.add("x", **NO_LIMITS))
    with pytest.raises(RefusedError, match="has been in use already"):
        await copy_database(url, target, node="old", progress=silent)
    await other.close()


async def test_only_a_file_is_copied_and_only_to_postgresql(url: str, store: Store, target: str) -> None:
    with pytest.raises(RefusedError, match="is not on PostgreSQL: name the file first"):
        await copy_database(url, url, node="old", progress=silent)
    with pytest.raises(StoreError, match="is empty"):
        await copy_database(target, url, node="old", progress=silent)


async def test_a_file_that_is_not_there_is_not_made(tmp_path: Path, target: str) -> None:
    with pytest.raises(StoreError, match="no database"):
        await copy_database(f"sqlite+aiosqlite:///{tmp_path / 'none.db'}", target, node="old", progress=silent)
