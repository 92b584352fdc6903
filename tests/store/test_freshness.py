"""A segment whose job stops is reported overdue once, and back once, under a controlled clock."""

from dataclasses import replace
from datetime import timedelta

import pytest

from ctsftp.contract.freshness import Expectation
from ctsftp.contract.states import State
from ctsftp.model.records import Hook
from ctsftp.model.writing import iso
from ctsftp.store import Store

from .conftest import Feed, StandingClock, digest

SECRET = "whsec_AAAA"  # noqa: S105  a test's
DAY_AND_A_BIT = Expectation(86_400, 3 * 3_600)


@pytest.fixture
async def hook(store: Store) -> Hook:
    return await store.outbox.add_hook("https://x", shown="x", client=None, kinds=(), secret=SECRET)


async def told(store: Store, hook: Hook) -> list[str]:
    """What was told of the segment itself."""
    kinds = [one.event.kind.value for one in await store.outbox.due(hook.id, store.outbox._clock(), limit=100)]
    return [kind for kind in kinds if kind.startswith("segment.")]


async def look(store: Store, clock: StandingClock, hours: int) -> int:
    """Look every hour, as the watch does, and tell how often something was reported."""
    reported = 0
    for _ in range(hours):
        clock.advance(hours=1)
        reported += await store.segments.report_overdue()
    return reported


async def test_a_segment_whose_job_stops_is_overdue_once_and_back_once(
    store: Store, feed: Feed, clock: StandingClock, hook: Hook
) -> None:
    await feed.load([1])
    await store.segments.expect("acme", "vip", DAY_AND_A_BIT)
    assert await look(store, clock, 27) == 0
    assert await look(store, clock, 100) == 1
    segment = await store.segments.segment("acme", "vip")
    assert (segment.heard_at, segment.overdue_since) == ("2026-03-10T12:00:00.000Z", "2026-03-11T15:00:00.000Z")
    assert segment.as_json()["overdue_at"] == "2026-03-11T15:00:00.000Z"
    assert await told(store, hook) == ["segment.overdue"]

    await feed.load([2], stamp="20260315_0900")
    await feed.load([3], stamp="20260315_0901")
    assert await look(store, clock, 27) == 0
    assert await told(store, hook) == ["segment.overdue", "segment.back"]
    assert (await store.segments.segment("acme", "vip")).overdue_since is None

    assert await look(store, clock, 2) == 1
    assert await told(store, hook) == ["segment.overdue", "segment.back", "segment.overdue"]


async def test_a_job_that_sends_the_same_list_again_is_alive(
    store: Store, feed: Feed, clock: StandingClock, hook: Hook
) -> None:
    await feed.load([1])
    await store.segments.expect("acme", "vip", DAY_AND_A_BIT)
    assert await look(store, clock, 30) == 1
    await store.ledger.finish(await feed.loading(), State.DUPLICATE, sha256=digest([1]))
    assert await told(store, hook) == ["segment.overdue", "segment.back"]
    assert await look(store, clock, 27) == 0


@pytest.mark.parametrize("state", [State.REJECTED, State.HELD, State.SUPERSEDED])
async def test_a_file_that_was_not_used_is_no_sign_of_life(
    store: Store, feed: Feed, clock: StandingClock, hook: Hook, *, state: State
) -> None:
    await feed.load([1])
    await store.segments.expect("acme", "vip", DAY_AND_A_BIT)
    clock.advance(hours=20)
    await store.ledger.finish(await feed.loading(), state)
    assert await look(store, clock, 8) == 1
    assert await told(store, hook) == ["segment.overdue"]


async def test_an_old_file_that_an_admin_approves_does_not_bring_a_segment_back(
    store: Store, feed: Feed, clock: StandingClock, hook: Hook
) -> None:
    await feed.load([1])
    held = await feed.loading(stamp="20260310_0901")
    await store.segments.expect("acme", "vip", DAY_AND_A_BIT)
    assert await look(store, clock, 28) == 1
    await store.ledger.finish(held, State.DUPLICATE)
    assert await told(store, hook) == ["segment.overdue"]


async def test_nothing_is_expected_of_a_retired_segment_or_where_nobody_said_so(
    store: Store, feed: Feed, clock: StandingClock, hook: Hook
) -> None:
    for title in ("VIP", "Gold", "Lapsed"):
        await feed.load([1], title=title)
    await store.segments.expect("acme", "vip", DAY_AND_A_BIT)
    await store.segments.retire("acme", "vip")
    await store.segments.expect("acme", "gold", DAY_AND_A_BIT)
    assert (await store.segments.expect("acme", "gold", None)).overdue_at is None
    assert (await store.segments.segment("acme", "vip")).overdue_at is None
    assert await look(store, clock, 40) == 0
    await store.segments.restore("acme", "vip")
    assert await look(store, clock, 1) == 1
    assert await told(store, hook) == ["segment.overdue"]


async def test_what_is_expected_can_be_changed_and_is_then_judged_anew(
    store: Store, feed: Feed, clock: StandingClock, hook: Hook
) -> None:
    people = await store.outbox.add_hook("mailto://x", shown="x", client=None, kinds=(), secret=None)
    await feed.load([1])
    await store.segments.expect("acme", "vip", DAY_AND_A_BIT)
    assert await look(store, clock, 30) == 1
    segment = await store.segments.expect("acme", "vip", Expectation(7 * 86_400, 3_600))
    assert segment.overdue_since is None
    assert await look(store, clock, 6 * 24) == 1
    for one in (hook, people):
        assert await told(store, one) == ["segment.overdue", "segment.overdue"]


async def test_the_doctor_sees_what_is_overdue_where_no_server_runs_to_tell_of_it(
    store: Store, feed: Feed, clock: StandingClock
) -> None:
    await feed.load([1])
    await store.segments.expect("acme", "vip", DAY_AND_A_BIT)
    heard_at = clock()
    assert await store.checks.waiting(heard_at + timedelta(hours=26)) == []
    (finding,) = await store.checks.waiting(heard_at + timedelta(hours=28))
    assert "is overdue since 2026-03-11T15:00:00.000Z" in finding.text


async def test_an_upload_that_bears_a_time_of_the_future_came_now(
    store: Store, feed: Feed, clock: StandingClock
) -> None:
    """Its id goes on from those that were made while the clock was ahead."""
    ahead = feed.new()
    await store.ledger.receive(replace(ahead, received_at=clock() + timedelta(days=400)))
    assert (await store.ledger.upload(ahead.id)).received_at == iso(clock())


async def test_silence_is_noticed_again_after_the_clock_was_ahead_once(
    store: Store, feed: Feed, clock: StandingClock, hook: Hook
) -> None:
    clock.advance(hours=400 * 24)
    await feed.load([1])
    await store.segments.expect("acme", "vip", DAY_AND_A_BIT)
    clock.advance(hours=-400 * 24)
    assert await look(store, clock, 27) == 0
    assert await look(store, clock, 2) == 1
    assert await told(store, hook) == ["segment.overdue"]


async def test_a_list_that_comes_after_the_clock_was_ahead_once_is_a_sign_of_life_of_now(
    store: Store, feed: Feed, clock: StandingClock
) -> None:
    clock.advance(hours=400 * 24)
    await feed.load([1])
    clock.advance(hours=-400 * 24)
    await feed.load([2], stamp="20260311_0900")
    assert (await store.segments.segment("acme", "vip")).heard_at == iso(clock())
