"""Rows: which are valid, which are rejected and why, and that none is ever lost."""

import csv

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from ctsftp.contract.cells import split_enclosed
from ctsftp.contract.reasons import (
    APOSTROPHE,
    BROKEN_QUOTE,
    FORMULA,
    NO_ID,
    NOT_AN_ID,
    OUT_OF_RANGE,
    SPLIT_ID,
    SPREADSHEET,
    THOUSANDS,
)
from ctsftp.contract.rows import Layout, RejectedRow

from .blocks import read_block as read_rows

INVISIBLE = "an invisible character is beside the id ({}): export whole numbers"
ONE = Layout(columns=1, id_column=0)
FIRST_OF_TWO = Layout(columns=2, id_column=0)
SECOND_OF_TWO = Layout(columns=2, id_column=1)
LAYOUTS = [
    Layout(columns=columns, id_column=id_column, enclosed=enclosed)
    for columns, id_column in [(1, 0), (2, 0), (2, 1), (3, 1)]
    for enclosed in [False, True]
]


def ids(layout: Layout, block: bytes) -> list[int]:
    found = read_rows(layout, block, 2)
    assert found.rows == len(found.ids) + found.rejected
    members: list[int] = found.ids.tolist()
    return members


def rejection(layout: Layout, line: bytes) -> RejectedRow:
    found = read_rows(layout, line + b"\n", 7)
    assert found.rows == found.rejected == 1
    assert len(found.ids) == 0
    assert found.empty_ids == (found.rejected_rows[0].reason == NO_ID)
    assert found.first_fault == (None if found.empty_ids else found.rejected_rows[0])
    return found.rejected_rows[0]


def test_ids_come_in_file_order_with_repeated_ones_as_a_contiguous_array() -> None:
    found = read_rows(ONE, b"3\n1\n3\n", 2).ids
    assert found.tolist() == [3, 1, 3]
    assert (found.dtype, found.ndim, found.flags.c_contiguous) == (np.dtype("int64"), 1, True)


def test_no_line_is_no_row() -> None:
    found = read_rows(ONE, b"", 2)
    assert (found.rows, found.rejected, len(found.ids)) == (0, 0, 0)
    assert found.ids.dtype == np.int64


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b"1", 1),
        (b"0042", 42),
        (b" 42\t", 42),
        (b"\x0b\x0c42 ", 42),
        (b"999999999999999999", 999999999999999999),
        (b"1000000000000000000", 10**18),
        (b"0000000000000000001", 1),
        (b"9223372036854775807", 2**63 - 1),
        (b'"42"', 42),
        (b' " 42 " ', 42),
    ],
)
@pytest.mark.parametrize("layout", [ONE, FIRST_OF_TWO, SECOND_OF_TWO])
def test_one_to_nineteen_digits_in_range_are_an_id(layout: Layout, text: bytes, value: int) -> None:
    cells = [b"x"] * layout.columns
    cells[layout.id_column] = text
    assert ids(layout, b",".join(cells) + b"\n") == [value]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"1.23E+10", SPREADSHEET),
        (b"1e5", SPREADSHEET),
        (b"12345.0", SPREADSHEET),
        (b"12345.", SPREADSHEET),
        (b"12345.5", NOT_AN_ID),
        (b"-5", NOT_AN_ID),
        (b"+5", NOT_AN_ID),
        (b"NULL", NOT_AN_ID),
        (b"1 2", NOT_AN_ID),
        (b"1_000", NOT_AN_ID),
        (b"0x1F", NOT_AN_ID),
        (b"'5", APOSTROPHE),
        (b"'100001'", APOSTROPHE),
        ("\u2019100001".encode(), APOSTROPHE),
        (b"1'234", THOUSANDS),
        (b"1.234.567", THOUSANDS),
        (b"1 234 567", THOUSANDS),
        ("1\u00a0234".encode(), THOUSANDS),
        ("1\u202f234\u202f567".encode(), THOUSANDS),
        (b'="100001"', FORMULA),
        (b"=100001", FORMULA),
        ("100001\u00a0".encode(), INVISIBLE.format("U+00A0")),
        ("\u200e100001".encode(), INVISIBLE.format("U+200E")),
        ("\u200b100001\ufeff".encode(), INVISIBLE.format("U+200B, U+FEFF")),
        ("100\u00ad001".encode(), INVISIBLE.format("U+00AD")),
        (b"100001\x1f", INVISIBLE.format("U+001F")),
        ("\u00a0".encode(), NOT_AN_ID),
        (b'"5', NOT_AN_ID),
        (b'5"', NOT_AN_ID),
        (b'""5""', NOT_AN_ID),
        ("１２３".encode(), NOT_AN_ID),
        ("٣".encode(), NOT_AN_ID),
        (b"5\xa0", NOT_AN_ID),
        (b"\xff", NOT_AN_ID),
        (b"0", OUT_OF_RANGE),
        (b"0000000000000000000", OUT_OF_RANGE),
        (b"9223372036854775808", OUT_OF_RANGE),
        (b"9999999999999999999", OUT_OF_RANGE),
        (b"00000000000000000001", NOT_AN_ID),
        (b"9" * 5000, NOT_AN_ID),
        (b'""', NO_ID),
        (b'" "', NO_ID),
        (b'"', NOT_AN_ID),
    ],
)
def test_anything_else_is_rejected_never_repaired(text: bytes, reason: str) -> None:
    assert rejection(ONE, text).reason == reason
    assert rejection(SECOND_OF_TWO, b"x," + text).reason == reason


