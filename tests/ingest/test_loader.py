"""One upload, from `received` to where it ends: the verdicts, and what the ledger and the segment then say."""

import pytest

from ctsftp.clients.config import ClientConfig
from ctsftp.contract.codes import Code
from ctsftp.contract.states import State
from ctsftp.contract.verdict import Guards
from ctsftp.errors import NotFoundError, StoreError
from ctsftp.lists import Ids
from ctsftp.store import Upload
from ctsftp.store import rows as rows_of_lists
from ctsftp.store.rows import RowSets

from .bench import Bench, rows

NAME = "VIP_20260310_0900.csv"


def outcome(row: Upload) -> tuple[State, str | None]:
    return row.state, row.code


async def test_a_file_makes_the_segment_and_the_ledger_says_all_about_it(bench: Bench) -> None:
    row = await bench.load("VIP_Members_20260310_0900.csv", "CTUserID,CITY\n7,Basel\n3,\nx,\n7,\n1,\n,\n" + "9,a\n" * 7)
    assert outcome(row) == (State.LOADED, None)
    assert (row.rows, row.members, row.duplicates, row.rejected) == (13, 4, 7, 2)
    assert (row.segment_title, row.stamp, row.reason) == ("VIP Members", "20260310_0900", None)
    assert row.received_at == row.finished_at == "2026-03-10T12:00:00.000Z"
    assert [(one.line, one.value) for one in await bench.store.ledger.rejects(row.id)] == [(4, "x"), (7, "")]
    assert await bench.members("vip members") == [1, 3, 7, 9]


async def test_a_newer_stamp_replaces_the_list_and_who_came_and_who_went_is_counted(bench: Bench) -> None:
    await bench.load(NAME, rows(range(1, 11)))
    row = await bench.load("VIP_20260310_0901.csv", rows(range(2, 13)))
    assert outcome(row) == (State.LOADED, None)
    assert row.warnings == []
    segment = await bench.store.segments.segment("acme", "vip")
    assert (segment.number, segment.members, segment.entered, segment.left) == (2, 11, 2, 1)


async def test_a_correction_has_the_same_name_and_loads_again(bench: Bench) -> None:
    await bench.load(NAME, rows([1, 2]))
    assert outcome(await bench.load(NAME, rows([2, 3]))) == (State.LOADED, None)
    assert await bench.members() == [2, 3]


async def test_the_same_file_again_is_a_duplicate(bench: Bench) -> None:
    await bench.load(NAME, rows([1, 2]))
    row = await bench.load(NAME, rows([1, 2]))
    assert outcome(row) == (State.DUPLICATE, None)
    assert row.reason
    assert (await bench.store.segments.segment("acme", "vip")).number == 1


async def test_an_older_stamp_is_superseded(bench: Bench) -> None:
    await bench.load("VIP_20260310_0901.csv", rows([1, 2]))
    assert outcome(await bench.load(NAME, rows([3]))) == (State.SUPERSEDED, None)
    assert await bench.members() == [1, 2]


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("VIP_20260310_0901.csv", rows([]), Code.EMPTY),
        ("VIP_20260310_0901.csv", rows([*range(1, 40), 200]), Code.SHRUNK),
        ("VIP_20260313_0000.csv", rows(range(3, 101)), Code.FUTURE),
    ],
)
async def test_a_file_that_could_do_harm_is_held_with_a_reason_that_stays_true(
    bench: Bench, name: str, content: str, code: Code
) -> None:
    await bench.load(NAME, rows(range(1, 101)))
    row = await bench.load(name, content)
    assert outcome(row) == (State.HELD, code)
    assert row.reason
    for word in (" has 100", "enter", "leave"):  # what would change is counted whenever it is shown
        assert word not in row.reason
    assert row.finished_at is None
    assert len(await bench.members()) == 100


async def test_after_a_rollback_uploads_are_held_until_one_is_approved(bench: Bench) -> None:
    await bench.load(NAME, rows([1, 2]))
    await bench.load("VIP_20260310_0901.csv", rows([3, 4]))
    await bench.store.segments.rollback("acme", "vip")
    upload = bench.put("VIP_20260310_0902.csv", rows([5, 6]))
    await bench.loader.load(upload)
    assert outcome(await bench.row(upload)) == (State.HELD, Code.ROLLED_BACK)
    await bench.store.ledger.approve(upload.id)
    await bench.loader.load(upload)
    assert outcome(await bench.row(upload)) == (State.LOADED, None)
    assert await bench.members() == [5, 6]


async def test_a_retired_segment_takes_no_files(bench: Bench) -> None:
    await bench.load(NAME, rows([1, 2]))
    await bench.store.segments.retire("acme", "vip")
    assert outcome(await bench.load("VIP_20260310_0901.csv", rows([3]))) == (State.RETIRED, None)


