"""The last row: a footer that is none of the members, one that may be, and ids that only look like one."""

import pytest

from ctsftp.contract.reader import CsvReader
from ctsftp.contract.reasons import FOOTER

G30 = [b"%d" % one for one in range(100_001, 100_031)]


def read(*blocks: bytes) -> tuple[list[int], CsvReader]:
    reader = CsvReader()
    ids = [one for block in blocks for one in reader.feed(block).tolist()]
    ids += reader.finish().tolist()
    assert len(ids) == reader.accepted == reader.rows - reader.rejected
    return ids, reader


def export(header: bytes, rows: list[bytes], *more: bytes) -> bytes:
    return b"".join(line + b"\n" for line in (header, *rows, *more))


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"])
@pytest.mark.parametrize(
    "data",
    [
        export(b"CTUserID,CITY", [one + b",Basel" for one in G30], b"30,"),
        export(b"CTUserID,CITY", [one + b",Basel" for one in G30], b'"30",""'),
        export(b"CTUserID,CITY", [one + b",Basel" for one in G30], b"31, "),
        export(b"CTUserID,CITY", [one + b",Basel" for one in G30], b"", b"30,Basel"),
        export(b"CITY,CTUserID", [b"Basel," + one for one in G30], b",0030", b"", b" "),
        export(b"CTUserID", G30, b"", b"30"),
        export(b"CTUserID", G30, b" ", b"30", b"\x1a"),
        export(b'"CTUserID","CITY"', [b'"' + one + b'","Basel"' for one in G30], b'"30",""'),
        export(b"CTUserID,CITY", [one + b",Basel" for one in G30], b"30,,"),
        export(b"CTUserID,CITY", [one + b",Basel" for one in G30], b'30, ,"",'),
        export(b"CTUserID,CITY", [one + b",Basel" for one in G30], b"", b"30,,"),
        export(b"CTUserID", G30, b"30,"),
        export(b"CTUserID", G30, b"31,,"),
        export(b"CTUserID", G30, b"", b"30,records"),
        export(b'"CTUserID","CITY"', [b'"' + one + b'","Basel"' for one in G30], b'"30","",""'),
    ],
)
def test_a_footer_is_a_rejected_row_that_spoils_nothing(data: bytes, line_end: bytes) -> None:
    data = data.replace(b"\n", line_end)
    ids, reader = read(data)
    assert ids == list(range(100_001, 100_031))
    assert reader.fault is None
    assert (reader.footer, reader.rejected) == ("", 1)
    [row] = reader.rejected_rows
    assert row.reason == FOOTER
    assert data.split(b"\n")[row.line - 1].strip(b'\r, "').lstrip(b"0").startswith((b"30", b"31"))
    assert read(*(data[at : at + 1] for at in range(len(data))))[0] == ids


LINES = [b"CTUserID,CITY", *(one + b",Basel" for one in G30)]
ID_LAST = [b"CITY,CTUserID", *(b"Basel," + one for one in G30)]
QUOTED = [b'"CTUserID","CITY"', *(b'"' + one + b'","Basel"' for one in G30)]


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"])
@pytest.mark.parametrize(
    "lines",
    [
        [*LINES, b",", b"30,"],
        [*LINES, b"30,", b","],
        [*LINES, b",", b"30,", b",", b"", b",,"],
        [*LINES[:9], b",", *LINES[9:], b"30,", b" , "],
        [*LINES, b",", b"31,"],
        [*LINES, b"", b"30,x", b","],
        [*LINES, b"30,\xc2\xa0", b",\xc2\xa0", b",\x0b"],
        [b"CTUserID", *G30, b",", b"30,"],
        [b"CTUserID", *G30, b"30,,", b","],
        [*ID_LAST, b",", b",30"],
        [*ID_LAST, b",30", b",", b",,"],
        [*QUOTED, b'"",""', b'"30",""'],
        [*QUOTED, b'"30",""', b'"",""', b'" ",""'],
    ],
)
def test_rows_of_commas_only_neither_hide_a_footer_nor_are_one(lines: list[bytes], line_end: bytes) -> None:
    data = b"".join(line + line_end for line in lines)
    ids, reader = read(data)
    assert ids == list(range(100_001, 100_031))
    assert (reader.fault, reader.footer) == (None, "")
    [row] = [row for row in reader.rejected_rows if row.reason == FOOTER]
    assert lines[row.line - 1].strip(b'\xc2\xa0, "') in {b"30", b"31", b"30,x"}
    assert [row.line for row in reader.rejected_rows] == sorted(row.line for row in reader.rejected_rows)
    assert read(*(data[at : at + 1] for at in range(len(data))))[0] == ids


def test_a_row_of_commas_only_before_a_count_is_no_blank_line() -> None:
    ids, reader = read(export(b"CTUserID,CITY", LINES[1:], b",", b"30,x", b","))
    assert ids[-1] == 30
    assert reader.footer


