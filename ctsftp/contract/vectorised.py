"""Read rows at once: the vectorised twin of the reference reader in `records`.

It reads, with numpy and for all lines of a block together, the ids of lines that are beyond doubt: as many cells as
the header, an id of 1 to 18 digits, and quotes of which none is open at the end of a cell. Each other line it leaves
to the reference, so that contacts without an id, stray commas and spoiled ids cost what they cost there, and the
other lines of their block nothing.
"""

from collections.abc import Sequence
from functools import cached_property
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
from ctsftp.contract.titles import TITLE_BYTES

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
        is_mark = (text == COMMA) | (text == LINE_FEED)
        self._quotes = _Quotes(text, is_mark) if b'"' in block else None
        if self._quotes:
            marks = self._quotes.marks_outside if layout.enclosed else self._quotes.marks
        else:
            marks = np.flatnonzero(is_mark)
        self._marks = np.concatenate([[-1], marks])  # the line feed before the block is at -1
        self._line_marks = np.concatenate([[0], np.flatnonzero(text[marks] == LINE_FEED) + 1])  # places in the marks

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
        self._doubt_titles(sure)
        odd = self._clear_quotes(self._quotes, sure) if self._quotes else None
        if self._may_hold_breaks():
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

    def _doubt_titles(self, sure: _Flags) -> None:
        """Take back lines that end in CTUserID, in any case, and perhaps a quote."""
        if self._layout.id_column == self._layout.columns - 1:
            return  # it is the id that does not end in digits then
        text, ends = self._text, self._marks[self._line_marks[1:]] - 1
        last = text[ends]
        if self._quotes:
            ends = ends - (last == QUOTE)
            last = text[ends]
        lines = np.flatnonzero((last | SPACE) == TITLE_BYTES[-1])
        for back in range(1, len(TITLE_BYTES)):
            if not len(lines):
                return
            lines = lines[(text[ends[lines] - back] | SPACE) == TITLE_BYTES[-1 - back]]
        sure[lines] = False

    def _may_hold_breaks(self) -> bool:
        """Tell whether there may be breaks that are none of the line ends: a look that takes little of the time."""
        block, has_controls = self._block, np.count_nonzero(self._text < SPACE) > len(self)
        marks = (_CONTROL_BREAKS if has_controls else []) + ([] if block.isascii() else _WIDE_BREAKS)
        return any(mark[:1] in block and mark in block for mark in marks)

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
        if self._quotes:
            quoted = (ends - starts > 2) & (self._text[starts] == QUOTE) & (self._text[ends - 1] == QUOTE)  # noqa: PLR2004
            starts, ends = starts + quoted, ends - quoted
        ids, sure = _read_digits(self._text, starts, ends)
        sure &= np.diff(self._line_marks) == layout.columns
        return ids, sure, quoted

    def _clear_quotes(self, found: "_Quotes", sure: _Flags) -> _Flags:
        """Take back what is not beyond doubt about lines with quotes; return the other lines with odd ones.

        Within one cell, quotes open and close in turn. As RFC 4180 has it, what opens stands at the cell's beginning
        or behind what closes, and what closes at its end or before what opens (a doubled quote). A cell of a line in
        which no cell begins with a quote is never open.
        """
        if self._layout.enclosed:
            sure[found.unclosed] = False
            if len(found.misplaced):
                sure[found.lines[found.misplaced]] = False
        if self._layout.enclosed or found.are_minimal:
            return np.zeros(len(sure), dtype=np.bool_)
        has_opening, has_open, odd = (np.zeros(len(sure), dtype=np.bool_) for _ in range(3))
        text, quotes, cells, lines = self._text, found.places, found.cells, found.lines
        is_first = np.diff(cells, prepend=-1) > 0
        is_last = np.append(is_first[1:], True)
        place = np.arange(len(quotes))
        closes = ((place - np.maximum.accumulate(np.where(is_first, place, 0))) & 1).astype(np.bool_)
        before, after = text[quotes - 1], text[quotes + 1]
        opens_cell, ends_cell = _ends_cell(before), _ends_cell(after)
        beside = np.where(closes, ends_cell | (after == QUOTE), opens_cell | (before == QUOTE))
        is_open = is_last & ~closes
        odd[lines[~beside | is_open]] = True
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


