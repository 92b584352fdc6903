"""The reader of whole files: nothing lost, nothing invented, however long the file and however it is cut."""

import tracemalloc
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctsftp.contract.codes import Code, Fault, Notice
from ctsftp.contract.counting import some
from ctsftp.contract.header import SNIFF_BYTES
from ctsftp.contract.reader import HEAD_BYTES, CsvReader, RejectedRow, inspect_head

HEAD_CODES = {Code.PACKED, Code.EMPTY_FILE, Code.CHARSET, Code.DELIMITER, Code.NO_HEADER, Code.NO_ID_COLUMN}
PADDING = b"\n" * SNIFF_BYTES  # blank lines: the head is complete, and no row was read
BLANK_LINES = (b" " * 127 + b"\n") * (SNIFF_BYTES // 128)  # the same in fewer lines


@dataclass
class Result:
    ids: list[int]
    fault: Fault | None
    rows: int
    accepted: int
    rejected: int
    empty_ids: int
    rejected_rows: list[RejectedRow] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)

    @property
    def code(self) -> Code | None:
        return self.fault.code if self.fault else None

    @property
    def notice_codes(self) -> list[Code]:
        return [notice.code for notice in self.notices]


def read(*blocks: bytes, max_rows: int = 1_000_000, max_line_bytes: int = 2**20) -> Result:
    reader = CsvReader(max_rows=max_rows, max_line_bytes=max_line_bytes)
    parts = [reader.feed(block) for block in blocks]
    parts.append(reader.finish())
    for part in parts:
        assert (part.dtype, part.ndim, part.flags.c_contiguous) == (np.dtype("int64"), 1, True)
    ids = np.concatenate(parts).tolist()
    assert len(ids) == reader.accepted
    assert reader.rows == reader.accepted + reader.rejected
    assert reader.accepted <= reader.max_ids(sum(map(len, blocks)))
    return Result(
        ids=ids,
        fault=reader.fault,
        rows=reader.rows,
        accepted=reader.accepted,
        rejected=reader.rejected,
        empty_ids=reader.empty_ids,
        rejected_rows=reader.rejected_rows,
        notices=reader.notices,
    )


def test_the_ids_of_a_plain_export_are_read() -> None:
    found = read(b"EMAIL,CTUserID\na@example.com,3\nb@example.com,1\nc@example.com,3\n")
    assert found.ids == [3, 1, 3]
    assert (found.rows, found.accepted, found.rejected) == (3, 3, 0)
    assert (found.fault, found.notices, found.rejected_rows) == (None, [], [])


def test_quotes_of_both_kinds_set_the_rows_between_those_that_open_and_close_aside_and_say_so() -> None:
    rows = b"".join(b"%d,Basel\n" % one for one in range(1, 41))
    found = read(b"CTUserID,CITY\n" + rows + b'41,5" screen\n42,"Flat 3\n12,Main,Street"\n')
    assert (found.ids, found.rejected) == ([*range(1, 42)], 2)
    [told] = found.notices
    assert (told.code, "(line 43)" in told.text, "(line 42)" in told.text) == (Code.ENCLOSURE, True, True)
    assert "these lines were rejected" in told.text


def test_a_warning_says_that_lines_between_quotes_were_rejected_and_not_that_they_were_read() -> None:
    rows = b"".join(b"%d\n" % one for one in range(700_001, 700_031))
    found = read(b"CTUserID\n" + rows + b'"700\n031"\n')
    assert (found.rejected, found.notice_codes) == (2, [Code.ENCLOSURE])
    assert "(line 32), and what they enclose is not a row: these lines were rejected" in found.notices[0].text
    also_read = read(b"CTUserID,CITY\n" + rows.replace(b"\n", b',"a\nb"\n') + b'"700\n031"\n')
    assert "these lines were rejected" in also_read.notices[0].text
    assert "they were read without" in read(b"CTUserID,CITY\n" + b'1,"a\nb"\n').notices[0].text


