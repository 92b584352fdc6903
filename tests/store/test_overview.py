"""What a person sees at a glance, by one statement for all segments, uploads and clients."""

from ctsftp.contract.freshness import Expectation
from ctsftp.contract.states import State
from ctsftp.model.records import Logins
from ctsftp.store import Store
from ctsftp.store.overview import SegmentTotals, Waiting

from .conftest import Feed, StandingClock


async def test_segments_are_counted_by_what_they_ask_for(store: Store, feed: Feed, clock: StandingClock) -> None:
    for title in ("A", "B", "C"):
        await feed.load([1], title=title)
    await feed.load([1], client="other")
    await store.segments.retire("acme", "c")
    await store.segments.expect("acme", "b", Expectation(3600, 0))
    clock.advance(hours=2)
    await store.segments.report_overdue()
    assert await store.overview.totals(None) == SegmentTotals(in_use=3, overdue=1, retired=1)
    assert await store.overview.totals("other") == SegmentTotals(in_use=1, overdue=0, retired=0)
    assert await store.overview.totals("nobody") == SegmentTotals(in_use=0, overdue=0, retired=0)


async def test_what_waits_is_counted_by_segment_and_state(store: Store, feed: Feed) -> None:
    await feed.load([1])
    await feed.held(stamp="20260311_0900")
    await feed.held(stamp="20260312_0900", sha256="bb")
    await feed.held(client="other")
    acmes = Waiting(client="acme", key="vip", state=State.HELD, count=2)
    others = Waiting(client="other", key="vip", state=State.HELD, count=1)
    found = await store.overview.waiting(None)
    assert sorted(found, key=lambda one: one.client) == [acmes, others]
    assert await store.overview.waiting("acme") == [acmes]


async def test_clients_are_counted_and_their_logins_known(store: Store, feed: Feed) -> None:
    await feed.load([1])
    await feed.load([1], title="Gold")
    await feed.load([1], client="other")
    assert await store.overview.segment_counts(None) == {"acme": 2, "other": 1}
    assert await store.overview.segment_counts("other") == {"other": 1}
    assert await store.overview.logins() == {}
    await store.logins.record_refusal("acme", address="192.0.2.1", fingerprint=None, cause="unknown_key")
    assert await store.overview.logins() == {"acme": await store.logins.facts("acme")}
    assert (await store.overview.logins())["acme"] != Logins()
