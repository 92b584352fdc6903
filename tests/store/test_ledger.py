"""The ledger and its one mover."""

from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta, timezone

import pytest

from ctsftp.contract.codes import Code, Notice
from ctsftp.contract.rows import RejectedRow
from ctsftp.contract.states import MOVES, State
from ctsftp.errors import IllegalMoveError, NotFoundError, RefusedError
from ctsftp.model.writing import iso
from ctsftp.store import Store, Upload
from ctsftp.store.tables import uploads

from .conftest import Feed, StandingClock, accept, account, digest

ROAD_TO = {
    State.RECEIVED: [],
    State.LOADING: [State.LOADING],
    State.IGNORED: [State.IGNORED],
    State.DISCARDED: [State.LOADING, State.HELD, State.DISCARDED],
}


async def bring_to(feed: Feed, state: State) -> str:
    """Make an upload and move it to a state by legal moves."""
    upload_id = await feed.receive()
    for step in ROAD_TO.get(state, [State.LOADING, state]):
        await feed.store.ledger.move(upload_id, step)
    return upload_id


async def test_an_upload_is_entered_once_however_often_it_is_reported(store: Store, feed: Feed) -> None:
    upload = feed.new()
    assert await store.ledger.receive(upload)
    await store.ledger.move(upload.id, State.LOADING)
    assert not await store.ledger.receive(replace(upload, size=7))
    known = await store.ledger.upload(upload.id)
    assert (known.state, known.size) == (State.LOADING, 100)


async def test_an_upload_is_told_as_scripts_know_it(store: Store, feed: Feed, clock: StandingClock) -> None:
    upload_id = await feed.loading(title="Gold Club", stamp="20260309_0001")
    clock.advance(seconds=1.5)
    await store.ledger.finish(
        upload_id,
        State.REJECTED,
        code=Code.TOO_MANY_REJECTED,
        reason="The first is on line 2.",
        rows=4,
        members=1,
        duplicates=1,
        rejected=2,
        warnings=[Notice(Code.ENCLOSURE, "Quotes.")],
        sha256="ab",
    )
    assert (await store.ledger.upload(upload_id)).as_json() == {
        "id": upload_id,
        "client": "acme",
        "filename": "Gold_Club_20260309_0001.csv",
        "segment": "Gold Club",
        "stamp": "20260309_0001",
        "state": "rejected",
        "code": "too_many_rejected",
        "reason": "The first is on line 2.",
        "rows": 4,
        "members": 1,
        "duplicates": 1,
        "rejected": 2,
        "warnings": [{"code": "enclosure", "text": "Quotes."}],
        "sha256": "ab",
        "size": 100,
        "received_at": "2026-03-10T12:00:00.000Z",
        "finished_at": "2026-03-10T12:00:01.500Z",
        "directory": "/",
        "id_title": None,
    }


async def test_a_name_that_could_not_be_read_has_no_segment(store: Store, feed: Feed) -> None:
    upload = replace(feed.new(), segment_title=None, segment_key=None, stamp=None)
    await store.ledger.receive(upload)
    told = (await store.ledger.upload(upload.id)).as_json()
    assert (told["segment"], told["stamp"], told["rows"], told["finished_at"]) == (None, None, None, None)


async def test_text_that_cannot_be_stored_is_replaced(store: Store, feed: Feed) -> None:
    upload = replace(feed.new(), filename="a\udcff\0b.csv")
    await store.ledger.receive(upload)
    assert (await store.ledger.upload(upload.id)).filename == "a?\N{REPLACEMENT CHARACTER}b.csv"


async def test_names_in_every_script_come_back_as_they_were(store: Store, feed: Feed) -> None:
    title = "'; DROP TABLE uploads; -- % ? :x \N{RIGHT-TO-LEFT MARK}会员 Ñandú"
    upload_id = await feed.receive(title=title)
    assert (await store.ledger.upload(upload_id)).segment_title == title


async def test_uploads_are_listed_newest_first(store: Store, feed: Feed) -> None:
    first, second, third = [await feed.receive(client=client) for client in ("acme", "bolt", "acme")]
    await store.ledger.move(second, State.LOADING)

    async def listed(**which: object) -> list[str]:
        return [upload.id for upload in await store.ledger.uploads(**which)]  # type: ignore[arg-type]

    assert await listed() == [third, second, first]
    assert await listed(limit=2) == [third, second]
    assert await listed(state=State.RECEIVED) == [third, first]
    assert await listed(client="bolt") == [second]


