"""Lines that are no rows by themselves: breaks inside a line, records of several lines, quotes, and later headers."""

import pytest

from ctsftp.contract.codes import Code
from ctsftp.contract.reasons import BROKEN_QUOTE, INNER_BREAK, JOINT, MOVED_ID, OPEN_QUOTE
from ctsftp.contract.records import read_rows
from ctsftp.contract.rows import Layout
from ctsftp.contract.vectorised import read_rows_at_once

from .blocks import Found, read_block

ONE = Layout(columns=1, id_column=0)
FIRST_OF_TWO = Layout(columns=2, id_column=0)
SECOND_OF_TWO = Layout(columns=2, id_column=1)
ENCLOSED = Layout(columns=2, id_column=1, enclosed=True)


def ids(layout: Layout, block: bytes) -> list[int]:
    members: list[int] = read_block(layout, block, 2).ids.tolist()
    return members


def refusal(found: Found) -> tuple[Code, str]:
    assert found.found.fault is not None
    return found.found.fault.code, found.found.fault.reason


# Line ends.


def test_carriage_returns_right_before_the_line_feed_belong_to_the_line_end() -> None:
    assert ids(FIRST_OF_TWO, b"1,x\r\r\n2,y\r\r\r\n3,z\r\n") == [1, 2, 3]
    assert read_block(FIRST_OF_TWO, b"1,x\r\n2,y\r\r\n3,z\r\r\n", 7).found.crs_line == 8
    assert read_block(FIRST_OF_TWO, b"1,x\r\n", 7).found.crs_line == 0


@pytest.mark.parametrize(
    ("layout", "line", "values"),
    [
        (FIRST_OF_TWO, b"1,x\r2,y\r3,z", ["1,x", "2,y", "3,z"]),
        (FIRST_OF_TWO, b"1\r,x", ["1", ",x"]),
        (FIRST_OF_TWO, b"\r1,x\r \r2,y", ["1,x", "2,y"]),
        (SECOND_OF_TWO, b"x,1\ry,2\r", ["x,1", "y,2"]),
        (ONE, b"1\r2", ["1", "2"]),
        (ONE, b"1\x0b2\x0c3", ["1", "2", "3"]),
        (ONE, b"1\xc2\x852\xe2\x80\xa83\xe2\x80\xa94", ["1", "2", "3", "4"]),
        (FIRST_OF_TWO, b"1,x\x0b2,y", ["1,x", "2,y"]),
        (SECOND_OF_TWO, b"x,1\x1ey,2", ["x,1", "y,2"]),
        (ENCLOSED, b'"x","1"\r"y","2"', ['"x","1"', '"y","2"']),
        (ENCLOSED, b"x,1\ry,2", ["x,1", "y,2"]),
    ],
)
def test_every_piece_between_breaks_of_another_kind_is_a_rejected_row(
    layout: Layout, line: bytes, values: list[str]
) -> None:
    rejected = read_block(layout, line + b"\n", 7)
    assert rejected.rows == rejected.rejected == len(values)
    assert [row.value for row in rejected.rejected_rows] == values
    assert {row.line for row in rejected.rejected_rows} == {7}
    assert {row.reason for row in rejected.rejected_rows} <= {INNER_BREAK, BROKEN_QUOTE}


