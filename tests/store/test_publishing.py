"""The moment in which a list of members becomes what readers see."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from ctsftp.contract.codes import Code, Notice
from ctsftp.contract.rows import RejectedRow
from ctsftp.contract.states import State
from ctsftp.contract.verdict import SegmentFacts, Verdict
from ctsftp.errors import IllegalMoveError, StoreError
from ctsftp.store import Outcome, Store

from .conftest import Feed, StandingClock, accept, account, digest


def seen(path: Path) -> list[tuple[str, str, int]]:
    """What anyone with plain SQL sees."""
    with closing(sqlite3.connect(path)) as conn:
        return conn.execute("SELECT client, segment, ct_user_id FROM segment_members ORDER BY 1, 2, 3").fetchall()


async def test_a_published_list_is_what_plain_sql_shows(feed: Feed, path: Path) -> None:
    largest = 2**63 - 1
    await feed.load([7, largest, 1], title="Gold Club")
    await feed.load([], title="Nobody")
    assert seen(path) == [("acme", "Gold Club", 1), ("acme", "Gold Club", 7), ("acme", "Gold Club", largest)]


async def test_readers_see_the_old_list_until_they_see_the_new_one(feed: Feed, path: Path) -> None:
    old, new = [("acme", "VIP", 1), ("acme", "VIP", 2)], [("acme", "VIP", 3)]
    await feed.load([1, 2])
    upload_id = await feed.loading()
    snapshot_id = await feed.written(upload_id, [3])
    assert seen(path) == old

    def judge(*_: object) -> Verdict:
        assert seen(path) == old
        return Verdict(State.LOADED)

    await feed.store.snapshots.publish(upload_id, snapshot_id, judge=judge, **account(1))
    assert seen(path) == new


async def test_a_reader_in_the_middle_of_its_transaction_keeps_its_list(feed: Feed, path: Path) -> None:
    await feed.load([1, 2])
    with closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        assert reader.execute("SELECT count(*) FROM segment_members").fetchone() == (2,)
        await feed.load([3])
        assert reader.execute("SELECT count(*) FROM segment_members").fetchone() == (2,)
        reader.execute("COMMIT")
        assert reader.execute("SELECT count(*) FROM segment_members").fetchone() == (1,)


async def test_the_view_finds_a_member_without_reading_the_others(feed: Feed, path: Path) -> None:
    for title in ("A", "B", "C"):
        await feed.load(range(1, 2_000), title=title)
    with closing(sqlite3.connect(path)) as conn:
        plan = conn.execute("EXPLAIN QUERY PLAN SELECT client FROM segment_members WHERE ct_user_id = 5").fetchall()
    assert any("PRIMARY KEY (row_set=? AND ct_user_id=?)" in step[3] for step in plan)


async def test_a_publishing_tells_what_it_did(feed: Feed, clock: StandingClock) -> None:
    store = feed.store
    assert await feed.load([1, 2, 3]) == Outcome(state=State.LOADED, number=1, entered=3, left=0)
    first = await store.segments.segment("acme", "vip")
    assert (first.entered, first.left) == (3, 0)
    clock.advance(seconds=9)
    outcome = await feed.load([4], stamp="20260310_0901")
    assert outcome == Outcome(state=State.LOADED, number=2, entered=1, left=3)
    (newest, _) = await store.ledger.uploads()
    assert [one["code"] for one in newest.warnings] == ["mostly_changed"]
    assert (await store.segments.segment("acme", "vip")).as_json() == {
        "client": "acme",
        "segment": "VIP",
        "members": 1,
        "stamp": "20260310_0901",
        "loaded_at": "2026-03-10T12:00:09.000Z",
        "upload_id": newest.id,
        "number": 2,
        "entered": 1,
        "left": 3,
        "retired": False,
        "rolled_back": False,
        "heard_at": newest.received_at,
        "expect_every_s": None,
        "expect_grace_s": None,
        "overdue_at": None,
    }


async def test_the_ledger_moves_with_the_list(feed: Feed, clock: StandingClock) -> None:
    upload_id = await feed.loading()
    snapshot_id = await feed.written(upload_id, [1])
    row = RejectedRow(3, "x", "No number.")
    await feed.store.snapshots.publish(
        upload_id,
        snapshot_id,
        judge=accept,
        rejects=[row],
        sha256="aa",
        rows=3,
        members=1,
        duplicates=1,
        rejected=1,
        warnings=[Notice(Code.ENCLOSURE, "Quotes.")],
    )
    upload = await feed.store.ledger.upload(upload_id)
    assert (upload.state, upload.code, upload.reason) == (State.LOADED, None, None)
    assert (upload.rows, upload.members, upload.duplicates, upload.rejected) == (3, 1, 1, 1)
    assert (upload.sha256, upload.finished_at) == ("aa", "2026-03-10T12:00:00.000Z")
    assert upload.warnings == [{"code": "enclosure", "text": "Quotes."}]
    assert await feed.store.ledger.rejects(upload_id) == [row]


async def test_the_judge_is_asked_about_the_segment_as_it_is_now(feed: Feed) -> None:
    asked: list[tuple[SegmentFacts | None, str | None, bool]] = []

    def judge(segment: SegmentFacts | None, twin: str | None, approved: bool) -> Verdict:  # noqa: FBT001
        asked.append((segment, twin, approved))
        return Verdict(State.HELD, Code.ROLLED_BACK, "Rolled back.")

    await feed.load([1, 2])
    await feed.load([3, 4, 5])
    newest = (await feed.store.segments.segment("acme", "vip")).upload_id
    upload_id = await feed.loading()
    snapshot_id = await feed.written(upload_id, [6])
    # All this while the list was being written.
    await feed.store.segments.rollback("acme", "vip")
    await feed.store.segments.retire("acme", "vip")
    outcome = await feed.store.snapshots.publish(upload_id, snapshot_id, judge=judge, **account(1))
    facts = SegmentFacts(retired=True, rolled_back=True, newest_stamp="20260310_0900", members=2, newest_upload=newest)
    assert asked == [(facts, digest([3, 4, 5]), False)]
    assert await feed.store.segments.facts_for("acme", "vip") == facts
    assert outcome == Outcome(state=State.HELD, code=Code.ROLLED_BACK, reason="Rolled back.")


async def test_a_list_that_is_not_let_in_changes_nothing_but_its_upload(feed: Feed, path: Path) -> None:
    store = feed.store
    await feed.load([1, 2])
    before = await store.segments.segments()
    upload_id = await feed.loading()
    snapshot_id = await feed.written(upload_id, [3])
    verdict = Verdict(State.SUPERSEDED, reason="Older.")
    row = RejectedRow(3, "x", "No number.")
    await store.snapshots.publish(upload_id, snapshot_id, judge=lambda *_: verdict, rejects=[row], **account(1))
    assert await store.segments.segments() == before
    upload = await store.ledger.upload(upload_id)
    assert (upload.state, upload.reason, upload.members) == (State.SUPERSEDED, "Older.", 1)
    assert await store.ledger.rejects(upload_id) == [row]
    assert await store.snapshots.delete_abandoned() == 1
    with closing(sqlite3.connect(path)) as conn:
        assert conn.execute("SELECT count(*) FROM member_rows").fetchone() == (2,)
        assert conn.execute("SELECT sum(members) FROM snapshot_parts").fetchone() == (2,)


async def test_a_first_list_that_is_not_let_in_makes_no_segment(feed: Feed) -> None:
    upload_id = await feed.loading()
    snapshot_id = await feed.written(upload_id, [1])
    verdict = Verdict(State.HELD, Code.FUTURE, "Ahead.")
    await feed.store.snapshots.publish(upload_id, snapshot_id, judge=lambda *_: verdict, **account(1))
    assert await feed.store.segments.segments() == []
    assert await feed.store.segments.facts_for("acme", "vip") is None


async def test_a_judge_that_raises_changes_nothing(feed: Feed) -> None:
    def judge(*_: object) -> Verdict:
        raise ZeroDivisionError

    upload_id = await feed.loading()
    snapshot_id = await feed.written(upload_id, [1])
    with pytest.raises(ZeroDivisionError):
        await feed.store.snapshots.publish(upload_id, snapshot_id, judge=judge, **account(1))
    assert (await feed.store.ledger.upload(upload_id)).state is State.LOADING
    assert await feed.store.segments.segments() == []


async def test_an_incomplete_list_is_never_published(feed: Feed) -> None:
    upload_id = await feed.loading()
    snapshot_id = await feed.written(upload_id, [1, 2])
    with pytest.raises(StoreError, match="cannot be published"):
        await feed.store.snapshots.publish(upload_id, snapshot_id, judge=accept, **account(3))
    assert (await feed.store.ledger.upload(upload_id)).state is State.LOADING


async def test_a_list_is_never_published_for_another_upload_nor_twice(feed: Feed) -> None:
    first, second = await feed.loading(), await feed.loading()
    snapshot_id = await feed.written(first, [1])
    with pytest.raises(StoreError, match="cannot be published"):
        await feed.store.snapshots.publish(second, snapshot_id, judge=accept, **account(1))
    await feed.store.snapshots.publish(first, snapshot_id, judge=accept, **account(1))
    with pytest.raises(StoreError, match="cannot be published"):
        await feed.store.snapshots.publish(first, snapshot_id, judge=accept, **account(1))


async def test_an_upload_that_is_not_loading_is_never_published(feed: Feed) -> None:
    upload_id = await feed.loading()
    snapshot_id = await feed.written(upload_id, [1])
    await feed.store.ledger.move(upload_id, State.RECEIVED)
    with pytest.raises(IllegalMoveError):
        await feed.store.snapshots.publish(upload_id, snapshot_id, judge=accept, **account(1))


async def test_a_segment_keeps_its_first_spelling_and_the_upload_is_warned(feed: Feed) -> None:
    await feed.load([1], title="Gold Club")
    await feed.load([1], title="GOLD club")
    (segment,) = await feed.store.segments.segments()
    assert (segment.title, segment.number) == ("Gold Club", 2)
    (upload, _) = await feed.store.ledger.uploads()
    assert upload.segment_title == "GOLD club"
    assert [warning["code"] for warning in upload.warnings] == ["title_spelling"]


async def test_segments_of_one_name_belong_to_their_clients(feed: Feed) -> None:
    await feed.load([1], client="acme")
    await feed.load([2], client="bolt")
    segments = await feed.store.segments.segments()
    assert [(segment.client, segment.number) for segment in segments] == [("acme", 1), ("bolt", 1)]


async def test_the_newest_stamp_never_goes_back(feed: Feed) -> None:
    for stamp in ("20260310_0900", "20260401_0000", "20260101_0000"):
        await feed.load([1], stamp=stamp)
    segment = await feed.store.segments.segment("acme", "vip")
    assert (segment.stamp, segment.newest_stamp) == ("20260101_0000", "20260401_0000")


@pytest.mark.parametrize("change", ["a newer list", "a rollback"])
async def test_an_approval_that_was_overtaken_while_its_list_was_written_is_none(feed: Feed, change: str) -> None:
    asked: list[bool] = []

    def judge(_segment: SegmentFacts | None, _twin: str | None, approved: bool) -> Verdict:  # noqa: FBT001
        asked.append(approved)
        return Verdict(State.SUPERSEDED)

    await feed.load([1], stamp="20260308_0000")
    await feed.load([2], stamp="20260308_0001")
    older, newer = await feed.held(stamp="20260309_0000"), await feed.held(stamp="20260311_0000")
    for upload_id in (older, newer):
        await feed.store.ledger.approve(upload_id)
        await feed.store.ledger.move(upload_id, State.LOADING)
    snapshot_id = await feed.written(older, [3])
    if change == "a rollback":
        await feed.store.segments.rollback("acme", "vip")
    else:
        await feed.load([4], stamp="20260310_0900")
    await feed.store.snapshots.publish(older, snapshot_id, judge=judge, **account(1))
    assert asked == [False]
    assert (await feed.store.ledger.upload(newer)).approved == (change == "a newer list")


async def test_a_newer_list_supersedes_the_older_held_ones_of_its_segment(feed: Feed) -> None:
    held = {
        "older stamp": await feed.held(stamp="20260309_0000"),
        "same stamp": await feed.held(stamp="20260310_0900"),
        "newer stamp": await feed.held(stamp="20260311_0000"),
        "other segment": await feed.held(stamp="20260309_0000", title="Gold"),
        "other client": await feed.held(stamp="20260309_0000", client="bolt"),
    }
    upload_id = await feed.loading(stamp="20260310_0900")
    held["same stamp, sent later"] = await feed.held(stamp="20260310_0900")
    snapshot_id = await feed.written(upload_id, [1])
    await feed.store.snapshots.publish(upload_id, snapshot_id, judge=accept, **account(1))
    states = {what: (await feed.store.ledger.upload(one)).state for what, one in held.items()}
    superseded = {what for what, state in states.items() if state is State.SUPERSEDED}
    assert superseded == {"older stamp", "same stamp"}
    upload = await feed.store.ledger.upload(held["older stamp"])
    assert upload.reason == "A newer file was loaded: VIP_20260310_0900.csv."


async def test_a_list_that_is_let_in_after_a_rollback_ends_it(feed: Feed) -> None:
    store: Store = feed.store
    await feed.load([1])
    await feed.load([2])
    await store.segments.rollback("acme", "vip")
    assert (await store.segments.segment("acme", "vip")).rolled_back
    outcome = await feed.load([3])
    segment = await store.segments.segment("acme", "vip")
    assert (outcome.number, segment.number, segment.rolled_back) == (3, 3, False)
