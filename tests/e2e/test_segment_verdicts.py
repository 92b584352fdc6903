"""What becomes of a sound file, through the real server: loaded, duplicate, superseded, held, retired; and why."""

import pytest

from ctsftp.contract.codes import Code
from ctsftp.contract.states import State
from ctsftp.errors import RefusedError

from .inprocess import FIXTURES, Row, Sender, days_ahead, exercises, ids, in_process, stamp

pytest_plugins = FIXTURES
pytestmark = in_process

MANY = range(1, 201)


def verdict(row: Row) -> tuple[str, str | None]:
    return row["state"], row["code"]


def counts(row: Row) -> tuple[int, int, int, int]:
    return row["rows"], row["members"], row["duplicates"], row["rejected"]


async def load(sender: Sender, day: int, *members: object, version: int = 900) -> Row:
    row = await sender.put(f"VIP_{stamp(day, version)}.csv", ids(*members))
    assert row["state"] == State.LOADED, row
    return row


async def rolled_back(sender: Sender) -> None:
    """Two loads, and a rollback to the first."""
    await load(sender, 1, 1, 2)
    await load(sender, 2, 7, 8)
    await sender.on_segment("rollback", "VIP", number=None)
    assert sender.members("VIP") == [1, 2]


@exercises((State.RECEIVED, State.LOADING), (State.LOADING, State.LOADED), (State.LOADING, State.DUPLICATE))
async def test_the_same_name_and_bytes_again_are_a_duplicate_and_other_bytes_a_correction(sender: Sender) -> None:
    await load(sender, 1, 1, 2, 2)
    again = await sender.put(f"VIP_{stamp(1)}.csv", ids(1, 2, 2))
    assert verdict(again) == (State.DUPLICATE, None)
    assert counts(again) == (3, 2, 1, 0)
    await load(sender, 1, 1, 3)
    back = await load(sender, 1, 1, 2, 2)
    assert sender.members("VIP") == [1, 2]
    assert counts(back) == (3, 2, 1, 0)


async def test_the_same_bytes_under_a_new_name_are_a_new_list(sender: Sender) -> None:
    await load(sender, 1, 1)
    await load(sender, 2, 1)
    segment = await sender.segment("VIP")
    assert segment is not None
    assert (segment["number"], segment["stamp"]) == (2, stamp(2))


@exercises((State.LOADING, State.SUPERSEDED), (State.SUPERSEDED, State.RECEIVED))
async def test_an_older_stamp_is_superseded_and_an_admin_can_apply_it_all_the_same(sender: Sender) -> None:
    await load(sender, 2, 1, 2, version=901)
    older = await sender.put(f"VIP_{stamp(2, 900)}.csv", ids(7, 7, "x", *range(20, 40)))
    assert verdict(older) == (State.SUPERSEDED, None)
    assert counts(older) == (23, 21, 1, 1)
    assert stamp(2, 901) in older["reason"]
    assert sender.members("VIP") == [1, 2]
    approved = await sender.do("upload.approve", upload_id=older["id"])
    assert approved["state"] == State.LOADED
    assert counts(approved) == (23, 21, 1, 1)
    assert sender.members("VIP") == [7, *range(20, 40)]
    assert (await sender.put(f"VIP_{stamp(1)}.csv", ids(5)))["state"] == State.SUPERSEDED


@exercises(Code.EMPTY, (State.LOADING, State.HELD), (State.HELD, State.DISCARDED))
async def test_a_list_without_members_waits_and_can_be_discarded(sender: Sender) -> None:
    await load(sender, 1, 1, 2)
    empty = await sender.put(f"VIP_{stamp(2)}.csv", ids())
    assert verdict(empty) == (State.HELD, Code.EMPTY)
    assert counts(empty) == (0, 0, 0, 0)
    assert empty["finished_at"] is None
    assert sender.members("VIP") == [1, 2]
    discarded = await sender.do("upload.discard", upload_id=empty["id"])
    assert discarded["state"] == State.DISCARDED
    assert discarded["finished_at"] is not None
    assert sender.members("VIP") == [1, 2]


