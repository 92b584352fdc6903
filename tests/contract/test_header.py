"""The head of a file: what CLOSE can say of it, in the order of the contract."""

import bz2
import gzip
import io
import lzma
import zipfile

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from ctsftp.contract.codes import Code, Fault
from ctsftp.contract.header import HEAD_BYTES, MAX_LINE_BYTES, SNIFF_BYTES, Header, inspect_head, read_header
from ctsftp.contract.rows import Layout

GOOD = b"CTUserID,EMAIL\n1,x\n"


def fault(head: bytes, *, complete: bool = True, **more: object) -> Fault:
    found = inspect_head(head, complete=complete, **more)  # type: ignore[arg-type]
    assert found is not None, head[:80]
    assert found.reason.isprintable()
    return found


def header(head: bytes, *id_titles: str) -> Header:
    found = read_header(head, complete=True, id_titles=id_titles or {"ctuserid"}, max_line_bytes=MAX_LINE_BYTES)
    assert isinstance(found, Header), found
    return found


def zipped(data: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        if data:
            archive.writestr("VIP.csv", data)
    return packed.getvalue()


PACKED = {
    "gzip": gzip.compress(GOOD),
    "bzip2": bz2.compress(GOOD),
    "bzip2 of nothing": bz2.compress(b""),
    "xz": lzma.compress(GOOD),
    "zip": zipped(GOOD),
    "zip of nothing": zipped(b""),
    "zip in volumes": b"PK\x07\x08PK\x03\x04",
    "zstd": bytes.fromhex("28b52ffd2409490000435455736572"),
    "PGP armour": b"-----BEGIN PGP MESSAGE-----\n\nhF4D\n",
    # Beginnings of real messages of GnuPG, and of one in the new format of packets.
    "PGP to an RSA key": bytes.fromhex("85018c03b3a1c0ffee112233"),
    "PGP to a curve key": bytes.fromhex("845e0315e7a70bcbb5db1f12"),
    "PGP to a key, length of four octets": bytes.fromhex("860000018c03b3a1c0ffee11"),
    "PGP with a password": bytes.fromhex("8c0d0409030285b6679176de"),
    "PGP signed": bytes.fromhex("900d030008163382686f5e61"),
    "PGP signed and compressed": bytes.fromhex("a3019bc0cbccc02166dc9491"),
    "PGP in the new format": bytes.fromhex("c15e0315e7a70bcbb5db1f12"),
    "PGP in the new format, length of two octets": bytes.fromhex("c1c0cc03b3a1c0ffee112233"),
    "PGP in the new format, length of five octets": bytes.fromhex("c1ff0000018c03b3a1c0ffee"),
    "PGP in the new format, partial length": bytes.fromhex("c8e001789c"),
}


@pytest.mark.parametrize("data", PACKED.values(), ids=PACKED)
@pytest.mark.parametrize("complete", [True, False])
def test_a_packed_file_is_known_by_its_first_bytes(data: bytes, complete: bool) -> None:  # noqa: FBT001
    found = fault(data if complete else data.ljust(SNIFF_BYTES, b"\0"), complete=complete)
    assert found.code == Code.PACKED
    assert "Encryption/Compression: None" in found.reason


@pytest.mark.parametrize("prefix", [b"BZh", b"BZh9", b"PK", b"7z", b"\xc3\xa9", b"\xc4\x80", b"\xc8\x81"])
def test_a_title_that_begins_like_a_packed_file_is_a_title(prefix: bytes) -> None:
    assert inspect_head(prefix + b"onus,CTUserID\n1,2\n", complete=True) is None


@given(st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=12), st.sampled_from(["utf-8", "latin-1"]))
def test_no_text_is_taken_for_a_packed_file(text: str, charset: str) -> None:
    assume(not text.startswith("-----BEGIN PGP"))
    found = inspect_head(text.encode(charset, "replace") + b",CTUserID\n", complete=True)
    assert found is None or found.code != Code.PACKED


@pytest.mark.parametrize("data", [b"", b"\xef\xbb\xbf"])
def test_a_file_without_bytes_is_empty(data: bytes) -> None:
    assert fault(data).code == Code.EMPTY_FILE
    assert "Column Header: True" in fault(data).reason
    assert inspect_head(data, complete=False) is None