@pytest.mark.parametrize("mark", ["\ufeff", "\x1a", "\x0b", "\u2028", "\x1a\ufeff"])
@pytest.mark.parametrize(
    ("layout", "line", "count"),
    [
        (FIRST_OF_TWO, "700030,Basel{}700099,Basel", 2),
        (FIRST_OF_TWO, "700030{}700099,Basel", 2),
        (FIRST_OF_TWO, "700030,Basel{}700099", 2),
        (FIRST_OF_TWO, "700030,{0}700099,B{0}700100", 3),
        (FIRST_OF_TWO, '700030,"Basel"{}"700099"', 2),
        (SECOND_OF_TWO, "Basel,700030{}Basel,700099", 2),
        (SECOND_OF_TWO, "Basel,700030{}Bern", 2),
        (ONE, "700030{}700099", 2),
        (Layout(columns=4, id_column=1), "A,700030,x{}B,700099", 2),
        (Layout(columns=2, id_column=0, enclosed=True), '"700030","Basel"{}"700099","Basel"', 2),
        (Layout(columns=2, id_column=0, enclosed=True), '"700030",Basel{}700099', 2),
    ],
)
def test_each_id_between_files_that_were_joined_is_in_a_rejected_row(
    layout: Layout, line: str, count: int, mark: str
) -> None:
    found = read_block(layout, line.format(mark).encode() + b"\n", 7)
    assert (found.ids.tolist(), found.rejected) == ([], count)
    assert {row.reason for row in found.rejected_rows} <= {INNER_BREAK, JOINT, BROKEN_QUOTE}


@pytest.mark.parametrize("mark", ["\x0b", "\x0c", "\x85", "\u2028", "\x1a", "\ufeff"])
@pytest.mark.parametrize(
    ("layout", "first", "second"),
    [
        (Layout(columns=3, id_column=2), "x,100001", "y,100002"),
        (Layout(columns=3, id_column=2), '"","100001"', '"y","100002"'),
        (Layout(columns=3, id_column=0), "100001,x", "100002,y"),
        (Layout(columns=5, id_column=3), "x,100001,7", "y,100002,8"),
        (Layout(columns=5, id_column=4), "x,y,100001", "x,y,100002"),
    ],
)
def test_two_rows_in_one_line_are_no_row_although_a_comma_too_many_in_the_header_makes_room(
    layout: Layout, first: str, second: str, mark: str
) -> None:
    found = read_block(layout, f"{first}{mark}{second}\n".encode(), 2)
    assert found.ids.tolist() == []
    assert [row.value for row in found.rejected_rows] == [first, second]


@pytest.mark.parametrize("mark", ["\ufeff", "\x1a", "\x0b"])
def test_a_mark_in_a_value_leaves_the_row_as_it_is(mark: str) -> None:
    assert ids(FIRST_OF_TWO, f"1,Ba{mark}sel\n2,{mark}x\n3,x{mark}\n4,x{mark}7 Main Street\n".encode()) == [1, 2, 3, 4]
    assert ids(FIRST_OF_TWO, f'1,"Basel{mark}4051"\n'.encode()) == [1]
    assert ids(Layout(columns=2, id_column=0, enclosed=True), f'"1","Basel{mark}4051"\n'.encode()) == [1]


def test_a_break_of_another_kind_in_a_row_that_is_right_is_a_part_of_the_value() -> None:
    assert ids(FIRST_OF_TWO, b"1,x\x0by\n2,\xe2\x80\xa8\n") == [1, 2]
    assert ids(SECOND_OF_TWO, b"x\x0c,2\n") == [2]


def test_a_carriage_return_in_a_quoted_cell_divides_rows_where_the_cells_are_not_those_of_one() -> None:
    for line, count in ((b'"x\r700031","y","5"', 2), (b'"x","700030\r700031"', 2)):
        found = read_block(ENCLOSED, line + b"\n", 2)
        assert (found.ids.tolist(), found.rejected) == ([], count)
    first = Layout(columns=2, id_column=0, enclosed=True)
    assert read_block(first, b'"700030","x\r700031","y"\n', 2).rejected == 2


def test_a_carriage_return_in_a_quoted_value_is_a_part_of_it() -> None:
    assert ids(ENCLOSED, b'"x\ry","5"\n') == [5]
    assert ids(FIRST_OF_TWO, b'5,"x\ry"\n') == [5]
    assert ids(SECOND_OF_TWO, b'"x\r12,y",5\n') == [5]
    assert ids(FIRST_OF_TWO, b'5,"x\ry"\n6,5" screen\n') == [6]