async def test_known_ids_are_told_from_any_number_of_others(store: Store, feed: Feed) -> None:
    known = {await feed.receive() for _ in range(3)}
    strangers = {f"stranger-{number}" for number in range(1_500)}
    assert await store.ledger.known_ids([*strangers, *known]) == known
    assert await store.ledger.known_ids([]) == set()


@pytest.mark.parametrize("frm", [State.RECEIVED, State.LOADING, State.HELD, State.LOADED, State.DISCARDED])
async def test_the_mover_makes_the_moves_of_the_table_and_no_other(store: Store, feed: Feed, frm: State) -> None:
    for to in State:
        upload_id = await bring_to(feed, frm)
        if (frm, to) in MOVES:
            assert await store.ledger.move(upload_id, to)
            assert (await store.ledger.upload(upload_id)).state is to
            continue
        before = await store.ledger.upload(upload_id)
        with pytest.raises(IllegalMoveError):
            await store.ledger.move(upload_id, to, reason="No.", rows=9)
        assert await store.ledger.upload(upload_id) == before


async def test_a_move_from_another_state_than_expected_does_nothing(store: Store, feed: Feed) -> None:
    upload_id = await feed.loading()
    assert not await store.ledger.move(upload_id, State.LOADING, expect=State.RECEIVED)
    assert await store.ledger.move(upload_id, State.RECEIVED, expect=State.LOADING)


async def test_an_unknown_upload_is_not_found(store: Store) -> None:
    ledger = store.ledger
    for call in (ledger.upload, ledger.rejects, ledger.approve, ledger.discard, ledger.retry):
        with pytest.raises(NotFoundError, match="no upload nothing"):
            await call("nothing")
    with pytest.raises(NotFoundError):
        await ledger.move("nothing", State.LOADING)


@pytest.mark.parametrize("state", State)
async def test_an_upload_has_a_time_of_finishing_in_its_end_states_only(store: Store, feed: Feed, state: State) -> None:
    waits = {State.RECEIVED, State.LOADING, State.HELD, State.FAILED}
    upload_id = await bring_to(feed, state)
    assert ((await store.ledger.upload(upload_id)).finished_at is None) == (state in waits)


async def test_counts_that_do_not_add_up_are_refused(store: Store, feed: Feed) -> None:
    upload_id = await feed.loading()
    with pytest.raises(ValueError, match="accounted for"):
        await store.ledger.finish(upload_id, State.REJECTED, rows=3, members=1, duplicates=1, rejected=2)
    assert (await store.ledger.upload(upload_id)).state is State.LOADING


async def test_rejected_rows_are_kept_by_line_up_to_a_thousand(store: Store, feed: Feed) -> None:
    upload_id = await feed.loading()
    rows = [RejectedRow(line, f"<{line}\udcff>", "No number.") for line in range(1_500, 1, -1)]
    await store.ledger.finish(upload_id, State.REJECTED, rejects=rows)
    kept = await store.ledger.rejects(upload_id)
    assert len(kept) == 1_000
    assert kept[0] == RejectedRow(501, "<501?>", "No number.")
    assert [row.line for row in kept] == sorted(row.line for row in kept)


async def test_several_rejected_rows_of_one_line_are_all_kept(store: Store, feed: Feed) -> None:
    upload_id = await feed.loading()
    rows = [RejectedRow(3, value, "A line break.") for value in ("9", "10", "1")]
    await store.ledger.finish(upload_id, State.REJECTED, rejects=rows)
    assert await store.ledger.rejects(upload_id) == rows


