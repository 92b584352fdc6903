import gzip
import io
import sqlite3
import zipfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from itertools import product
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctsftp.demo.connect import (
    CharacterSet,
    EncryptionCompression,
    ExportFile,
    ExportJob,
    FieldDelimiter,
    FieldEnclosure,
    Filter,
    LineEnding,
    SqlQuery,
    SupplementalTable,
)
from ctsftp.errors import UsageError

AT = datetime(2026, 1, 31, 9, 5, 7, tzinfo=UTC)
EVERYTHING = SupplementalTable("LIST")
JOB = ExportJob(EVERYTHING, "VIP")


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("CREATE TABLE LIST (RIID_ INTEGER, CTUserID INTEGER, NOTE TEXT)")
        connection.executemany(
            "INSERT INTO LIST VALUES (?, ?, ?)", [(1, 101, "Köln"), (2, None, 'a "b", c'), (3, 103, "x")]
        )
        yield connection


def exported(connection: sqlite3.Connection, **options: object) -> bytes:
    return replace(JOB, **options).export(connection, AT).data  # type: ignore[arg-type]


def one_value(value: object, **options: object) -> bytes:
    """Return the export of a single value, without a header."""
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("CREATE TABLE ONE (V)")
        connection.execute("INSERT INTO ONE VALUES (?)", (value,))
        return exported(connection, source=SupplementalTable("ONE"), column_header=False, **options)


def test_the_defaults_are_the_settings_of_the_feeds_description(connection: sqlite3.Connection) -> None:
    assert JOB.export(connection, AT) == ExportFile(
        "VIP_20260131_0905.csv",
        'RIID_,CTUserID,NOTE\n1,101,Köln\n2,,a "b", c\n3,103,x\n'.encode(),
    )


class TestSelectObject:
    def test_a_sql_query_exports_what_it_selects_under_its_own_titles(self, connection: sqlite3.Connection) -> None:
        query = SqlQuery("SELECT CTUserID AS ctuserid FROM LIST WHERE CTUserID > 101")

        assert exported(connection, source=query) == b"ctuserid\n103\n"

    def test_a_filter_exports_all_columns_of_the_records_that_pass(self, connection: sqlite3.Connection) -> None:
        assert exported(connection, source=Filter("LIST", "NOTE", "x")) == b"RIID_,CTUserID,NOTE\n3,103,x\n"

    def test_a_filter_exports_the_selected_fields_in_their_order(self, connection: sqlite3.Connection) -> None:
        chosen = Filter("LIST", "RIID_", 3, fields=("NOTE", "CTUserID"))

        assert exported(connection, source=chosen) == b"NOTE,CTUserID\nx,103\n"

    def test_a_filter_without_any_selected_field_exports_riid_alone(self, connection: sqlite3.Connection) -> None:
        assert exported(connection, source=Filter("LIST", "RIID_", 3, fields=())) == b"RIID_\n3\n"

    def test_what_a_filter_looks_for_is_a_value_and_never_sql(self, connection: sqlite3.Connection) -> None:
        assert exported(connection, source=Filter("LIST", "NOTE", "x' OR 1=1 --")) == b"RIID_,CTUserID,NOTE\n"

    @pytest.mark.parametrize(
        "source",
        [Filter("LIST", "NOET", "NOET"), Filter("LIST", "NOTE", "x", fields=("ID",)), SupplementalTable("LISTS")],
    )
    def test_a_misspelled_table_or_column_fails(self, connection: sqlite3.Connection, source: Filter) -> None:
        with pytest.raises(sqlite3.OperationalError, match="no such"):
            exported(connection, source=source)

    def test_a_table_with_an_odd_name_is_found(self, connection: sqlite3.Connection) -> None:
        connection.execute('CREATE TABLE "VIP `guests"" list" (CTUserID)')

        assert exported(connection, source=SupplementalTable('VIP `guests" list')) == b"CTUserID\n"

    def test_sql_that_selects_nothing_is_refused(self, connection: sqlite3.Connection) -> None:
        with pytest.raises(UsageError, match="SELECT"):
            exported(connection, source=SqlQuery("DROP TABLE IF EXISTS NONE"))


