"""Every way to misconfigure an export job, row by row of the contract's table, as the Connect stand-in exports it."""

import bz2
import gzip
import lzma
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from typing import Any

from ctsftp.contract.codes import Code
from ctsftp.demo.connect import ExportFile, ExportJob, Filter, SqlQuery, SupplementalTable
from ctsftp.demo.sample import open_sample

AT = datetime(2024, 1, 31, 9, 5)  # noqa: DTZ001  the clock of the sender's account
NAME = "VIP_Members_20240131_0905.csv"
TITLE = "VIP Members"
RIGHT = ExportJob(SupplementalTable("GOLD_MEMBERS"), "VIP_Members")

DIRECTORY_SETTING = "Directory: /"
NAME_SETTING = "Name: no prefix, your segment name, YYYYMMDD_HH24MI.csv"
PACKED_SETTING = "Encryption/Compression: None"
CHARSET_SETTING = "Character Set: UTF-8"
DELIMITER_SETTING = "Field delimiter: Comma"
ENCLOSURE_SETTING = "Field enclosure: None"
HEADER_SETTING = "Column Header: True"


@dataclass(frozen=True, slots=True)
class Case:
    """A wrong export: the code, and what the answer must say.

    `job` holds what is wrong in the form; `spoil` is what happens to the file on its way.
    """

    id: str
    code: Code
    says: tuple[str, ...]
    job: ExportJob = RIGHT
    content: bytes | None = None
    client_toml: str = ""
    directory: str = ""

    def export(self) -> ExportFile:
        file = export(self.job)
        data = file.data if self.content is None else self.content
        return replace(file, filename=f"{self.directory}{file.filename}", data=data)


@cache
def export(job: ExportJob = RIGHT) -> ExportFile:
    connection = open_sample()
    try:
        return job.export(connection, AT)
    finally:
        connection.close()


def wrong(id_: str, code: Code, *says: str, content: bytes | None = None, **form: Any) -> Case:
    """Describe an export whose form differs from the right one in these fields."""
    client_toml, directory = form.pop("client_toml", ""), form.pop("directory", "")
    return Case(id_, code, says, replace(RIGHT, **form), content, client_toml, directory)


def sql(columns: str, *, where: str = "CTUserID IS NOT NULL") -> SqlQuery:
    return SqlQuery(f"SELECT {columns} FROM CONTACTS WHERE {where} ORDER BY RIID_")  # noqa: S608  a test's own words


TEXT = export().data
ZSTD = b"\x28\xb5\x2f\xfd" + TEXT
ARMOURED = b"-----BEGIN PGP MESSAGE-----\n\nhQEMA\n-----END PGP MESSAGE-----\n"

