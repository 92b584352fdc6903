"""The outbox: events in the transaction of what they tell of, and deliveries in order."""

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from ctsftp.contract.codes import Code
from ctsftp.contract.events import DeliveryState, EventKind
from ctsftp.contract.states import State
from ctsftp.errors import NotFoundError, RefusedError
from ctsftp.model.records import Attempt, Delivery, Hook
from ctsftp.store import Store, moves, outbox

from .conftest import Feed, StandingClock

EVERYTHING = 1_000
SECRET = "whsec_AAAA"  # noqa: S105  a test's
Told = list[tuple[str, str | None]]


async def webhook(store: Store, *kinds: EventKind, client: str | None = None) -> Hook:
    return await store.outbox.add_hook("https://x", shown="x", client=client, kinds=kinds, secret=SECRET)


async def people(store: Store, *kinds: EventKind, client: str | None = None) -> Hook:
    return await store.outbox.add_hook("mailto://x", shown="x", client=client, kinds=kinds, secret=None)


async def due(store: Store, hook: Hook, *, limit: int = EVERYTHING) -> list[Delivery]:
    return await store.outbox.due(hook.id, store.outbox._clock(), limit=limit)


async def told(store: Store, hook: Hook) -> Told:
    return [(delivery.event.kind.value, delivery.event.segment) for delivery in await due(store, hook)]


async def reject(feed: Feed, code: Code = Code.CHARSET, **name: str) -> None:
    await feed.store.ledger.finish(await feed.loading(**name), State.REJECTED, code=code, reason="Because.")


async def test_every_end_that_somebody_should_know_of_is_an_event(store: Store, feed: Feed) -> None:
    hook = await webhook(store)
    await feed.load([1])
    await reject(feed)
    held = await feed.held()
    await feed.load([1, 2], stamp="20260310_0901")  # supersedes what is held
    duplicate = await feed.loading()
    await store.ledger.finish(duplicate, State.DUPLICATE)
    ignored = await feed.receive()
    await store.ledger.finish(ignored, State.IGNORED)
    assert await told(store, hook) == [
        ("upload.loaded", "VIP"),
        ("upload.rejected", "VIP"),
        ("upload.held", "VIP"),
        ("upload.loaded", "VIP"),
        ("upload.superseded", "VIP"),
    ]
    events = [delivery.event for delivery in await due(store, hook)]
    assert events[-1].upload_id == held
    assert events[1].data["code"] == "charset"
    assert events[0].data == (await store.ledger.upload(str(events[0].upload_id))).as_json() | {
        "entered": 1,
        "left": 0,
    }
    assert len({event.message_id for event in events}) == len(events)


