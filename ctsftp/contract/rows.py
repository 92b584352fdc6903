"""Rows: what one is, when its id is valid, and why it is rejected.

One rule stands above all others: never a member who was not exported, and never an id that arrived and is in no
count. Where it cannot be told what a row is, it is rejected and counted. How lines become rows stands in `records`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from ctsftp.contract.cells import bare, is_quoted, unbroken
from ctsftp.contract.codes import Code, Fault, fault, harmless
from ctsftp.contract.counting import some
from ctsftp.contract.lines import BREAKS, LINE_BREAKS, is_empty, pieces
from ctsftp.contract.reasons import (
    FOOTER,
    INNER_BREAK,
    JOINT,
    KEPT_REJECTED,
    LINE_BREAK,
    MAX_ID,
    MAX_ID_DIGITS,
    MOVED_ID,
    NO_ID,
    SPLIT_ID,
    RejectedRow,
    read_id,
    splits_id,
    why_no_id,
)
from ctsftp.contract.titles import ends_in_title, stands_again

__all__ = ["KEPT_REJECTED", "MAX_ID", "MAX_ID_DIGITS", "NO_IDS", "Ids", "Layout", "RejectedRow", "Rows", "Span"]

MAX_ROWS = 50_000_000
_SEVERAL = 2

Ids = npt.NDArray[np.int64]
NO_IDS: Ids = np.empty(0, dtype=np.int64)


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the ids are: the number of columns, the index of the id column, RFC 4180 or plain lines.

    `titles` are those of the first line, as they are spelled there, by which a later header is known.
    """

    columns: int
    id_column: int
    enclosed: bool = False
    titles: tuple[str, ...] = field(default=(), compare=False)


@dataclass(slots=True)
class Rows:
    """What was found so far: rows = ids + rejected; blank lines are lines, and no rows.

    `line` is the physical number of the next line. `rejected` counts rows with an empty id and footers as well;
    `empty_rows` are those with an empty id that hold nothing else either;
    `first_fault` is the first row rejected for any other reason. `quoted_line` and `odd_line` are the first lines of
    a plain file whose id stands in quotes, and whose quotes stand otherwise than RFC 4180 has them; `crs_line` is
    the first that ends in CR CR LF; 0 if none. `spans`, of `aside` lines, wait for the end of a plain file. `lost`:
    a quote was broken in an enclosed file, and the next record is looked for. Nothing is read behind a `fault`.
    """

    line: int = 2
    max_rows: int = MAX_ROWS
    keep: int = KEPT_REJECTED
    rows: int = 0
    rejected: int = 0
    empty_ids: int = 0
    empty_rows: int = 0
    footers: int = 0
    rejected_rows: list[RejectedRow] = field(default_factory=list)
    first_fault: RejectedRow | None = None
    quoted_line: int = 0
    odd_line: int = 0
    crs_line: int = 0
    spans: "list[Span]" = field(default_factory=list)
    aside: int = 0
    lost: bool = False
    fault: Fault | None = None

    def reject(self, value: bytes, reason: str) -> int:
        """Count the row in this line as rejected, and keep it if it is among the first; return 0: it has no id."""
        self.rejected += 1
        if reason == NO_ID:
            self.empty_ids += 1
        elif reason == FOOTER:
            self.footers += 1
        elif self.first_fault is None:
            self.first_fault = RejectedRow(self.line, harmless(value), reason)
        if len(self.rejected_rows) < self.keep:
            self.rejected_rows.append(RejectedRow(self.line, harmless(value), reason))
        return 0

    def reject_lines(self, lines: Sequence[bytes], reason: str) -> None:
        """Count each piece of these lines as a rejected row, and go on behind them."""
        for line in lines:
            for piece in pieces(line):
                self.rows += 1
                self.reject(piece, reason)
            self.line += 1

    def add(self, other: "Rows") -> None:
        """Add what was found in lines that had been set aside, or are looked at again, wherever they stand."""
        self.rows += other.rows
        self.rejected += other.rejected
        self.empty_ids += other.empty_ids
        self.empty_rows += other.empty_rows
        self.footers += other.footers
        self.rejected_rows = sorted([*self.rejected_rows, *other.rejected_rows], key=_line_of)[: self.keep]
        self.first_fault = min(filter(None, (self.first_fault, other.first_fault)), key=_line_of, default=None)