@pytest.mark.parametrize(
    ("charset", "told"),
    [
        ("utf-16", "UTF-16"),
        ("utf-32", "UTF-32"),
        ("utf-16-le", "NUL"),
        ("utf-16-be", "NUL"),
        ("utf-32-le", "NUL"),
        ("utf-32-be", "NUL"),
    ],
)
def test_a_file_in_another_unicode_charset_is_refused(charset: str, told: str) -> None:
    found = fault(GOOD.decode().encode(charset))
    assert found.code == Code.CHARSET
    assert told in found.reason
    assert "Character Set: UTF-8" in found.reason


@pytest.mark.parametrize(
    ("mark", "charset"),
    [(b"\xfe\xff", "UTF-16"), (b"\xff\xfe", "UTF-16"), (b"\0\0\xfe\xff", "UTF-32"), (b"\xff\xfe\0\0", "UTF-32")],
)
def test_a_foreign_byte_order_mark_names_the_charset(mark: bytes, charset: str) -> None:
    assert f"The file is {charset}, by " in fault(mark + b"x").reason


def test_a_nul_in_the_first_bytes_counts_before_the_titles() -> None:
    found = fault(b"RIID_\n1\n2\0\n")
    assert found.code == Code.CHARSET
    assert "Line 3 " in found.reason
    assert "Line 1 " in fault(b"\0CTUserID\n").reason
    assert "Line 2 " in fault(b"\n\0CTUserID\n").reason
    late = b"RIID_\n".ljust(SNIFF_BYTES, b"1")
    assert fault(late + b"\0").code == Code.NO_ID_COLUMN
    assert fault(late[:-1] + b"\0").code == Code.CHARSET
    assert inspect_head(GOOD.ljust(SNIFF_BYTES, b"1") + b"\0", complete=True) is None


def test_a_nul_in_a_long_first_line_counts() -> None:
    assert fault(b"RIID_".ljust(2 * SNIFF_BYTES, b"x") + b"\0\n").code == Code.CHARSET
    long_line = b"x" * MAX_LINE_BYTES
    assert fault(long_line[:-1] + b"\0y\n").code == Code.CHARSET
    assert fault(long_line + b"\0\n").code == Code.LINE_TOO_LONG


@pytest.mark.parametrize(("delimiter", "name"), [("\t", "tabs"), (";", "semicolons"), ("|", "vertical bars")])
@pytest.mark.parametrize(
    "titles",
    [
        ["CTUserID", "EMAIL"],
        ["A,B", " ctuserid "],
        ['"EMAIL"', '"CTUSERID"'],
        ["'EMAIL'", "'CTUserID'"],
        ["5", "CTUserID"],
    ],
)
def test_another_delimiter_is_named(delimiter: str, name: str, titles: list[str]) -> None:
    found = fault(delimiter.join(titles).encode() + b"\n")
    assert found.code == Code.DELIMITER
    assert name in found.reason
    assert "Field delimiter: Comma" in found.reason


@pytest.mark.parametrize(
    "line", [b"12345", b"x,12345,y", b'"12345","x"', b"x;12345", b"x\t 12345 ", b"12345|x", b"'12345','x'"]
)
def test_a_first_line_with_an_id_is_no_header(line: bytes) -> None:
    found = fault(line + b"\n2,y\n")
    assert found.code == Code.NO_HEADER
    assert "12345" in found.reason
    assert "Column Header: True" in found.reason


def test_an_id_as_a_title_beside_ctuserid_is_a_title() -> None:
    assert header(b"12345,CTUserID\n").layout == Layout(columns=2, id_column=1)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (b"RIID_,EMAIL ADDRESS", '"RIID_", "EMAIL ADDRESS"'),
        (b"RIID_", "no field was selected"),
        (b'"riid_"', "no field was selected"),
        (b"CTUserID,EMAIL,ctuserid", "columns 1, 3"),
        (b"CT User ID", '"CT User ID"'),
        (b"CTUserID:EMAIL", '"CTUserID:EMAIL"'),
        (b"caf\xe9", '"caf\ufffd"'),
        (b"<b>\x1b[2J\xe2\x80\xae", '"<b>\\x1b[2J\\u202e"'),
        (b"1.23E+10", '"1.23E+10"'),
        (b"", "is blank"),
        (b" \r", "is blank"),
        (b",", '"", ""'),
    ],
)
def test_a_header_without_one_id_column_is_refused_with_its_titles(line: bytes, told: str) -> None:
    found = fault(line + b"\n7\n")
    assert found.code == Code.NO_ID_COLUMN
    assert told in found.reason
    assert "Select Object: your data source with one column titled CTUserID" in found.reason