@pytest.mark.parametrize("mark", [b"\x1a", b"\x0b", b"\x7f", "\u200b".encode(), "\u00a0 ".encode(), "\ufeff".encode()])
def test_a_value_is_closed_where_an_invisible_character_stands_behind_its_quote(mark: bytes) -> None:
    """Else its last line was a row, and a member that nobody exported."""
    assert ids(FIRST_OF_TWO, b'100001,"7,8\n9,10"' + mark + b"\n5,x\n") == [5, 100001]
    assert ids(FIRST_OF_TWO, b"100001," + mark + b'"7,8\n9,10"\n5,x\n') == [5, 100001]


# Enclosed files: RFC 4180.


@pytest.mark.parametrize("line", [b'"x","5', b'"""', b'"'])
def test_a_quote_that_is_never_closed_refuses_an_enclosed_file(line: bytes) -> None:
    found = read_block(ENCLOSED, b'"x","1"\n' + line + b"\n", 2)
    code, reason = refusal(found)
    assert code == Code.BROKEN_QUOTE
    assert "line 3 " in reason
    assert "Field enclosure: None" in reason
    assert found.ids.tolist() == [1]


def test_a_quote_that_is_closed_by_the_next_row_s_costs_both_rows() -> None:
    found = read_block(ENCLOSED, b'"x","1"\n"y","2\n"z","3"\n"x","4"\n', 2)
    assert found.ids.tolist() == [1, 4]
    assert [row.line for row in found.rejected_rows] == [3, 4]


def test_a_line_that_may_be_the_rest_of_a_broken_value_is_no_row() -> None:
    layout = Layout(columns=2, id_column=0, enclosed=True)
    found = read_block(layout, b'"1","a "b\n12,x\n\ny"\n"2","c"\n3,x\n', 2)
    assert found.ids.tolist() == [2, 3]
    assert [row.line for row in found.rejected_rows] == [2, 3, 5]


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r\r\n"])
def test_a_record_of_an_enclosed_file_may_take_several_lines(line_end: bytes) -> None:
    lines = [b'"a","1"', b'"b', b"12,77", b"", b'c ""d""","2"', b'"d","3"', b'"x"']
    found = read_block(ENCLOSED, b"".join(line + line_end for line in lines), 2)
    assert found.ids.tolist() == [1, 2, 3]
    assert [row.line for row in found.rejected_rows] == [8]


def test_a_record_of_several_lines_is_trusted_only_if_it_is_whole() -> None:
    for record in (b'"x\ny","5","6"\n', b'"x\ny"\n', b'"x","5\n6"\n'):
        found = read_block(ENCLOSED, record, 2)
        assert (found.ids.tolist(), found.rejected) == ([], 2)
    assert read_block(ENCLOSED, b'"x\ny",""\n', 2).empty_ids == 1


@pytest.mark.parametrize(("lines", "expected"), [(100, [5]), (101, [])])
def test_a_record_takes_a_hundred_lines_at_most(lines: int, expected: list[int]) -> None:
    found = read_block(ENCLOSED, b'"x' + b"\n" * (lines - 1) + b'","5"\n', 2)
    assert found.ids.tolist() == expected
    assert (found.found.fault is None) is bool(expected)


def test_a_record_takes_a_mebibyte_at_most() -> None:
    half = b"x" * 2**19
    assert ids(ENCLOSED, b'"' + half + b'\n","5"\n') == [5]
    assert refusal(read_block(ENCLOSED, b'"' + half + b"\n" + half + b'","5"\n', 2))[0] == Code.BROKEN_QUOTE


# Of a plain file the whole decides what quotes are.

SPAN = b'1001,"Flat 3\n12,Main Street"\n'
LONG_SPAN = b'1001,"Flat 3\n12,Main Street\nBasel"\n'


@pytest.mark.parametrize("rest", [b"", b"7,x\n", b'7,"x"\n8,"a ""b"", c"\n', b'7, "x" \n'])
@pytest.mark.parametrize("span", [SPAN, LONG_SPAN, b'1001, "Flat\n12,Main"  \n'])
def test_if_all_quotes_are_as_rfc_4180_has_them_a_span_is_one_record(span: bytes, rest: bytes) -> None:
    found = read_block(FIRST_OF_TWO, span + rest, 2)
    assert found.ids.tolist()[-1] == 1001
    assert 12 not in found.ids.tolist()
    assert found.rejected == 0


