"""What is accepted, with which warning, and which rows are not: through the real server, every row accounted for."""

import time

import pytest

from ctsftp.contract.codes import Code
from ctsftp.contract.states import State
from ctsftp.demo.connect import ExportJob, SupplementalTable

from .inprocess import FIXTURES, Row, Sender, exercises, ids, in_process, stamp
from .misconfigured import ENCLOSURE_SETTING, NAME, TITLE, export, sql

pytest_plugins = FIXTURES
pytestmark = in_process

FILE = f"VIP_{stamp(1)}.csv"
MAX_ID = 2**63 - 1


def warned(row: Row) -> list[str]:
    return [warning["code"] for warning in row["warnings"]]


def counts(row: Row) -> tuple[int, int, int, int]:
    return row["rows"], row["members"], row["duplicates"], row["rejected"]


@pytest.mark.parametrize(
    ("content", "code", "words"),
    [
        (b"\xef\xbb\xbfCTUserID\n1\n", Code.BYTE_ORDER_MARK, "byte-order mark"),
        (b"CTUserID,CITY\n1,Z\xfcrich\n", Code.NOT_UTF8, "Line 2"),
        (b"CTUserID\n1", Code.NO_LAST_NEWLINE, "last line"),
        (b'"CTUserID","CITY"\n"1","Basel"\n', Code.ENCLOSURE, ENCLOSURE_SETTING),
        (b'CTUserID,CITY\n"1","Basel"\n', Code.ENCLOSURE, ENCLOSURE_SETTING),
        (b'CTUserID,CITY\n1,"Basel\n12,Main Street"\n', Code.ENCLOSURE, ENCLOSURE_SETTING),
        (b"CTUserID\r\r\n1\r\r\n", Code.LINE_ENDS, "CR CR LF"),
        (b"id\n1\n", Code.ID_TITLE, "titled id"),
    ],
    ids=lambda value: value if isinstance(value, Code) else "",
)
async def test_what_can_be_read_without_a_doubt_is_loaded_with_a_warning(
    sender: Sender, content: bytes, code: Code, words: str
) -> None:
    row = await sender.put(FILE, content)
    assert (row["state"], row["code"]) == (State.LOADED, None)
    assert warned(row) == [code]
    assert words in row["warnings"][0]["text"]
    assert sender.members("VIP") == [1]


@exercises(
    *(Code.BYTE_ORDER_MARK, Code.NOT_UTF8, Code.NO_LAST_NEWLINE, Code.ENCLOSURE, Code.TITLE_SPELLING),
    *(Code.MOSTLY_CHANGED, Code.LINE_ENDS, Code.ID_TITLE),
)
async def test_one_file_can_have_every_warning(sender: Sender) -> None:
    first = await sender.put(FILE, b"id\n1\n2")
    assert warned(first) == [Code.ID_TITLE, Code.NO_LAST_NEWLINE]
    row = await sender.put(f"vip_{stamp(2)}.csv", b'\xef\xbb\xbf"id","CITY"\r\r\n"8","Z\xfcrich"\r\r\n"9","Bern"')
    assert row["state"] == State.LOADED
    assert warned(row) == [
        Code.LINE_ENDS,
        Code.ID_TITLE,
        Code.BYTE_ORDER_MARK,
        Code.NOT_UTF8,
        Code.NO_LAST_NEWLINE,
        Code.ENCLOSURE,
        Code.TITLE_SPELLING,
        Code.MOSTLY_CHANGED,
    ]
    assert sender.members("VIP") == [8, 9]
    assert await sender.segments() == ["VIP"]


async def test_half_of_the_members_may_change_without_a_warning_and_more_may_not(sender: Sender) -> None:
    await sender.put(f"VIP_{stamp(1)}.csv", ids(1, 2, 3, 4))
    assert warned(await sender.put(f"VIP_{stamp(2)}.csv", ids(1, 2, 5, 6))) == []
    row = await sender.put(f"VIP_{stamp(3)}.csv", ids(1, 7, 8, 9))
    assert warned(row) == [Code.MOSTLY_CHANGED]
    assert "3 of 4" in row["warnings"][0]["text"]
    segment = await sender.segment("VIP")
    assert segment is not None
    assert (segment["entered"], segment["left"]) == (3, 3)


