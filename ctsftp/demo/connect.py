"""The Connect stand-in: an export job of Oracle Responsys, with the options of its form and its lack of mercy.

It stands for what a sender's job does with a file, right and wrong: it writes whatever the form says, and
warns of nothing. What the form lists is taken from the description of the feed; where that is silent
(the text of a NULL, the names of packed files), this does what an exporter written in Java on an Oracle
database most likely does. Contents are built in memory: it is made for samples, not for tens of millions of rows.
"""

import gzip
import io
import re
import sqlite3
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import KW_ONLY, dataclass
from datetime import datetime
from hashlib import shake_256
from itertools import chain
from typing import Literal, assert_never

from ctsftp.errors import UsageError

CharacterSet = Literal["UTF-8", "UTF-16", "UTF-16LE", "UTF-16BE", "UTF-32", "ISO-8859-1", "Windows-1252", "Shift_JIS"]
FieldDelimiter = Literal["Comma", "Tab", "Semicolon", "Pipe"]
FieldEnclosure = Literal["None", "Double quote", "Single quote"]
EncryptionCompression = Literal["None", "Gzip", "Zip", "PGP"]
LineEnding = Literal["LF", "CR LF"]

# Each with the byte-order mark that Java writes before it: it has one for plain "UTF-16" alone.
_CODECS: dict[CharacterSet, tuple[str, bytes]] = {
    "UTF-8": ("utf-8", b""),
    "UTF-16": ("utf-16-be", b"\xfe\xff"),
    "UTF-16LE": ("utf-16-le", b""),
    "UTF-16BE": ("utf-16-be", b""),
    "UTF-32": ("utf-32-be", b""),
    "ISO-8859-1": ("iso-8859-1", b""),
    "Windows-1252": ("cp1252", b""),
    "Shift_JIS": ("shift_jis", b""),
}
_DELIMITERS: dict[FieldDelimiter, str] = {"Comma": ",", "Tab": "\t", "Semicolon": ";", "Pipe": "|"}
_ENCLOSURES: dict[FieldEnclosure, str] = {"None": "", "Double quote": '"', "Single quote": "'"}
_LINE_ENDINGS: dict[LineEnding, str] = {"LF": "\n", "CR LF": "\r\n"}
# The elements of Oracle's date formats that a file's name can hold, as strftime spells them.
_DATE_ELEMENTS = {"YYYY": "%Y", "MM": "%m", "DD": "%d", "HH24": "%H", "MI": "%M", "SS": "%S"}


@dataclass(frozen=True, slots=True)
class SqlQuery:
    """Select Object: whatever a SQL query selects."""

    sql: str

    def select(self, connection: sqlite3.Connection) -> sqlite3.Cursor:
        """Return a cursor over the rows of the query."""
        return connection.execute(self.sql)


@dataclass(frozen=True, slots=True)
class Filter:
    """Select Object: the records of a list whose column equals a value.

    `fields` are the columns that were selected for the export: None for all of them, () for none at all,
    which a job answers with `RIID_` alone.
    """

    table: str
    column: str
    equals: str | int
    fields: tuple[str, ...] | None = None

    def select(self, connection: sqlite3.Connection) -> sqlite3.Cursor:
        """Return a cursor over the records that pass the filter."""
        columns = "*" if self.fields is None else ", ".join(map(_identifier, self.fields or ("RIID_",)))
        return connection.execute(
            f"SELECT {columns} FROM {_identifier(self.table)} WHERE {_identifier(self.column)} = ?",  # noqa: S608
            (self.equals,),
        )


@dataclass(frozen=True, slots=True)
class SupplementalTable:
    """Select Object: all columns and rows of a supplemental data table or view."""

    name: str

    def select(self, connection: sqlite3.Connection) -> sqlite3.Cursor:
        """Return a cursor over the whole table."""
        return connection.execute(f"SELECT * FROM {_identifier(self.name)}")  # noqa: S608


Source = SqlQuery | Filter | SupplementalTable


@dataclass(frozen=True, slots=True)
class ExportFile:
    """What a job pushes: a file's name and its bytes."""

    filename: str
    data: bytes


