"""What readers ask of segments, and what an admin does to them."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from ctsftp.contract.freshness import Expectation
from ctsftp.errors import NotFoundError, RefusedError
from ctsftp.store import Store

from .conftest import Feed, StandingClock


async def members(store: Store, key: str = "vip") -> list[int]:
    segment = await store.segments.segment("acme", key)
    return [int(one) async for page in store.snapshots.stream_members(segment.snapshot_id) for one in page]


def visible(path: Path) -> int:
    with closing(sqlite3.connect(path)) as conn:
        (count,) = conn.execute("SELECT count(*) FROM segment_members").fetchone()
    return int(count)


async def test_segments_are_listed_by_client_and_title(feed: Feed) -> None:
    for client, title in (("bolt", "A"), ("acme", "B"), ("acme", "A")):
        await feed.load([1], client=client, title=title)
    listed = [(one.client, one.title) for one in await feed.store.segments.segments()]
    assert listed == [("acme", "A"), ("acme", "B"), ("bolt", "A")]
    assert [one.title for one in await feed.store.segments.segments(client="acme")] == ["A", "B"]


async def test_a_page_goes_on_behind_the_last_in_the_order_of_all(feed: Feed) -> None:
    segments = feed.store.segments
    for client, title in [("bolt", "A"), *(("acme", title) for title in ("a b", "B-c", "Z", "_y", "ä", "Ab", "a-c"))]:
        await feed.load([1], client=client, title=title)
    listed = await segments.segments()
    names = [(one.client, one.title) for one in listed]
    assert names == sorted(names)  # by the characters' numbers, whatever the database's locale
    paged = listed[:0]
    while page := await segments.segments(limit=3, after=(paged[-1].client, paged[-1].title) if paged else None):
        assert len(page) <= 3
        paged += page
    assert paged == listed
    assert (
        await segments.segments(limit=9, client="acme", after=("acme", "a b"))
        == listed[names.index(("acme", "a b")) + 1 : -1]
    )
    assert await segments.segments(limit=9, client="acme", after=("zeta", "")) == []
    assert await segments.segments(limit=9, client="bolt", after=("acme", "Z")) == listed[-1:]


async def test_a_page_holds_what_is_searched_for(feed: Feed) -> None:
    for client, title in (("acme", "VIP 100%"), ("acme", "Gold"), ("gold", "Any")):
        await feed.load([1], client=client, title=title)

    async def found(search: str) -> list[str]:
        return [one.title for one in await feed.store.segments.segments(limit=9, search=search)]

    assert await found("GOLD") == ["Gold", "Any"]
    assert await found("p_1") == ["VIP 100%"]
    assert await found("0%") == ["VIP 100%"]
    assert await found("%g") == []


async def test_those_in_need_are_overdue_or_have_an_upload_that_is_held(feed: Feed, clock: StandingClock) -> None:
    segments = feed.store.segments
    for title in ("Calm", "Held", "Late", "Retired"):
        await feed.load([1], title=title)
    for title in ("Held", "Retired", "New"):
        await feed.held(title=title, stamp="20260311_0900")
    await segments.retire("acme", "retired")
    await segments.expect("acme", "late", Expectation(3600, 0))
    clock.advance(hours=2)
    assert [one.title for one in await segments.in_need(limit=9)] == ["Held"]
    await segments.report_overdue()
    assert [one.title for one in await segments.in_need(limit=9, client="acme")] == ["Held", "Late"]
    assert [one.title for one in await segments.in_need(limit=9, search="late")] == ["Late"]
    assert [one.title for one in await segments.in_need(limit=1)] == ["Held"]
    assert await segments.in_need(limit=9, client="other") == []


async def test_a_name_is_resolved_among_one_client_or_all(feed: Feed) -> None:
    for client in ("bolt", "acme"):
        await feed.load([1], client=client, title="Gold Club")
    resolve = feed.store.segments.resolve_segment
    assert [one.client for one in await resolve("gold club")] == ["acme", "bolt"]
    assert [one.client for one in await resolve("gold club", client="bolt")] == ["bolt"]
    assert await resolve("gold") == []


async def test_an_upload_that_was_not_loaded_makes_no_segment(feed: Feed) -> None:
    await feed.receive()
    await feed.loading()
    await feed.held()
    assert await feed.store.segments.segments() == []


async def test_an_unknown_segment_is_not_found(store: Store) -> None:
    segments = store.segments
    calls = (
        segments.segment,
        segments.history,
        segments.diff,
        segments.rollback,
        segments.retire,
        segments.restore,
        segments.delete,
    )
    for call in calls:
        with pytest.raises(NotFoundError, match='acme has no segment "vip"'):
            await call("acme", "vip")


async def test_a_member_is_found_in_its_segments_only(feed: Feed) -> None:
    largest = 2**63 - 1
    await feed.load([1, 5, largest], title="VIP")
    await feed.load([5], title="Gold")
    await feed.load([5], client="bolt", title="VIP")
    segments = feed.store.segments

    async def found(ct_user_id: int) -> list[tuple[str, str]]:
        return [(one.client, one.title) for one in await segments.member_segments(ct_user_id)]

    assert await found(5) == [("acme", "Gold"), ("acme", "VIP"), ("bolt", "VIP")]
    assert await found(largest) == [("acme", "VIP")]
    assert await found(2) == await found(0) == await found(-1) == await found(2**63) == []
    lookups = feed.store.lookups
    assert await lookups.segments_of(5, client=None) == [("acme", "Gold"), ("acme", "VIP"), ("bolt", "VIP")]
    assert await lookups.segments_of(5, client="bolt") == [("bolt", "VIP")]
    assert await lookups.is_member("acme", "vip", largest)
    assert not await lookups.is_member("acme", "vip", 2)
    with pytest.raises(NotFoundError):
        await lookups.is_member("acme", "none", 5)
    assert await lookups.members_among("acme", "vip", [largest, 4, 5, 1, 5]) == f"[1,5,{largest}]"
    assert await lookups.members_among("acme", "vip", []) == "[]"
    assert await lookups.members_among("acme", "none", [5]) == "[]"


async def test_the_history_tells_each_list_newest_first(feed: Feed, clock: StandingClock) -> None:
    await feed.load([1, 2])
    clock.advance(days=1)
    await feed.load([3], stamp="20260311_0900")
    newest, first = await feed.store.segments.history("acme", "vip")
    assert (newest.number, newest.members, newest.stamp, newest.current) == (2, 1, "20260311_0900", True)
    assert (newest.filename, newest.published_at) == ("VIP_20260311_0900.csv", "2026-03-11T12:00:00.000Z")
    assert (newest.entered, newest.left) == (1, 2)
    assert (first.number, first.members, first.entered, first.left, first.current) == (1, 2, 2, 0, False)


async def test_a_rollback_shows_the_list_before(feed: Feed) -> None:
    store = feed.store
    for ids in ([1], [2], [3]):
        await feed.load(ids)
    segment = await store.segments.rollback("acme", "vip")
    assert (segment.number, segment.rolled_back) == (2, True)
    assert await members(store) == [2]
    assert (await store.segments.rollback("acme", "vip")).number == 1
    with pytest.raises(RefusedError, match="no snapshot before number 1"):
        await store.segments.rollback("acme", "vip")
    assert (await store.segments.rollback("acme", "vip", 3)).number == 3
    assert await members(store) == [3]


async def test_a_rollback_goes_to_what_readers_had_before_the_current_list_came(feed: Feed) -> None:
    store = feed.store
    for ids in ([1], [2], [3]):
        await feed.load(ids)
    await store.segments.rollback("acme", "vip")
    await feed.load([4])
    assert [one.number for one in await store.segments.history("acme", "vip") if one.previous] == [2]
    assert (await store.segments.rollback("acme", "vip")).number == 2
    assert (await store.segments.rollback("acme", "vip")).number == 1
    assert not any(one.previous for one in await store.segments.history("acme", "vip"))
    await store.segments.retire("acme", "vip")
    await store.segments.restore("acme", "vip")
    await store.segments.rollback("acme", "vip", 4)  # readers had 1 before it, this time
    assert (await store.segments.rollback("acme", "vip")).number == 1


async def test_a_rollback_answers_and_lists_what_it_changed_for_readers(feed: Feed) -> None:
    store = feed.store
    for ids in ([1], [1, 2, 3], [3, 4, 5, 6]):
        await feed.load(ids)

    async def shown() -> tuple[int | None, int | None]:
        [one] = await store.segments.segments()
        assert one == await store.segments.segment("acme", "vip")
        return one.entered, one.left

    assert await shown() == (3, 2)
    rolled_back = await store.segments.rollback("acme", "vip")
    assert (rolled_back.entered, rolled_back.left) == await shown() == (2, 3)
    await store.segments.rollback("acme", "vip", 3)
    assert await shown() == (3, 2)
    await store.segments.rollback("acme", "vip", 1)  # nobody has counted that
    assert await shown() == (None, None)
    diff = await store.segments.diff("acme", "vip")
    assert (diff.old.number, diff.new.number) == (3, 1)
    await feed.load([9])
    diff = await store.segments.diff("acme", "vip")
    assert (diff.old.number, diff.new.number) == (1, 4)


async def test_a_rollback_skips_what_was_pruned(feed: Feed) -> None:
    store = feed.store
    for ids in ([1], [2], [3]):
        await feed.load(ids)
    await store.segments.rollback("acme", "vip", 1)
    await store.snapshots.prune(keep_last=1, keep_days=0)
    await store.segments.rollback("acme", "vip", 3)
    assert (await store.segments.rollback("acme", "vip")).number == 1


async def test_a_rollback_to_what_is_not_there_says_what_is(feed: Feed) -> None:
    await feed.load([1])
    await feed.load([2])
    with pytest.raises(NotFoundError, match="no snapshot number 9: the kept ones are 1, 2"):
        await feed.store.segments.rollback("acme", "vip", 9)
    with pytest.raises(RefusedError, match="snapshot 2 is the current one already"):
        await feed.store.segments.rollback("acme", "vip", 2)
    assert not (await feed.store.segments.segment("acme", "vip")).rolled_back


async def test_a_rollback_keeps_the_newest_stamp(feed: Feed) -> None:
    await feed.load([1], stamp="20260309_0000")
    await feed.load([2], stamp="20260310_0000")
    segment = await feed.store.segments.rollback("acme", "vip")
    assert (segment.stamp, segment.newest_stamp) == ("20260309_0000", "20260310_0000")


async def test_a_rollback_forgets_a_newest_stamp_of_the_future(feed: Feed) -> None:
    await feed.load([1], stamp="20260309_0000")
    await feed.load([2], stamp="20360310_0000")
    segment = await feed.store.segments.rollback("acme", "vip")
    assert (segment.stamp, segment.newest_stamp) == ("20260309_0000", "20260309_0000")
    facts = await feed.store.segments.facts_for("acme", "vip")
    assert facts is not None
    assert facts.newest_upload == segment.upload_id
    await feed.load([3], stamp="20260310_0000")
    assert (await feed.store.segments.segment("acme", "vip")).newest_stamp == "20260310_0000"


async def test_two_lists_are_compared(feed: Feed) -> None:
    for ids in ([1, 2], [2, 3], [3, 4]):
        await feed.load(ids)
    diff = await feed.store.segments.diff("acme", "vip")
    assert (diff.old.number, diff.new.number) == (2, 3)
    assert (diff.entered.tolist(), diff.left.tolist()) == ([4], [2])
    back = await feed.store.segments.diff("acme", "vip", 3, 1)
    assert (back.entered.tolist(), back.left.tolist()) == ([1, 2], [3, 4])
    same = await feed.store.segments.diff("acme", "vip", 2, 2)
    assert (same.entered.tolist(), same.left.tolist()) == ([], [])


async def test_a_single_list_has_nothing_to_be_compared_with(feed: Feed) -> None:
    await feed.load([1])
    with pytest.raises(RefusedError, match="no snapshot before number 1"):
        await feed.store.segments.diff("acme", "vip")


async def test_a_retired_segment_has_no_members_for_its_readers_until_it_is_restored(feed: Feed, path: Path) -> None:
    segments = feed.store.segments
    await feed.load([1])
    await segments.retire("acme", "vip")
    assert visible(path) == 0
    lookups = feed.store.lookups
    assert not await lookups.is_member("acme", "vip", 1)
    assert await lookups.members_among("acme", "vip", [1]) == "[]"
    assert await lookups.segments_of(1, client=None) == await segments.member_segments(1) == []
    (listed,) = await segments.segments()
    assert (listed.as_json()["retired"], listed.retired_at) == (True, "2026-03-10T12:00:00.000Z")
    assert await members(feed.store) == [1]
    with pytest.raises(RefusedError, match="retired already"):
        await segments.retire("acme", "vip")
    await segments.restore("acme", "vip")
    assert visible(path) == 1
    assert await lookups.is_member("acme", "vip", 1)
    with pytest.raises(RefusedError, match="in use"):
        await segments.restore("acme", "vip")


async def test_a_segment_is_deleted_once_it_is_retired(feed: Feed, path: Path) -> None:
    segments = feed.store.segments
    await feed.load(range(1, 50_000))
    await feed.load([1])
    await feed.load([7], title="Gold")
    with pytest.raises(RefusedError, match="`ctsftp segment retire`"):
        await segments.delete("acme", "vip")
    await segments.retire("acme", "vip")
    await segments.delete("acme", "vip")
    assert [one.title for one in await segments.segments()] == ["Gold"]
    with closing(sqlite3.connect(path)) as conn:
        assert conn.execute("SELECT ct_user_id FROM member_rows").fetchall() == [(7,)]
        assert conn.execute("SELECT count(*) FROM snapshots").fetchone() == (1,)
        assert conn.execute("PRAGMA foreign_key_check").fetchall() == []
    assert len(await feed.store.ledger.uploads()) == 3


async def test_a_deleted_segment_begins_anew(feed: Feed) -> None:
    await feed.load([1], title="VIP")
    await feed.load([2], title="VIP")
    await feed.store.segments.retire("acme", "vip")
    await feed.store.segments.delete("acme", "vip")
    assert (await feed.load([3], title="vip", stamp="20200101_0000")).number == 1
    segment = await feed.store.segments.segment("acme", "vip")
    assert (segment.title, segment.newest_stamp, segment.retired_at) == ("vip", "20200101_0000", None)