@pytest.mark.parametrize("rest", [b'7,5" screen\n', b'7,"Jim" Smith\n', b'7,John "JJ" Doe\n', b'7,"x"y"\n'])
def test_if_quotes_stand_otherwise_too_and_no_line_is_wrong_the_lines_of_a_span_are_rows(rest: bytes) -> None:
    assert sorted(ids(FIRST_OF_TWO, SPAN + rest)) == [7, 12, 1001]


@pytest.mark.parametrize("rest", [b'7,5" screen\n', b'7,"Jim" Smith\n'])
def test_if_neither_is_so_the_lines_of_the_spans_are_rejected(rest: bytes) -> None:
    found = read_block(FIRST_OF_TWO, SPAN + rest + LONG_SPAN, 2)
    assert found.ids.tolist() == [7]
    assert [row.line for row in found.rejected_rows] == [2, 3, 5, 6, 7]
    assert {row.reason for row in found.rejected_rows} == {OPEN_QUOTE}


def test_a_quote_that_stands_otherwise_in_the_last_line_of_a_span_counts() -> None:
    found = read_block(FIRST_OF_TWO, b'1001,"Flat\n12,Main",5" x\nBasel\n', 2)
    assert found.ids.tolist() == []
    assert found.rejected == 3


def test_a_cell_that_begins_with_a_quote_which_nothing_closes_is_ordinary() -> None:
    assert sorted(ids(FIRST_OF_TWO, b'1,"open\n2,"again\n3,x\n4,5" screen\n')) == [1, 2, 3, 4]
    rows = b"".join(b"%d,x\n" % one for one in range(100, 300))
    assert len(ids(FIRST_OF_TWO, b'1,"open\n' + rows)) == 201
    assert ids(SECOND_OF_TWO, b'"open,5\nx" y,6\n') == [5, 6]
    assert ids(FIRST_OF_TWO, b'5,"open\n') == [5]


def test_a_value_of_more_than_a_hundred_lines_refuses_the_file() -> None:
    found = read_block(FIRST_OF_TWO, b'1,"text\n' + b"Basel\n12,x\n" * 60 + b'end"\n', 2)
    assert refusal(found)[0] == Code.BROKEN_QUOTE


def test_a_span_that_the_end_of_the_file_cuts_off_is_rejected() -> None:
    found = read_block(FIRST_OF_TWO, b'7,x\n1001,"Flat 3\n12,Main Str\n', 2)
    assert found.ids.tolist() == [7]
    assert [row.line for row in found.rejected_rows] == [3, 4]


def test_ten_thousand_lines_wait_for_the_end_and_one_more_refuses_the_file() -> None:
    assert len(ids(FIRST_OF_TWO, SPAN * 5_000)) == 5_000
    code, reason = refusal(read_block(FIRST_OF_TWO, SPAN * 5_001, 2))
    assert code == Code.BROKEN_QUOTE
    assert "10,000 lines" in reason


def test_an_empty_id_before_a_value_of_several_lines_is_an_empty_id() -> None:
    found = read_block(FIRST_OF_TWO, b',"Flat 3\nBasel"\n', 2)
    assert (found.rows, found.empty_ids, found.first_fault) == (1, 1, None)


def test_blank_lines_between_quotes_are_no_rows() -> None:
    found = read_block(FIRST_OF_TWO, b'1,"x\n\ny"\n2,5" z\n', 2)
    assert (found.ids.tolist(), found.rejected, found.lines) == ([2], 2, 4)


def test_an_id_behind_a_quoted_value_with_a_comma_is_trusted_only_if_it_comes_first() -> None:
    assert ids(FIRST_OF_TWO, b'5,"Doe, Jane"\n') == [5]
    last = Layout(columns=3, id_column=2)
    for line in (b'"Doe, Jane",12', b'"Doe, Jane",12,5'):
        found = read_block(last, line + b"\n", 2)
        assert found.ids.tolist() == []
        assert found.rejected_rows[0].reason.endswith(MOVED_ID)


