"""Read a segment file block by block, however long it is: its ids, and an account of every row.

The reader decides what no single block can: where lines end that blocks cut in two, limits, and whether
too much was rejected. What it finds depends on the file alone, never on how the file was cut into blocks.
It keeps one line, the head of the file and the first rejected rows, and hands the ids over as they come.
"""

from collections.abc import Iterable

import numpy as np

from ctsftp.contract.codes import Code, Fault, Notice, fault, notice
from ctsftp.contract.header import (
    HEAD_BYTES,
    ID_TITLES,
    MAX_LINE_BYTES,
    inspect_head,
    line_too_long,
    read_header,
)
from ctsftp.contract.rows import (
    BROKEN_QUOTE,
    KEPT_REJECTED,
    LINE_BREAK,
    MOVED_ID,
    NO_IDS,
    Ids,
    Layout,
    RejectedRow,
)
from ctsftp.contract.sniff import nul_byte
from ctsftp.contract.vectorised import read_rows_at_once

__all__ = ["HEAD_BYTES", "MAX_LINE_BYTES", "CsvReader", "Ids", "RejectedRow", "inspect_head"]

MAX_ROWS = 50_000_000
REJECTED_ONE_IN = 10  # more than one bad row in ten rejects the whole file

# What to set where it is not the id itself that spoils the rows.
_CURES = {
    LINE_BREAK: "Select Object: a data source without columns whose values hold line breaks",
    MOVED_ID: "Select Object: a data source whose first column is CTUserID",
    BROKEN_QUOTE: "Field enclosure: None",
}
_PIECE_BYTES = 512 * 1024  # of a block, read at once: bounds the memory for its lines