async def test_what_is_read_again_begins_anew(store: Store, feed: Feed) -> None:
    upload_id = await feed.loading()
    await store.ledger.finish(
        upload_id,
        State.REJECTED,
        code=Code.TOO_MANY_REJECTED,
        reason="Bad.",
        rejects=[RejectedRow(2, "x", "No number.")],
        warnings=[Notice(Code.ENCLOSURE, "Quotes.")],
        rows=1,
        members=0,
        duplicates=0,
        rejected=1,
    )
    await store.ledger.retry(upload_id)
    upload = await store.ledger.upload(upload_id)
    assert (upload.state, upload.code, upload.reason, upload.finished_at) == (State.RECEIVED, None, None, None)
    assert (upload.rows, upload.rejected, upload.warnings) == (None, None, [])
    assert await store.ledger.rejects(upload_id) == []


async def test_uploads_are_found_by_the_beginning_of_their_ids_newest_first(store: Store, feed: Feed) -> None:
    first, second = await feed.receive(), await feed.receive()
    assert [one.id for one in await store.ledger.beginning_with(first)] == [first]
    assert [one.id for one in await store.ledger.beginning_with(first[:-1].upper())] == [second, first]
    for lost in ("%" * 8, "_" * 8, "019c0001"):
        assert await store.ledger.beginning_with(lost) == []


async def test_a_failed_upload_is_due_when_its_time_has_come(store: Store, feed: Feed, clock: StandingClock) -> None:
    failed, waiting = await feed.loading(), await feed.receive()
    retry_at = clock() + timedelta(seconds=30)
    await store.ledger.finish(failed, State.FAILED, code=Code.DISK, reason="Full.", attempts=1, retry_at=retry_at)
    assert await store.ledger.due(clock()) == [waiting]
    assert (await store.ledger.upload(failed)).retry_at == "2026-03-10T12:00:30.000Z"
    assert await store.ledger.due(retry_at) == [failed, waiting]
    upload = await store.ledger.upload(failed)
    assert (upload.state, upload.attempts, upload.retry_at) == (State.RECEIVED, 1, None)


async def test_a_failed_upload_without_a_time_waits_for_an_admin(
    store: Store, feed: Feed, clock: StandingClock
) -> None:
    upload_id = await feed.loading()
    await store.ledger.finish(upload_id, State.FAILED, code=Code.LOADER_DIED, reason="Died.", attempts=4, deaths=3)
    assert await store.ledger.due(clock.advance(days=99)) == []
    await store.ledger.retry(upload_id)
    assert await store.ledger.due(clock()) == [upload_id]
    upload = await store.ledger.upload(upload_id)
    assert (upload.attempts, upload.deaths) == (0, 0)


@pytest.mark.parametrize("state", [State.HELD, State.SUPERSEDED])
async def test_an_approved_upload_is_loaded_again_and_remembers_it(store: Store, feed: Feed, state: State) -> None:
    upload_id = await bring_to(feed, state)
    await store.ledger.approve(upload_id)
    upload = await store.ledger.upload(upload_id)
    assert (upload.state, upload.approved) == (State.RECEIVED, True)


async def test_a_held_upload_can_be_discarded(store: Store, feed: Feed) -> None:
    upload_id = await feed.held()
    await store.ledger.discard(upload_id)
    assert (await store.ledger.upload(upload_id)).state is State.DISCARDED


async def test_what_cannot_be_decided_is_refused_with_what_can(store: Store, feed: Feed) -> None:
    upload_id = await bring_to(feed, State.LOADED)
    with pytest.raises(RefusedError, match=r"is loaded\. Only held and superseded"):
        await store.ledger.approve(upload_id)
    with pytest.raises(RefusedError, match=r"is loaded\. Only held uploads"):
        await store.ledger.discard(upload_id)
    with pytest.raises(RefusedError, match=r"is loaded\. Only rejected and failed"):
        await store.ledger.retry(upload_id)
    # The table has this move for `approve`, and `retry` must not make it.
    held = await feed.held()
    with pytest.raises(RefusedError, match="is held"):
        await store.ledger.retry(held)


async def test_the_twin_is_the_newest_other_upload_of_the_name_that_was_applied_or_is_held(
    store: Store, feed: Feed
) -> None:
    async def twin(**other: str) -> str | None:
        return await store.ledger.twin("acme", "VIP_20260310_0900.csv", **{"other_than": "none", **other})

    assert await twin() is None
    await feed.load([1])
    (loaded,) = await store.ledger.uploads()
    assert await twin() == loaded.sha256
    assert await twin(other_than=loaded.id) is None
    held = await feed.held("held")
    assert await twin() == "held"
    await store.ledger.discard(held)
    assert await twin() == loaded.sha256
    for other in ({"client": "bolt"}, {"stamp": "20260310_0901"}, {"title": "Gold"}):
        await feed.held("other", **other)
    rejected = await feed.loading()
    await store.ledger.finish(rejected, State.REJECTED, sha256="rejected")
    assert await twin() == loaded.sha256


