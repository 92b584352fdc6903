"""Read rows at once: the vectorised twin of the reference reader in `rows`.

It reads, with numpy and for all lines of a block together, the ids of lines that are beyond doubt: as many
cells as the header, and an id of 1 to 18 digits. Each other line it leaves to the reference, so that contacts
without an id, stray commas and spoiled ids cost what they cost there, and the other lines of their block nothing.
"""

import numpy as np
import numpy.typing as npt

from ctsftp.contract.rows import KEPT_REJECTED, MAX_ID_DIGITS, Ids, Layout, Rows, judge_line, read_rows

COMMA, LINE_FEED, ZERO, NINE = b",\n09"

_Positions = npt.NDArray[np.intp]
_Flags = npt.NDArray[np.bool_]


def read_rows_at_once(layout: Layout, block: bytes, first_line: int, *, keep: int = KEPT_REJECTED) -> Rows:
    """Do what `read_rows` does, faster; the tests hold that both find the same in any block."""
    if layout.enclosed or not block:
        return read_rows(layout, block, first_line, keep=keep)
    if b"\r" in block:
        block = block.replace(b"\r\n", b"\n")
    text = np.frombuffer(block, dtype=np.uint8)
    # The line feed before the block is at -1.
    marks = np.concatenate([[-1], np.flatnonzero((text == COMMA) | (text == LINE_FEED))])
    line_marks = np.concatenate([[0], np.flatnonzero(text[marks[1:]] == LINE_FEED) + 1])
    cell_marks = np.minimum(line_marks[:-1] + layout.id_column, len(marks) - 2)
    ids, sure = _read_ids(text, marks[cell_marks] + 1, marks[cell_marks + 1])
    sure &= np.diff(line_marks) == layout.columns
    found = Rows(rows=len(ids), lines=len(ids), ids=ids)
    if not sure.all():
        # Each other line is judged in its place, so that the ids stay in file order.
        for at in np.flatnonzero(~sure).tolist():
            line = block[marks[line_marks[at]] + 1 : marks[line_marks[at + 1]]]
            ids[at] = judge_line(layout, line, first_line + at, found, keep)
        found.ids = ids[ids > 0]
    return found


def _read_ids(text: npt.NDArray[np.uint8], starts: _Positions, ends: _Positions) -> tuple[Ids, _Flags]:
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