@exercises(Code.SHRUNK, (State.HELD, State.RECEIVED))
async def test_a_list_that_lost_more_than_half_waits_and_can_be_approved(sender: Sender) -> None:
    await load(sender, 1, *MANY)
    shrunk = await sender.put(f"VIP_{stamp(2)}.csv", ids(*range(1, 100)))
    assert verdict(shrunk) == (State.HELD, Code.SHRUNK)
    assert "99 members" in shrunk["reason"]
    assert "200" in shrunk["reason"]
    assert len(sender.members("VIP")) == 200
    assert (await sender.put(f"VIP_{stamp(2)}.csv", ids(*range(1, 100))))["state"] == State.DUPLICATE
    approved = await sender.do("upload.approve", upload_id=shrunk["id"])
    assert verdict(approved) == (State.LOADED, None)
    assert sender.members("VIP") == list(range(1, 100))
    assert (await sender.put(f"VIP_{stamp(3)}.csv", ids(*range(1, 100))))["state"] == State.LOADED


@exercises(Code.FUTURE)
async def test_a_stamp_of_the_future_waits_also_where_it_would_make_the_segment(sender: Sender) -> None:
    future = await sender.put(f"VIP_{days_ahead(30)}.csv", ids(1))
    assert verdict(future) == (State.HELD, Code.FUTURE)
    assert days_ahead(30) in future["reason"]
    assert await sender.segments() == []
    assert (await sender.put(f"VIP_{days_ahead(1)}.csv", ids(2)))["state"] == State.LOADED
    assert (await sender.do("upload.approve", upload_id=future["id"]))["state"] == State.LOADED
    assert sender.members("VIP") == [1]


@exercises(Code.ROLLED_BACK, (State.HELD, State.SUPERSEDED))
async def test_after_a_rollback_uploads_wait_until_one_is_approved(sender: Sender) -> None:
    await rolled_back(sender)
    assert (await sender.put(f"VIP_{stamp(2)}.csv", ids(7, 8)))["state"] == State.DUPLICATE
    assert (await sender.put(f"VIP_{stamp(1, 959)}.csv", ids(7, 8)))["state"] == State.SUPERSEDED
    third = await sender.put(f"VIP_{stamp(3)}.csv", ids(3))
    fourth = await sender.put(f"VIP_{stamp(4)}.csv", ids(4))
    fifth = await sender.put(f"VIP_{stamp(5)}.csv", ids(5))
    assert verdict(third) == verdict(fourth) == verdict(fifth) == (State.HELD, Code.ROLLED_BACK)
    assert sender.members("VIP") == [1, 2]
    assert (await sender.do("upload.approve", upload_id=fourth["id"]))["state"] == State.LOADED
    assert sender.members("VIP") == [4]
    assert await sender.state(third["id"]) == State.SUPERSEDED
    assert await sender.state(fifth["id"]) == State.HELD
    assert verdict(await load(sender, 6, 6)) == (State.LOADED, None)
    assert await sender.state(fifth["id"]) == State.SUPERSEDED


async def test_a_rollback_by_number_makes_that_list_current_and_the_history_keeps_all(sender: Sender) -> None:
    for day in (1, 2, 3):
        await load(sender, day, day, 9)
    segment = await sender.on_segment("rollback", "vip", number=1)
    assert (segment["number"], segment["stamp"], segment["members"]) == (1, stamp(1), 2)
    history = await sender.engine.store.segments.history(sender.name, "vip")
    assert [(one.number, one.current) for one in history] == [(3, False), (2, False), (1, True)]
    with pytest.raises(RefusedError, match="no snapshot before"):
        await sender.on_segment("rollback", "VIP", number=None)
    assert sender.members("VIP") == [1, 9]