def test_contacts_without_an_id_are_rows_that_a_footer_counts() -> None:
    contacts = [b",x"] * 5 + [b","] * 5
    for last, is_footer in ((b"40,", True), (b"35,", True), (b"37,", False), (b"30,", False)):
        ids, _ = read(export(b"CTUserID,CITY", [*LINES[1:], *contacts], last))
        assert (len(ids) == 30) == is_footer


def test_an_open_quote_in_the_last_row_does_not_hide_the_blank_line_before_it() -> None:
    data = export(b"CTUserID,A", [one + b",x" for one in G30], b"", b'30,"open')
    assert FOOTER in {row.reason for row in read(data)[1].rejected_rows}
    assert read(*(data[at : at + 1] for at in range(len(data))))[0] == read(data)[0]


def test_a_footer_behind_a_long_file_is_found_in_its_block() -> None:
    rows = [b"%d,x" % one for one in range(10**6, 10**6 + 9_999)]
    data = export(b"CTUserID,A", rows)
    ids, reader = read(data, b"\n", b"9999,y\n", b"\n")
    assert len(ids) == 9_999
    assert [(row.line, row.reason) for row in reader.rejected_rows] == [(10_002, FOOTER)]


def test_footers_do_not_count_towards_the_share_of_rejected_rows() -> None:
    rows = [*(one + b",x" for one in G30[:9]), b"bad,x"]
    _, reader = read(export(b"CTUserID,CITY", rows, b"10,"))
    assert (reader.fault, reader.rejected) == (None, 2)


@pytest.mark.parametrize("last", [b"30", b"31", b"0030"])
def test_a_last_row_that_may_be_a_count_is_told_and_stays_a_member(last: bytes) -> None:
    ids, reader = read(export(b"CTUserID", G30, last))
    assert ids[-1] == int(last)
    assert f"{last.decode()}, is the number of rows" in reader.footer
    assert read(export(b"CTUserID,A", [one + b",x" for one in G30], b"30,x"))[1].footer


@pytest.mark.parametrize("last", [b"30,records", b"30,records,", b"31,a,b", b'30,"records"'])
def test_a_last_row_with_more_cells_than_titles_may_be_a_count_as_well(last: bytes) -> None:
    ids, reader = read(export(b"CTUserID", G30, last))
    assert ids[-1] in {30, 31}
    assert reader.footer
    assert read(export(b"CTUserID,A", [one + b",x" for one in G30], last.replace(b",", b",x,")))[1].footer


@pytest.mark.parametrize(
    "spoiled",
    [
        [b"700\xe2\x80\xa8031,Basel"],
        [b"100031,Ba", b"sel"],
        [b"\xef\xbb\xbf"],
        [b'100031,"Flat', b'Basel"'],
        [b'100031,"Fl,at', b'Basel"', b'100032,5" x'],
    ],
)
def test_a_footer_counts_rows_as_its_writer_did_and_not_their_pieces(spoiled: bytes) -> None:
    count = 30 + sum(b"," in line for line in spoiled)
    data = export(b"CTUserID,CITY", [*(one + b",Basel" for one in G30), *spoiled], b"%d," % count)
    ids, reader = read(data)
    assert count not in ids
    assert FOOTER in {row.reason for row in reader.rejected_rows}
    assert read(data[:-4], data[-4:])[0] == ids
    assert read(data, b"\xef\xbb\xbf\n", b"\x1d\n", b"\x1a")[0] == ids


def test_a_rejected_last_row_is_no_footer_of_an_id_before_it() -> None:
    rows = [one + b",x" for one in G30]
    ids, reader = read(export(b"CTUserID,A", [*rows, b"31,x", b"31,000,x"]))
    assert (ids[-1], reader.footer, reader.rejected) == (31, "", 1)


@pytest.mark.parametrize(
    "data",
    [
        export(b"CTUserID", G30, b"29"),
        export(b"CTUserID", G30, b"32"),
        export(b"CTUserID", G30[:8], b"8"),
        export(b"CTUserID", [b"%d" % one for one in range(1, 31)]),
        export(b"CTUserID", [b"%d" % one for one in range(31, 0, -1)]),
        export(b"CTUserID", [*G30, b"30", b"x"]),
        export(b"CTUserID", G30, b"30 rows"),
        export(b"CTUserID", G30, b"TRAILER|30"),
    ],
)
def test_other_last_rows_are_no_footers(data: bytes) -> None:
    _, reader = read(data)
    assert reader.footer == ""
    assert FOOTER not in {row.reason for row in reader.rejected_rows}


def test_a_member_whose_row_is_set_aside_is_no_footer() -> None:
    rows = [one + b",x" for one in G30]
    ids, reader = read(export(b"CTUserID,A", rows, b'30,"x', b'y"'))
    assert (ids[-1], reader.footer) == (30, "")


@pytest.mark.parametrize(("last", "expected"), [(b"31,", 30), (b"31,x", 31)])
def test_a_footer_behind_a_quote_that_nothing_closes_is_found(last: bytes, expected: int) -> None:
    rows = [one + b",x" for one in G30[:29]]
    ids, reader = read(export(b"CTUserID,A", [*rows, b'100030,5" x', b'100031,"open'], last))
    assert len(ids) == expected + 1
    assert (31 in ids) == bool(reader.footer)