def test_titles_in_single_quotes_are_refused_with_the_enclosure_to_choose() -> None:
    found = fault(b"'EMAIL','CTUserID'\n")
    assert found.code == Code.NO_ID_COLUMN
    assert "Field enclosure: None" in found.reason
    assert "Field enclosure: None" in fault(b"'EMAIL','id'\n").reason


def test_many_long_titles_are_told_in_a_few_words() -> None:
    reason = fault(",".join(f"{number:03}" + "x" * 500 for number in range(1000)).encode()).reason
    assert '"011x' in reason
    assert '"012x' not in reason
    assert "and 988 more" in reason
    assert len(reason) < 1000
    assert " more" not in fault(b",".join([b"x"] * 12)).reason
    assert "columns 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12." in fault(b"CTUserID," * 1000).reason


@pytest.mark.parametrize("title", ["CTUserID", "ctuserid", "CTUSERID", " cTuSeRiD\t", '"CTUserID"', ' " CTUserID " '])
@pytest.mark.parametrize("at", [0, 1, 2])
def test_the_id_column_is_found_in_any_case_and_place(title: str, at: int) -> None:
    titles = ["A", "B"]
    titles.insert(at, title)
    found = header(",".join(titles).encode() + b"\n1,2,3\n").layout
    assert found == Layout(columns=3, id_column=at)


def test_further_titles_of_a_client_count_in_any_case_and_form() -> None:
    assert header("RIID_,Cafe\u0301\n".encode(), "ctuserid", "CAFÉ").layout.id_column == 1
    assert inspect_head(b"ID\n", complete=True, id_titles=["ctuserid", "id"]) is None
    assert "titled CTUserID or Id;" in fault(b"x\n", id_titles=["CTUserID", "Id"]).reason


@pytest.mark.parametrize(
    ("titles", "wanted", "at"),
    [
        (b"id,CTUserID", ("CTUserID", "id"), 1),
        (b"ID,x,ctuserid", ("CTUserID", "id"), 2),
        (b"x,ID", ("CTUserID", "id"), 1),
        (b"id,Member,Key", ("CTUserID", "Key", "Member"), 2),
        (b"Member,id,CTUserID", ("CTUserID", "Member"), 2),
        (b"id,CTUserID,id", ("CTUserID", "id"), 1),
        (b"2024,CTUserID", ("CTUserID", "id"), 1),
    ],
)
def test_the_first_title_in_the_order_of_priority_counts(titles: bytes, wanted: tuple[str, ...], at: int) -> None:
    found = header(titles + b"\n", *wanted)
    assert found.layout.id_column == at
    assert found.id_title in wanted


@pytest.mark.parametrize("line", [b"100001,Boise,ID", b"id,100001", b"ID,'100001'"])
def test_a_first_line_that_holds_an_id_is_no_header_because_of_a_state(line: bytes) -> None:
    assert fault(line + b"\n").code == Code.NO_HEADER


def test_id_may_be_taken_away() -> None:
    refused = fault(b"id\n1\n", id_titles=["CTUserID"])
    assert refused.code == Code.NO_ID_COLUMN
    assert "titled CTUserID;" in refused.reason


@pytest.mark.parametrize(
    ("titles", "keys"),
    [
        (b"email_address", "e-mail addresses"),
        (b"RIID_,EMAIL_ADDRESS_", "e-mail addresses"),
        (b"third_party_id,username", "third-party ids and user names"),
        (b"mobile_phone_number", "mobile numbers"),
    ],
)
def test_a_list_of_other_keys_is_told_that_the_numeric_id_is_needed(titles: bytes, keys: str) -> None:
    found = fault(titles + b"\nx\n")
    assert found.code == Code.NO_ID_COLUMN
    assert f"The numeric CrowdTwist user id is needed: {keys} cannot" in found.reason


