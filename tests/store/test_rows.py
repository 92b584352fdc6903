"""The rows that mirror lists: always those of the current one, whichever way they came there, and whoever dies."""

from collections.abc import Callable  # noqa: TC003  a variable is annotated
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import text

from ctsftp.contract.states import State
from ctsftp.contract.verdict import Verdict
from ctsftp.errors import DamagedListError, StoreError
from ctsftp.store import Store, rows, rowsets

from .conftest import Feed, accept, account

DATABASE_KINDS = ("sqlite", "postgresql")


@pytest.fixture(autouse=True)
def _small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """At most 4 rows are changed in place; more, up to a fifth, in pieces of 3."""
    monkeypatch.setattr(rows, "PATCHED_IN_PLACE", 4)
    monkeypatch.setattr(rows, "CHANGED_AT_ONCE", 3)
    monkeypatch.setattr(rows, "INSERTED_AT_ONCE", 20)
    monkeypatch.setattr(rowsets, "DELETED_AT_ONCE", 20)


async def select(store: Store, sql: str) -> list[tuple[Any, ...]]:
    return await store._database.read(lambda conn: [tuple(row) for row in conn.execute(text(sql))])


async def seen(store: Store) -> list[int]:
    """What anyone with plain SQL sees."""
    return [one for (one,) in await select(store, "SELECT ct_user_id FROM segment_members ORDER BY 1")]


async def registry(store: Store) -> list[tuple[Any, ...]]:
    """Each set: whether it is a segment's current one, the number of its list, and how many rows it has."""
    return await select(
        store,
        "SELECT segments.id IS NOT NULL, snapshots.number,"
        " (SELECT count(*) FROM member_rows WHERE row_set = row_sets.id)"
        " FROM row_sets LEFT JOIN segments ON segments.row_set = row_sets.id"
        " LEFT JOIN snapshots ON snapshots.id = row_sets.snapshot_id ORDER BY row_sets.id",
    )


async def sets(store: Store) -> list[int]:
    return [one for (one,) in await select(store, "SELECT row_set FROM segments")]


BASE = list(range(1, 101))


async def test_a_small_change_is_made_in_place(feed: Feed) -> None:
    await feed.load(BASE)
    before = await sets(feed.store)
    await feed.load([*BASE[2:], 500, 501])
    assert await seen(feed.store) == [*BASE[2:], 500, 501]
    assert await sets(feed.store) == before
    assert await registry(feed.store) == [(True, 2, 100)]


async def test_a_short_first_list_needs_no_transaction_but_that_which_publishes_it(feed: Feed) -> None:
    await feed.load([1, 2, 3, 4])
    assert await registry(feed.store) == [(True, 1, 4)]


async def test_a_larger_change_makes_a_new_set_and_the_old_one_is_the_spare_and_caught_up(feed: Feed) -> None:
    await feed.load(BASE)
    first = await sets(feed.store)
    new = [*BASE[5:], *range(500, 505)]
    await feed.load(new)
    assert await sets(feed.store) != first
    assert await seen(feed.store) == new
    assert await registry(feed.store) == [(False, 2, 100), (True, 2, 100)]


async def test_the_spare_is_brought_up_and_swapped(feed: Feed) -> None:
    await feed.load(BASE)
    await feed.load([*BASE[5:], *range(500, 505)])
    second = await sets(feed.store)
    await feed.load([*BASE[10:], *range(500, 510)])
    third = await sets(feed.store)
    assert third < second
    await feed.load([*BASE[15:], *range(500, 515)])
    assert await sets(feed.store) == second
    assert await seen(feed.store) == [*BASE[15:], *range(500, 515)]
    assert await registry(feed.store) == [(False, 4, 100), (True, 4, 100)]


async def test_a_spare_that_lags_behind_small_changes_is_brought_up_from_its_own_list(feed: Feed) -> None:
    await feed.load(BASE)
    await feed.load([*BASE[5:], *range(500, 505)])
    for start in (6, 7):
        await feed.load([*BASE[start:], *range(500, 505)])
    assert [number for _, number, _ in await registry(feed.store)] == [2, 4]
    await feed.load([*BASE[12:], *range(500, 510)])
    assert await seen(feed.store) == [*BASE[12:], *range(500, 510)]
    assert [number for _, number, _ in await registry(feed.store)] == [5, 5]