@pytest.mark.parametrize("line_ending", ["LF", "CR LF"])
@pytest.mark.parametrize("character_set", ["UTF-8", "ISO-8859-1", "Windows-1252", "Shift_JIS"])
@pytest.mark.parametrize("enclosure", ["None", "Double quote"])
async def test_every_export_that_can_be_read_gives_the_same_members(
    sender: Sender, line_ending: str, character_set: str, enclosure: str
) -> None:
    job = ExportJob(
        SupplementalTable("GOLD_MEMBERS"),
        "VIP_Members",
        line_ending=line_ending,  # type: ignore[arg-type]
        character_set=character_set,  # type: ignore[arg-type]
        field_enclosure=enclosure,  # type: ignore[arg-type]
    )
    right = [int(line.split(b",")[0]) for line in export().data.splitlines()[1:]]
    row = await sender.put(NAME, export(job).data)
    assert row["state"] == State.LOADED
    assert counts(row) == (len(right), len(set(right)), len(right) - len(set(right)), 0)
    assert sender.members(TITLE) == sorted(set(right))
    expected = {Code.ENCLOSURE} if enclosure == "Double quote" else set()
    if character_set != "UTF-8" and not export(job).data.isascii():
        expected |= {Code.NOT_UTF8}
    assert set(warned(row)) == expected


async def test_contacts_outside_the_program_are_rejected_rows_that_spoil_nothing(sender: Sender) -> None:
    job = ExportJob(sql("CTUserID, CITY_", where="RIID_ % 13 = 0 OR CTUserID IS NULL"), "VIP_Members")
    row = await sender.put(NAME, export(job).data)
    assert row["state"] == State.LOADED
    assert row["rejected"] > row["rows"] / 10
    rejects = await sender.rejects(row["id"])
    assert len(rejects) == row["rejected"]
    assert all("empty" in reason for _, _, reason in rejects)


async def test_a_plain_quote_in_an_ignored_column_swallows_no_line(sender: Sender) -> None:
    row = await sender.put(FILE, b'CTUserID,NICKNAME\n1,"The Boss\n2,6" tall\n3,""\n4,"a""b"\n')
    assert counts(row) == (4, 4, 0, 0)
    assert sender.members("VIP") == [1, 2, 3, 4]
    assert warned(row) == []


async def test_an_enclosed_file_has_records_of_several_lines_and_a_broken_quote_costs_its_own_row(
    sender: Sender,
) -> None:
    good = "".join(f'"{number}","Basel, ""BS"""\n' for number in range(1, 41))
    row = await sender.put(FILE, f'"CTUserID","CITY"\n{good}"41","Ba\nsel"\n"42,"Basel"\n43,Basel\n'.encode())
    assert row["state"] == State.LOADED
    assert counts(row) == (43, 42, 0, 1)
    assert [line for line, _, _ in await sender.rejects(row["id"])] == [44]
    assert sender.members("VIP") == [*range(1, 42), 43]


async def test_short_rows_are_rejected_and_long_ones_only_where_a_comma_may_have_moved_the_id(sender: Sender) -> None:
    first = "".join(f"{number},a,b\n" for number in range(1, 41))
    row = await sender.put(f"First_{stamp(1)}.csv", f"CTUserID,A,B\n{first}41,Washington, D.C.,x\n42,a\n43\n".encode())
    assert counts(row) == (43, 41, 0, 2)
    assert [line for line, _, _ in await sender.rejects(row["id"])] == [43, 44]
    middle = "".join(f"a,{number},b\n" for number in range(1, 41))
    row = await sender.put(f"Middle_{stamp(1)}.csv", f"A,CTUserID,B\n{middle}a,41,b,c\na,b,42,c\na,43\n".encode())
    assert counts(row) == (43, 40, 0, 3)
    assert [line for line, _, _ in await sender.rejects(row["id"])] == [42, 43, 44]


@pytest.mark.parametrize(
    ("value", "member"),
    [
        ("1", 1),
        ("  42  ", 42),
        ("007", 7),
        (str(MAX_ID), MAX_ID),
        ("0000000000000000001", 1),
        *((value, None) for value in ("0", "-5", "+5", "12345.0", "1.23E+10", "1,5", "1_000", "0x10", "NULL", "null")),
        *((value, None) for value in ("N/A", "１２３", "١٢٣", "²", "1 2", "1e5", "true", "=1", "'5", "#REF!")),
        (str(MAX_ID + 1), None),
        ("9" * 19, None),
        ("9" * 20, None),
        ("00000000000000000001", None),
        ("1" * 5000, None),
    ],
)
async def test_an_id_is_a_whole_number_in_range_or_rejected_and_never_repaired(
    sender: Sender, value: str, member: int | None
) -> None:
    content = "\n".join(["CTUserID", *map(str, range(1001, 1041)), value, ""]).encode()
    row = await sender.put(FILE, content)
    assert row["state"] == State.LOADED
    expected = sorted([*range(1001, 1041), *([member] if member else [])])
    assert sender.members("VIP") == expected
    rejects = await sender.rejects(row["id"])
    assert [line for line, _, _ in rejects] == ([] if member else [42])
    assert all(len(shown) < 100 for _, shown, _ in rejects)