CR_FILES = [
    b"CTUserID,CITY\r100001,Basel\r100002,Bern\r",
    b"CITY,CTUserID,ZIP\rBasel,100001,4051\r",
    b"CITY,CTUserID\rBasel,100001\r",
    b"CTUserID\r100001\r",
    b'"CTUserID"\r"100001"\r',
    b'"CTUserID","CITY"\r"100001","Basel"\r',
    b"\xef\xbb\xbfCTUserID\r100001\r",
    b"CTUserID\r100001\r\n",
    b"sep=,\rCTUserID\r100001",
    b"CTUserID;CITY\r1;Basel\r",
    b"CTUserID,\rCITY\n1,2\n",
]


@pytest.mark.parametrize("data", CR_FILES)
def test_a_carriage_return_in_the_first_line_refuses_the_file(data: bytes) -> None:
    found = fault(data)
    assert found.code == Code.LINE_ENDS
    assert "CR alone" in found.reason
    assert "CSV UTF-8" in found.reason


def test_a_file_of_over_a_mebibyte_that_ends_lines_in_cr_alone_is_told_so() -> None:
    data = b"CTUserID,CITY\r" + b"100001,Basel\r" * 100_000
    assert fault(data[:HEAD_BYTES], complete=False).code == Code.LINE_ENDS
    assert inspect_head(data[:SNIFF_BYTES], complete=False) is None


@pytest.mark.parametrize(
    ("data", "columns", "lines"),
    [
        (b'"CTUserID","AD\rDRESS"\n"1","x"\n', 2, 1),
        (b'CTUserID,"AD\rDRESS"\n1,x\n', 2, 1),
        (b"CTUserID,x\r\r\n1,x\n", 2, 1),
        (b'"CTUserID","AD\nDRESS"\n"1","x"\n', 2, 2),
        (b'\xef\xbb\xbf"AD\r\nDRE\r\nSS","CTUserID"\r\n', 2, 3),
    ],
)
def test_a_title_in_quotes_may_hold_a_line_break(data: bytes, columns: int, lines: int) -> None:
    found = header(data)
    assert (found.layout.columns, found.lines) == (columns, lines)
    assert data[found.size_bytes - 1 : found.size_bytes] == b"\n"


@pytest.mark.parametrize(
    "data",
    [
        b'"CTUserID","CITY\n"1","Basel"\n',
        b'"CTUserID","CITY\n100001,Basel\n100002,Bern"\n',
        b'"CTUserID","CITY\n',
        b'"CTUserID","CITY',
        b'"CTUserID","' + b"x\n" * 101 + b'"\n',
        b'"CTUserID","' + b"x" * 2**19 + b"\n" + b"x" * 2**19 + b'"\n',
        b'CTUserID,"CITY\n1,Basel"\n',
    ],
)
def test_a_title_whose_quote_is_not_closed_as_it_should_be_refuses_the_file(data: bytes) -> None:
    found = fault(data)
    assert found.code == Code.BROKEN_QUOTE
    assert "Field enclosure: None" in found.reason


def test_a_title_whose_quote_is_open_at_the_end_of_the_head_needs_more_of_the_file() -> None:
    head = b'"CTUserID","' + b"x" * SNIFF_BYTES + b"\nyy"
    assert inspect_head(head, complete=False) is None
    assert header(head + b'"\n').lines == 2


@pytest.mark.parametrize(
    "line",
    [b"sep=,", b"sep=;", b'"sep=,"', b"\xef\xbb\xbfsep=;", b"SEP=\t", b"\xef\xbb\xbf\xef\xbb\xbfsep=,", b"sep=|\r"],
)
def test_excel_s_separator_line_is_named(line: bytes) -> None:
    found = fault(line + b"\nCTUserID,CITY\n1,x\n")
    assert found.code == Code.NO_HEADER
    assert "Excel" in found.reason
    assert "sep=" in found.reason.lower()


