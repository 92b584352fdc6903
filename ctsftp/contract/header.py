"""Read the head of a file: whether it is the text that the contract asks for, and where its ids are.

All of this shows in the first bytes, so that one function serves the reader and the answer to CLOSE.
The faults are looked for in the order of `codes.Code`; the first that holds decides.

The titles of the id column have an order: the first of them that a column has is the one that counts. CTUserID
comes first for every client.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ctsftp.contract.cells import Walk, bare, is_quoted, split_enclosed, unbroken
from ctsftp.contract.codes import Code, Fault, fault, harmless
from ctsftp.contract.lines import BREAKS, is_blank, pieces, without_ctrl_z
from ctsftp.contract.reasons import invisible, read_id, visible
from ctsftp.contract.records import MAX_RECORD_LINES
from ctsftp.contract.rows import Layout
from ctsftp.contract.sniff import BYTE_ORDER_MARK, sniff
from ctsftp.contract.titles import ID_TITLES, fold, holds_contract_title, title_of, titles_of

MAX_LINE_BYTES = 1024 * 1024
SNIFF_BYTES = 64 * 1024  # in these, a NUL counts before any fault of the header
HEAD_BYTES = MAX_LINE_BYTES + SNIFF_BYTES  # of a file: enough for all that its head can show

_CONTRACT_TITLE = fold(ID_TITLES[0])
_ONLY_RESPONSYS_ID = ["riid_"]  # what Responsys exports where no field was selected
# Titles under which CrowdTwist takes other keys than its ids, and Responsys exports them.
_OTHER_KEYS = {
    "email_address": "e-mail addresses",
    "email_address_": "e-mail addresses",
    "email": "e-mail addresses",
    "third_party_id": "third-party ids",
    "username": "user names",
    "user_name": "user names",
    "mobile_phone_number": "mobile numbers",
    "mobile_number_": "mobile numbers",
}
_OTHER_DELIMITERS = {b"\t": "tabs", b";": "semicolons (;)", b"|": "vertical bars (|)"}
_ANY_DELIMITER = re.compile(rb"[,\t;|]")
_SEPARATOR_LINE = re.compile(rb'"?sep=[^a-z0-9]?"?,*', re.IGNORECASE)
_QUOTES = set("\"'\u2018\u2019\u201a\u201c\u201d\u201e\u00ab\u00bb")
# What programs make of a byte-order mark that they do not know: as Latin-1, with its bytes swapped, replaced.
_FOREIGN_BEGINNINGS = ("\u00ef\u00bb\u00bf", "\ufffe", "\ufffd")
_SHOWN_TITLES = 12
_SHOWN_TITLE_CHARACTERS = 40


@dataclass(frozen=True, slots=True)
class Header:
    """What the first line says, or the first record where its titles hold line breaks.

    `size_bytes` is its length, line end included, `lines` how many lines it takes; `marked`: it begins with a
    byte-order mark; `quoted`: its titles, or that of the id column, stand in quotes; `doubled`: it ends in CR CR LF;
    `id_title` is the title of the id column, as the contract or the client's settings spell it.
    """

    layout: Layout
    size_bytes: int
    lines: int
    marked: bool
    quoted: bool
    doubled: bool
    id_title: str


def inspect_head(
    head: bytes, *, complete: bool, id_titles: Iterable[str] = ID_TITLES, max_line_bytes: int = MAX_LINE_BYTES
) -> Fault | None:
    """Return the fault that a file's first `HEAD_BYTES` bytes show, or None: the answer to CLOSE.

    `complete` says that the head is the whole file. The reader finds the same fault in the same file.
    """
    found = read_header(head, complete=complete, id_titles=id_titles, max_line_bytes=max_line_bytes)
    return found if isinstance(found, Fault) else None


def read_header(head: bytes, *, complete: bool, id_titles: Iterable[str], max_line_bytes: int) -> Header | Fault | None:
    """Return the header or the fault of a file that begins with `head`; None if more of it is needed.

    The answer depends on the file alone, and not on how much of it is at hand: nothing is said before
    `SNIFF_BYTES` (or the `complete` file) are there, and NULs count in these and in the first line.
    """
    if len(head) < SNIFF_BYTES and not complete:
        return None
    line, line_end, _ = head.partition(b"\n")
    if found := sniff(head, window_bytes=max(SNIFF_BYTES, min(len(line), max_line_bytes))):
        return found
    if not (line_end or complete or len(line) > max_line_bytes):
        return None
    if found := _why_no_line(line, max_line_bytes, is_all=complete and is_blank(head[len(line) :])):
        return found
    titles = list({fold(title): title for title in id_titles}.values())
    record = _record(head, complete=complete, max_line_bytes=max_line_bytes)
    if record is None:
        return None
    is_all = complete and is_blank(head[sum(map(len, record)) :])
    return _read_titles(record, line, titles, is_all=is_all)


def _why_no_line(line: bytes, max_line_bytes: int, *, is_all: bool) -> Fault | None:
    """Return the fault of a first line that is too long, or holds others: another break divides them, and not LF.

    A break in a title is none. It is one if a row stands behind it, or if the line `is_all` of the file.
    """
    text = line[:max_line_bytes].rstrip(b"\r").removeprefix(BYTE_ORDER_MARK)
    outside = unbroken(text, BREAKS)
    if b"\r" in outside:
        what = "The lines end in CR alone (a carriage return), as in a CSV file for Macintosh"
    elif any(map(_first_id, pieces(text.replace(b'"', b"") if is_all else text)[1:])) or (
        is_all and pieces(outside)[1:]
    ):
        what = f"Another character is in place of a line end ({invisible(text.decode('utf-8', 'replace'))})"
    else:
        return line_too_long(1, max_line_bytes) if len(line) > max_line_bytes else None
    return fault(Code.LINE_ENDS, f"{what}: save it as CSV UTF-8, whose lines end in LF or CR LF.")


def line_too_long(number: int, max_line_bytes: int) -> Fault:
    """Return the fault of a line over the limit."""
    return fault(Code.LINE_TOO_LONG, f"Line {number:,} is longer than {max_line_bytes:,} bytes.")


def _record(head: bytes, *, complete: bool, max_line_bytes: int) -> list[bytes] | None:
    """Return the lines of the first record, ends included: several if its titles are enclosed and hold line breaks.

    None if more of the file is needed. A quote that is not closed as it should be is left to the first line.
    """
    first, end, rest = head.partition(b"\n")
    lines = [first + end]
    text = first.removeprefix(BYTE_ORDER_MARK).rstrip(b"\r")
    walk = Walk(strict=True)
    walk.take(text)
    size = len(first) + len(end)
    while walk.open and text.startswith(b'"'):
        line, end, rest = rest.partition(b"\n")
        size += len(line) + len(end)
        if size > max_line_bytes or len(lines) == MAX_RECORD_LINES or not (line or end or not complete):
            return lines[:1]
        if not (end or complete):
            return None
        # A title that swallows rows is none: what follows the quote is not closed where the header ends.
        if any(read_id(bare(cell)) for cell in line.split(b",")):
            return lines[:1]
        walk.take(line.rstrip(b"\r"))
        lines.append(line + end)
    return lines[:1] if walk.torn or walk.odd else lines


def _read_titles(record: Sequence[bytes], line: bytes, wanted: Sequence[str], *, is_all: bool) -> Header | Fault:
    """Return what the first record describes, or why it describes nothing."""
    text = b"".join(record).removeprefix(BYTE_ORDER_MARK).strip()
    if is_all:
        text = without_ctrl_z(text)
    cells = split_enclosed(text)
    enclosed = cells != [] and all(map(is_quoted, cells))
    if not enclosed:
        cells = text.split(b",")
    titles = [title_of(cell) for cell in cells]
    folded = list(map(fold, titles))
    id_title = next((title for title in wanted if fold(title) in folded), None)
    if id_title is None or (fold(id_title) != _CONTRACT_TITLE and _is_doubtful(text, titles, wanted)):
        return _why_no_id_column(text, titles, wanted)
    places = [index for index, title in enumerate(folded) if title == fold(id_title)]
    if len(places) > 1:
        shown = ", ".join(str(index + 1) for index in places[:_SHOWN_TITLES])
        return fault(Code.NO_ID_COLUMN, f"More than one column is titled {id_title}: columns {shown}.")
    if not enclosed and _is_open(text):
        return fault(Code.BROKEN_QUOTE, "A column title opens with a quote that is not closed as it should be.")
    return Header(
        layout=Layout(len(cells), places[0], enclosed, titles_of(text)),
        size_bytes=sum(map(len, record)),
        lines=len(record),
        marked=line.startswith(BYTE_ORDER_MARK),
        quoted=is_quoted(cells[places[0]].strip()),
        doubled=any(one.endswith(b"\r\r\n") for one in record),
        id_title=id_title,
    )


def _is_doubtful(text: bytes, titles: list[str], wanted: Sequence[str]) -> bool:
    """Tell whether a first line without CTUserID is a row (in which `ID` is Idaho), or holds a spoiled CTUserID."""
    return _first_id(text, delimiter=b",") is not None or _spoiled(titles, set(map(fold, wanted))) is not None


def _spoiled(titles: list[str], known: set[str]) -> int | None:
    """Return the place of the first title that holds CTUserID and is none of those that are known."""
    return next(
        (place for place, title in enumerate(titles) if holds_contract_title(title) and fold(title) not in known), None
    )


def _plain(title: str) -> str:
    """Return a title, folded, without what may stand beside it by mistake: quotes, and what nobody sees."""
    return fold(visible(title).strip(" \"'"))


def _is_open(text: bytes) -> bool:
    walk = Walk(strict=True)
    walk.take(text)
    return walk.open


def _first_id(text: bytes, *, delimiter: bytes | None = None) -> bytes | None:
    """Return the first cell of a line that is an id, if any: then the line is a row."""
    cells = text.split(delimiter) if delimiter else _ANY_DELIMITER.split(text)
    return next((cell for cell in map(bare, cells) if read_id(cell.strip(b"'")) is not None), None)


def _why_no_id_column(text: bytes, titles: list[str], wanted: Sequence[str]) -> Fault:
    known = set(map(fold, wanted))
    if _SEPARATOR_LINE.fullmatch(visible(text.decode("utf-8", "replace")).encode()):
        what = f'The first line is Excel\'s "{harmless(text)}", and not the column titles: send the file as the job'
        return fault(Code.NO_HEADER, f"{what} writes it, without that line.")
    for delimiter, name in _OTHER_DELIMITERS.items():
        cells = [fold(title_of(cell).strip("'")) for cell in text.split(delimiter)]
        if _CONTRACT_TITLE in cells or (len(cells) > 1 and known & set(cells)):
            return fault(Code.DELIMITER, f"The columns of the first line are separated by {name}.")
    if (cell := _first_id(text)) is not None:
        return fault(Code.NO_HEADER, f"The first line holds an id, {harmless(cell)}, and not the column titles.")
    return _describe_titles(text, titles, known, " or ".join(wanted))


def _describe_titles(text: bytes, titles: list[str], known: set[str], names: str) -> Fault:
    """Return the fault of a first line in which no column is one of ids, as far as it says what went wrong."""
    folded = list(map(fold, titles))
    if not text:
        return fault(Code.NO_ID_COLUMN, "The first line is blank: it must hold the titles.")
    if folded == _ONLY_RESPONSYS_ID:
        return fault(Code.NO_ID_COLUMN, "The only column is RIID_: no field was selected for the export.")
    found = f"No column is titled {names}; the first line's titles are: {_listed(titles)}."
    for place, title in enumerate(titles, 1):
        if (hidden := invisible(title)) and _plain(title) in known:
            what = f"Invisible characters ({hidden}) are beside the title of column {place}"
            return fault(Code.NO_ID_COLUMN, f"{what}, which without them is {harmless(visible(title))}.")
    if (spoiled := _spoiled(titles, known)) is not None:
        return _describe_spoiled(spoiled, titles[spoiled])
    if any(fold(title) not in known and _plain(title) in known for title in titles):
        return fault(Code.NO_ID_COLUMN, found, setting="Field enclosure: None")
    if keys := list(dict.fromkeys(_OTHER_KEYS[title] for title in folded if title in _OTHER_KEYS)):
        found += f" The numeric CrowdTwist user id is needed: {' and '.join(keys)} cannot be read in its place."
    return fault(Code.NO_ID_COLUMN, found)


def _describe_spoiled(place: int, title: str) -> Fault:
    what = f'The title of column {place + 1}, "{harmless(title)}", holds CTUserID and other characters'
    setting = "Field enclosure: None" if _QUOTES & set(title) else ""
    if title.startswith(_FOREIGN_BEGINNINGS):
        what, setting = f"{what}, which were a byte-order mark", "Character Set: UTF-8"
    return fault(Code.NO_ID_COLUMN, f"{what}: it must be CTUserID alone, and no other column is read.", setting=setting)


def _listed(titles: list[str]) -> str:
    shown = [f'"{harmless(title, limit=_SHOWN_TITLE_CHARACTERS)}"' for title in titles[:_SHOWN_TITLES]]
    more = [f"and {len(titles) - _SHOWN_TITLES:,} more"] if len(titles) > _SHOWN_TITLES else []
    return ", ".join(shown + more)
