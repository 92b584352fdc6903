"""Read a segment file block by block, however long it is: its ids, and an account of every row.

The reader decides what no single block can: where lines end that blocks cut in two, what quotes and the last row
are, limits, and whether too much was rejected. What it finds depends on the file alone, never on how the file was
cut into blocks. It keeps the lines of one record, the head of the file, the first rejected rows and what was set
aside, and hands the ids over as they come.
"""

from collections.abc import Iterable

import numpy as np

from ctsftp.contract.codes import Code, Fault, Notice, fault, harmless, notice
from ctsftp.contract.counting import some
from ctsftp.contract.header import (
    HEAD_BYTES,
    MAX_LINE_BYTES,
    inspect_head,
    line_too_long,
    read_header,
)
from ctsftp.contract.lastrow import LastRow
from ctsftp.contract.lines import CTRL_Z, end_lines, without_ctrl_z
from ctsftp.contract.reasons import BROKEN_QUOTE, FOOTER, INNER_BREAK, LINE_BREAK, MOVED_ID, OPEN_QUOTE
from ctsftp.contract.records import Settled, settle
from ctsftp.contract.rows import MAX_ROWS, NO_IDS, Ids, Layout, RejectedRow, Rows
from ctsftp.contract.sniff import nul_byte
from ctsftp.contract.titles import ID_TITLES, VENDOR_TITLE, fold
from ctsftp.contract.vectorised import read_rows_at_once

__all__ = ["HEAD_BYTES", "MAX_LINE_BYTES", "MAX_ROWS", "CsvReader", "Ids", "RejectedRow", "inspect_head"]

REJECTED_ONE_IN = 10  # more than one bad row in ten rejects the whole file

# What to set where it is not the id itself that spoils the rows.
_CURES = {
    LINE_BREAK: "Select Object: a data source without columns whose values hold line breaks",
    INNER_BREAK: "Select Object: a data source without columns whose values hold line breaks",
    MOVED_ID: "Select Object: a data source whose first column is CTUserID",
    BROKEN_QUOTE: "Field enclosure: None",
    OPEN_QUOTE: "Field enclosure: None",
}
_PIECE_BYTES = 512 * 1024  # of a block, read at once: bounds the memory for its lines