class TestName:
    @pytest.mark.parametrize(
        ("options", "filename"),
        [
            ({}, "VIP_20260131_0905.csv"),
            ({"segment_name": "Gold Members_2026 東京"}, "Gold Members_2026 東京_20260131_0905.csv"),
            ({"segment_name": "MISSED DDAY"}, "MISSED DDAY_20260131_0905.csv"),
            ({"prefix": "20260131_"}, "20260131_VIP_20260131_0905.csv"),
            ({"date_suffix": ""}, "VIP.csv"),
            ({"date_suffix": "YYYYMMDD"}, "VIP_20260131.csv"),
            ({"date_suffix": "YYYYMMDD_HH24MISS"}, "VIP_20260131_090507.csv"),
            ({"date_suffix": "MMDDYYYY_HH24MI"}, "VIP_01312026_0905.csv"),
            ({"date_suffix": "DD-MM-YYYY"}, "VIP_31-01-2026.csv"),
            ({"extension": ".txt"}, "VIP_20260131_0905.txt"),
            ({"extension": ""}, "VIP_20260131_0905"),
            ({"encryption_compression": "Gzip"}, "VIP_20260131_0905.csv.gz"),
            ({"encryption_compression": "Zip"}, "VIP_20260131_0905.zip"),
            ({"encryption_compression": "PGP"}, "VIP_20260131_0905.csv.pgp"),
        ],
    )
    def test_each_setting_of_the_name_shows_in_it(
        self, connection: sqlite3.Connection, options: dict[str, str], filename: str
    ) -> None:
        assert replace(JOB, **options).export(connection, AT).filename == filename  # type: ignore[arg-type]

    def test_the_stamp_is_the_time_of_the_accounts_own_clock(self, connection: sqlite3.Connection) -> None:
        in_new_york = AT.astimezone(timezone(-timedelta(hours=10)))

        assert JOB.export(connection, in_new_york).filename == "VIP_20260130_2305.csv"


class TestCharacterSet:
    @pytest.mark.parametrize(
        ("character_set", "data"),
        [
            ("UTF-8", b"\xc3\xa9\n"),
            ("UTF-16", b"\xfe\xff\x00\xe9\x00\n"),
            ("UTF-16LE", b"\xe9\x00\n\x00"),
            ("UTF-16BE", b"\x00\xe9\x00\n"),
            ("UTF-32", b"\x00\x00\x00\xe9\x00\x00\x00\n"),
            ("ISO-8859-1", b"\xe9\n"),
            ("Windows-1252", b"\xe9\n"),
            ("Shift_JIS", b"?\n"),
        ],
    )
    def test_each_character_set_writes_its_own_bytes(self, character_set: CharacterSet, data: bytes) -> None:
        assert one_value("é", character_set=character_set) == data

    def test_a_character_that_the_set_does_not_have_becomes_a_question_mark(self) -> None:
        assert one_value("10 € in 東京", character_set="ISO-8859-1") == b"10 ? in ??\n"
        assert one_value("10 € in 東京", character_set="Windows-1252") == b"10 \x80 in ??\n"

    def test_an_empty_file_has_no_bytes_but_its_byte_order_mark(self, connection: sqlite3.Connection) -> None:
        empty = {"source": Filter("LIST", "RIID_", 0), "column_header": False}

        assert exported(connection, **empty) == b""
        assert exported(connection, **empty, character_set="UTF-16") == b"\xfe\xff"