def test_a_warning_tells_that_lines_between_quotes_were_read_as_rows() -> None:
    found = read(b'CTUserID,CITY\n700099,14" TV\n700100,"Flat 3\n12,Main"\n')
    assert sorted(found.ids) == [12, 700_099, 700_100], "nobody can tell, and the page on what we cannot know says so"
    assert found.notice_codes == [Code.ENCLOSURE]
    assert "(line 3) were read as text, since others are part of a value (line 2)" in found.notices[0].text


def test_a_header_alone_is_a_list_without_members() -> None:
    assert read(b"CTUserID\n") == Result([], None, 0, 0, 0, 0)
    assert read(b"CTUserID\n\n\r\n \n").rows == 0


def test_an_id_is_handed_over_as_soon_as_another_one_follows() -> None:
    reader = CsvReader()
    assert reader.feed(b"CTUserID\n" + PADDING).tolist() == []
    assert reader.feed(b"1\n2\n3").tolist() == [1]
    assert reader.feed(b"4").tolist() == []
    assert reader.feed(b"").tolist() == []
    assert reader.feed(b"\n5").tolist() == [2]
    assert reader.finish().tolist() == [34, 5]


def test_a_block_of_any_length_is_read_whole() -> None:
    reader = CsvReader(max_line_bytes=100)
    reader.feed(b"CTUserID\n" + PADDING)
    assert reader.feed(b"1\n" * 60 + b"2\n" * 30 + b"3\n").tolist() == [1] * 60 + [2] * 30


def test_line_numbers_are_physical_across_blocks() -> None:
    found = read(b"CTUserID\n" + PADDING, b"x", b"\n\n", b"y\n", *[b"1\n"] * 18)
    assert [(row.line, row.value) for row in found.rejected_rows] == [(SNIFF_BYTES + 2, "x"), (SNIFF_BYTES + 4, "y")]


@pytest.mark.slow
@pytest.mark.parametrize("tail", [b"2", b"2\r", b" 2 "])
def test_a_last_line_without_a_line_break_is_read_with_a_warning(tail: bytes) -> None:
    found = read(b"CTUserID\n1\n" + tail)
    assert found.ids == [1, 2]
    assert found.notice_codes == [Code.NO_LAST_NEWLINE]
    assert read(b"CTUserID\r\n1\r\n").notices == []
    assert read(b"CTUserID").notice_codes == [Code.NO_LAST_NEWLINE]
    assert read(b"CTUserID\n" + PADDING, b"7").ids == [7]
    assert read(b"CTUserID\n" + PADDING, b"7").notice_codes == [Code.NO_LAST_NEWLINE]
    assert read(b"CTUserID\n" + PADDING, b"7", b"\n").notices == []


def test_bytes_that_are_not_utf8_in_an_ignored_column_are_a_warning() -> None:
    found = read(b"EMAIL,CTUserID\nx,1\ncaf\xe9,2\n\xff,3\n")
    assert found.ids == [1, 2, 3]
    assert found.notice_codes == [Code.NOT_UTF8]
    assert "Line 3 " in found.notices[0].text
    assert "Character Set: UTF-8" in found.notices[0].text
    assert "Line 1 " in read(b"caf\xe9,CTUserID\n").notices[0].text
    assert read("Prénom,CTUserID\nÉté 会員 🎉,1\n".encode()).notices == []
    assert "Line 65,539 " in read(b"EMAIL,CTUserID\n" + PADDING, b"\n\xff,1\n").notices[0].text
    assert "Line 65,539 " in read(b"EMAIL,CTUserID\n" + PADDING, b"x,1\n", b"\xff,1\n").notices[0].text


def test_enclosed_values_are_a_warning_that_names_the_field() -> None:
    for data, line in [
        (b'"CTUserID"\n"1"\n', 1),
        (b'"CTUserID",EMAIL\n1,x\n', 1),
        (b'CTUserID\n1\n"1"\n', 3),
    ]:
        found = read(data)
        assert set(found.ids) == {1}
        assert found.notice_codes == [Code.ENCLOSURE]
        assert f"(line {line})" in found.notices[0].text
        assert "Field enclosure: None" in found.notices[0].text
    assert read(b'CTUserID,EMAIL\n1,"x"\n').notices == []


