"""The last row of a file, which may be a footer: many exports end with the number of their rows.

100030,Basel
30,             its other cells are empty, or a blank line stands before it: it is no member
30,,            the same, with more cells than the header has
30              a member or a count: nobody who sees this file alone can tell
"""

from dataclasses import dataclass

from ctsftp.contract.cells import bare, split_enclosed
from ctsftp.contract.lines import end_lines, is_blank
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
    """Keeps the last lines that held a row: `lines`, of which the first has the physical number `line`."""

    line: int = 0
    lines: bytes = b""
    _is_behind_blank: bool = False
    _ends_blank: bool = False

    def feed(self, lines: bytes, line: int, *, holds_rows: bool) -> None:
        """Look at the next whole lines."""
        if not lines:
            return
        if holds_rows:
            self.line, self.lines, self._is_behind_blank = line, lines, self._ends_blank
        self._ends_blank = is_blank(_last_line(lines)[0])

    def read_footer(self, layout: Layout, found: Rows, last_id: int) -> Footer | None:
        """Tell whether the last of these rows, whose id that is if it has one, may be a footer."""
        if not may_be_footer(found, last_id):
            return None
        rest, _ = end_lines(self.lines)
        line, before = _last_line(rest)
        while is_blank(line) and before:
            rest = rest[:before]
            line, before = _last_line(rest)
        cells = split_enclosed(line) if layout.enclosed else line.split(b",")
        if judge_row(layout, line, cells, Rows()) != last_id:
            return None
        others = [cell for place, cell in enumerate(cells) if place != layout.id_column]
        is_alone = others != [] and not any(map(bare, others))
        is_behind_blank = is_blank(_last_line(rest[:before])[0]) if before else self._is_behind_blank
        number = self.line + rest.count(b"\n", 0, before)
        return Footer(number, bare(cells[layout.id_column]), is_alone or is_behind_blank)


def may_be_footer(found: Rows, last_id: int) -> bool:
    """Tell whether the last of these rows may be a footer, by its id.

    A row that was rejected may have been none, or a part of one, and lines that were set aside may be rows.
    """
    rows = found.rows + found.aside
    least = found.rows - 1 - (found.rejected - found.empty_ids)
    return rows >= FOOTER_FROM and least <= last_id <= rows


def _last_line(lines: bytes) -> tuple[bytes, int]:
    """Return the last of some whole lines, and where it begins."""
    start = lines.rfind(b"\n", 0, len(lines) - 1) + 1
    return lines[start:-1], start