CASES = [
    # The name.
    wrong("no date suffix", Code.NAME, "VIP_Members.csv", NAME_SETTING, date_suffix=""),
    wrong("a date without a time", Code.NAME, "VIP_Members_20240131.csv", NAME_SETTING, date_suffix="YYYYMMDD"),
    wrong("seconds, too", Code.NAME, "_20240131_090500.csv", "HH24MISS", NAME_SETTING, date_suffix="YYYYMMDD_HH24MISS"),
    wrong("dashes in the date", Code.NAME, "2024-01-31_0905.csv", NAME_SETTING, date_suffix="YYYY-MM-DD_HH24MI"),
    wrong("the day first", Code.NAME, "31012024, which is not a date", NAME_SETTING, date_suffix="DDMMYYYY_HH24MI"),
    wrong("no extension", Code.NAME, "does not end in .csv", NAME_SETTING, extension=""),
    wrong("a text file", Code.NAME, "0905.txt", "does not end in .csv", NAME_SETTING, extension=".txt"),
    wrong("the date in the name", Code.NAME, "20240131 twice", NAME_SETTING, segment_name="VIP_20240131"),
    wrong("a date for a prefix", Code.NAME, "20240131 twice", NAME_SETTING, prefix="20240131_"),
    wrong("no segment name", Code.NAME, "no segment name", NAME_SETTING, segment_name=""),
    # Packed, by the name and by the bytes.
    wrong("gzip", Code.PACKED, ".csv.gz", PACKED_SETTING, encryption_compression="Gzip"),
    wrong("zip", Code.PACKED, "0905.zip", PACKED_SETTING, encryption_compression="Zip"),
    wrong("pgp", Code.PACKED, ".csv.pgp", PACKED_SETTING, encryption_compression="PGP"),
    wrong("gzip called csv", Code.PACKED, "gzip", PACKED_SETTING, content=gzip.compress(TEXT, mtime=0)),
    wrong(
        "an Excel workbook called csv",
        Code.PACKED,
        "zip",
        "Excel",
        PACKED_SETTING,
        content=export(replace(RIGHT, encryption_compression="Zip")).data,
    ),
    wrong(
        "pgp called csv",
        Code.PACKED,
        "PGP",
        PACKED_SETTING,
        content=export(replace(RIGHT, encryption_compression="PGP")).data,
    ),
    wrong("armoured pgp called csv", Code.PACKED, "PGP", PACKED_SETTING, content=ARMOURED),
    wrong("bzip2 called csv", Code.PACKED, "bzip2", PACKED_SETTING, content=bz2.compress(TEXT)),
    wrong("xz called csv", Code.PACKED, "xz", PACKED_SETTING, content=lzma.compress(TEXT)),
    wrong("zstd called csv", Code.PACKED, "zstd", PACKED_SETTING, content=ZSTD),
    # The folder.
    wrong(
        "another folder",
        Code.DIRECTORY,
        '"/out/test", and lists are taken in /, /in alone',
        DIRECTORY_SETTING,
        client_toml='directories = ["/in"]\n',
        directory="out/test/",
    ),
    # Nothing.
    wrong("no bytes", Code.EMPTY_FILE, "empty", content=b""),
    wrong("a byte-order mark alone", Code.EMPTY_FILE, "empty", content=b"\xef\xbb\xbf"),
    # The character set.
    wrong("UTF-16", Code.CHARSET, "UTF-16", CHARSET_SETTING, character_set="UTF-16"),
    wrong("UTF-16LE", Code.CHARSET, "NUL", "UTF-16", CHARSET_SETTING, character_set="UTF-16LE"),
    wrong("UTF-16BE", Code.CHARSET, "NUL", "UTF-16", CHARSET_SETTING, character_set="UTF-16BE"),
    wrong("UTF-32", Code.CHARSET, "UTF-32", CHARSET_SETTING, character_set="UTF-32"),
    wrong("marked UTF-16LE", Code.CHARSET, "UTF-16", CHARSET_SETTING, content=TEXT.decode().encode("utf-16")),
    wrong("marked UTF-32LE", Code.CHARSET, "UTF-32", CHARSET_SETTING, content=TEXT.decode().encode("utf-32")),
    wrong("a NUL in a row", Code.CHARSET, "Line 3", "NUL", CHARSET_SETTING, content=b"CTUserID\n1\n2\0\n"),
    # The line ends.
    wrong("CR alone", Code.LINE_ENDS, "CR alone", "CSV UTF-8", "Select Object", content=TEXT.replace(b"\n", b"\r")),
    wrong(
        "CR alone, and an LF at the end",
        Code.LINE_ENDS,
        "CR alone",
        "Select Object",
        content=TEXT.replace(b"\n", b"\r") + b"\n",
    ),
    # The delimiter.
    wrong("tabs", Code.DELIMITER, "tabs", DELIMITER_SETTING, field_delimiter="Tab"),
    wrong("semicolons", Code.DELIMITER, "semicolons", DELIMITER_SETTING, field_delimiter="Semicolon"),
    wrong("pipes", Code.DELIMITER, "vertical bars", DELIMITER_SETTING, field_delimiter="Pipe"),
    wrong(
        "semicolons and double quotes",
        Code.DELIMITER,
        "semicolons",
        DELIMITER_SETTING,
        field_delimiter="Semicolon",
        field_enclosure="Double quote",
    ),
    wrong(
        "semicolons and single quotes",
        Code.DELIMITER,
        "semicolons",
        DELIMITER_SETTING,
        field_delimiter="Semicolon",
        field_enclosure="Single quote",
    ),
    # The header.
    wrong("no header", Code.NO_HEADER, "holds an id", HEADER_SETTING, column_header=False),
    wrong("no header, tabs", Code.NO_HEADER, "holds an id", HEADER_SETTING, column_header=False, field_delimiter="Tab"),
    wrong("Excel's sep= line", Code.NO_HEADER, "Excel", "sep=;", HEADER_SETTING, content=b"sep=;\n" + TEXT),
    # The id column.
    wrong(
        "a doubled byte-order mark",
        Code.NO_ID_COLUMN,
        "U+FEFF",
        "CTUserID",
        content=b"\xef\xbb\xbf\xef\xbb\xbf" + TEXT,
    ),
    wrong(
        "e-mail addresses alone",
        Code.NO_ID_COLUMN,
        "numeric CrowdTwist user id is needed",
        "e-mail addresses",
        source=sql("EMAIL_ADDRESS_ AS email_address"),
    ),
    wrong(
        "no field selected",
        Code.NO_ID_COLUMN,
        "RIID_",
        "no field was selected",
        "CTUserID",
        source=Filter("CONTACTS", "TIER", "Gold", fields=()),
    ),
    wrong(
        "other columns",
        Code.NO_ID_COLUMN,
        '"EMAIL_ADDRESS_", "CITY_"',
        "CTUserID",
        source=Filter("CONTACTS", "TIER", "Gold", fields=("EMAIL_ADDRESS_", "CITY_")),
    ),
    wrong("a misspelled title", Code.NO_ID_COLUMN, '"CT_USER_ID"', "CTUserID", source=sql("CTUserID AS CT_USER_ID")),
    wrong(
        "the id twice",
        Code.NO_ID_COLUMN,
        "columns 1, 3",
        "CTUserID",
        source=sql("CTUserID, CITY_, CTUserID AS ctuserid"),
    ),
    wrong("single quotes", Code.NO_ID_COLUMN, "'CTUserID'", ENCLOSURE_SETTING, field_enclosure="Single quote"),
    wrong("a blank first line", Code.NO_ID_COLUMN, "blank", "CTUserID", content=b"\r\n" + TEXT),
    # What only the rest of the file shows.
    wrong(
        "two exports in one file",
        Code.SECOND_HEADER,
        "Line 32",
        "Two exports",
        "Select Object",
        content=b"CTUserID,ZIP\n" + b"1001,4051\n" * 30 + b"ZIP,CTUserID\n" + b"4051,1002\n" * 30,
    ),
    wrong(
        "a title whose quote is not closed",
        Code.BROKEN_QUOTE,
        "title",
        ENCLOSURE_SETTING,
        content=b'"CTUserID","CITY\n"1","Basel"\n',
    ),
    wrong(
        "a value whose quote is not closed",
        Code.BROKEN_QUOTE,
        "line 3 ",
        ENCLOSURE_SETTING,
        content=b'"CTUserID","CITY"\n"1","Basel"\n"2","Bern\n',
    ),
    wrong(
        "a long line",
        Code.LINE_TOO_LONG,
        "Line 2",
        "1,048,576 bytes",
        "Select Object",
        source=sql("CTUserID, printf('%.*c', 1048576, 'x') AS NOTES", where="RIID_ < 7000003"),
    ),
    wrong("a long header", Code.LINE_TOO_LONG, "Line 1", "1,048,576 bytes", content=b"CTUserID," + b"x" * 1_048_576),
    wrong(
        "too many rows",
        Code.TOO_LARGE,
        "more than 20 rows",
        "Select Object",
        client_toml="max_rows = 20\n",
    ),
    wrong(
        "commas in a column before the id",
        Code.TOO_MANY_REJECTED,
        "a comma in a value",
        "Select Object",
        source=sql("CITY_, CTUserID"),
    ),
    wrong(
        "line breaks in a column",
        Code.TOO_MANY_REJECTED,
        "line break",
        "Select Object",
        source=sql("CTUserID, 'Main Street 1' || char(10) || CITY_ AS ADDRESS"),
    ),
    wrong(
        "ids as Excel shows them",
        Code.TOO_MANY_REJECTED,
        '"1.23E+10"',
        "spreadsheet",
        "Select Object",
        source=sql("'1.23E+10' AS CTUserID"),
    ),
    wrong(
        "e-mail addresses for ids",
        Code.TOO_MANY_REJECTED,
        '"contact1@example.com"',
        "whole number",
        "Select Object",
        source=sql("EMAIL_ADDRESS_ AS CTUserID"),
    ),
    # With a lower limit, which the test sets: a file that breaks the real one has a million and a half rows.
    wrong(
        "hashes for ids",
        Code.SCATTERED,
        "are scattered",
        "not CTUserIDs",
        "Select Object",
        content=b"CTUserID\n" + b"".join(b"%d\n" % (one << 40) for one in range(1, 1001)),
    ),
]