def test_warnings_come_once_each_and_in_the_order_of_their_codes() -> None:
    found = read(b'\xef\xbb\xbf"CTUserID","x"\n"1","\xff"\n"1","\xff"')
    assert found.ids == [1, 1]
    assert found.notice_codes == [Code.BYTE_ORDER_MARK, Code.NOT_UTF8, Code.NO_LAST_NEWLINE, Code.ENCLOSURE]


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"])
def test_a_line_of_the_limit_is_read_and_a_longer_one_refuses_the_file(line_end: bytes) -> None:
    row = b"5," + b"x" * (100 - 2 - len(line_end) + 1)
    assert read(b"CTUserID,y\n" + PADDING + row + line_end, max_line_bytes=100).ids == [5]
    found = read(b"CTUserID,y\n" + PADDING + b"4,y\n" + row + b"x" + line_end + b"6,y\n", max_line_bytes=100)
    assert (found.code, found.ids, found.rows) == (Code.LINE_TOO_LONG, [4], 1)
    assert found.fault is not None
    assert "Line 65,539 is longer than 100 bytes" in found.fault.reason


def test_a_last_line_without_end_may_be_too_long_as_well() -> None:
    assert read(b"CTUserID\n" + b"7" * 101, max_line_bytes=100).code == Code.LINE_TOO_LONG
    assert read(b"CTUserID,x\n1,a\n" + b"7," + b"x" * 98, max_line_bytes=100).ids == [1, 7]


def test_a_nul_anywhere_refuses_the_file_and_what_stands_before_it_counts() -> None:
    found = read(b"CTUserID\n" + PADDING + b"1\n2\n3\0\n4\n")
    assert (found.code, found.ids) == (Code.CHARSET, [1, 2])
    assert found.fault is not None
    assert "Line 65,540 " in found.fault.reason
    assert read(b"CTUserID\n" + PADDING, b"1\n", b"\0").code == Code.CHARSET
    assert read(b"CTUserID\n" + PADDING + b"1\n2" * 60 + b"\0", max_line_bytes=100).code == Code.CHARSET
    assert read(b"CTUserID\n" + PADDING + b"1" * 101 + b"\0", max_line_bytes=100).code == Code.LINE_TOO_LONG


def test_as_many_rows_as_allowed_are_read_and_one_more_refuses_the_file() -> None:
    exact = read(b"CTUserID\n1\n\n2\n3\n\n", max_rows=3)
    assert (exact.code, exact.ids) == (None, [1, 2, 3])
    found = read(b"CTUserID\n1\n\n2\n3\n\n4\n5\n", max_rows=3)
    assert (found.code, found.ids, found.rows) == (Code.TOO_LARGE, [1, 2, 3], 3)
    assert found.fault is not None
    assert "more than 3 rows" in found.fault.reason
    assert read(b"CTUserID\n1\n2", max_rows=1).code == Code.TOO_LARGE
    assert read(b"CTUserID\nx\n1\n", max_rows=1).code == Code.TOO_LARGE


@pytest.mark.parametrize(
    ("valid", "bad", "empty", "is_refused"),
    [
        (9, 1, 0, False),
        (8, 1, 0, True),
        (18, 2, 0, False),
        (17, 2, 0, True),
        (0, 1, 0, True),
        (0, 0, 100, False),
        (9, 1, 100, False),
        (8, 1, 100, True),
    ],
)
def test_more_than_a_tenth_of_bad_rows_refuses_the_file_whatever_the_empty_ids(
    valid: int,
    bad: int,
    empty: int,
    is_refused: bool,  # noqa: FBT001
) -> None:
    found = read(b"CTUserID,x\n" + b",x\n" * empty + b"1,x\n" * valid + b"1.23E+10,x\n" * bad)
    assert (found.rows, found.rejected, found.empty_ids) == (valid + bad + empty, bad + empty, empty)
    assert (found.code == Code.TOO_MANY_REJECTED) == is_refused
    if found.fault:
        assert f"{bad} of {some(valid + bad, 'row')} with" in found.fault.reason
        assert f'line {2 + empty + valid}, "1.23E+10", the id is a decimal number' in found.fault.reason