@pytest.mark.parametrize(("layout", "line"), [(FIRST_OF_TWO, b",x"), (SECOND_OF_TWO, b"x, "), (FIRST_OF_TWO, b",")])
def test_an_empty_id_is_rejected_and_counted_apart(layout: Layout, line: bytes) -> None:
    assert rejection(layout, line) == RejectedRow(7, "", NO_ID)


def test_a_rejected_row_has_its_line_the_value_and_the_reason() -> None:
    found = read_rows(FIRST_OF_TWO, b"1,x\n\n  NULL ,x\n,x\n2,x\n3\n", 2)
    assert found.ids.tolist() == [1, 2]
    assert (found.rows, found.rejected, found.empty_ids) == (5, 3, 1)
    assert found.rejected_rows == [
        RejectedRow(4, "NULL", NOT_AN_ID),
        RejectedRow(5, "", NO_ID),
        RejectedRow(7, "3", "1 of 2 columns: a value holds a line break, or is missing"),
    ]
    assert found.first_fault == found.rejected_rows[0]


def test_a_rejected_value_is_bounded_and_printable() -> None:
    assert rejection(ONE, b"\x1b[2J" + b"x" * 100).value == "\\x1b[2J" + "x" * 56 + "…"
    assert rejection(ONE, b"caf\xe9").value == "caf\ufffd"


def test_only_as_many_rejected_rows_are_kept_as_asked_for_but_all_are_counted() -> None:
    found = read_rows(FIRST_OF_TWO, b",\n" * 3 + b"x,\n" * 4, 2, keep=2)
    assert [row.line for row in found.rejected_rows] == [2, 3]
    assert (found.rejected, found.empty_ids) == (7, 3)
    assert found.first_fault == RejectedRow(5, "x", NOT_AN_ID)
    assert len(read_rows(ONE, b"x\n" * 1_001, 2).rejected_rows) == 1_000


def test_a_row_with_too_few_cells_is_rejected() -> None:
    row = rejection(SECOND_OF_TWO, b"5")
    assert (row.value, row.reason[:16]) == ("5", "1 of 2 columns: ")
    assert rejection(FIRST_OF_TWO, b"5").reason == row.reason


def test_a_row_with_too_many_cells_is_trusted_only_if_the_id_comes_first() -> None:
    assert ids(FIRST_OF_TWO, b"5,Doe, Jane\n") == [5]
    assert ids(FIRST_OF_TWO, b"1234,x 212,x\n7,5E3 Lane,x\n7,,x\n") == [1234, 7, 7]
    assert ids(ONE, b"5,\n5, ,\n") == [5, 5]
    row = rejection(SECOND_OF_TWO, b"Doe, Jane,5")
    assert (row.value, row.reason[:24]) == ("Doe, Jane,5", "3 instead of 2 columns: ")


