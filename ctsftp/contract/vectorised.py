"""Read rows at once: the vectorised twin of the reference reader in `records`.

It reads, with numpy and for all lines of a block together, the ids of lines that are beyond doubt: as many cells as
the header, an id of 1 to 18 digits, and quotes of which none is open at the end of a cell. Each other line it leaves
to the reference, so that contacts without an id, stray commas and spoiled ids cost what they cost there, and the
other lines of their block nothing.
"""

from collections.abc import Sequence
from typing import overload

import numpy as np
import numpy.typing as npt

from ctsftp.contract.lines import BREAKS, JOINTS, LINE_BREAKS
from ctsftp.contract.records import (
    MAX_RECORD_BYTES,
    MAX_RECORD_LINES,
    read_record,
    read_rows,
    take_line_ends,
)
from ctsftp.contract.rows import MAX_ID_DIGITS, Ids, Layout, Rows

COMMA, LINE_FEED, QUOTE, SPACE, ZERO, NINE = b',\n" 09'

_Bytes = npt.NDArray[np.uint8]
_Positions = npt.NDArray[np.intp]
_Flags = npt.NDArray[np.bool_]


def read_rows_at_once(layout: Layout, block: bytes, found: Rows, *, final: bool = False) -> tuple[Ids, bytes]:
    """Do what `read_rows` does, faster; the tests hold that both find the same in any block."""
    room = found.max_rows - found.rows - len(found.spans)
    # Near the limit on rows each row is counted by itself. Counting line ends takes as long as reading the digits.
    if not block or (len(block) > room and block.count(b"\n") + block.count(b"\r") > room):
        return read_rows(layout, block, found, final=final)
    return _Block(layout, take_line_ends(block, found)).read(found, final=final)


class _Block(Sequence[bytes]):
    """A block whose lines end in LF alone; as a sequence, its lines. All positions are places in its bytes."""

    def __init__(self, layout: Layout, block: bytes) -> None:
        self._layout = layout
        self._block = block
        self._text = text = np.frombuffer(block, dtype=np.uint8)
        # The line feed before the block is at -1.
        self._marks = np.concatenate([[-1], np.flatnonzero((text == COMMA) | (text == LINE_FEED))])
        is_line_end = text[self._marks[1:]] == LINE_FEED
        self._line_marks = np.concatenate([[0], np.flatnonzero(is_line_end) + 1])  # places in the marks

    def __len__(self) -> int:
        return len(self._line_marks) - 1

    @overload
    def __getitem__(self, at: int) -> bytes: ...
    @overload
    def __getitem__(self, at: slice) -> list[bytes]: ...
    def __getitem__(self, at: int | slice) -> bytes | list[bytes]:
        if isinstance(at, slice):
            return [self[one] for one in range(*at.indices(len(self)))]
        return self._block[self._start(at) : self._marks[self._line_marks[at + 1]]]

    def read(self, found: Rows, *, final: bool) -> tuple[Ids, bytes]:
        """Read the lines; those in doubt are judged in their places, so that the ids stay in file order."""
        ids, sure, quoted = self._read_ids()
        odd = self._clear_quotes(sure) if b'"' in self._block else None
        if any(mark in self._block for mark in self._break_marks()):
            places = [found.start() for found in BREAKS.finditer(self._block)]
            sure[self._lines_of(np.array(places, dtype=np.intp))] = False
        if not found.lost and odd is None and sure.all():
            found.rows += len(ids)
            found.line += len(ids)
            return ids, b""
        doubtful = np.flatnonzero(~sure)
        quoted_at = np.flatnonzero(quoted & sure) if odd is not None and not self._layout.enclosed else NO_LINES
        odd_at = np.flatnonzero(odd) if odd is not None else NO_LINES
        at, first_line = 0, found.line
        while True:
            place = at if found.lost and at < len(self) else _next(doubtful, at, len(self))
            found.rows += place - at
            for name, lines in (("quoted_line", quoted_at), ("odd_line", odd_at)):
                if len(lines) and not getattr(found, name) and (one := _next(lines, at, place)) < place:
                    setattr(found, name, first_line + one)
            at = place
            found.line = first_line + at
            if at == len(self):
                break
            taken, member = read_record(self._layout, self, at, found, final=final)
            if not taken:
                break
            ids[at : at + taken] = 0
            ids[at] = member
            at += taken
        ids = ids[:at]
        rest = b"" if found.fault else self._block[self._start(at) :]
        return ids[ids > 0], rest

    def _break_marks(self) -> Sequence[bytes]:
        """Return what a block of these bytes may hold of the breaks that are none of its line ends."""
        marks = (*LINE_BREAKS, *JOINTS)
        return [mark for mark in marks if mark.isascii()] if self._block.isascii() else marks

    def _start(self, line: int) -> int:
        return int(self._marks[self._line_marks[line]]) + 1

    def _lines_of(self, places: _Positions) -> _Positions:
        """Return the lines that bytes stand in."""
        return np.searchsorted(self._marks[self._line_marks[1:]], places)

    def _read_ids(self) -> tuple[Ids, _Flags, _Flags]:
        """Read the id of each line; the flags tell which are beyond doubt, the others are garbage, and which quoted."""
        marks, layout = self._marks, self._layout
        cell_marks = np.minimum(self._line_marks[:-1] + layout.id_column, len(marks) - 2)
        starts, ends = marks[cell_marks] + 1, marks[cell_marks + 1]
        quoted = np.zeros(len(starts), dtype=np.bool_)
        if b'"' in self._block:
            quoted = (ends - starts > 2) & (self._text[starts] == QUOTE) & (self._text[ends - 1] == QUOTE)  # noqa: PLR2004
            starts, ends = starts + quoted, ends - quoted
        ids, sure = _read_digits(self._text, starts, ends)
        sure &= np.diff(self._line_marks) == layout.columns
        return ids, sure, quoted

    def _clear_quotes(self, sure: _Flags) -> _Flags:
        """Take back what is not beyond doubt about lines with quotes; return the other lines with odd ones.

        Within one cell, quotes open and close in turn. As RFC 4180 has it, what opens stands at the cell's beginning
        or behind what closes, and what closes at its end or before what opens (a doubled quote). A cell of a line in
        which no cell begins with a quote is never open.
        """
        text = self._text
        quotes = np.flatnonzero(text == QUOTE)
        cells = np.searchsorted(self._marks, quotes)  # which mark ends it
        lines = np.searchsorted(self._line_marks, cells) - 1
        is_first = np.diff(cells, prepend=-1) > 0
        is_last = np.append(is_first[1:], True)
        place = np.arange(len(quotes))
        closes = ((place - np.maximum.accumulate(np.where(is_first, place, 0))) & 1).astype(np.bool_)
        before, after = text[quotes - 1], text[quotes + 1]
        opens_cell, ends_cell = _ends_cell(before), _ends_cell(after)
        beside = np.where(closes, ends_cell | (after == QUOTE), opens_cell | (before == QUOTE))
        is_open = is_last & ~closes
        has_opening, has_open, odd = (np.zeros(len(sure), dtype=np.bool_) for _ in range(3))
        odd[lines[~beside | is_open]] = True
        if self._layout.enclosed:
            sure &= ~odd
            return np.zeros(len(sure), dtype=np.bool_)
        is_ordinary = self._are_ordinary(lines, ends_cell | (after == QUOTE) | _is_blank(after))
        has_open[lines[is_open & ~is_ordinary]] = True
        has_opening[lines[is_first & opens_cell]] = True
        sure &= ~(has_open & has_opening)
        self._doubt_blanks(sure, quotes, lines, is_first & _is_blank(before), is_last & _is_blank(after))
        return odd & sure

    def _are_ordinary(self, lines: _Positions, may_close: _Flags) -> _Flags:
        """Tell of each quote whether it is the only one in its line, and the next one, lines later, closes nothing."""
        if len(self._block) > MAX_RECORD_BYTES:
            return np.zeros(len(lines), dtype=np.bool_)
        begins = np.diff(lines, prepend=-1) > 0
        ends = np.append(begins[1:], True)
        is_near = np.diff(lines, append=len(self) + MAX_RECORD_LINES) < MAX_RECORD_LINES
        found: _Flags = begins & ends & is_near & np.append(~may_close[1:], False)
        return found

    def _doubt_blanks(self, sure: _Flags, quotes: _Positions, lines: _Positions, led: _Flags, followed: _Flags) -> None:
        """Take back lines with blanks before the first quote of a cell (`led`), or behind its last (`followed`)."""
        for quote, line in ((quotes[led] - 2, lines[led]), (quotes[followed] + 2, lines[followed])):
            beyond = self._text[np.minimum(quote, len(self._text) - 1)]
            sure[line[_ends_cell(beyond) | _is_blank(beyond)]] = False