class CsvReader:
    """Read one segment file: `feed` it in blocks of any size, then `finish`.

    Once `fault` is set the file is refused, nothing more is read, and the caller may stop. The counts
    then stand for the rows before the faulty line. Once finished, rows = accepted + rejected, and
    `accepted` ids were returned, repeated ones included. `rejected` includes `empty_ids`.

    `id_title` is the title of the id column, "" until it is known. What only somebody who knows the segment can
    judge: `last_row` is the last row of a file that does not end with a line break ("" if it does), and `footer`
    tells, in a sentence, of a last row that may be a footer ("" if it is none).
    """

    def __init__(
        self,
        *,
        id_titles: Iterable[str] = ID_TITLES,
        max_rows: int = MAX_ROWS,
        max_line_bytes: int = MAX_LINE_BYTES,
    ) -> None:
        self.fault: Fault | None = None
        self.id_title = ""
        self.last_row = ""
        self.footer = ""
        self.accepted = 0
        self._rows = Rows(max_rows=max_rows)
        self._notices: dict[Code, Notice] = {}
        self._id_titles = tuple(id_titles)
        self._max_line_bytes = max_line_bytes
        # No line within one piece can be too long: only the one that it continues must be measured.
        self._piece_bytes = min(_PIECE_BYTES, max_line_bytes)
        self._begun = False  # the header is known
        self._header_bytes = 0
        self._layout = Layout(columns=1, id_column=0)  # until then: that with the shortest rows
        self._pending = bytearray()  # the head until the header is known, then a line without its end
        self._open = b""  # whole lines whose record is not closed yet
        self._held = NO_IDS  # the last id, which may be a footer
        self._last = LastRow()
        self._last_title = ""  # of a first line that nothing ends
        self._greatest = 0  # of the ids
        self._ended = True  # what was fed ends with a line break

    @property
    def rows(self) -> int:
        """Return how many rows were counted."""
        return self._rows.rows

    @property
    def rejected(self) -> int:
        """Return how many of them were rejected."""
        return self._rows.rejected

    @property
    def empty_ids(self) -> int:
        """Return how many of those have an empty id."""
        return self._rows.empty_ids

    @property
    def rejected_rows(self) -> list[RejectedRow]:
        """Return the first rejected rows, by line."""
        return self._rows.rejected_rows

    @property
    def notices(self) -> list[Notice]:
        """Return the warnings so far, in the order of their codes."""
        return [self._notices[code] for code in Code if code in self._notices]

    def max_ids(self, size_bytes: int) -> int:
        """Return how many ids a file of that size can hold at most, by its header once that is known."""
        # A row has its n columns' n - 1 commas, a digit and a line break, which only the last may lack.
        rows_bytes = max(0, size_bytes - self._header_bytes)
        return min((rows_bytes + 1) // (self._layout.columns + 1), self._rows.max_rows)

    def feed(self, block: bytes) -> Ids:
        """Read the next bytes; return the valid ids of the rows that they complete.

        The array is one-dimensional, contiguous and in file order. It stays empty until the head of the file is
        there: 64 KiB and the first line. The last id, which may be a footer, waits until another one follows.
        """
        size = self._piece_bytes
        parts = [self._take(block[at : at + size]) for at in range(0, len(block), size)]
        ids = np.concatenate([self._held, *parts])
        self._held = ids[-1:].copy()
        return ids[:-1]

    def finish(self) -> Ids:
        """End the file; return the ids that were not returned yet. Counts, notices and fault are final."""
        parts = [self._held]
        self._held = NO_IDS
        if not (self._begun or self.fault):
            parts.append(self._begin(complete=True))
        if self.fault is None:
            parts = self._end(parts)
        return np.concatenate(parts)

    def _end(self, parts: list[Ids]) -> list[Ids]:
        """Read what has no line end, and decide what only the whole file shows; return the last ids with these."""
        end = without_ctrl_z(bytes(self._pending))
        self._pending.clear()
        if not self._ended and (end or (self._last_title and not self.rows)):
            self._note(Code.NO_LAST_NEWLINE, "The last line does not end with a line break.")
            self.last_row = harmless(end) if end else self._last_title
        parts = [*parts, self._read_lines(end + b"\n" if end else b"", final=True)]
        if self.fault is None:
            set_aside = self._settle()
            # The last row may be among those that were set aside.
            parts = [self._judge_last_row(ids) for ids in (np.concatenate(parts), set_aside)]
        if self.fault is None:
            self._judge_rejected()
        return parts

    def _take(self, piece: bytes) -> Ids:
        if self.fault is not None:
            return NO_IDS
        self._ended = piece.endswith(b"\n")
        if self._begun:
            return self._read(piece)
        self._pending += piece
        return self._begin(complete=False)

    def _begin(self, *, complete: bool) -> Ids:
        """Read the header if it is there, and what follows it in the head."""
        head = bytes(self._pending)
        found = read_header(head, complete=complete, id_titles=self._id_titles, max_line_bytes=self._max_line_bytes)
        if found is None:
            return NO_IDS
        self._pending.clear()
        if isinstance(found, Fault):
            self.fault = found
            return NO_IDS
        self._begun, self._layout, self._header_bytes = True, found.layout, found.size_bytes
        self.id_title = found.id_title
        if found.marked:
            self._note(Code.BYTE_ORDER_MARK, "The file begins with a UTF-8 byte-order mark; it was skipped.")
        if found.quoted:
            self._note_quotes(1)
        if fold(found.id_title) == VENDOR_TITLE:
            self._note(Code.ID_TITLE, f"The ids were read from the column titled {found.id_title}; none is CTUserID.")
        if found.doubled:
            self._note_doubled(1)
        self._rows.line = 1 + found.lines
        self._check_charset(head[: found.size_bytes], 1)
        record = head[: found.size_bytes]
        self._last_title = "" if record.endswith(b"\n") or CTRL_Z in record else harmless(record.strip())
        rest = head[found.size_bytes :]
        size = self._piece_bytes
        return np.concatenate([NO_IDS, *(self._take(rest[at : at + size]) for at in range(0, len(rest), size))])

    def _read(self, piece: bytes) -> Ids:
        """Read a piece of the rows: what stands before a NUL byte counts, and then the NUL."""
        nul = piece.find(b"\0")
        if nul < 0:
            return self._read_text(piece)
        ids = self._read_text(piece[:nul])
        if self.fault is None:
            self.fault = nul_byte(self._next_line)
        return ids

    @property
    def _next_line(self) -> int:
        """Return the physical number of the first line that was not fed whole."""
        return self._rows.line + self._open.count(b"\n")

    def _read_text(self, piece: bytes) -> Ids:
        """Read the whole lines that a piece completes, and keep the beginning of the next."""
        rows_end = piece.rfind(b"\n") + 1
        continued = piece.find(b"\n") if rows_end else len(piece)
        if len(self._pending) + continued > self._max_line_bytes:
            self.fault = line_too_long(self._next_line, self._max_line_bytes)
            return NO_IDS
        if not rows_end:
            self._pending += piece
            return NO_IDS
        lines = bytes(self._pending) + piece[:rows_end]
        self._pending[:] = piece[rows_end:]
        return self._read_lines(lines)

    def _read_lines(self, lines: bytes, *, final: bool = False) -> Ids:
        """Read whole lines, behind those whose record is open, and add up what they hold."""
        lines = self._open + lines
        found, first_line = self._rows, self._rows.line
        ids, self._open = read_rows_at_once(self._layout, lines, found, final=final)
        self._check_charset(lines, first_line)
        if found.quoted_line:
            self._note_quotes(found.quoted_line)
        if 0 < found.crs_line < found.line:
            self._note_doubled(found.crs_line)
        self._last.feed(end_lines(lines)[0][: -len(self._open)] if self._open else lines, found.line)
        self.fault = found.fault
        self._account(ids)
        return ids

    def _account(self, ids: Ids) -> None:
        self.accepted += len(ids)
        if len(ids):
            self._greatest = max(self._greatest, int(ids.max()))
        # The contract's promise of exact accounting, on every block: no row is ever lost.
        assert self.rows == self.accepted + self.rejected, "a row is unaccounted for"

    def _settle(self) -> Ids:
        """Decide what was set aside; return its ids."""
        found = self._rows
        if not found.spans:
            return NO_IDS
        settled = settle(found)
        self.fault = found.fault
        self._account(settled.ids)
        self._note_spans(settled)
        return settled.ids

    def _note_spans(self, settled: Settled) -> None:
        """Warn of lines between quotes: of those that were rejected first, and of records last."""
        others = f"others are part of a value (line {self._rows.odd_line:,})"
        if settled.lost_line:
            what = f"Some quotes enclose values with line breaks (line {settled.lost_line:,})"
            why = others if self._rows.odd_line else "what they enclose is not a row"
            self._notices[Code.ENCLOSURE] = notice(Code.ENCLOSURE, f"{what}, and {why}: these lines were rejected.")
        elif settled.rows_line:
            what = f"Quotes that may enclose line breaks (line {settled.rows_line:,}) were read as text, since {others}"
            self._notices[Code.ENCLOSURE] = notice(Code.ENCLOSURE, f"{what}: each of these lines is a row.")
        else:
            self._note_quotes(settled.record_line)

    def _judge_last_row(self, ids: Ids) -> Ids:
        """Look whether the last row, if its id is the last of these, is a footer; return the ids without it then."""
        is_open = len(ids) > 0 and not (self.footer or self._rows.footers)
        footer = self._last.read_footer(self._layout, self._rows, int(ids[-1])) if is_open else None
        # Ids that are a run from 1 on, a few of them missing or repeated, end in the number of rows anyway.
        if footer is None or self._greatest <= self.rows:
            return ids
        if not footer.sure:
            self.footer = f"The id in the last row, {harmless(footer.text)}, is the number of rows: it may be a footer."
            return ids
        found = Rows(line=footer.line)
        found.reject(footer.text, FOOTER)
        self._rows.add(found)
        self.accepted -= 1
        return ids[:-1]

    def _judge_rejected(self) -> None:
        """Reject the file if too many of its rows were.

        Rows with an empty id count on neither side: a file of contacts most of whom are outside the
        program is fine, and cannot hide that all ids of the others are spoiled.
        """
        excused = self.empty_ids + self._rows.footers
        bad, rows = self.rejected - excused, self.rows - excused
        first = self._rows.first_fault
        if first and bad * REJECTED_ONE_IN > rows:
            found = (
                f"{bad:,} of {some(rows, 'row')} with an id were rejected, more than 1 in {REJECTED_ONE_IN}."
                f' The first of them: line {first.line:,}, "{first.value}", {first.reason}.'
            )
            cure = next((setting for cause, setting in _CURES.items() if first.reason.endswith(cause)), "")
            self.fault = fault(Code.TOO_MANY_REJECTED, found, setting=cure)

    def _check_charset(self, lines: bytes, first_line: int) -> None:
        """Look for bytes that are not UTF-8 in the lines that were read."""
        if lines.isascii() or Code.NOT_UTF8 in self._notices:
            return
        try:
            lines.decode()
        except UnicodeDecodeError as error:
            line = first_line + lines.count(b"\n", 0, error.start)
            if line < self._rows.line:
                self._note(Code.NOT_UTF8, f"Line {line:,} holds bytes that are not UTF-8; no id was misread.")

    def _note_quotes(self, line: int) -> None:
        self._note(Code.ENCLOSURE, f"Values are enclosed in quotes (line {line:,}); they were read without.")

    def _note_doubled(self, line: int) -> None:
        self._note(Code.LINE_ENDS, f"Lines end in CR CR LF (line {line:,}); they were read as CR LF.")

    def _note(self, code: Code, found: str) -> None:
        """Keep the first warning of each code."""
        self._notices.setdefault(code, notice(code, found))