async def test_a_segment_that_is_retired_while_its_file_is_read_is_not_published(bench: Bench) -> None:
    """The judge is asked once more in the transaction that publishes."""
    await bench.load(NAME, rows([1, 2]))
    upload = bench.put("VIP_20260310_0901.csv", rows([3]))
    write = bench.store.snapshots.write

    async def retire_then_write(upload_id: str, ids: Ids) -> int:
        await bench.store.segments.retire("acme", "vip")
        return await write(upload_id, ids)

    bench.snapshots.write = retire_then_write
    await bench.loader.load(upload)
    assert outcome(await bench.row(upload)) == (State.RETIRED, None)
    assert (await bench.store.segments.segment("acme", "vip")).number == 1
    assert await bench.store.snapshots.delete_abandoned() == 1


async def test_a_file_of_another_kind_is_ignored(bench: Bench) -> None:
    row = await bench.load(f"{NAME}.filepart", rows([1]))
    assert (outcome(row), row.segment_title) == ((State.IGNORED, None), None)


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("VIP.csv", rows([1]), Code.NAME),
        (NAME, b"PK\x03\x04", Code.PACKED),
        (NAME, "CTUserID;CITY\n1;Basel\n", Code.DELIMITER),
        (NAME, rows([1, 2, 3, "x"]), Code.TOO_MANY_REJECTED),
        (NAME, "CTUserID\n1\n" + "2" * ((1 << 20) + 1) + "\n", Code.LINE_TOO_LONG),
    ],
)
async def test_a_file_against_the_contract_is_rejected_with_the_setting_to_change(
    bench: Bench, name: str, content: str | bytes, code: Code
) -> None:
    row = await bench.load(name, content)
    assert outcome(row) == (State.REJECTED, code)
    assert "In the Connect job's form, set " in (row.reason or "")
    with pytest.raises(NotFoundError):
        await bench.members()


async def test_a_rejected_file_has_its_rows_accounted_for_and_its_first_rejected_ones_kept(bench: Bench) -> None:
    row = await bench.load(NAME, rows([1, 1, "x", "y"]))
    assert (row.rows, row.members, row.duplicates, row.rejected) == (4, 1, 1, 2)
    assert [one.value for one in await bench.store.ledger.rejects(row.id)] == ["x", "y"]


async def test_a_client_has_its_own_limit_on_rows_titles_and_guards(bench: Bench) -> None:
    bench.config = lambda client: ClientConfig(
        max_rows=2 if client == "small" else None,
        id_columns=("id",),
        guards=Guards(shrunk_from=2),
        segments={"Gold Members": Guards(shrunk_from=5)},
    )
    assert outcome(await bench.load(NAME, rows([1, 2, 3]), client="small")) == (State.REJECTED, Code.TOO_LARGE)
    assert outcome(await bench.load(NAME, "id\n1\n2\n3\n")) == (State.LOADED, None)
    assert outcome(await bench.load("VIP_20260310_0901.csv", rows([1]))) == (State.HELD, Code.SHRUNK)
    await bench.load("gold_members_20260310_0900.csv", rows([1, 2, 3]))
    assert outcome(await bench.load("gold_members_20260310_0901.csv", rows([1]))) == (State.LOADED, None)


async def test_the_servers_limit_holds_for_clients_that_have_a_wider_one(bench: Bench) -> None:
    bench.loader = bench.new_loader(max_rows=2)
    bench.config = lambda _: ClientConfig(max_rows=100)
    assert outcome(await bench.load(NAME, rows([1, 2, 3]))) == (State.REJECTED, Code.TOO_LARGE)


async def test_warnings_of_the_file_the_name_and_the_change_are_all_kept(bench: Bench) -> None:
    await bench.load(NAME, rows([1, 2, 3]))
    row = await bench.load("vip_20260310_0901.csv", b"\xef\xbb\xbf" + rows([7, 8, 9]).encode())
    assert row.state is State.LOADED
    assert [one["code"] for one in row.warnings] == ["byte_order_mark", "title_spelling", "mostly_changed"]
    assert row.warnings[2]["text"].startswith("3 of 3 members left")


async def test_clients_have_segments_of_their_own(bench: Bench) -> None:
    await bench.load(NAME, rows([1]))
    await bench.load(NAME, rows([2]), client="zeta")
    assert await bench.members() == [1]
    assert await bench.members(client="zeta") == [2]


async def test_an_upload_that_came_to_its_end_is_not_loaded_again(bench: Bench) -> None:
    upload = bench.put(NAME, rows([1]))
    await bench.loader.load(upload)
    upload.path.write_text(rows([2]))
    await bench.loader.load(upload)
    assert await bench.members() == [1]


async def test_rows_that_cannot_be_tidied_now_are_no_fault_of_the_load(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(*_: object) -> None:
        raise StoreError("locked")

    monkeypatch.setattr(rows_of_lists, "PATCHED_IN_PLACE", 1)
    monkeypatch.setattr(RowSets, "tidy", fails)
    await bench.load(NAME, rows([1, 2]))
    row = await bench.load("VIP_20260310_0901.csv", rows([2, 3, 4]))
    assert (row.state, bench.tried_again) == (State.LOADED, [])
    segment = await bench.store.segments.segment("acme", "vip")
    assert (segment.entered, segment.left) == (2, 1)
    assert [one["code"] for one in row.warnings] == ["mostly_changed"]
    assert await bench.members() == [2, 3, 4]