# Space, tab, control characters, and each byte of the invisible characters that UTF-8 writes in two or three.
_BLANK_BYTES: _Flags = np.zeros(256, dtype=np.bool_)
_BLANK_BYTES[[SPACE, *range(LINE_FEED), *range(LINE_FEED + 1, SPACE), 0x7F]] = True
_BLANK_BYTES[[*b"\xc2\xa0\xe2\x80\x81\x8b\x8c\x8d\x8e\x8f\xef\xbb\xbf"]] = True

NO_LINES: _Positions = np.empty(0, dtype=np.intp)


def _next(lines: _Positions, at: int, end: int) -> int:
    """Return the first of these lines from one on, or the end."""
    place = int(np.searchsorted(lines, at))
    return int(lines[place]) if place < len(lines) else end


def _ends_cell(text: _Bytes) -> _Flags:
    found: _Flags = (text == COMMA) | (text == LINE_FEED)
    return found


def _is_blank(text: _Bytes) -> _Flags:
    """Tell which bytes may be a part of what `cells` passes over around quotes."""
    found: _Flags = _BLANK_BYTES[text]
    return found


def _read_digits(text: _Bytes, starts: _Positions, ends: _Positions) -> tuple[Ids, _Flags]:
    """Read a cell of each line as a number; the flags tell which are beyond doubt, the others are garbage."""
    widths = ends - starts
    sure = (widths > 0) & (widths < MAX_ID_DIGITS)
    ids = np.zeros(len(ends), dtype=np.int64)
    for place in range(min(int(widths.max()), MAX_ID_DIGITS - 1)):
        digits = text[ends - (place + 1)] - np.uint8(ZERO)  # what stands before the zero becomes large
        inside = widths > place
        sure &= (digits <= NINE - ZERO) | ~inside
        ids += np.where(inside, digits, 0) * np.int64(10**place)
    return ids, sure & (ids > 0)