def test_the_first_bad_row_is_told_across_blocks() -> None:
    found = read(b"CTUserID,x\n" + PADDING, b",x\n", b"NULL,x\n", b"-1,x\n")
    assert found.fault is not None
    assert f'line {SNIFF_BYTES + 3:,}, "NULL"' in found.fault.reason


def test_a_thousand_rejected_rows_are_kept_and_all_are_counted() -> None:
    blocks = [b"CTUserID,x\n" + PADDING, b",x\n" * 700, b"NULL,x\n" * 700, b"1,x\n" * 7_000, b"-1,x\n"]
    found = read(*blocks)
    assert (found.rejected, found.empty_ids, found.accepted) == (1_401, 700, 7_000)
    assert [row.line - SNIFF_BYTES for row in found.rejected_rows] == list(range(2, 1_002))


def test_once_a_fault_is_found_nothing_more_is_read() -> None:
    reader = CsvReader()
    reader.feed(b"RIID_\n" + PADDING)
    assert reader.fault is not None
    before = reader.fault
    assert reader.feed(b"CTUserID\n1\n" + PADDING).tolist() == []
    assert reader.finish().tolist() == []
    assert (reader.fault, reader.rows) == (before, 0)


def test_finishing_twice_changes_nothing() -> None:
    reader = CsvReader()
    reader.feed(b"CTUserID\n1")
    assert reader.finish().tolist() == [1]
    assert reader.finish().tolist() == []
    assert (reader.rows, reader.fault) == (1, None)


def test_an_empty_file_is_refused_when_it_ends() -> None:
    assert read().code == Code.EMPTY_FILE
    assert read(b"", b"").code == Code.EMPTY_FILE


def test_the_bound_of_ids_follows_from_the_header() -> None:
    reader = CsvReader(max_rows=1_000)
    assert reader.max_ids(11) == 6
    reader.feed(b"EMAIL,CTUserID,x\n" + PADDING)
    assert reader.max_ids(17 + 3 * 4) == 3
    assert reader.max_ids(17 + 3 * 4 - 1) == 3
    assert reader.max_ids(17 + 3 * 4 + 2) == 3
    assert reader.max_ids(10**9) == 1_000
    reader = CsvReader()
    reader.feed(b"CTUserID\n" + PADDING)
    assert reader.max_ids(8) == 0


def test_a_line_of_a_hundred_mebibytes_is_refused_in_the_memory_of_a_few() -> None:
    block = b"7" * 2**20
    reader = CsvReader()
    tracemalloc.start()
    try:
        reader.feed(b"CTUserID\n")
        for _ in range(100):
            reader.feed(block)
        reader.finish()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert reader.fault is not None
    assert reader.fault.code == Code.LINE_TOO_LONG
    assert peak < 8 * 2**20


@pytest.mark.slow
def test_a_file_of_nothing_but_rejected_rows_is_read_in_bounded_memory() -> None:
    block = b"x\n" * 2**14
    reader = CsvReader()
    reader.feed(b"CTUserID\n" + PADDING)
    tracemalloc.start()
    try:
        reader.feed(block)
        reader.feed(block)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert reader.rejected == 2**15
    assert peak < 4 * 2**20


# Files made of everything that is peculiar, and small limits, so that each is met.