@dataclass(frozen=True, slots=True)
class ExportJob:
    """A Connect export job; the fields are those of its form, and the defaults are the right settings.

    The file is named `prefix`, `segment_name`, "_" and `date_suffix`, `extension`, and what packing adds.
    `date_suffix` is an Oracle date format ("" for none); `extension` has its dot ("" for none).
    """

    source: Source
    segment_name: str
    _: KW_ONLY
    prefix: str = ""
    date_suffix: str = "YYYYMMDD_HH24MI"
    extension: str = ".csv"
    character_set: CharacterSet = "UTF-8"
    field_delimiter: FieldDelimiter = "Comma"
    field_enclosure: FieldEnclosure = "None"
    column_header: bool = True
    encryption_compression: EncryptionCompression = "None"
    line_ending: LineEnding = "LF"

    def export(self, connection: sqlite3.Connection, at: datetime) -> ExportFile:
        """Run the job: the file that it pushes when it runs `at` that time of the account's clock.

        Raises UsageError if the SQL selects no columns, and sqlite3.Error if it is not SQL.
        """
        cursor = self.source.select(connection)
        if cursor.description is None:
            raise UsageError("The SQL query of this job selects nothing: give it a SELECT.")
        titles = [column[0] for column in cursor.description]
        text = self._text(chain([titles] if self.column_header else [], cursor))
        codec, mark = _CODECS[self.character_set]
        # A character that the set does not have becomes a question mark: ids, being digits, survive in all.
        return self._pack(mark + text.encode(codec, "replace"), at)

    def _text(self, records: Iterable[Sequence[object]]) -> str:
        delimiter, end = _DELIMITERS[self.field_delimiter], _LINE_ENDINGS[self.line_ending]
        return "".join(delimiter.join(map(self._field, record)) + end for record in records)

    def _field(self, value: object) -> str:
        """Return a value as it stands in the file; without an enclosure nothing protects what is in it."""
        text = "" if value is None else str(value)
        quote = _ENCLOSURES[self.field_enclosure]
        return quote + text.replace(quote, quote * 2) + quote if quote else text

    def _pack(self, content: bytes, at: datetime) -> ExportFile:
        suffix = f"_{_format_date(self.date_suffix, at)}" if self.date_suffix else ""
        stem = f"{self.prefix}{self.segment_name}{suffix}"
        name = stem + self.extension
        match self.encryption_compression:
            case "None":
                return ExportFile(name, content)
            case "Gzip":
                # No time of packing inside: the same job at the same time gives the same bytes.
                return ExportFile(f"{name}.gz", gzip.compress(content, mtime=0))
            case "Zip":
                return ExportFile(f"{stem}.zip", _zip(name, content, at))
            case "PGP":
                return ExportFile(f"{name}.pgp", _imitate_pgp(content))
            case unknown:
                assert_never(unknown)


def _identifier(name: str) -> str:
    """Quote a table's or column's name.

    Backticks, since SQLite takes a name in double quotes for a text wherever there is no such column,
    and a filter with a misspelled column would then find nothing instead of failing.
    """
    return "`" + name.replace("`", "``") + "`"


def _format_date(date_format: str, at: datetime) -> str:
    elements = "|".join(_DATE_ELEMENTS)
    return re.sub(elements, lambda element: at.strftime(_DATE_ELEMENTS[element[0]]), date_format)


def _zip(name: str, content: bytes, at: datetime) -> bytes:
    archive = io.BytesIO()
    entry = zipfile.ZipInfo(name, date_time=at.timetuple()[:6])
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as opened:
        opened.writestr(entry, content, zipfile.ZIP_DEFLATED)
    return archive.getvalue()


def _imitate_pgp(content: bytes) -> bytes:
    """Return what looks like a binary PGP message and holds nothing: no key opens it, the content is not in it.

    Two packets as in RFC 9580: a session key for RSA-2048 and a hidden recipient (section 5.1.1), then
    encrypted data of the content's length (5.13.1). What would be encrypted is noise drawn from the content.
    """
    noise = shake_256(content).digest(256 + len(content))
    key_as_integer = (2048).to_bytes(2, "big") + bytes([noise[0] | 0x80]) + noise[1:256]
    hidden_recipient = bytes(8)
    session_key = b"\x03" + hidden_recipient + b"\x01" + key_as_integer
    data = b"\x01" + noise[256:]
    old_packet_1 = b"\x85" + len(session_key).to_bytes(2, "big")
    new_packet_18 = b"\xd2\xff" + len(data).to_bytes(4, "big")
    return old_packet_1 + session_key + new_packet_18 + data