# A later header.

TITLED = Layout(columns=3, id_column=0, titles=("ctuserid", "zip", "state"))


@pytest.mark.parametrize(
    "line",
    [
        b"CTUserID,ZIP,STATE",
        b'"ctuserid","Zip","STATE"',
        b"\xef\xbb\xbfCTUserID,ZIP,STATE",
        b"\x1aCTUserID,ZIP,STATE",
        b" CTUSERID , zip, state ",
    ],
)
def test_the_same_titles_again_are_a_rejected_row(line: bytes) -> None:
    found = read_block(TITLED, line + b"\n5,x,y\n", 2)
    assert (found.ids.tolist(), found.rejected) == ([5], 1)


@pytest.mark.parametrize(
    "line",
    [
        b"ZIP,CTUserID,STATE",
        b"STATE,ZIP,x",
        b"ZIP,CTUserID",
        b'"STATE","CTUserID"',
        b"x,y,z,CTUserID",
        b"ZIP;CTUserID",
        b"ZIP,CTUserID\xe2\x80\x8b,STATE",
        b"ZIP,id,EMAIL",
        b"CTUserID,EMAIL,STATE",
        b"100030CTUserID,ZIP,STATE",
        b"100030,40ZIP,CTUserID,STATE",
        b"100030,4051\xef\xbb\xbfSTATE,CTUserID,ZIP",
        b"100030,Basel,7STATE,ctuserid,zip",
    ],
)
def test_other_titles_refuse_the_file(line: bytes) -> None:
    found = read_block(TITLED, b"100001,4051,BS\n" + line + b"\n4051,100031,BS\n", 2)
    code, reason = refusal(found)
    assert code == Code.SECOND_HEADER
    assert "Line 3 " in reason
    assert found.ids.tolist() == [100001]


def test_titles_behind_what_is_left_of_a_row_refuse_the_file_also_without_ctuserid() -> None:
    layout = Layout(columns=2, id_column=0, titles=("id", "CITY"))
    assert refusal(read_block(layout, b"100001,7CITY,id\n7,100002\n", 2))[0] == Code.SECOND_HEADER


BREAKS = ["\r", "\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029", "\x1a", "\ufeff"]
OTHER_ENDS = [*BREAKS, "\x1f", "\u200b"]


@pytest.mark.parametrize("end", OTHER_ENDS)
@pytest.mark.parametrize(
    ("layout", "lines"),
    [
        (TITLED, "ZIP,STATE,CTUserID{}4051,BS,100031\n"),
        (TITLED, "ZIP,STATE,CTUserID{}\n4051,BS,100031\n"),
        (TITLED, "100030,4051,BS{0}ZIP,STATE,CTUserID{0}4051,BS,100031\n"),
        (Layout(columns=1, id_column=0, titles=("CTUserID",)), "ZIP,CTUserID{}4051,100031\n"),
        (Layout(columns=2, id_column=1, titles=("ZIP", "CTUserID")), "CTUserID,ZIP{}100031,4051\n"),
        (
            Layout(columns=2, id_column=0, enclosed=True, titles=("CTUserID", "ZIP")),
            '"ZIP","CTUserID"{}"4051","100031"\n',
        ),
        (Layout(columns=2, id_column=0, enclosed=True, titles=("CTUserID", "ZIP")), "ZIP,CTUserID{}4051,100031\n"),
        (
            Layout(columns=2, id_column=0, enclosed=True, titles=("CTUserID", "ZIP")),
            '"100030","x"y\nZIP,CTUserID{}4051,100031\n',
        ),
    ],
)
def test_other_titles_refuse_the_file_whatever_ends_their_line(layout: Layout, lines: str, end: str) -> None:
    found = read_block(layout, lines.format(end).encode() + b"4052,100032\n", 2)
    assert refusal(found)[0] == Code.SECOND_HEADER