ROWS = [b"1,x\n", b"5\r\n", b'"5","y"\n', b"NULL,x\n", b",x\n", b"x,7\n", b"\n", b"x" * 110, b"9" * 19]
HEADERS = [b"CTUserID\n", b"CTUserID,x\n", b"x,CTUserID\r\n", b'"x","CTUserID"\n', b"x\tCTUserID\n", b"RIID_\n"]
SPECKS = [b"\xff", b"\0", b"\r", b",", b'"', b" ", b"1", b";", b"x", b"\xef\xbb\xbf", b"\x1f\x8b", b"CTUserID"]
FRAGMENTS = st.one_of(st.sampled_from(ROWS), st.sampled_from(SPECKS), st.sampled_from(HEADERS))
FILES = st.lists(FRAGMENTS, max_size=30).map(b"".join)
STARTS = st.sampled_from([b"", *HEADERS[:4]])


@pytest.mark.slow
@given(STARTS, st.booleans(), FILES, st.lists(st.integers(0, 400), max_size=6), st.data())
def test_what_is_found_depends_on_the_file_and_not_on_its_blocks(
    start: bytes,
    is_long: bool,  # noqa: FBT001
    rest: bytes,
    cuts: list[int],
    data: st.DataObject,
) -> None:
    head = start + (BLANK_LINES if is_long else b"")
    file = head + rest
    places = sorted({0, len(file), *(min(len(file), len(head) + cut) for cut in cuts)})
    blocks = [file[begin:end] for begin, end in pairwise(places)]
    max_rows, max_line_bytes = data.draw(st.integers(1, 20)), data.draw(st.integers(200, 240))
    whole = read(file, max_rows=max_rows, max_line_bytes=max_line_bytes)
    assert read(*blocks, max_rows=max_rows, max_line_bytes=max_line_bytes) == whole


@given(STARTS, FILES)
def test_close_and_the_reader_find_the_same_in_the_first_bytes(start: bytes, rest: bytes) -> None:
    data = start + rest
    at_close = inspect_head(data[:HEAD_BYTES], complete=len(data) <= HEAD_BYTES)
    found = read(data)
    if at_close:
        assert found.fault == at_close
        assert found.rows == 0
    else:
        assert found.code not in HEAD_CODES


IDS = st.lists(st.integers(1, 2**63 - 1), max_size=50)


FORMS = st.tuples(
    st.sampled_from([b"", b"\xef\xbb\xbf"]),
    st.sampled_from([b"\n", b"\r\n"]),
    st.sampled_from([b"%d", b" %d ", b'"%d"']),
)


@given(IDS, FORMS, st.integers(0, 2), st.booleans())
def test_every_export_in_the_agreed_form_is_read_exactly(
    ids: list[int],
    form: tuple[bytes, bytes, bytes],
    at: int,
    has_last_end: bool,  # noqa: FBT001
) -> None:
    mark, line_end, cell_form = form

    def row(cell: bytes) -> bytes:
        cells = [b"a@example.com", 'x"é会'.encode()]
        cells.insert(at, cell)
        return b",".join(cells)

    lines = [row(b"CTUserID"), *(row(cell_form % member) for member in ids)]
    found = read(mark + line_end.join(lines) + (line_end if has_last_end else b""))
    assert found.fault is None
    assert found.ids == ids
    assert found.rejected == 0


@pytest.mark.parametrize(
    ("content", "setting"),
    [
        (b"CTUserID,x\nNULL,x\n", "Select Object: a data source whose CTUserID column holds whole numbers only"),
        (b"CTUserID\n20,000,123\n", "Select Object: a data source whose CTUserID column holds whole numbers only"),
        (b"CTUserID,x\n1\n", "Select Object: a data source without columns whose values hold line breaks"),
        (b"x,CTUserID\nDoe, Jane,5\n", "Select Object: a data source whose first column is CTUserID"),
        (b'"CTUserID","x"\n"1,"x"\n', "Field enclosure: None"),
    ],
)
def test_the_setting_to_change_is_the_one_that_spoils_the_rows(content: bytes, setting: str) -> None:
    found = read(content).fault
    assert found is not None
    assert found.code == Code.TOO_MANY_REJECTED
    assert found.reason.endswith(f"In the Connect job's form, set {setting}.")