async def test_where_more_than_a_fifth_changes_a_new_set_is_made_and_the_old_ones_are_deleted(feed: Feed) -> None:
    await feed.load(BASE)
    await feed.load([*BASE[5:], *range(500, 505)])
    await feed.load(range(1000, 1100))
    assert await seen(feed.store) == list(range(1000, 1100))
    assert await registry(feed.store) == [(True, 3, 100)]


async def test_a_spare_whose_list_is_kept_no_more_is_none(feed: Feed) -> None:
    await feed.load(BASE)
    await feed.load([*BASE[5:], *range(500, 505)])
    await feed.load([*BASE[6:], *range(500, 505)])
    await feed.store.snapshots.prune(keep_last=1, keep_days=0)
    assert await registry(feed.store) == [(True, 3, 99)]
    await feed.load([*BASE[12:], *range(500, 510)])
    assert await seen(feed.store) == [*BASE[12:], *range(500, 510)]


@pytest.mark.parametrize("number", [1, 2, 3])
async def test_a_rollback_shows_the_rows_of_its_list(feed: Feed, number: int) -> None:
    lists = [BASE, [*BASE[5:], *range(500, 505)], list(range(1000, 1100)), [*range(1001, 1100), 7]]
    for ids in lists:
        await feed.load(ids)
    await feed.store.segments.rollback("acme", "vip", number)
    assert await seen(feed.store) == lists[number - 1]
    assert [one[:2] for one in await registry(feed.store) if one[0]] == [(True, number)]
    await feed.load([5, 6])
    assert await seen(feed.store) == [5, 6]


async def test_a_deleted_segment_leaves_no_rows_and_no_sets(feed: Feed) -> None:
    await feed.load(BASE)
    await feed.load([*BASE[5:], *range(500, 505)])
    await feed.load([1], title="Other")
    await feed.store.segments.retire("acme", "vip")
    assert await seen(feed.store) == [1]
    await feed.store.segments.delete("acme", "vip")
    assert await registry(feed.store) == [(True, 1, 1)]
    assert await select(feed.store, "SELECT count(*) FROM member_rows") == [(1,)]


async def test_a_list_that_is_not_let_in_leaves_no_rows(feed: Feed) -> None:
    await feed.load(BASE)
    upload_id = await feed.loading()
    snapshot_id = await feed.written(upload_id, range(1000, 1100))
    verdict = Verdict(State.HELD)
    await feed.store.snapshots.publish(upload_id, snapshot_id, judge=lambda *_: verdict, **account(100))
    await feed.store.snapshots.delete_abandoned()
    assert await registry(feed.store) == [(True, 1, 100)]
    assert await select(feed.store, "SELECT count(*) FROM snapshot_parts") == [(1,)]


LISTS = {
    "in place": [*BASE[1:], 500],
    "spare": [*BASE[10:], *range(500, 510)],
    "new set": list(range(1000, 1100)),
}