class _Quotes:
    """The quotes of a block, by their `places`, and how they stand if each line is a record of RFC 4180.

    Then they open and close in turn. A line whose last quote opens is `unclosed`. All is worked out when it is asked
    for: a block of a hundred thousand marks is cheap to look at, and dear to copy.
    """

    def __init__(self, text: _Bytes, is_mark: _Flags) -> None:
        self._text = text
        self._tokens = np.flatnonzero(is_mark | (text == QUOTE))
        kinds = text[self._tokens]
        self._is_quote, self._is_line_end = kinds == QUOTE, kinds == LINE_FEED
        self._count = np.cumsum(self._is_quote, dtype=np.int32)
        self._ends = np.flatnonzero(self._is_line_end)
        self._before = np.concatenate([[0], self._count[self._ends]])  # so many quotes stand before each line
        self.unclosed = np.flatnonzero(np.diff(self._before) & 1)
        self.places = np.compress(self._is_quote, self._tokens)

    @cached_property
    def marks(self) -> _Positions:
        """The places of all commas and line ends."""
        return np.compress(~self._is_quote, self._tokens)

    @cached_property
    def marks_outside(self) -> _Positions:
        """The places of line ends, and of commas outside of quotes."""
        return np.compress(self._is_line_end | ~(self._is_quote | self._is_inside), self._tokens)

    @cached_property
    def misplaced(self) -> _Positions:
        """The quotes that open or close where no cell begins or ends, as numbers of `places`."""
        if len(self.unclosed):
            beside = self._text[self.places + np.where(np.compress(self._is_quote, self._is_inside), -1, 1)]
            return np.flatnonzero(~_ends_quoted(beside))
        opening, closing = self._text[self.places[::2] - 1], self._text[self.places[1::2] + 1]
        wrong = [np.flatnonzero(~_ends_quoted(opening)) * 2, np.flatnonzero(~_ends_quoted(closing)) * 2 + 1]
        return np.concatenate(wrong)

    @cached_property
    def are_minimal(self) -> bool:
        """Tell whether all stand as RFC 4180 has it, around cells without commas: in a plain file as well."""
        return not (
            len(self.unclosed) or len(self.misplaced) or len(self.marks_outside) + len(self.places) < len(self._tokens)
        )

    @cached_property
    def lines(self) -> _Positions:
        """The line of each quote."""
        return np.compress(self._is_quote, np.cumsum(self._is_line_end))

    @cached_property
    def cells(self) -> _Positions:
        """The cell of each quote, if every comma divides cells: as the number of the mark that ends it."""
        return np.flatnonzero(self._is_quote) - np.arange(len(self.places)) + 1

    @property
    def _is_inside(self) -> _Flags:
        count = self._count
        if len(self.unclosed):  # of each line by itself
            count = count - np.repeat(self._before[:-1], np.diff(self._ends, prepend=-1)).astype(np.int32)
        return (count.astype(np.uint8) & 1).view(np.bool_)


# Space, tab, control characters, and each byte of the invisible characters that UTF-8 writes in two or three.
_BLANK_BYTES: _Flags = np.zeros(256, dtype=np.bool_)
_BLANK_BYTES[[SPACE, *range(LINE_FEED), *range(LINE_FEED + 1, SPACE), 0x7F]] = True
_BLANK_BYTES[[*b"\xc2\xa0\xe2\x80\x81\x8b\x8c\x8d\x8e\x8f\xef\xbb\xbf"]] = True

_CONTROL_BREAKS = [mark for mark in (*LINE_BREAKS, *JOINTS) if len(mark) == 1]
_WIDE_BREAKS = [mark for mark in (*LINE_BREAKS, *JOINTS) if len(mark) > 1]
NO_LINES: _Positions = np.empty(0, dtype=np.intp)


def _next(lines: _Positions, at: int, end: int) -> int:
    """Return the first of these lines from one on, or the end."""
    place = int(np.searchsorted(lines, at))
    return int(lines[place]) if place < len(lines) else end


def _ends_cell(text: _Bytes) -> _Flags:
    found: _Flags = (text == COMMA) | (text == LINE_FEED)
    return found


def _ends_quoted(text: _Bytes) -> _Flags:
    found: _Flags = _ends_cell(text) | (text == QUOTE)
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
    narrowest = int(widths.min())
    for place in range(min(int(widths.max()), MAX_ID_DIGITS - 1)):
        digits = text[ends - (place + 1)] - np.uint8(ZERO)  # what stands before the zero becomes large
        if place >= narrowest:
            inside = widths > place
            digits = np.where(inside, digits, 0).astype(np.uint8, copy=False)
        sure &= digits <= NINE - ZERO
        ids += digits * np.int64(10**place)
    return ids, sure & (ids > 0)