@exercises((State.LOADING, State.RETIRED))
async def test_a_retired_segment_has_no_members_and_takes_no_files_until_it_is_restored(sender: Sender) -> None:
    await load(sender, 1, 1, 2)
    await sender.on_segment("retire", "VIP")
    assert sender.members("VIP") == []
    retired = await sender.put(f"VIP_{stamp(2)}.csv", ids(3, 3))
    assert verdict(retired) == (State.RETIRED, None)
    assert counts(retired) == (2, 1, 1, 0)
    await sender.on_segment("restore", "VIP")
    assert sender.members("VIP") == [1, 2]
    assert (await sender.put(f"VIP_{stamp(2)}.csv", ids(3, 3)))["state"] == State.LOADED
    assert sender.members("VIP") == [3]


@exercises((State.RETIRED, State.RECEIVED))
async def test_what_came_for_a_retired_segment_is_read_again_once_it_is_restored(sender: Sender) -> None:
    await load(sender, 1, 1, 2)
    await sender.on_segment("retire", "VIP")
    retired = await sender.put(f"VIP_{stamp(2)}.csv", ids(3, 3))
    with pytest.raises(RefusedError, match='first ctsftp segment restore "VIP" --client'):
        await sender.do("upload.retry", upload_id=retired["id"])
    await sender.on_segment("restore", "VIP")
    assert (await sender.do("upload.retry", upload_id=retired["id"]))["state"] == State.LOADED
    assert sender.members("VIP") == [3]


async def test_a_segment_is_deleted_once_retired_and_the_same_files_make_it_anew(sender: Sender) -> None:
    await load(sender, 1, 1)
    await load(sender, 2, 2)
    with pytest.raises(RefusedError, match="retire"):
        await sender.on_segment("delete", "VIP")
    await sender.on_segment("retire", "VIP")
    await sender.on_segment("delete", "VIP")
    assert await sender.segment("VIP") is None
    assert len(await sender.ledger()) == 2
    row = await load(sender, 1, 1)
    segment = await sender.segment("VIP")
    assert segment is not None
    assert (segment["number"], segment["upload_id"]) == (1, row["id"])


@exercises((State.REJECTED, State.RECEIVED))
async def test_a_rejected_file_is_read_again_when_an_admin_says_so(sender: Sender) -> None:
    file = f"VIP_{stamp(1)}.csv"
    row = await sender.put(file, ids(1, 2, header="member"))
    assert verdict(row) == (State.REJECTED, Code.NO_ID_COLUMN)
    assert (await sender.do("upload.retry", upload_id=row["id"]))["state"] == State.REJECTED
    sender.configure('id_columns = ["Member"]')
    again = await sender.do("upload.retry", upload_id=row["id"])
    assert verdict(again) == (State.LOADED, None)
    assert counts(again) == (2, 2, 0, 0)
    assert sender.members("VIP") == [1, 2]


async def test_an_admin_cannot_decide_what_is_decided(sender: Sender) -> None:
    loaded = (await load(sender, 1, 1))["id"]
    held = (await sender.put(f"VIP_{stamp(2)}.csv", ids()))["id"]
    for operation, upload_id in [("approve", loaded), ("discard", loaded), ("retry", loaded), ("retry", held)]:
        with pytest.raises(RefusedError, match="Only "):
            await sender.do(f"upload.{operation}", upload_id=upload_id)
    assert [await sender.state(loaded), await sender.state(held)] == [State.LOADED, State.HELD]


async def test_guards_are_a_clients_and_a_segments_own(sender: Sender) -> None:
    sender.configure(
        "[guards]\nshrunk_from = 10\nshrunk_ratio = 0.9\n"
        '[segments."Daily Winners"]\nshrunk_ratio = 0.0\nfuture_days = 0\n'
    )
    for name in ("VIP", "Daily_Winners"):
        row = await sender.put(f"{name}_{stamp(1)}.csv", ids(*range(1, 11)))
        assert row["state"] == State.LOADED
        await sender.put(f"{name}_{stamp(2)}.csv", ids(*range(1, 9)))
    assert verdict(await sender.newest(f"VIP_{stamp(2)}.csv")) == (State.HELD, Code.SHRUNK)
    assert verdict(await sender.newest(f"Daily_Winners_{stamp(2)}.csv")) == (State.LOADED, None)
    assert verdict(await sender.put(f"VIP_{days_ahead(1)}.csv", ids(*MANY))) == (State.LOADED, None)
    assert verdict(await sender.put(f"daily winners_{days_ahead(1)}.csv", ids(*MANY))) == (State.HELD, Code.FUTURE)