async def test_an_event_is_written_with_its_move_or_not_at_all(
    store: Store, feed: Feed, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook = await webhook(store)
    upload_id = await feed.loading()

    def die(conn: sa.Connection, *args: Any, **told_about: Any) -> None:
        tell(conn, *args, **told_about)
        raise KeyError("dies before the commit")

    tell = moves.tell_of_move
    with monkeypatch.context() as patched:
        patched.setattr(moves, "tell_of_move", die)
        with pytest.raises(KeyError):
            await store.ledger.finish(upload_id, State.HELD, code="shrunk", reason="Few.")
    assert (await store.ledger.upload(upload_id)).state is State.LOADING
    assert await told(store, hook) == []
    assert not store.outbox.news.is_set()
    with closing(sqlite3.connect(path)) as conn:
        assert conn.execute("SELECT count(*) FROM events").fetchone() == (0,)


async def test_news_is_told_after_the_commit_and_only_where_somebody_is_to_hear(store: Store, feed: Feed) -> None:
    await feed.load([1])
    assert not store.outbox.news.is_set()
    hook = await webhook(store)
    assert not store.outbox.news.is_set()
    woken = asyncio.create_task(store.outbox.news.wait())
    await feed.load([1, 2], stamp="20260310_0901")
    await woken
    assert len(await due(store, hook)) == 1


async def test_a_hook_hears_of_its_client_and_its_kinds_only(store: Store, feed: Feed) -> None:
    everything, one_client = await webhook(store), await webhook(store, client="zeta")
    one_kind = await webhook(store, EventKind.UPLOAD_REJECTED)
    await feed.load([1])
    await reject(feed, client="zeta", title="Gold")
    await store.outbox.report(EventKind.DISK_LOW, {("", "disk"): {"spare_bytes": 1}})
    assert await told(store, everything) == [("upload.loaded", "VIP"), ("upload.rejected", "Gold"), ("disk.low", None)]
    assert await told(store, one_client) == [("upload.rejected", "Gold")]
    assert await told(store, one_kind) == [("upload.rejected", "Gold")]


async def test_people_are_told_when_a_segment_breaks_and_when_it_is_back(store: Store, feed: Feed) -> None:
    hook = await people(store)
    await feed.load([1])
    for _ in range(3):
        await reject(feed)
    await reject(feed, title="Gold")
    await feed.load([1, 2], stamp="20260310_0901")
    await feed.load([1, 2, 3], stamp="20260310_0902")
    assert await told(store, hook) == [
        ("upload.rejected", "VIP"),
        ("upload.rejected", "Gold"),
        ("upload.loaded", "VIP"),
    ]


async def test_people_who_come_later_are_told_of_the_trouble_when_it_goes_on(store: Store, feed: Feed) -> None:
    await people(store)
    await reject(feed)
    second = await people(store)
    await reject(feed)
    assert await told(store, second) == [("upload.rejected", "VIP")]


async def test_a_file_that_waits_again_after_an_admin_decided_is_news(store: Store, feed: Feed) -> None:
    hook = await people(store)
    first = await feed.held()
    await feed.held()
    assert len(await told(store, hook)) == 1
    await store.ledger.discard(first)
    await feed.held()
    assert len(await told(store, hook)) == 2


async def test_what_is_wrong_with_a_segment_that_is_retired_is_forgotten(store: Store, feed: Feed) -> None:
    hook = await people(store)
    await feed.load([1])
    await reject(feed)
    await store.segments.retire("acme", "vip")
    await store.segments.restore("acme", "vip")
    await feed.load([1, 2], stamp="20260310_0901")
    await reject(feed)
    assert [kind for kind, _ in await told(store, hook)] == ["upload.rejected", "upload.rejected"]


@pytest.mark.parametrize("first_written", [1, 2])
async def test_of_a_load_that_fails_the_first_fault_that_is_written_down_is_told_and_that_it_is_given_up(
    store: Store, feed: Feed, clock: StandingClock, first_written: int
) -> None:
    hooks = [await webhook(store), await people(store)]
    upload_id = await feed.loading()
    for attempt in range(first_written, 5):
        again = clock() + timedelta(seconds=1) if attempt < 4 else None
        await store.ledger.move(
            upload_id, State.FAILED, code=Code.INTERNAL, reason="Oh.", attempts=attempt, retry_at=again
        )
        await store.ledger.move(upload_id, State.RECEIVED)
        await store.ledger.move(upload_id, State.LOADING)
    for hook in hooks:
        assert [delivery.event.data.get("waits", False) for delivery in await due(store, hook)] == [False, True]


async def test_an_approved_upload_that_fails_is_told_whatever_failed_before(
    store: Store, feed: Feed, clock: StandingClock
) -> None:
    hook = await webhook(store)
    upload_id = await feed.loading()
    again = clock() + timedelta(seconds=1)
    await store.ledger.move(upload_id, State.FAILED, attempts=1, retry_at=again)
    for state in (State.RECEIVED, State.LOADING, State.HELD):
        await store.ledger.move(upload_id, state)
    await store.ledger.approve(upload_id)
    await store.ledger.move(upload_id, State.LOADING)
    await store.ledger.move(upload_id, State.FAILED, attempts=1, retry_at=again)
    kinds = [delivery.event.kind.value for delivery in await due(store, hook)]
    assert kinds == ["upload.failed", "upload.held", "upload.failed"]


async def test_behind_a_delivery_that_waits_its_lane_waits_and_no_other(
    store: Store, feed: Feed, clock: StandingClock
) -> None:
    hook = await webhook(store)
    for title in ("VIP", "Gold", "VIP", "Gold"):
        await reject(feed, title=title)
    first, second, _, fourth = await due(store, hook)
    later = clock() + timedelta(seconds=5)
    await store.outbox.settle([Attempt(delivery=first, error="no", next_at=later), Attempt(delivery=second)])
    assert await due(store, hook) == [fourth]
    assert await store.outbox.waiting(clock()) == ([hook], later)
    await store.outbox.settle([Attempt(delivery=fourth)])
    assert await store.outbox.waiting(clock()) == ([], later)
    clock.advance(seconds=5)
    assert await store.outbox.waiting(clock()) == ([hook], None)
    assert [(one.event.id, one.attempts) for one in await due(store, hook)] == [(first.event.id, 1), (3, 0)]
    assert [one.event.id for one in await due(store, hook, limit=1)] == [first.event.id]


async def test_the_dead_hold_up_nothing_and_can_be_revived(store: Store, feed: Feed) -> None:
    hook = await webhook(store)
    await reject(feed)
    await reject(feed)
    first, second = await due(store, hook)
    await store.outbox.settle([Attempt(delivery=first, error="gone")])
    assert await due(store, hook) == [second]
    [dead] = await store.outbox.deliveries(state=DeliveryState.DEAD)
    assert (dead["event"], dead["attempts"], dead["last_error"]) == (first.event.id, 1, "gone")
    store.outbox.news.clear()
    assert await store.outbox.revive(hook.id) == 1
    assert store.outbox.news.is_set()
    assert await due(store, hook) == [first, second]
    with pytest.raises(NotFoundError):
        await store.outbox.revive(99)


async def test_deliveries_are_listed_newest_first(store: Store, feed: Feed) -> None:
    one, other = await webhook(store), await webhook(store)
    await reject(feed)
    await feed.load([1], title="Gold")
    await store.outbox.settle([Attempt(delivery=delivery) for delivery in await due(store, one)])
    listed = await store.outbox.deliveries()
    assert [(row["event"], row["hook"], row["state"]) for row in listed] == [
        (2, 1, "delivered"),
        (2, 2, "pending"),
        (1, 1, "delivered"),
        (1, 2, "pending"),
    ]
    assert len(await store.outbox.deliveries(hook_id=other.id, state=DeliveryState.PENDING, limit=1)) == 1


async def test_a_hook_that_is_removed_is_gone_with_its_deliveries(store: Store, feed: Feed) -> None:
    hook, message = await webhook(store), await people(store)
    await reject(feed)
    deliveries = await due(store, hook)
    for one in (hook, message):
        await store.outbox.remove_hook(one.id)
        with pytest.raises(NotFoundError, match="hook list"):
            await store.outbox.remove_hook(one.id)
    await store.outbox.settle([Attempt(delivery=delivery) for delivery in deliveries])
    await reject(feed)
    assert await store.outbox.deliveries() == []
    assert (await webhook(store)).id > message.id, "an id is never another's"


async def test_there_are_only_so_many_hooks(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "MAX_HOOKS", 2)
    await webhook(store)
    await webhook(store)
    with pytest.raises(RefusedError, match="2 hooks already"):
        await webhook(store)


async def test_what_is_found_is_told_once_until_it_is_over_also_after_a_restart(
    store: Store, url: str, clock: StandingClock
) -> None:
    hook = await people(store)
    one, other = ("acme", "key 1"), ("acme", "key 2")

    async def report(*found: tuple[str, str], to: Store = store) -> None:
        await to.outbox.report(EventKind.KEY_EXPIRING, {key: {"fingerprint": key[1]} for key in found})

    await report(one)
    await report(one, other)
    await store.close()
    again = await Store.open(url, clock=clock, migrate=True)
    try:
        await report(one, other, to=again)
        await report(other, to=again)
        await report(one, other, to=again)
        fingerprints = [delivery.event.data["fingerprint"] for delivery in await due(again, hook)]
        assert fingerprints == ["key 1", "key 2", "key 1"]
    finally:
        await again.close()


@pytest.fixture
def writes(store: Store, monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """Count the transactions that write."""
    count = 0
    write = store._database.write

    async def counting(work: Any) -> Any:
        nonlocal count
        count += 1
        return await write(work)

    monkeypatch.setattr(store._database, "write", counting)
    return lambda: count


async def test_to_look_without_finding_anything_new_writes_nothing(
    store: Store, feed: Feed, clock: StandingClock, writes: Callable[[], int]
) -> None:
    hook = await webhook(store)
    await feed.load([1])
    await store.outbox.report(EventKind.DISK_LOW, {("", "disk"): {}})
    before = writes()
    await store.outbox.report(EventKind.DISK_LOW, {("", "disk"): {}})
    await store.outbox.prune(clock())
    await store.segments.report_overdue()
    await store.outbox.waiting(clock())
    await due(store, hook)
    assert writes() == before


async def test_events_go_when_they_are_old_delivered_or_not(
    store: Store, feed: Feed, clock: StandingClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "DELETED_AT_ONCE", 2)
    hook, message = await webhook(store), await people(store)
    for _ in range(5):
        await reject(feed)
    clock.advance(days=1)
    await feed.load([1])
    assert await store.outbox.prune(clock()) == 5
    assert await told(store, hook) == [("upload.loaded", "VIP")]
    assert await told(store, message) == [("upload.loaded", "VIP")]
    assert await store.outbox.prune(clock()) == 0


async def test_a_file_whose_name_says_no_segment_is_told_again_after_the_events_of_its_time_are_gone(
    store: Store, clock: StandingClock
) -> None:
    hook = await people(store)

    async def misnamed() -> None:
        await store.outbox.tell(EventKind.UPLOAD_REJECTED, [{"client": "acme", "data": {"code": "name"}}])

    await misnamed()
    await misnamed()
    assert len(await due(store, hook)) == 1
    clock.advance(days=1)
    await store.outbox.prune(clock())
    await misnamed()
    assert len(await due(store, hook)) == 1
