"""Snapshots: written, read, compared, pruned and deleted in pieces."""

import asyncio
import sqlite3
import time
from contextlib import closing
from functools import partial
from itertools import chain
from pathlib import Path

import numpy as np
import pytest

from ctsftp.contract.states import State
from ctsftp.errors import DamagedListError, NotFoundError, SnapshotGoneError
from ctsftp.lists import parts as cutting
from ctsftp.store import Store, parts, rows, snapshots
from ctsftp.store.snapshots import Snapshots

from .conftest import Feed, StandingClock, accept, account


def held_members(path: Path) -> dict[int, int]:
    """How many members the database holds of each snapshot."""
    with closing(sqlite3.connect(path)) as conn:
        query = "SELECT snapshot_id, sum(members) FROM snapshot_parts GROUP BY 1"
        return dict(conn.execute(query).fetchall())


async def pages_of(all_snapshots: Snapshots, snapshot_id: int) -> list[list[int]]:
    return [page.tolist() async for page in all_snapshots.stream_members(snapshot_id)]


async def current(store: Store, key: str = "vip") -> int:
    return (await store.segments.segment("acme", key)).snapshot_id


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts of three ids, a transaction each."""
    monkeypatch.setattr(cutting, "MAX_PART_IDS", 3)
    monkeypatch.setattr(cutting, "CONTAINER_BITS", 1)
    monkeypatch.setattr(parts, "WRITTEN_BYTES", 1)
    monkeypatch.setattr(parts, "DELETED_PARTS", 1)
    monkeypatch.setattr(snapshots, "READ_AT_ONCE", 3)
    monkeypatch.setattr(rows, "INSERTED_AT_ONCE", 3)


async def test_a_million_members_are_loaded_and_read_within_seconds(feed: Feed) -> None:
    rng = np.random.default_rng(7)
    ids = np.sort(rng.choice(2**24, 1_000_000, replace=False)) + 1
    upload_id = await feed.loading()
    begun = time.perf_counter()
    snapshot_id = await feed.store.snapshots.write(upload_id, ids)
    await feed.store.snapshots.publish(upload_id, snapshot_id, judge=accept, **account(len(ids)))
    loaded_s = time.perf_counter() - begun
    assert np.array_equal(
        np.concatenate([page async for page in feed.store.snapshots.stream_members(snapshot_id)]), ids
    )
    # It takes a third of a second on an idle machine; this is to notice a way that is ten times as slow.
    assert loaded_s < 5


@pytest.mark.usefixtures("small_pieces")
@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 6, 7])
async def test_members_are_written_and_read_in_pieces_without_loss(feed: Feed, count: int) -> None:
    await feed.load(range(1, count + 1))
    pages = await pages_of(feed.store.snapshots, await current(feed.store))
    assert list(chain.from_iterable(pages)) == list(range(1, count + 1))
    assert all(len(page) == 3 for page in pages[:-1])


@pytest.mark.usefixtures("small_pieces")
async def test_others_get_their_turn_between_two_pieces(feed: Feed) -> None:
    upload_id = await feed.loading()
    done: list[str] = []

    async def load() -> None:
        await feed.store.snapshots.write(upload_id, np.arange(1, 100))
        done.append("load")

    async def other() -> None:
        await feed.receive()
        done.append("other")

    await asyncio.gather(load(), other())
    assert done == ["other", "load"]


async def test_ids_in_any_layout_of_memory_are_written(feed: Feed) -> None:
    upload_id = await feed.loading()
    snapshot_id = await feed.store.snapshots.write(upload_id, np.arange(1, 11)[::2])
    await feed.store.snapshots.publish(upload_id, snapshot_id, judge=accept, **account(5))
    assert await pages_of(feed.store.snapshots, snapshot_id) == [[1, 3, 5, 7, 9]]


async def test_only_an_upload_that_is_loading_makes_a_snapshot(feed: Feed) -> None:
    with pytest.raises(ValueError, match="received"):
        await feed.written(await feed.receive(), [1])


async def test_a_published_snapshot_never_changes(feed: Feed) -> None:
    await feed.load([1])
    snapshot_id = await current(feed.store)
    more = partial(snapshots._go_on, snapshot_id=snapshot_id, batch=[])
    with pytest.raises(ValueError, match="not being written"):
        await feed.store._database.write(more)
    assert await pages_of(feed.store.snapshots, snapshot_id) == [[1]]


async def test_a_snapshot_that_is_not_published_cannot_be_read(feed: Feed) -> None:
    snapshot_id = await feed.written(await feed.loading(), [1])
    for unknown in (snapshot_id, 999):
        with pytest.raises(NotFoundError):
            await pages_of(feed.store.snapshots, unknown)


@pytest.mark.usefixtures("small_pieces")
async def test_a_reader_of_a_snapshot_that_is_deleted_meanwhile_is_told(feed: Feed) -> None:
    await feed.load(range(1, 10))
    pages = feed.store.snapshots.stream_members(await current(feed.store))
    assert (await anext(pages)).tolist() == [1, 2, 3]
    await feed.store.segments.retire("acme", "vip")
    await feed.store.segments.delete("acme", "vip")
    with pytest.raises(SnapshotGoneError, match="is not kept any more"):
        await anext(pages)


@pytest.mark.usefixtures("small_pieces")
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ([], []),
        ([], [1, 2, 3, 4]),
        ([1, 2, 3, 4], []),
        ([1, 2, 3], [1, 2, 3]),
        ([1, 2, 3, 4, 5, 6, 7], [7, 8, 9]),
        ([5, 6, 7, 8, 9], [1, 2, 3, 4, 5]),
        (list(range(1, 40, 2)), list(range(1, 40, 3))),
        ([1], list(range(2, 20))),
    ],
)
async def test_two_snapshots_are_compared_part_by_part(feed: Feed, old: list[int], new: list[int]) -> None:
    await feed.load(old)
    old_id = await current(feed.store)
    await feed.load(new)
    entered, left = await feed.store.snapshots.changes(old_id, await current(feed.store))
    assert entered.tolist() == sorted(set(new) - set(old))
    assert left.tolist() == sorted(set(old) - set(new))
    assert await feed.store.snapshots.count_changes(old_id, np.array(new, dtype=np.int64)) == (len(entered), len(left))


async def test_the_changes_are_against_what_was_current_before_not_the_number_before(feed: Feed) -> None:
    for ids in ([1], [2, 3]):
        await feed.load(ids)
    await feed.store.segments.rollback("acme", "vip")
    outcome = await feed.load([1, 4, 5])
    assert (outcome.number, outcome.entered, outcome.left) == (3, 2, 0)


async def numbers(store: Store, key: str = "vip") -> list[int]:
    return [one.number for one in await store.segments.history("acme", key)]


@pytest.mark.usefixtures("small_pieces")
async def test_pruning_keeps_the_last_and_the_last_of_each_day(feed: Feed, clock: StandingClock, path: Path) -> None:
    for _ in range(6):
        for _ in range(2):
            await feed.load(range(1, 8))
            clock.advance(hours=1)
        clock.advance(hours=22)
    clock.advance(hours=-24)  # back to the day of the last two
    assert await feed.store.snapshots.prune(keep_last=3, keep_days=4) == 7
    assert await numbers(feed.store) == [12, 11, 10, 8, 6]
    assert set(held_members(path).values()) == {7}
    assert len(held_members(path)) == 5
    assert await feed.store.snapshots.prune(keep_last=3, keep_days=4) == 0


async def test_pruning_keeps_five_and_seven_days_unless_told_otherwise(feed: Feed, clock: StandingClock) -> None:
    for _ in range(9):
        await feed.load([1])
        clock.advance(days=1)
    clock.advance(days=-1)
    await feed.store.snapshots.prune(keep_last=5, keep_days=7)
    assert await numbers(feed.store) == [9, 8, 7, 6, 5, 4, 3]
    clock.advance(days=99)
    await feed.store.snapshots.prune(keep_last=5, keep_days=7)
    assert await numbers(feed.store) == [9, 8, 7, 6, 5]


async def test_pruning_never_takes_the_current_one_and_numbers_go_on(feed: Feed) -> None:
    for _ in range(4):
        await feed.load([1])
    await feed.store.segments.rollback("acme", "vip", 1)
    await feed.store.snapshots.prune(keep_last=1, keep_days=0)
    assert await numbers(feed.store) == [4, 1]
    assert (await feed.load([1])).number == 5
    with pytest.raises(ValueError, match="newest"):
        await feed.store.snapshots.prune(keep_last=0, keep_days=7)


async def test_pruning_looks_at_each_segment_by_itself(feed: Feed) -> None:
    for title in ("VIP", "Gold", "VIP", "Gold", "VIP"):
        await feed.load([1], title=title)
    await feed.store.snapshots.prune(keep_last=2, keep_days=0)
    assert (await numbers(feed.store), await numbers(feed.store, "gold")) == ([3, 2], [2, 1])


async def test_what_is_being_written_is_never_deleted(feed: Feed, path: Path) -> None:
    loading = await feed.loading()
    written = await feed.written(loading, [1, 2])
    failed = await feed.loading()
    abandoned = await feed.written(failed, [3])
    await feed.store.ledger.move(failed, State.FAILED)
    assert held_members(path) == {written: 2, abandoned: 1}
    assert await feed.store.snapshots.delete_abandoned() == 1
    assert held_members(path) == {written: 2}


@pytest.mark.usefixtures("small_pieces")
async def test_what_is_half_deleted_can_never_be_published(feed: Feed) -> None:
    upload_id = await feed.loading()
    snapshot_id = await feed.written(upload_id, range(1, 8))
    await feed.store._database.write(partial(snapshots._delete_some, snapshot_ids=[snapshot_id]))
    with pytest.raises(DamagedListError, match="lacks parts"):
        await feed.store.snapshots.publish(upload_id, snapshot_id, judge=accept, **account(7))


@pytest.mark.usefixtures("small_pieces")
async def test_many_snapshots_are_deleted_a_few_at_a_time(
    feed: Feed, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshots, "SNAPSHOTS_AT_ONCE", 4)
    sizes = (1, 0, 2, 7, 3, 0, 0, 0, 0, 0, 1)
    failed = [await feed.loading() for _ in sizes]
    written = [await feed.written(upload_id, range(1, 1 + size)) for upload_id, size in zip(failed, sizes, strict=True)]
    for upload_id in failed:
        await feed.store.ledger.move(upload_id, State.FAILED)
    left = written
    pieces = []
    while left:
        before = sum(held_members(path).values())
        left = await feed.store._database.write(partial(snapshots._delete_some, snapshot_ids=left))
        pieces.append(before - sum(held_members(path).values()))
    assert sum(pieces) == sum(sizes)
    assert max(pieces) <= 3
    assert await feed.store.snapshots.delete_abandoned() == 0


async def test_the_number_of_a_deleted_snapshot_is_never_given_again(feed: Feed) -> None:
    failed = await feed.loading()
    abandoned = await feed.written(failed, [1])
    await feed.store.ledger.move(failed, State.FAILED)
    await feed.store.snapshots.delete_abandoned()
    assert await feed.written(await feed.loading(), [1]) > abandoned