async def test_a_clients_own_titles_for_the_id_column_replace_id_and_ctuserid_comes_first(sender: Sender) -> None:
    sender.configure('id_columns = ["id", "Mitglied"]')
    for day, title in enumerate(("ID", "mitglied", "ctuserid"), 1):
        row = await sender.put(f"VIP_{stamp(day)}.csv", f"city,{title}\nBasel,{day}\n".encode())
        assert row["state"] == State.LOADED
        assert sender.members("VIP") == [day]
    both = await sender.put(f"VIP_{stamp(4)}.csv", b"id,CTUserID\n1,2\n")
    assert verdict(both) == (State.LOADED, None)
    assert sender.members("VIP") == [2]


async def test_an_empty_list_of_titles_takes_id_away(sender: Sender) -> None:
    sender.configure("id_columns = []")
    row = await sender.put(f"VIP_{stamp(1)}.csv", b"id\n1\n")
    assert verdict(row) == (State.REJECTED, Code.NO_ID_COLUMN)


@exercises(Code.ID_TITLE)
async def test_ids_under_another_title_than_the_list_s_wait_until_one_is_approved(sender: Sender) -> None:
    await load(sender, 1, 1, 2)
    other = await sender.put(f"VIP_{stamp(2)}.csv", ids(1, 2, 3, header="ID"))
    assert verdict(other) == (State.HELD, Code.ID_TITLE)
    assert "CTUserID; this file has only id" in other["reason"]
    assert (await sender.do("upload.approve", upload_id=other["id"]))["state"] == State.LOADED
    assert verdict(await sender.put(f"VIP_{stamp(3)}.csv", ids(1, 2, header="id"))) == (State.LOADED, None)


@exercises(Code.UNFINISHED)
async def test_a_list_that_may_be_cut_off_waits_where_the_client_s_lists_end_with_a_line_break(sender: Sender) -> None:
    await load(sender, 1, 1001, 1002)
    cut = await sender.put(f"VIP_{stamp(2)}.csv", b"CTUserID\n1001\n1002\n10")
    assert verdict(cut) == (State.HELD, Code.UNFINISHED)
    assert '"10"' in cut["reason"]
    assert sender.members("VIP") == [1001, 1002]
    assert (await sender.do("upload.approve", upload_id=cut["id"]))["state"] == State.LOADED
    assert verdict(await sender.put(f"Gold_{stamp(1)}.csv", b"CTUserID\n7")) == (State.LOADED, None)


@exercises(Code.FOOTER)
async def test_a_last_row_that_may_be_a_count_waits(sender: Sender) -> None:
    held = await sender.put(f"VIP_{stamp(1)}.csv", ids(*range(100_001, 100_031), 30))
    assert verdict(held) == (State.HELD, Code.FOOTER)
    assert (await sender.do("upload.approve", upload_id=held["id"]))["state"] == State.LOADED
    assert 30 in sender.members("VIP")


async def test_two_clients_have_segments_of_the_same_name_side_by_side(sender: Sender) -> None:
    other = sender.server.add_sender()
    try:
        await load(sender, 2, 1)
        await load(other, 1, 2)
        assert (sender.members("VIP"), other.members("VIP")) == ([1], [2])
        await sender.on_segment("retire", "VIP")
        assert other.members("VIP") == [2]
        assert (await load(other, 3, 3))["state"] == State.LOADED
    finally:
        await other.close()


async def test_what_the_held_reason_says_names_all_that_holds_it(sender: Sender) -> None:
    await rolled_back(sender)
    row = await sender.put(f"VIP_{days_ahead(30)}.csv", ids())
    assert row["code"] == Code.ROLLED_BACK
    for words in ("rolled back", "days ahead", "no members"):
        assert words in row["reason"]