@pytest.mark.parametrize(
    ("title", "named"),
    [
        ("\ufeff\ufeffCTUserID", "U+FEFF"),
        ('"\ufeffCTUserID"', "U+FEFF"),
        ("\u200bCTUserID", "U+200B"),
        ("CTUserID\u2060", "U+2060"),
        ("\u00a0CTUserID", "U+00A0"),
        ("CTUserID\u00a0", "U+00A0"),
        ("CTUser\u00adID", "U+00AD"),
        ("\u200eCTUserID\u200f", "U+200E, U+200F"),
        ("CTUserID\x1b", "U+001B"),
    ],
)
@pytest.mark.parametrize("others", ["", ",CITY", ",id"])
def test_invisible_characters_beside_the_title_are_named_and_no_other_column_is_taken(
    title: str, named: str, others: str
) -> None:
    found = fault(f"{title}{others}\n1\n".encode())
    assert found.code == Code.NO_ID_COLUMN
    assert f"Invisible characters ({named})" in found.reason


def test_a_spoiled_title_is_never_passed_over_for_the_next() -> None:
    assert fault(b"'CTUserID',id\n").code == Code.NO_ID_COLUMN
    assert fault(b'"CTUserID,"id"\n').code == Code.NO_ID_COLUMN


SPOILED = {
    "\u00ef\u00bb\u00bfCTUserID": "Character Set: UTF-8",
    "\ufffeCTUserID": "Character Set: UTF-8",
    "\ufffdCTUserID": "Character Set: UTF-8",
    "\u201cCTUserID\u201d": "Field enclosure: None",
    "\u00abctuserid\u00bb": "Field enclosure: None",
    '="CTUserID"': "Field enclosure: None",
    "=CTUserID": "Select Object",
    "CTUserID:": "Select Object",
    "CT_User_ID": "Select Object",
    "CTUSERID_": "Select Object",
    "#CTUserID": "Select Object",
    "CTUserID (number)": "Select Object",
    "MEMBER.CTUserID": "Select Object",
    "\uff23\uff34UserID": "Select Object",
}


@pytest.mark.parametrize(("title", "setting"), SPOILED.items())
@pytest.mark.parametrize("titles", ["{},id", "id,{}", "CITY,{},ID", "{}"])
def test_a_title_that_holds_the_contract_s_is_told_and_no_other_column_is_read(
    title: str, setting: str, titles: str
) -> None:
    found = fault(titles.format(title).encode() + b"\n1,2,3\n")
    assert found.code == Code.NO_ID_COLUMN
    assert f"In the Connect job's form, set {setting}" in found.reason
    assert "holds CTUserID and other characters" in found.reason


def test_a_title_that_holds_the_contract_s_is_passed_over_where_another_is_the_contract_s() -> None:
    assert header(b"CTUserID_OLD,CTUserID\n").layout.id_column == 1
    assert header(b"x,CTUSERID_\n", "CTUserID", "CTUSERID_").layout.id_column == 1


@pytest.mark.parametrize(
    "mark", ["\x0b", "\x0c", "\x1c", "\x1e", "\x85", "\u2028", "\u2029", "\x1a", "\ufeff", "\u2028\x0b"]
)
@pytest.mark.parametrize(
    "data", ["CTUserID,CITY{0}700001,Basel{0}700002,Bern\n", "ZIP,id{0}4051,700001{0}", '"id"{0}"7"']
)
def test_a_first_line_that_goes_on_with_rows_behind_another_break_is_refused(data: str, mark: str) -> None:
    found = fault(data.format(mark).encode())
    assert found.code == Code.LINE_ENDS
    assert f"U+{ord(mark[0]):04X}" in found.reason


@pytest.mark.parametrize(
    "data",
    [
        "CTUserID,CITY\u2028Basel7000,x\u2028",
        "CTUserID\x0bx\x0b\n",
        '"id","A\x0b700001","x"',
        '"id","A\x0bB","700001"\n1,2,3\n',
    ],
)
def test_a_first_line_that_is_all_of_a_file_or_holds_an_id_ends_at_any_break(data: str) -> None:
    assert fault(data.encode()).code == Code.LINE_ENDS


def test_a_break_in_a_title_is_no_line_end() -> None:
    assert header(b'CTUserID,"CI\x0bTY"\n').layout.columns == 2
    assert header(b"CTUserID\x0b\n").layout.columns == 1
    assert header(b"CTUserID,CITY\x0b\n1,x\n").layout.columns == 2
    assert header(b'CTUserID,"CITY\x0b7"\n1,x\n').layout.columns == 2


