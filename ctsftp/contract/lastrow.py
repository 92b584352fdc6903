"""The last row of a file, which may be a footer: many exports end with the number of their rows.

100030,Basel
30,             its other cells are empty, or a blank line stands before it: it is no member
30,,            the same, with more cells than the header has
30              a member or a count: nobody who sees this file alone can tell

Rows of nothing but commas, as spreadsheets leave them, are none: another row before them is the last. A footer
counts all of them or none.
"""

from dataclasses import dataclass

from ctsftp.contract.cells import bare, split_enclosed
from ctsftp.contract.lines import is_blank, is_empty
from ctsftp.contract.rows import Layout, Rows, judge_row

FOOTER_FROM = 10  # rows: below, the number of rows says nothing


@dataclass(frozen=True, slots=True)
class Footer:
    """A last row whose id is the number of rows before it, or one more; `sure`: it is no member's."""

    line: int
    text: bytes
    sure: bool


@dataclass(slots=True)
class LastRow:
    """The last line that holds more than commas: `text`, its physical number, and whether a blank one precedes it."""

    line: int = 0
    text: bytes = b""
    is_behind_blank: bool = False
    _ends_blank: bool = False

    def feed(self, lines: bytes, next_line: int) -> None:
        """Look at the next whole lines; the one behind them has that number."""
        end = len(lines)
        if not end:
            return
        was_blank, self._ends_blank = self._ends_blank, is_blank(_line_before(lines, end))
        while end and is_empty(text := _line_before(lines, end)):
            end -= len(text) + 1
        if not end:
            return
        start = end - len(text) - 1
        self.is_behind_blank = is_blank(_line_before(lines, start)) if start else was_blank
        self.line, self.text = next_line - lines.count(b"\n", start), text.rstrip(b"\r")

    def read_footer(self, layout: Layout, found: Rows, last_id: int) -> Footer | None:
        """Tell whether the last of these rows, whose id that is if it has one, may be a footer."""
        if not _may_be_footer(found, last_id):
            return None
        cells = split_enclosed(self.text) if layout.enclosed else self.text.split(b",")
        if judge_row(layout, self.text, cells, Rows()) != last_id:
            return None
        others = [cell for place, cell in enumerate(cells) if place != layout.id_column]
        is_alone = others != [] and is_empty(b",".join(others))
        return Footer(self.line, bare(cells[layout.id_column]), is_alone or self.is_behind_blank)


def _may_be_footer(found: Rows, last_id: int) -> bool:
    """Tell whether the last of these rows may be a footer, by its id.

    A row that was rejected may have been none, or a part of one.
    """
    spoiled = found.rejected - found.empty_ids
    counts = (found.rows, found.rows - found.empty_rows)
    return any(count >= FOOTER_FROM and count - 1 - spoiled <= last_id <= count for count in counts)


def _line_before(lines: bytes, end: int) -> bytes:
    """Return the line that ends there, without its line feed."""
    return lines[lines.rfind(b"\n", 0, end - 1) + 1 : end - 1]