@pytest.mark.parametrize("kind", LISTS)
async def test_a_list_that_was_compared_with_one_that_is_current_no_more_is_compared_again(
    feed: Feed, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for ids in (BASE, [*BASE[5:], *range(500, 505)]):
        await feed.load(ids)
    upload_id = await feed.loading()
    snapshot_id = await feed.written(upload_id, LISTS[kind])
    compare = rows.RowSets._compare
    compared: list[int] = []

    async def compare_and_roll_back(own: rows.RowSets, old: int, new: int) -> rowsets.Difference:
        found = await compare(own, old, new)
        compared.append(old)
        if len(compared) == 1:
            await feed.store.segments.rollback("acme", "vip")
        return found

    monkeypatch.setattr(rows.RowSets, "_compare", compare_and_roll_back)
    outcome = await feed.store.snapshots.publish(upload_id, snapshot_id, judge=accept, **account(len(LISTS[kind])))
    assert outcome is not None
    assert (outcome.entered, outcome.left) == (len(set(LISTS[kind]) - set(BASE)), len(set(BASE) - set(LISTS[kind])))
    assert await seen(feed.store) == sorted(LISTS[kind])


STEPS = ["begin_changing", "change_rows", "end_changing", "make_set"]


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("kind", LISTS)
async def test_whatever_dies_in_the_middle_leaves_the_old_list_and_nothing_else_after_recovery(
    feed: Feed, url: str, kind: str, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    current = [*BASE[5:], *range(500, 505)]
    for ids in (BASE, current):
        await feed.load(ids)
    upload_id = await feed.loading()
    snapshot_id = await feed.written(upload_id, LISTS[kind])
    work: Callable[..., Any] = getattr(rows, step)
    calls = iter(range(2))

    def dies(*args: Any, **named: Any) -> Any:
        if step == "change_rows" and next(calls, None) == 0:
            return work(*args, **named)
        raise StoreError("The power went.")

    with monkeypatch.context() as patched:
        patched.setattr(rows, step, dies)
        try:
            await feed.store.snapshots.publish(upload_id, snapshot_id, judge=accept, **account(len(LISTS[kind])))
        except StoreError:
            assert await seen(feed.store) == current
        else:
            current = sorted(LISTS[kind])
    again = await Store.open(url, clock=feed.clock, migrate=True)
    await again.recover()
    assert await seen(again) == current
    assert [one for one in await registry(again) if not one[0] and one[1] is None] == []
    assert len(await registry(again)) <= 2
    for is_current, number, count in await registry(again):
        history = {one.number: one.members for one in await again.segments.history("acme", "vip")}
        assert count == history[number], is_current
    await again.close()


@pytest.mark.parametrize("kind", LISTS)
@pytest.mark.parametrize("damage", ["a row too few", "a row too many"])
async def test_rows_that_are_not_those_of_their_list_are_made_anew(feed: Feed, kind: str, damage: str) -> None:
    for ids in (BASE, [*BASE[5:], *range(500, 505)]):
        await feed.load(ids)

    def harm(conn: Any) -> None:
        if damage == "a row too few":
            conn.execute(text("DELETE FROM member_rows WHERE ct_user_id IN (6, 7)"))
        else:
            conn.execute(text("INSERT INTO member_rows SELECT id, 505 FROM row_sets"))

    await feed.store._database.write(harm)
    new = [*BASE[7:], *range(500, 506)] if kind == "in place" else LISTS[kind]
    await feed.load(new)
    assert await seen(feed.store) == sorted(new)


async def test_a_part_that_is_damaged_is_told_and_the_old_list_stays(feed: Feed) -> None:
    await feed.load(BASE)
    upload_id = await feed.loading()
    snapshot_id = await feed.written(upload_id, [1, 2])
    harm = text("UPDATE snapshot_parts SET digest = 'x' WHERE snapshot_id = 1")
    await feed.store._database.write(lambda conn: conn.execute(harm))
    with pytest.raises(DamagedListError, match="Of the snapshot 1: The part 0 of a list is damaged"):
        await feed.store.snapshots.publish(upload_id, snapshot_id, judge=accept, **account(2))
    assert await seen(feed.store) == BASE
    assert (await feed.store.ledger.upload(upload_id)).state is State.LOADING


async def test_what_is_being_worked_on_is_not_taken_for_what_a_kill_left(
    feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sweep may come at any time."""
    change = rows.RowSets._page

    async def sweep_first(own: rows.RowSets, snapshot_id: int, *, above: int) -> Any:
        await own.delete_abandoned()
        return await change(own, snapshot_id, above=above)

    monkeypatch.setattr(rows.RowSets, "_page", sweep_first)
    await feed.load(BASE)
    await feed.load(range(1000, 1100))
    assert await seen(feed.store) == list(range(1000, 1100))


def test_pieces_are_in_the_order_of_ids_and_none_is_too_large() -> None:
    rng = np.random.default_rng(7)
    both = rng.permutation(200)
    came, went = np.sort(both[:60]), np.sort(both[60:100])
    bounds = np.sort(np.concatenate([came, went]))[2::3]
    difference = rowsets.Difference(entered=60, left=40, came=came, went=went, bounds=bounds)
    pieces = list(difference.pieces())
    assert np.array_equal(np.concatenate([one for one, _ in pieces]), came)
    assert np.array_equal(np.concatenate([one for _, one in pieces]), went)
    assert max(len(one) + len(other) for one, other in pieces) == 3


def test_nothing_but_the_migrations_knows_the_old_table() -> None:
    package = Path(rows.__file__).parent
    named = [one.name for one in package.glob("*.py") if "snapshot_members" in one.read_text()]
    assert named == []