@pytest.mark.parametrize(
    ("layout", "line"),
    [
        (ONE, b"20,000,123"),
        (ONE, b"12345,0"),
        (ONE, b"1,23E+10"),
        (FIRST_OF_TWO, b"20,000,123,Basel"),
        (FIRST_OF_TWO, b"1,234,Basel"),
        (FIRST_OF_TWO, b" 123,456 ,Basel\r"),
        (FIRST_OF_TWO, b"1,23E+10,Basel"),
        (FIRST_OF_TWO, b"1,5e7,Basel"),
        (FIRST_OF_TWO, b"1000,01,Basel"),
        (FIRST_OF_TWO, b"1000,,01,Basel"),
        (FIRST_OF_TWO, b",100001,Basel"),
        (FIRST_OF_TWO, b"1,00,001,Basel"),
        (ONE, b"1000,,01"),
        (FIRST_OF_TWO, b"1000,\xe2\x80\x8e01,Basel"),
        (FIRST_OF_TWO, b"1000,0\x1b1,Basel"),
        (ONE, b"1000,\xc2\xa001"),
    ],
)
def test_an_id_that_is_divided_by_commas_of_its_own_is_never_taken_for_its_first_part(
    layout: Layout, line: bytes
) -> None:
    assert rejection(layout, line).reason == SPLIT_ID


@pytest.mark.parametrize("line", [b"5,extra", b"5,", b"5,,", b"5,a,1"])
def test_a_comma_behind_the_only_column_does_not_touch_the_id(line: bytes) -> None:
    assert ids(ONE, line + b"\n") == [5]


@pytest.mark.parametrize("line", [b"", b"\r", b" ", b" \t\x0b\x0c\r"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_blank_lines_are_no_rows_but_count_as_lines(layout: Layout, line: bytes) -> None:
    found = read_rows(layout, line + b"\n\n" + b"x\n", 2)
    assert found.rows == 1
    assert found.rejected_rows[0].line == 4


def test_lines_end_in_lf_or_cr_lf() -> None:
    assert ids(FIRST_OF_TWO, b"1,x\r\n2,y\n3,z\r\n") == [1, 2, 3]
    assert ids(Layout(columns=1, id_column=0, enclosed=True), b'"1"\r\n"2"\r\n') == [1, 2]


def test_a_quote_in_an_ignored_column_of_a_plain_file_is_an_ordinary_character() -> None:
    assert ids(FIRST_OF_TWO, b'1,5" screen\n2,"\n3,"unclosed\n4,x\n') == [1, 2, 3, 4]


def test_the_first_line_of_a_plain_file_with_a_quoted_id_is_told() -> None:
    assert read_rows(FIRST_OF_TWO, b'1,"x"\n"2",x\n"3",x\n', 2).quoted_line == 3
    assert read_rows(FIRST_OF_TWO, b'1,"x"\n', 2).quoted_line == 0
    assert read_rows(FIRST_OF_TWO, b'"x",1\n', 2).quoted_line == 2
    assert read_rows(Layout(columns=1, id_column=0, enclosed=True), b'"2"\n', 2).quoted_line == 0


@pytest.mark.parametrize(
    ("line", "found"),
    [
        (b'"x","5"', [5]),
        (b'"Doe, Jane","5"', [5]),
        (b'"a ""b"", c","5"', [5]),
        (b'"","5"', [5]),
        (b'x,"5"', [5]),
        (b'"x",5', [5]),
        (b'"x", 5 ', [5]),
        (b'"x"," 5 "', [5]),
    ],
)
def test_an_enclosed_row_is_an_rfc_4180_record(line: bytes, found: list[int]) -> None:
    assert ids(Layout(columns=2, id_column=1, enclosed=True), line + b"\n") == found


@pytest.mark.parametrize("line", [b'"x,"5"', b'"x"y,"5"', b'x"y,5', b'"5" screen","5"', b'"x" ,"5"', b'"a"b"c","5"'])
def test_a_broken_quote_rejects_its_row_and_no_other(line: bytes) -> None:
    layout = Layout(columns=2, id_column=1, enclosed=True)
    assert rejection(layout, line).reason == BROKEN_QUOTE
    assert ids(layout, b'"x","1"\n' + line + b'\n"x","2"\n') == [1, 2]


def test_a_line_of_a_mebibyte_of_quotes_is_split_without_delay() -> None:
    size = 2**20
    assert split_enclosed(b'"' * (size + 1)) == []
    assert split_enclosed(b'"' * size) == [b'"' * size]
    assert split_enclosed(b'"' + b"x" * size) == []
    assert len(split_enclosed(b"," * size)) == size + 1


CELL_TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0"), max_size=8)


@given(st.lists(CELL_TEXTS, min_size=1, max_size=5), st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]))
def test_what_the_csv_module_writes_is_split_as_it_was(cells: list[str], quoting: int) -> None:
    written: list[str] = []

    class Sink:
        def write(self, text: str) -> None:
            written.append(text)

    csv.writer(Sink(), quoting=quoting, lineterminator="").writerow(cells)  # type: ignore[arg-type]
    split = split_enclosed("".join(written).encode())
    unquoted = [cell[1:-1].replace(b'""', b'"') if cell.startswith(b'"') else cell for cell in split]
    assert unquoted == [cell.encode() for cell in cells]