@pytest.mark.parametrize("line", ["20,000,123,Basel", "1,23E+10,Basel"])
async def test_an_id_with_commas_of_its_own_is_not_taken_for_its_first_digits(sender: Sender, line: str) -> None:
    row = await sender.put(FILE, ids(*[line] * 20, header="CTUserID,CITY"))
    assert (row["state"], row["code"]) == (State.REJECTED, Code.TOO_MANY_REJECTED)
    assert counts(row) == (20, 0, 0, 20)
    assert "hold commas" in row["reason"]


async def test_what_a_spreadsheet_did_to_the_ids_is_said_in_words(sender: Sender) -> None:
    row = await sender.put(FILE, ids(*["1.23E+10"] * 5, *range(1, 101)))
    assert row["state"] == State.LOADED
    assert counts(row) == (105, 100, 0, 5)
    [reason] = {reason for _, _, reason in await sender.rejects(row["id"])}
    assert "spreadsheet" in reason


async def test_blank_lines_are_no_rows_and_lines_are_counted_as_an_editor_does(sender: Sender) -> None:
    row = await sender.put(FILE, b"CTUserID\r\n\r\n1\r\n\r\n  \r\n2\r\n\r\nx\r\n" + b"3\r\n" * 20)
    assert counts(row) == (23, 3, 19, 1)
    assert await sender.rejects(row["id"]) == [(8, "x", "the id is not a whole number of 1 to 19 digits")]


async def test_the_share_of_rejected_rows_decides_to_the_row(sender: Sender) -> None:
    fine = await sender.put(f"VIP_{stamp(1)}.csv", ids(*range(1, 91), *["x"] * 10, *[""] * 50))
    assert (fine["state"], counts(fine)) == (State.LOADED, (150 - 50, 90, 0, 10))
    bad = await sender.put(f"VIP_{stamp(2)}.csv", ids(*range(1, 91), *["x"] * 11, header="CTUserID,A"))
    assert (bad["state"], bad["code"]) == (State.REJECTED, Code.TOO_MANY_REJECTED)


async def test_empty_ids_count_as_rejected_rows_but_not_towards_the_share(sender: Sender) -> None:
    rows = [*(f"{number},a" for number in range(1, 10)), *[",a"] * 500, "x,a"]
    row = await sender.put(FILE, ids(*rows, header="CTUserID,A"))
    assert (row["state"], counts(row)) == (State.LOADED, (510, 9, 0, 501))
    rows = [*(f"{number},a" for number in range(1, 9)), *[",a"] * 500, "x,a"]
    row = await sender.put(f"VIP_{stamp(2)}.csv", ids(*rows, header="CTUserID,A"))
    assert (row["state"], row["code"]) == (State.REJECTED, Code.TOO_MANY_REJECTED)
    assert "1 of 9 rows" in row["reason"]


async def test_only_the_first_thousand_rejected_rows_are_kept_and_all_are_counted(sender: Sender) -> None:
    row = await sender.put(FILE, ids(*range(1, 20_001), *[f"x{number}" for number in range(1500)]))
    assert counts(row) == (21_500, 20_000, 0, 1500)
    rejects = await sender.rejects(row["id"])
    assert len(rejects) == 1000
    assert rejects[0][:2] == (20_002, "x0")
    assert rejects[-1][:2] == (21_001, "x999")


async def test_a_header_alone_makes_an_empty_segment_and_never_empties_one(sender: Sender) -> None:
    first = await sender.put(FILE, ids())
    assert (first["state"], counts(first)) == (State.LOADED, (0, 0, 0, 0))
    assert await sender.segments() == ["VIP"]
    await sender.put(f"VIP_{stamp(2)}.csv", ids(1))
    assert (await sender.put(f"VIP_{stamp(3)}.csv", b"CTUserID"))["code"] == Code.EMPTY
    assert sender.members("VIP") == [1]


async def test_ids_repeated_a_million_times_are_a_member_each(sender: Sender) -> None:
    content = b"CTUserID\n" + b"7\n8\n" * 500_000
    begun = time.perf_counter()
    row = await sender.put(FILE, content)
    assert time.perf_counter() - begun < 30
    assert counts(row) == (1_000_000, 2, 999_998, 0)
    assert sender.members("VIP") == [7, 8]


async def test_other_columns_are_ignored_whatever_they_hold(sender: Sender) -> None:
    row = await sender.put(
        FILE,
        b"RIID_,ctuserid,=cmd|' /C calc'!A0,\x1b[2J,,\n1,5,2,3,4,5\n" + b"1,6," + b"\xff" * 90_000 + b",,,\n",
    )
    assert (row["state"], counts(row)) == (State.LOADED, (2, 2, 0, 0))
    assert sender.members("VIP") == [5, 6]
