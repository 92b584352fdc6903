"""Read rows: the reference reader of the ids in a block of whole lines.

`read_rows` is the specification of what a row is, when its id is valid and why it is rejected. Its twin in
`vectorised` must agree with it on every block.

Unless the file is enclosed, a `"` in an ignored column is an ordinary character: a CSV library would
take the lines up to the next one for a single value and lose them without a word. In a file whose every
title is enclosed, a row is an RFC 4180 record, but still one physical line.
"""

import re
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from ctsftp.contract.codes import harmless

MAX_ID = 2**63 - 1
MAX_ID_DIGITS = 19
KEPT_REJECTED = 1_000  # rejected rows with line, value and reason; the counts are exact beyond

NO_ID = "the id is empty (a contact outside the loyalty program)"
NOT_AN_ID = f"the id is not a whole number of 1 to {MAX_ID_DIGITS} digits"
OUT_OF_RANGE = f"the id is not between 1 and {MAX_ID}"
SPREADSHEET = "the id is a decimal number, as a spreadsheet writes it, and may have lost digits: export whole numbers"
SPLIT_ID = "the id seems to hold commas, which divide columns here: export whole numbers"
LINE_BREAK = "a value holds a line break, or is missing"
MOVED_ID = "a comma in a value may have moved the id"
BROKEN_QUOTE = "a quote is not closed, or stands inside a value"

Ids = npt.NDArray[np.int64]
NO_IDS: Ids = np.empty(0, dtype=np.int64)

# The cells of an RFC 4180 record. Possessive repeats (`*+`) never try a byte twice, so no line is slow.
_CELLS = re.compile(rb'(?:^|,)("[^"]*+(?:""[^"]*+)*+"|[^",]*+)')
_SPLIT_EXPONENT = re.compile(rb"[0-9],[0-9]+[Ee]\+?[0-9]+")  # 1.23E+10 in most of Europe
_SPLIT_THOUSANDS = re.compile(rb"[0-9]{1,3}(?:,[0-9]{3})+")
_SPREADSHEET_NUMBER = re.compile(rb"[0-9]+\.0*|[0-9](?:\.[0-9]+)?[Ee]\+?[0-9]+")


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the ids are: the number of columns, the index of the id column, RFC 4180 or plain lines."""

    columns: int
    id_column: int
    enclosed: bool = False


@dataclass(frozen=True, slots=True)
class RejectedRow:
    """A rejected row: its physical line number, what stood there (bounded, printable), and why."""

    line: int
    value: str
    reason: str


@dataclass(slots=True)
class Rows:
    """What a block holds: rows = ids + rejected; blank lines are lines, and no rows.

    `rejected` counts rows with an empty id as well; `first_fault` is the first row rejected for any
    other reason; `quoted_line` is the first line of a plain file whose id stands in quotes, 0 if none.
    """

    rows: int
    lines: int
    ids: Ids = field(default_factory=lambda: NO_IDS)
    rejected: int = 0
    empty_ids: int = 0
    rejected_rows: list[RejectedRow] = field(default_factory=list)
    first_fault: RejectedRow | None = None
    quoted_line: int = 0


def read_rows(layout: Layout, block: bytes, first_line: int, *, keep: int = KEPT_REJECTED) -> Rows:
    """Read the ids of a block in file order, repeated ones included.

    The block holds whole lines without the header, each ended by LF or CR LF; `first_line` is the
    physical number of the first. Lines of nothing but white space are no rows. At most `keep`
    rejected rows are kept; all are counted.
    """
    lines = block.replace(b"\r\n", b"\n").split(b"\n")
    lines.pop()  # nothing stands behind the end of the last line
    found = Rows(rows=len(lines), lines=len(lines))
    judged = (judge_line(layout, line, number, found, keep) for number, line in enumerate(lines, first_line))
    found.ids = np.array([member for member in judged if member], dtype=np.int64)
    return found


def judge_line(layout: Layout, line: bytes, number: int, found: Rows, keep: int) -> int:
    """Return the id of a line without its end, or 0 once it is counted as rejected, or as no row."""
    if line.strip():
        return _judge_row(layout, line, number, found, keep)
    found.rows -= 1
    return 0


def read_id(text: bytes) -> int | None:
    """Return the id in a trimmed text, or None: 1 to 19 ASCII digits, from 1 to 2^63-1."""
    if len(text) > MAX_ID_DIGITS or not text.isdigit():
        return None
    value = int(text)
    return value if 1 <= value <= MAX_ID else None


def split_enclosed(line: bytes) -> list[bytes]:
    """Split an RFC 4180 record into its cells with their quotes; return none if a quote is broken."""
    cells: list[bytes] = _CELLS.findall(line)
    # What no cell may hold was skipped in the search, and is missing here.
    return cells if b",".join(cells) == line else []


def is_quoted(cell: bytes) -> bool:
    """Tell whether a cell stands in a pair of quotes."""
    return len(cell) > 1 and cell[:1] == cell[-1:] == b'"'


def bare(cell: bytes) -> bytes:
    """Return a cell without the ASCII white space and the pair of quotes around it."""
    text = cell.strip()
    return text[1:-1].strip() if is_quoted(text) else text


def _judge_row(layout: Layout, line: bytes, number: int, found: Rows, keep: int) -> int:
    """Return the id of a row, or 0 once the row is counted as rejected."""
    cells = split_enclosed(line) if layout.enclosed else line.split(b",")
    if reason := _misfit(layout, cells):
        _reject(found, number, line, reason, keep)
        return 0
    cell = cells[layout.id_column].strip()
    if is_quoted(cell) and not layout.enclosed and not found.quoted_line:
        found.quoted_line = number
    text = bare(cell)
    member = read_id(text)
    if member is None:
        _reject(found, number, text, _why_no_id(text), keep)
    return member or 0


def _misfit(layout: Layout, cells: list[bytes]) -> str:
    """Return why a row with these cells cannot be trusted to have its id in the id column, or ""."""
    surplus = len(cells) - layout.columns
    if not cells:
        return BROKEN_QUOTE
    if surplus < 0:
        return f"{len(cells)} of {layout.columns} columns: {LINE_BREAK}"
    if surplus > 0 and layout.id_column > 0:
        return f"{len(cells)} instead of {layout.columns} columns: {MOVED_ID}"
    return SPLIT_ID if surplus > 0 and _splits_id(layout, cells[: surplus + 1]) else ""


def _splits_id(layout: Layout, cells: list[bytes]) -> bool:
    """Tell whether the first cell and those that are too many read like one number that holds commas."""
    if layout.columns == 1:
        return bare(cells[1])[:1].isdigit()  # no other column is there that a number could belong to
    if _SPLIT_EXPONENT.fullmatch(b",".join(map(bare, cells[:2]))):
        return True
    return _SPLIT_THOUSANDS.fullmatch(b",".join(map(bare, cells))) is not None


def _why_no_id(text: bytes) -> str:
    if not text:
        return NO_ID
    if _SPREADSHEET_NUMBER.fullmatch(text):
        return SPREADSHEET
    return OUT_OF_RANGE if text.isdigit() and len(text) <= MAX_ID_DIGITS else NOT_AN_ID


def _reject(found: Rows, number: int, value: bytes, reason: str, keep: int) -> None:
    """Count a rejected row, and keep it if it is among the first."""
    found.rejected += 1
    if reason == NO_ID:
        found.empty_ids += 1
    elif found.first_fault is None:
        found.first_fault = RejectedRow(number, harmless(value), reason)
    if len(found.rejected_rows) < keep:
        found.rejected_rows.append(RejectedRow(number, harmless(value), reason))