@pytest.mark.parametrize("end", [b"\x1a", b"\n\x1a", b"\r\n\x1a\x1a", b"\x1a\r\n", b" \x1a "])
@pytest.mark.parametrize("titles", [b"CTUserID", b"CITY,CTUserID", b'"CITY","CTUserID"'])
def test_ctrl_z_behind_the_titles_of_an_empty_list_is_white_space(titles: bytes, end: bytes) -> None:
    assert header(titles + end).layout.columns == titles.count(b",") + 1
    assert fault(titles + b"\x1a\n1\n").code == Code.NO_ID_COLUMN


def test_the_length_of_the_first_line_counts_mark_and_line_end() -> None:
    assert header(b"CTUserID\n1\n").size_bytes == 9
    assert header(b"\xef\xbb\xbfCTUserID\r\n1\r\n").size_bytes == 13
    assert header(b"CTUserID").size_bytes == 8


def test_a_byte_order_mark_is_skipped_and_told() -> None:
    assert header(b"\xef\xbb\xbfCTUserID\n").marked
    assert header(b'\xef\xbb\xbf"CTUserID"\n').layout.enclosed
    assert not header(b"CTUserID\n").marked


def test_a_file_is_enclosed_only_if_every_title_is() -> None:
    both = header(b'"CTUserID","Last, first"\n')
    assert both.layout == Layout(columns=2, id_column=0, enclosed=True)
    assert both.quoted
    assert header(b'"CTUserID"\r\n').layout.enclosed
    one = header(b'"CTUserID",EMAIL\n')
    assert one.layout == Layout(columns=2, id_column=0, enclosed=False)
    assert one.quoted
    other = header(b'CTUserID,"EMAIL"\n')
    assert not other.layout.enclosed
    assert not other.quoted


def test_a_title_that_is_not_utf8_in_an_ignored_column_is_no_fault() -> None:
    assert header(b"pr\xe9nom,CTUserID\n").layout.id_column == 1


def test_a_title_of_a_mebibyte_of_combining_marks_is_judged_without_delay() -> None:
    marks = "\u0301\u0323".encode() * (MAX_LINE_BYTES // 4 - 10)
    assert header(b"x" + marks + b",CTUserID\n").layout.id_column == 1
    assert fault(b"x" + marks + b";CTUserID\n").code == Code.DELIMITER


def test_a_first_line_over_the_limit_is_too_long() -> None:
    exact = b"CTUserID," + b"x" * (MAX_LINE_BYTES - 9)
    assert inspect_head(exact + b"\n", complete=True) is None
    found = fault(exact + b"x\n")
    assert found.code == Code.LINE_TOO_LONG
    assert "Line 1 is longer than 1,048,576 bytes" in found.reason
    assert fault(b"5" * HEAD_BYTES, complete=False).code == Code.LINE_TOO_LONG


def test_nothing_is_said_of_a_head_that_is_not_yet_enough() -> None:
    assert inspect_head(b"RIID_\n", complete=False) is None
    assert inspect_head(b"x" * SNIFF_BYTES, complete=False) is None
    assert inspect_head(b"x" * MAX_LINE_BYTES, complete=False) is None


def test_the_first_fault_in_the_order_of_the_contract_decides() -> None:
    assert fault(b"\x1f\x8b\0\0;CTUserID\n").code == Code.PACKED
    assert fault(b"12345\0;CTUserID\n").code == Code.CHARSET
    assert fault(b"12345;CTUserID\n").code == Code.DELIMITER
    assert fault(b"12345,RIID_\n").code == Code.NO_HEADER


@given(st.binary(max_size=40))
@example(b'"')
@example(b"\xc1")
@example(b"\xef\xbb\xbf\n")
def test_every_head_gets_an_answer(head: bytes) -> None:
    found = read_header(head, complete=True, id_titles={"ctuserid"}, max_line_bytes=20)
    assert isinstance(found, Header) or found is not None
    if isinstance(found, Header):
        assert 0 <= found.layout.id_column < found.layout.columns
        assert b"ctuserid" in head.lower()
