"""What exports really do, by public bug reports of other programs: each as bytes, with the right answer."""

import pytest

from ctsftp.contract.codes import Code
from ctsftp.contract.reader import CsvReader

IDS = range(100_001, 100_031)
G30 = b"".join(b"%d\n" % one for one in IDS)
BASEL = b"".join(b"%d,Basel\n" % one for one in IDS)
QUOTED = b"".join(b'"%d","Basel"\n' % one for one in IDS)
BOM = b"\xef\xbb\xbf"


def read(data: bytes, *id_titles: str) -> tuple[list[int], CsvReader]:
    reader = CsvReader(id_titles=id_titles) if id_titles else CsvReader()
    ids = [*reader.feed(data).tolist(), *reader.finish().tolist()]
    assert reader.rows == reader.accepted + reader.rejected == len(ids) + reader.rejected
    return ids, reader


REFUSED = {
    "1: CR alone, id first": (Code.LINE_ENDS, b"CTUserID,CITY\r" + BASEL.replace(b"\n", b"\r")),
    "1: CR alone, id in the middle": (Code.LINE_ENDS, b"CITY,CTUserID,ZIP\rBasel,100001,4051\r"),
    "1: CR alone, id last": (Code.LINE_ENDS, b"CITY,CTUserID\rBasel,100001\r"),
    "1: CR alone, one column": (Code.LINE_ENDS, b"CTUserID\r" + G30.replace(b"\n", b"\r")),
    "1: CR alone, an LF at the end": (Code.LINE_ENDS, b"CTUserID,CITY\r" + BASEL.replace(b"\n", b"\r") + b"\n"),
    "1: CR alone behind a mark": (Code.LINE_ENDS, BOM + b"CTUserID\r1\r"),
    "1: CR alone, over a mebibyte": (Code.LINE_ENDS, b"CTUserID,CITY\r" + b"100001,Basel\r" * 100_000),
    "6: addresses": (Code.NO_ID_COLUMN, b"email_address\na@b.ch\n"),
    "6: id taken for Idaho": (Code.NO_HEADER, b"100001,Boise,ID\n100002,Boise,ID\n"),
    "25: sep=,": (Code.NO_HEADER, b"sep=,\nCTUserID\n" + G30),
    "25: sep=;": (Code.NO_HEADER, b"sep=;\nCTUserID;CITY\n"),
    "25: sep in quotes": (Code.NO_HEADER, b'"sep=,"\nCTUserID\n' + G30),
    "25: sep behind a mark": (Code.NO_HEADER, BOM + b"sep=,\nCTUserID\n" + G30),
    "26: a doubled mark": (Code.NO_ID_COLUMN, BOM + BOM + b"CTUserID\n" + G30),
    "26: a mark in quotes": (Code.NO_ID_COLUMN, b'"' + BOM + b'CTUserID"\n' + G30),
    "26: U+00A0 behind each id": (Code.TOO_MANY_REJECTED, b"CTUserID\n" + G30.replace(b"\n", b"\xc2\xa0\n")),
    "26: U+200B behind each id": (Code.TOO_MANY_REJECTED, b"CTUserID\n" + G30.replace(b"\n", b"\xe2\x80\x8b\n")),
    "26: U+200E before each id": (Code.TOO_MANY_REJECTED, b"CTUserID\n" + G30.replace(b"100", b"\xe2\x80\x8e100")),
    "27: columns in another order": (
        Code.SECOND_HEADER,
        b"CTUserID,ZIP\n" + BASEL + b"ZIP,CTUserID\n" + b"4051,100031\n" * 30,
    ),
    "2: never closed": (Code.BROKEN_QUOTE, b'"CTUserID","ADDRESS"\n' + QUOTED + b'"1001","Flat 3\n12,Main Street\n'),
}


@pytest.mark.parametrize(("code", "data"), REFUSED.values(), ids=REFUSED)
def test_what_shows_damage_to_the_whole_file_refuses_it(code: Code, data: bytes) -> None:
    _, reader = read(data)
    assert reader.fault is not None
    assert reader.fault.code == code