@pytest.mark.parametrize("end", BREAKS)
def test_the_same_titles_again_are_a_rejected_row_whatever_ends_their_line(end: str) -> None:
    found = read_block(TITLED, f"1,x,y\nCTUserID,ZIP,STATE{end}\n5,x,y{end}\n".encode(), 2)
    assert found.found.fault is None
    assert found.rejected == 1 + (end == "\x0e")
    assert found.ids.tolist()[-1] == 5


@pytest.mark.parametrize(
    "line",
    [
        "ZIP,\u201cCTUserID\u201d",
        'ZIP,="CTUserID"',
        "ZIP,\ufffeCTUserID",
        "ZIP,CTUser\u200bID",
        "ZIP,CT_User_ID",
        "ZIP,CTUserID:",
        "\u00ef\u00bb\u00bfCTUserID,x",
    ],
)
def test_a_spoiled_title_of_the_ids_refuses_the_file_as_well(line: str) -> None:
    assert refusal(read_block(TITLED, line.encode() + b"\n", 2))[0] == Code.SECOND_HEADER


@pytest.mark.parametrize("line", [b",please mend my CTUserID now,x", b",CTUserID unknown,x", b"NULL,the user's id,zip"])
def test_the_contract_s_title_in_a_sentence_is_a_value(line: bytes) -> None:
    found = read_block(TITLED, line + b"\n5,x,y\n", 2)
    assert (found.found.fault, found.ids.tolist()) == (None, [5])


PLAIN_TWO = Layout(columns=2, id_column=0, titles=("CTUserID", "CITY"))


@pytest.mark.parametrize("odd", [b"", b'7,5" x\n'])
@pytest.mark.parametrize(
    ("layout", "header"),
    [
        (PLAIN_TWO, b'"ZIP\ncode",CTUserID\n'),
        (PLAIN_TWO, b'"ZIP\n\ncode","CTUserID"\n'),
        (PLAIN_TWO, b'"ZIP\r\ncode",CTUserID\r\n'),
        (PLAIN_TWO, b'"ZIP\rcode",CTUserID\n'),
        (PLAIN_TWO, b'CITY,"CTUserID\n"\n'),
        (PLAIN_TWO, b'"ZIP\ncode",CITY,ID\n'),
        (Layout(columns=2, id_column=1, titles=("ZIP code", "id")), b'id,"ZIP\ncode"\n'),
        (Layout(columns=3, id_column=2, titles=("A", "CITY", "id")), b'"a, b",id\nid,CITY\n'),
    ],
)
def test_titles_of_several_lines_refuse_a_plain_file(layout: Layout, header: bytes, odd: bytes) -> None:
    found = read_block(layout, odd + header + b"4051,800001\n", 2)
    assert refusal(found)[0] == Code.SECOND_HEADER


def test_titles_of_several_lines_refuse_an_enclosed_file() -> None:
    layout = Layout(columns=2, id_column=1, enclosed=True, titles=("ZIP code", "id"))
    assert refusal(read_block(layout, b'"id","ZIP\ncode"\n"800001","4051"\n', 2))[0] == Code.SECOND_HEADER
    assert read_block(layout, b'"ZIP\ncode","id"\n"4051","800001"\n', 2).ids.tolist() == [800001]


def test_a_value_of_several_lines_behind_an_id_may_hold_the_contract_s_title() -> None:
    assert ids(PLAIN_TWO, b'1001,"x\nCTUserID"\n5,x\n') == [5, 1001]


GLUED = Layout(columns=3, id_column=0, titles=("CTUserID", "CITY", "AGE"))


@pytest.mark.parametrize(
    "line",
    [
        "700030,Basel,44CITY,ID",
        "700030,BaselCITY,ZIP,id",
        "700030,BaselZIP,CITY,Id",
        "7000CITY,x,ID",
        "700030,BASELCITY,x,ID",
        "700030,BaselAGE,x,ID",
        "700030,4AGE,x,ID",
        "700030,,CITY,ID",
        "700030,BaselID,CITY,x",
        '700030,Basel"CITY","x","ID"',
    ],
)
def test_other_titles_behind_what_is_left_of_a_row_refuse_the_file(line: str) -> None:
    assert refusal(read_block(GLUED, line.encode() + b"\n4051,x,800001\n", 2))[0] == Code.SECOND_HEADER


