"""Cells: where the commas of a row divide it, and how its quotes stand.

RFC 4180 knows one way to write a quote: a cell begins with one, ends with one, and holds only doubled ones in
between. `Walk` goes through the lines of a record in that manner, and says where they keep to it:

    1001,"Flat 3        open: the cell goes on in the next line
    12, Main Street"    and is closed
    1001,5" screen      odd: the quote is part of the text
    1001,"Jim" Smith    torn: the cell goes on behind its closing quote
"""

import re
from dataclasses import dataclass, field

# The cells of an RFC 4180 record. Possessive repeats (`*+`) never try a byte twice, so no line is slow.
_CELLS = re.compile(rb'(?:^|,)("[^"]*+(?:""[^"]*+)*+"|[^",]*+)')
_QUOTED_CELL = re.compile(rb'(?:^|(?<=,))"[^"]*+(?:""[^"]*+)*+"(?=,|$)')
# A quoted cell up to the quote that closes it, which is missing where the cell is open at the end of the line.
_FROM_OPENING = re.compile(rb'"[^"]*+(?:""[^"]*+)*+("?)')
_FROM_WITHIN = re.compile(rb'[^"]*+(?:""[^"]*+)*+("?)')
# Around quotes a control or an invisible character is no text: a no-break or zero-width space, a byte-order mark.
_BLANKS = re.compile(
    rb"(?:[ \t\x01-\x08\x0b\x0c\x0e-\x1f\x7f]|\xc2\xa0|\xe2\x80[\x8b-\x8f]|\xe2\x81\xa0|\xef\xbb\xbf)*+"
)


@dataclass(slots=True)
class Walk:
    """Goes through the lines of one record, given one after another; `cells` are as they stand, quotes included.

    `open`: the last cell is not closed yet. `odd`: a quote stands inside an unquoted cell. `torn`: a quoted cell
    goes on behind its closing quote, and is taken for an unquoted one; if it was open at the end of a line, the walk
    is at its end (`broken`). `strict` knows no blanks around quotes.
    """

    strict: bool
    cells: list[bytes] = field(default_factory=list)
    open: bool = False
    odd: bool = False
    torn: bool = False
    broken: bool = False

    def take(self, line: bytes) -> None:
        """Go through the next line of the record, which comes without its end."""
        at = self._end_open_cell(line) if self.open else 0
        while at <= len(line) and not self.open:
            at = self._take_cell(line, at)

    def _end_open_cell(self, line: bytes) -> int:
        """Return where the next cell begins, beyond the line if there is none."""
        found = _FROM_WITHIN.match(line)
        assert found, "the pattern matches any line"
        end = self._skip_blanks(line, found.end())
        self.cells[-1] += b"\n" + line[:end]
        if not found[1]:
            return len(line) + 1
        self.open = False
        if end < len(line) and line[end : end + 1] != b",":
            self.torn = self.broken = True
            return len(line) + 1
        return end + 1

    def _take_cell(self, line: bytes, at: int) -> int:
        """Take the cell that begins there; return where the next one does."""
        start = self._skip_blanks(line, at)
        if found := _FROM_OPENING.match(line, start):
            end = self._skip_blanks(line, found.end())
            if end == len(line) or line[end : end + 1] == b",":
                self.open = not found[1]
                self.cells.append(line[at:end])
                return end + 1
            self.torn = True
        comma = line.find(b",", at)
        end = comma if comma >= 0 else len(line)
        cell = line[at:end]
        self.cells.append(cell)
        self.odd = self.odd or b'"' in cell
        return end + 1

    def _skip_blanks(self, line: bytes, at: int) -> int:
        if self.strict:
            return at
        found = _BLANKS.match(line, at)
        assert found, "the pattern matches any place"
        return found.end()


def split_enclosed(line: bytes) -> list[bytes]:
    """Split an RFC 4180 record into its cells with their quotes; return none if a quote is broken."""
    cells: list[bytes] = _CELLS.findall(line)
    # What no cell may hold was skipped in the search, and is missing here.
    return cells if b",".join(cells) == line else []


def outside_quotes(record: bytes) -> bytes:
    """Return a record without its quoted cells."""
    return _QUOTED_CELL.sub(b"", record)


def unbroken(record: bytes, breaks: re.Pattern[bytes]) -> bytes:
    """Return a record with a space for each of these breaks in its quoted cells."""
    return _QUOTED_CELL.sub(lambda cell: breaks.sub(b" ", cell[0]), record)


def is_quoted(cell: bytes) -> bool:
    """Tell whether a cell stands in a pair of quotes."""
    return len(cell) > 1 and cell[:1] == cell[-1:] == b'"'


def bare(cell: bytes) -> bytes:
    """Return a cell without the ASCII white space and the pair of quotes around it."""
    text = cell.strip()
    return text[1:-1].strip() if is_quoted(text) else text