async def test_the_twin_is_what_was_applied_last_though_it_came_earlier(store: Store, feed: Feed) -> None:
    name = {"stamp": "20260310_0900"}
    older = await feed.held("older", **name)
    await feed.load([1], **name)
    await store.ledger.approve(older)
    await store.ledger.move(older, State.LOADING)
    snapshot_id = await feed.written(older, [2])
    await store.snapshots.publish(older, snapshot_id, judge=accept, **account(1, "older"))
    assert await store.ledger.twin("acme", "VIP_20260310_0900.csv", other_than="none") == "older"


async def test_the_twin_is_what_was_applied_last_though_its_list_was_pruned(
    store: Store, feed: Feed, clock: StandingClock
) -> None:
    await feed.load([1], stamp="20260310_0900")
    clock.advance(days=1)
    for ids in ([2], [3]):
        clock.advance(minutes=1)
        await feed.load(ids, stamp="20260310_0900")
    await feed.load([4], stamp="20260311_0900")
    await store.snapshots.prune(keep_last=1, keep_days=2)
    assert [one.number for one in await store.segments.history("acme", "vip")] == [4, 1]
    assert await store.ledger.twin("acme", "VIP_20260310_0900.csv", other_than="none") == digest([3])


async def test_a_clock_that_goes_back_makes_no_twin_of_what_was_replaced(
    store: Store, feed: Feed, clock: StandingClock
) -> None:
    await feed.load([1])
    clock.advance(hours=-2)
    await feed.load([2])
    assert await store.ledger.twin("acme", "VIP_20260310_0900.csv", other_than="none") == digest([2])


async def test_what_was_applied_to_a_deleted_segment_is_no_twin(store: Store, feed: Feed, clock: StandingClock) -> None:
    await feed.load([1])
    clock.advance(hours=1)
    await store.segments.retire("acme", "vip")
    await store.segments.delete("acme", "vip")
    twin = ("acme", "VIP_20260310_0900.csv")
    assert await store.ledger.twin(*twin, other_than="none") is None
    clock.advance(hours=1)
    await feed.load([2], stamp="20260310_0800")
    assert await store.ledger.twin(*twin, other_than="none") is None


async def test_files_may_go_once_their_uploads_ended_long_ago(store: Store, feed: Feed, clock: StandingClock) -> None:
    old = {state: await bring_to(feed, state) for state in State if state is not State.LOADED}
    for number in (1, 2):
        await feed.load([number], title="Gold")
    replaced, current = [upload.id for upload in reversed(await store.ledger.uploads(state=State.LOADED))]
    before = clock.advance(days=14)
    recent = await bring_to(feed, State.REJECTED)
    asked = [*old.values(), replaced, current, recent, "unknown"]
    waits = {State.RECEIVED, State.LOADING, State.HELD, State.FAILED}
    ended = {upload_id for state, upload_id in old.items() if state not in waits}
    assert await store.ledger.prunable(asked, before=before) == ended | {replaced}
    assert await store.ledger.prunable([replaced], before=before - timedelta(days=15)) == set()


def test_moments_are_written_in_utc_so_that_their_text_sorts() -> None:
    moment = datetime(2026, 1, 1, 1, 30, 0, 123_999, tzinfo=timezone(timedelta(hours=2)))
    assert iso(moment) == "2025-12-31T23:30:00.123Z"
    assert iso(datetime(2026, 1, 1, tzinfo=UTC)) == "2026-01-01T00:00:00.000Z"
    with pytest.raises(ValueError, match="time zone"):
        iso(datetime(2026, 1, 1))  # noqa: DTZ001 - the fault itself


def test_the_ledger_has_a_column_for_each_field_of_an_upload() -> None:
    assert {column.name for column in uploads.c} == {field.name for field in fields(Upload)}