def test_an_invisible_character_is_named_where_it_spoils_the_ids() -> None:
    for name in ("26: U+00A0 behind each id", "26: U+200B behind each id", "26: U+200E before each id"):
        _, reader = read(REFUSED[name][1])
        assert reader.fault is not None
        assert name[4:10] in reader.fault.reason


READ = {
    "2: a line break in a value, plain": (
        b"CTUserID,ADDRESS\n" + BASEL,
        b'1001,"Flat 3\n12,Main Street\nBasel"\n',
        [1001],
        0,
    ),
    "2: the same with CR LF": (
        b"CTUserID,ADDRESS\n" + BASEL,
        b'1001,"Flat 3\r\n12,Main Street\r\nBasel"\r\n',
        [1001],
        0,
    ),
    "2: the same enclosed": (
        b'"CTUserID","ADDRESS"\n' + QUOTED,
        b'"1001","Flat 3\n12,Main Street\nBasel"\n',
        [1001],
        0,
    ),
    "2: id last": (
        b'"ADDRESS","CTUserID"\n' + b"".join(b'"Basel","%d"\n' % one for one in IDS),
        b'"Flat\n3, 77\nx","1001"\n',
        [1001],
        0,
    ),
    "4: a CR in the middle": (b"CTUserID,CITY\n" + BASEL, b"1,Basel\r2,Bern\r3,Chur\n", [], 3),
    "4: CRs in one column": (b"CTUserID\n" + G30, b"1\r2\r3\n", [], 3),
    "6: id": (b"id\n" + G30, b"", [], 0),
    "6: both, as Unity writes them": (b"ID,CTUserID\n" + b"".join(b"7,%d\n" % one for one in IDS), b"", [], 0),
    "16: a footer behind a blank line": (b"CTUserID\n" + G30, b"\n30\n", [], 1),
    "16: a footer with empty cells": (b"CTUserID,CITY\n" + BASEL, b"30,\n", [], 1),
    "16: a footer in words": (b"CTUserID\n" + G30, b"30 rows\n", [], 1),
    "16: a footer with a name": (b"CTUserID,CITY\n" + BASEL, b"TRAILER,30\n", [], 1),
    "24: Ctrl-Z": (b"CTUserID\r\n" + G30.replace(b"\n", b"\r\n"), b"\x1a", [], 0),
    "24: Ctrl-Z with a line end": (b"CTUserID\r\n" + G30.replace(b"\n", b"\r\n"), b"\x1a\r\n", [], 0),
    "24: Ctrl-Z behind three rows": (b"CTUserID\r\n1\r\n2\r\n3\r\n", b"\x1a", [1, 2, 3], 0),
    "27: the same file twice": (BOM + b"CTUserID\n" + G30, BOM + b"CTUserID\n" + b"100031\n", [100_031], 1),
}


@pytest.mark.parametrize(("first", "last", "members", "rejected"), READ.values(), ids=READ)
def test_what_can_be_read_is_read_and_the_rest_is_counted(
    first: bytes, last: bytes, members: list[int], rejected: int
) -> None:
    ids, reader = read(first + last)
    assert reader.fault is None
    assert sorted(ids) == sorted([*(IDS if first.count(b"\n") > 30 else ()), *members])
    assert reader.rejected == rejected


def test_6_the_contract_s_title_wins_over_the_ones_that_a_client_adds() -> None:
    ids, reader = read(b"id,CTUserID\nA1,100001\n", "CTUserID", "id")
    assert (ids, reader.id_title, reader.notices) == ([100_001], "CTUserID", [])


def test_16_a_footer_without_a_sign_is_told() -> None:
    ids, reader = read(b"CTUserID\n" + G30 + b"30\n")
    assert ids[-1] == 30
    assert reader.footer


def test_17_a_piece_that_is_cut_off_is_told_with_its_last_row() -> None:
    ids, reader = read((b"CTUserID\n" + G30)[:-3])
    assert reader.last_row == "1000"
    assert 1000 in ids, "only somebody who knows the client's other lists can say that it is none"


def test_39_a_list_without_records_has_no_members() -> None:
    ids, reader = read(b"CTUserID,CITY\n")
    assert (ids, reader.rows, reader.fault) == ([], 0, None)