class TestFields:
    @pytest.mark.parametrize(
        ("field_delimiter", "line"),
        [("Comma", b"3,103,x"), ("Tab", b"3\t103\tx"), ("Semicolon", b"3;103;x"), ("Pipe", b"3|103|x")],
    )
    def test_each_delimiter_divides_titles_and_values(
        self, connection: sqlite3.Connection, field_delimiter: FieldDelimiter, line: bytes
    ) -> None:
        lines = exported(connection, field_delimiter=field_delimiter).splitlines()

        assert lines[0] == b"RIID_,CTUserID,NOTE".replace(b",", line[1:2])
        assert lines[-1] == line

    def test_double_quotes_enclose_titles_values_and_nulls(self, connection: sqlite3.Connection) -> None:
        lines = exported(connection, field_enclosure="Double quote").splitlines()

        assert (lines[0], lines[2]) == (b'"RIID_","CTUserID","NOTE"', b'"2","","a ""b"", c"')

    def test_single_quotes_enclose_and_are_doubled_within(self) -> None:
        assert one_value('O\'Neill "Bo"', field_enclosure="Single quote") == b"'O''Neill \"Bo\"'\n"

    @pytest.mark.parametrize("value", ["a,b", 'say "hi"', "two\nlines", "tab\there", '"', "'quoted'", "back\\slash"])
    def test_without_an_enclosure_nothing_protects_a_value(self, value: str) -> None:
        assert one_value(value) == f"{value}\n".encode()

    @pytest.mark.parametrize(
        ("value", "text"), [(None, b""), (2**63 - 1, b"9223372036854775807"), (12345.0, b"12345.0"), (" 7 ", b" 7 ")]
    )
    def test_a_value_is_written_as_the_database_gives_it(self, value: object, text: bytes) -> None:
        assert one_value(value) == text + b"\n"

    def test_without_a_column_header_the_first_line_is_a_row(self, connection: sqlite3.Connection) -> None:
        assert exported(connection, column_header=False).startswith(b"1,101,")

    @pytest.mark.parametrize(("line_ending", "end"), [("LF", b"\n"), ("CR LF", b"\r\n")])
    def test_each_line_has_the_chosen_end_and_the_last_one_too(
        self, connection: sqlite3.Connection, line_ending: LineEnding, end: bytes
    ) -> None:
        data = exported(connection, source=SqlQuery("SELECT CTUserID FROM LIST"), line_ending=line_ending)

        assert data == end.join([b"CTUserID", b"101", b"", b"103", b""])


class TestEncryptionCompression:
    def test_gzip_and_zip_hold_the_plain_file(self, connection: sqlite3.Connection) -> None:
        plain = JOB.export(connection, AT)

        assert gzip.decompress(exported(connection, encryption_compression="Gzip")) == plain.data
        with zipfile.ZipFile(io.BytesIO(exported(connection, encryption_compression="Zip"))) as archive:
            (entry,) = archive.infolist()
            assert (entry.filename, archive.read(entry)) == (plain.filename, plain.data)
            assert entry.compress_type == zipfile.ZIP_DEFLATED

    def test_pgp_has_the_packets_of_an_encrypted_message(self, connection: sqlite3.Connection) -> None:
        plain, packed = exported(connection), exported(connection, encryption_compression="PGP")

        assert packed[:13] == b"\x85\x01\x0c\x03" + bytes(8) + b"\x01"  # a session key, 268 bytes, for nobody, RSA
        assert packed[271:] == b"\xd2\xff" + (len(plain) + 1).to_bytes(4, "big") + b"\x01" + packed[278:]
        assert len(packed[278:]) == len(plain)

    def test_pgp_hides_the_content(self, connection: sqlite3.Connection) -> None:
        assert b"101" in exported(connection)
        assert b"101" not in exported(connection, encryption_compression="PGP")


OPTIONS = {
    "character_set": get_args(CharacterSet),
    "field_delimiter": get_args(FieldDelimiter),
    "field_enclosure": get_args(FieldEnclosure),
    "column_header": (True, False),
    "encryption_compression": get_args(EncryptionCompression),
    "line_ending": get_args(LineEnding),
}


def test_every_combination_of_options_exports_and_gives_the_same_bytes_again(connection: sqlite3.Connection) -> None:
    for chosen in product(*OPTIONS.values()):
        job = replace(JOB, **dict(zip(OPTIONS, chosen, strict=True)))

        assert job.export(connection, AT) == job.export(connection, AT)


def test_an_unknown_option_is_an_error_rather_than_a_default(connection: sqlite3.Connection) -> None:
    for option in OPTIONS.keys() - {"column_header"}:
        with pytest.raises((KeyError, AssertionError)):
            exported(connection, **{option: "Rot13"})


@given(st.lists(st.integers(1, 2**63 - 1)), st.sampled_from(get_args(CharacterSet)))
def test_ids_survive_every_character_set(ids: list[int], character_set: CharacterSet) -> None:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("CREATE TABLE LIST (CTUserID INTEGER)")
        connection.executemany("INSERT INTO LIST VALUES (?)", [(number,) for number in ids])

        data = exported(connection, character_set=character_set)

    decoded = data.decode("utf-32-be" if character_set == "UTF-32" else character_set)
    assert decoded.removeprefix("\ufeff").split() == ["CTUserID", *map(str, ids)]