@dataclass(frozen=True, slots=True)
class Span:
    """Lines of a plain file between quotes; what they are, only the whole file can tell.

    `line` is the number of the first. `record` and `member`, its id or 0, are what they are if they are one record,
    None if they cannot be; `rows` and `ids` if quotes are ordinary characters; in `lines` all are rejected. `wrong`:
    one of them has another number of cells than the header. `titles` is the fault if they hold column titles.
    """

    line: int
    record: Rows | None
    member: int
    rows: Rows
    ids: list[int]
    lines: Rows
    wrong: bool
    titles: Fault | None


def judge_row(layout: Layout, line: bytes, cells: list[bytes], found: Rows) -> int:
    """Count the row of these cells; return its id, or 0 if it is rejected or shows a fault of the file."""
    text = bare(cells[layout.id_column]) if len(cells) > layout.id_column else b""
    member = read_id(text)
    surplus = len(cells) - layout.columns
    if (member is None or surplus or ends_in_title(line)) and holds_other_titles(layout, line, found):
        return 0
    found.rows += 1
    if b"\r" in line or (BREAKS.search(line) and _are_several(layout, line, cells, text)):
        return _reject_pieces(line, found)
    if reason := _misfit(layout, cells):
        return found.reject(line, reason)
    if not (layout.enclosed or found.quoted_line) and is_quoted(cells[layout.id_column].strip()):
        found.quoted_line = found.line
    if member is not None:
        return member
    if not text and is_empty(line or b",".join(cells)):
        found.empty_rows += 1
    return found.reject(text, why_no_id(text))


def holds_other_titles(layout: Layout, line: bytes, found: Rows) -> bool:
    """Tell whether a row holds column titles, and not in the first line's places: that is a fault of the file."""
    if stands_again(layout.titles, line) is not False:
        return False
    what = f'Line {found.line:,} holds column titles again, but not those of the first line: "{harmless(line)}".'
    found.fault = fault(Code.SECOND_HEADER, f"{what} Two exports were joined into one file.")
    return True


def _are_several(layout: Layout, line: bytes, cells: list[bytes], text: bytes) -> bool:
    """Tell whether a line in which breaks of other kinds stand may be several rows, or what is left of them.

    They show in the number of cells, in the `text` of the id, or in another id that stands where a row has its own:
    by its place from the first cell or, as a comma too many in the header may make room for two rows, from the last.
    """
    if len(pieces(line)) < _SEVERAL:
        return False
    if len(cells) != layout.columns or BREAKS.search(text):
        return True
    from_last = layout.columns - layout.id_column
    places = (slice(layout.id_column, layout.id_column + 1), slice(-from_last, 1 - from_last or None))
    rows = [piece.split(b",") for piece in pieces(unbroken(line, BREAKS))]
    return sum(any(read_id(bare(cell)) for place in places for cell in row[place]) for row in rows) > 1


def _reject_pieces(line: bytes, found: Rows) -> int:
    """Count every piece between the breaks of a row, which is counted already, as a row that is rejected."""
    parts = pieces(line)
    found.rows += len(parts) - 1
    reason = INNER_BREAK if any(mark in line for mark in LINE_BREAKS) else JOINT
    for part in parts:
        found.reject(part, reason)
    return 0


def _misfit(layout: Layout, cells: list[bytes]) -> str:
    """Return why a row with these cells cannot be trusted to have its id in the id column, or ""."""
    surplus = len(cells) - layout.columns
    if surplus < 0:
        return f"{len(cells)} of {some(layout.columns, 'column')}: {LINE_BREAK}"
    if surplus > 0 and layout.id_column > 0:
        return f"{len(cells)} instead of {some(layout.columns, 'column')}: {MOVED_ID}"
    return SPLIT_ID if surplus > 0 and splits_id(layout.columns, cells[: surplus + 1]) else ""


def _line_of(row: RejectedRow) -> int:
    return row.line