class CsvReader:
    """Read one segment file: `feed` it in blocks of any size, then `finish`.

    Once `fault` is set the file is refused, nothing more is read, and the caller may stop. The counts
    then stand for the rows before the faulty line. At any time rows = accepted + rejected, and
    `accepted` ids were returned, repeated ones included. `rejected` includes `empty_ids`.
    """

    def __init__(
        self,
        *,
        id_titles: Iterable[str] = ID_TITLES,
        max_rows: int = MAX_ROWS,
        max_line_bytes: int = MAX_LINE_BYTES,
    ) -> None:
        self.fault: Fault | None = None
        self.rows = 0
        self.accepted = 0
        self.rejected = 0
        self.empty_ids = 0
        self.rejected_rows: list[RejectedRow] = []
        self._first_fault: RejectedRow | None = None
        self._notices: dict[Code, Notice] = {}
        self._id_titles = frozenset(id_titles)
        self._max_rows = max_rows
        self._max_line_bytes = max_line_bytes
        # No line within one piece can be too long: only the one that it continues must be measured.
        self._piece_bytes = min(_PIECE_BYTES, max_line_bytes)
        self._begun = False  # the header is known
        self._header_bytes = 0
        self._layout = Layout(columns=1, id_column=0)  # until then: that with the shortest rows
        self._pending = bytearray()  # the head until the header is known, then a line without its end
        self._line = 1  # the physical number of the first line that was not read yet
        self._ended = True  # what was fed ends with a line break

    @property
    def notices(self) -> list[Notice]:
        """Return the warnings so far, in the order of their codes."""
        return [self._notices[code] for code in Code if code in self._notices]

    def max_ids(self, size_bytes: int) -> int:
        """Return how many ids a file of that size can hold at most, by its header once that is known."""
        # A row has its n columns' n - 1 commas, a digit and a line break, which only the last may lack.
        rows_bytes = max(0, size_bytes - self._header_bytes)
        return min((rows_bytes + 1) // (self._layout.columns + 1), self._max_rows)

    def feed(self, block: bytes) -> Ids:
        """Read the next bytes; return the valid ids of the whole lines that they complete.

        The array is one-dimensional, contiguous and in file order. It stays empty until the head of the
        file is there: 64 KiB and the first line.
        """
        size = self._piece_bytes
        parts = [self._take(block[at : at + size]) for at in range(0, len(block), size)]
        return parts[0] if len(parts) == 1 else np.concatenate([NO_IDS, *parts])

    def finish(self) -> Ids:
        """End the file; return the ids that were not returned yet. Counts, notices and fault are final."""
        head_ids = NO_IDS if self._begun or self.fault else self._begin(complete=True)
        if self.fault:
            return head_ids
        if not self._ended:
            self._note(Code.NO_LAST_NEWLINE, "The last line does not end with a line break.")
        last_ids = self._read_lines(bytes(self._pending) + b"\n") if self._pending else NO_IDS
        self._pending.clear()
        if self.fault is None:
            self._judge_rejected()
        return np.concatenate([head_ids, last_ids])

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
        if found.marked:
            self._note(Code.BYTE_ORDER_MARK, "The file begins with a UTF-8 byte-order mark; it was skipped.")
        if found.quoted:
            self._note_quotes(1)
        self._check_charset(head[: found.size_bytes])
        self._line = 2
        return self.feed(head[found.size_bytes :])

    def _read(self, piece: bytes) -> Ids:
        """Read a piece of the rows: what stands before a NUL byte counts, and then the NUL."""
        nul = piece.find(b"\0")
        if nul < 0:
            return self._read_text(piece)
        ids = self._read_text(piece[:nul])
        if self.fault is None:
            self.fault = nul_byte(self._line)
        return ids

    def _read_text(self, piece: bytes) -> Ids:
        """Read the whole lines that a piece completes, and keep the beginning of the next."""
        rows_end = piece.rfind(b"\n") + 1
        continued = piece.find(b"\n") if rows_end else len(piece)
        if len(self._pending) + continued > self._max_line_bytes:
            self.fault = line_too_long(self._line, self._max_line_bytes)
            return NO_IDS
        if not rows_end:
            self._pending += piece
            return NO_IDS
        lines = bytes(self._pending) + piece[:rows_end]
        self._pending[:] = piece[rows_end:]
        return self._read_lines(lines)

    def _read_lines(self, lines: bytes) -> Ids:
        """Read whole lines up to the limit on rows."""
        room = self._max_rows - self.rows
        fits = len(lines) <= room or lines.count(b"\n") <= room  # counting takes as long as reading the digits
        end = len(lines) if fits else _end_of_rows(lines, room)
        ids = self._read_rows(lines[:end])
        if end < len(lines):
            self.fault = fault(
                Code.TOO_LARGE,
                f"The file has more than {self._max_rows:,} rows, the most that the server's admin allows.",
            )
        return ids

    def _read_rows(self, lines: bytes) -> Ids:
        """Read whole lines and add up what they hold."""
        found = read_rows_at_once(self._layout, lines, self._line, keep=KEPT_REJECTED - len(self.rejected_rows))
        self._check_charset(lines)
        if found.quoted_line:
            self._note_quotes(found.quoted_line)
        self.rows += found.rows
        self.accepted += len(found.ids)
        self.rejected += found.rejected
        self.empty_ids += found.empty_ids
        self.rejected_rows += found.rejected_rows
        self._first_fault = self._first_fault or found.first_fault
        self._line += found.lines
        # The contract's promise of exact accounting, on every block: no row is ever lost.
        assert self.rows == self.accepted + self.rejected, "a row is unaccounted for"
        return found.ids

    def _judge_rejected(self) -> None:
        """Reject the file if too many of its rows were.

        Rows with an empty id count on neither side: a file of contacts most of whom are outside the
        program is fine, and cannot hide that all ids of the others are spoiled.
        """
        bad, rows = self.rejected - self.empty_ids, self.rows - self.empty_ids
        first = self._first_fault
        if first and bad * REJECTED_ONE_IN > rows:
            found = (
                f"{bad:,} of {rows:,} rows with an id were rejected, more than one in {REJECTED_ONE_IN}."
                f' The first of them: line {first.line:,}, "{first.value}", {first.reason}.'
            )
            cure = next((setting for cause, setting in _CURES.items() if first.reason.endswith(cause)), "")
            self.fault = fault(Code.TOO_MANY_REJECTED, found, setting=cure)

    def _check_charset(self, lines: bytes) -> None:
        if lines.isascii() or Code.NOT_UTF8 in self._notices:
            return
        try:
            lines.decode()
        except UnicodeDecodeError as error:
            line = self._line + lines.count(b"\n", 0, error.start)
            self._note(Code.NOT_UTF8, f"Line {line:,} holds bytes that are not UTF-8; no id was misread.")

    def _note_quotes(self, line: int) -> None:
        self._note(Code.ENCLOSURE, f"Values are enclosed in quotes (line {line:,}); they were read without.")

    def _note(self, code: Code, found: str) -> None:
        """Keep the first warning of each code."""
        self._notices.setdefault(code, notice(code, found))


def _end_of_rows(lines: bytes, count: int) -> int:
    """Return where in whole lines the row after the first `count` begins, or the end of the lines."""
    end = 0
    for line in lines.split(b"\n")[:-1]:
        if line.strip():
            if count == 0:
                return end
            count -= 1
        end += len(line) + 1
    return end