# Below, the rules once more, byte by byte and as plainly as can be, to hold the reader against.

# Quotes come in pairs, and no CR: what lines have to do with each other is told in `test_records`.
FRAGMENTS = st.sampled_from(
    [
        b'"x"',
        b'""',
        b'"7"',
        b",",
        b",",
        b"1",
        b"42",
        b"500",
        b" ",
        b"\t",
        b"x",
        b"\xff",
        b"0",
        b"-",
        b".0",
        b"9" * 18,
        b"9" * 19,
    ]
)
LINES = st.lists(FRAGMENTS, max_size=8).map(b"".join)


def naive_split(line: bytes) -> list[bytes] | None:
    """Split a record by walking through it: None where a quote is broken."""
    cells, cell, at = [], b"", 0
    while True:
        start = at
        if line[at : at + 1] == b'"':
            at += 1
            while line[at : at + 1] != b'"' or line[at : at + 2] == b'""':
                if at >= len(line):
                    return None
                at += 2 if line[at : at + 2] == b'""' else 1
            at += 1
        else:
            while at < len(line) and line[at : at + 1] not in {b",", b'"'}:
                at += 1
        cell = line[start:at]
        cells.append(cell)
        if at == len(line):
            return cells
        if line[at : at + 1] != b",":
            return None
        at += 1


def naive_text(cell: bytes) -> str:
    """Return a cell without the white space and the pair of quotes around it."""
    text = cell.decode("latin-1").strip(" \t\r\n\x0b\x0c")
    if len(text) >= 2 and text.startswith('"') and text.endswith('"'):
        text = text[1:-1].strip(" \t\r\n\x0b\x0c")
    return text


def naive_splits_the_id(cells: list[bytes], columns: int) -> bool:
    """Tell whether the id and the cells that are too many read like one number with commas in it."""
    _, *others = map(naive_text, cells)
    following = [cell for cell in others if cell]
    if not following:
        return False
    digits = following[0][:1] if columns == 1 else following[0]
    return all(character in "0123456789" for character in digits)


def naive_row(layout: Layout, line: bytes) -> int | str:
    """Return the id, or "blank", "empty" or "bad"."""
    if all(byte in b" \t\r\n\x0b\x0c" for byte in line):
        return "blank"
    cells = naive_split(line) if layout.enclosed else line.split(b",")
    if cells is None or len(cells) < layout.columns or (len(cells) > layout.columns and layout.id_column != 0):
        return "bad"
    if len(cells) > layout.columns and naive_splits_the_id(cells[: len(cells) - layout.columns + 1], layout.columns):
        return "bad"
    text = naive_text(cells[layout.id_column])
    if not text:
        return "empty"
    if len(text) > 19 or any(character not in "0123456789" for character in text):
        return "bad"
    return int(text) if 0 < int(text) < 2**63 else "bad"


@given(st.sampled_from(LAYOUTS), st.lists(LINES, max_size=6))
@example(FIRST_OF_TWO, [b',,"7"', b"5,,7", b"1000,01,"])
def test_the_reader_agrees_with_the_rules_written_down_naively(layout: Layout, lines: list[bytes]) -> None:
    expected = [naive_row(layout, line) for line in lines]
    assume(not layout.enclosed or all(naive_split(line) is not None for line in lines))
    found = read_rows(layout, b"".join(line + b"\n" for line in lines), 2)
    assert found.ids.tolist() == [row for row in expected if isinstance(row, int)]
    assert found.rows == len(lines) - expected.count("blank")
    assert found.empty_ids == expected.count("empty")
    assert found.rejected == expected.count("empty") + expected.count("bad")
    assert [row.line for row in found.rejected_rows] == [
        number for number, row in enumerate(expected, 2) if row in {"empty", "bad"}
    ]
    if "bad" in expected:
        assert found.first_fault is not None
        assert found.first_fault.line == 2 + expected.index("bad")
    else:
        assert found.first_fault is None