@pytest.mark.parametrize(
    "line", [b"100002,N/AZIPCTUserID", b"100002,ZIPCTUSERID", b"100002,4051ctuserid", b'100002,"N/A""ZIP""CTUserID"']
)
@pytest.mark.parametrize("enclosed", [False, True])
def test_titles_without_commas_behind_a_whole_row_refuse_the_file(line: bytes, enclosed: bool) -> None:  # noqa: FBT001
    layout = Layout(columns=2, id_column=0, enclosed=enclosed, titles=("CTUserID", "ZIP"))
    for rows in (b"", b"100001,4051\n", b"100001,D\n100003,x d\n100004,\n"):
        block = rows + line + b"\n4051,100005\n"
        for read in (read_rows, read_rows_at_once):
            assert refusal(read_block(layout, block, 2, read=read))[0] == Code.SECOND_HEADER


@pytest.mark.parametrize("line", ["4051,100002CTUserIDZIP", "4051,1ctuserid\u200bZIP", '"4051","100002""CTUserIDZIP"'])
def test_titles_without_commas_behind_an_id_refuse_the_file(line: str) -> None:
    layout = Layout(columns=2, id_column=1, titles=("ZIP", "CTUserID"))
    assert refusal(read_block(layout, line.encode() + b"\n100003,4051\n", 2))[0] == Code.SECOND_HEADER
    assert ids(layout, b"x,5 CTUserIDs\nx,CTUserID=5\nx,7\n") == [7]


@pytest.mark.parametrize("line", [b"5,CTUserID", b'5,"CTUserID"', b"5,USERID", b"5,ZIPCTUserID ", b"5,ZIPCTUserID1"])
def test_a_value_that_is_the_title_alone_or_only_like_it_is_a_value(line: bytes) -> None:
    layout = Layout(columns=2, id_column=0, titles=("CTUserID", "ZIP"))
    for read in (read_rows, read_rows_at_once):
        assert read_block(layout, line + b"\n", 2, read=read).ids.tolist() == [5]


@pytest.mark.parametrize(
    "line",
    [
        *("700030,Kansas City,ID,44", "700030,Kansas City,44,ID", "700030,KANSAS CITY,44,ID", "700030,VILLAGE,44,ID"),
        *("700030,Village,x,ID", "700030,Madrid,CITY,x", "700030,Felicity,ID,44", "700030,x,CITY,44"),
        *("700030,FELICITY,44,x", "700030,AGE,44,x"),
    ],
)
def test_a_value_that_ends_like_a_title_is_a_value(line: str) -> None:
    assert ids(GLUED, line.encode() + b"\n") == [700030]


@pytest.mark.parametrize(
    "line", [b",83702,ID", b"NULL,83702,id", b",Garden State,ID", b",x,my zip", b"zip,state,42,x", b"\x1ax,y,zip state"]
)
def test_a_lone_title_among_values_is_a_value(line: bytes) -> None:
    found = read_block(TITLED, line + b"\n5,x,CTUserID\n6,zip,state\n", 2)
    assert found.found.fault is None
    assert found.ids.tolist() == [5, 6]


def test_titles_in_a_broken_row_of_an_enclosed_file_refuse_it() -> None:
    layout = Layout(columns=2, id_column=1, enclosed=True, titles=("zip", "ctuserid"))
    assert refusal(read_block(layout, b'"1","2"\n"4051"CTUserID,ZIP\n', 2))[0] == Code.SECOND_HEADER


def test_titles_between_quotes_that_turn_out_to_be_ordinary_refuse_the_file() -> None:
    layout = Layout(columns=2, id_column=0, titles=("ctuserid", "zip"))
    block = b'1,"a\nZIP,CTUserID\n4051,"2\n7,b"\n8,5" x\n'
    assert refusal(read_block(layout, block, 2))[0] == Code.SECOND_HEADER
