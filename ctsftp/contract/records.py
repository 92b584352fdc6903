"""Read records: the reference reader of the ids in a block of whole lines.

`read_rows` is the specification of how lines become rows. Its twin in `vectorised` must agree with it on every block.

A row is a line, but for two cases. In an *enclosed* file, whose every title is quoted, it is an RFC 4180 record of
up to `MAX_RECORD_LINES` lines. In a *plain* one a `"` is an ordinary character, unless the whole file says
otherwise: lines from a quote that opens a cell to the one that closes it are set aside until its end, where
`settle` decides. If every quote of the file stands as RFC 4180 has it, each such span is one record:

    1001,"Flat 3
    12,Main Street"

If others stand otherwise, and each line of the spans has as many cells as the header, quotes are ordinary (inches,
nicknames), and the lines are rows. If neither is so, the lines are rejected and counted.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ctsftp.contract.cells import Walk, bare, outside_quotes
from ctsftp.contract.codes import Code, fault
from ctsftp.contract.lines import end_lines, is_blank
from ctsftp.contract.reasons import BROKEN_QUOTE, MOVED_ID, OPEN_QUOTE, read_id
from ctsftp.contract.rows import Ids, Layout, Rows, Span, holds_other_titles, judge_row

MAX_RECORD_LINES = 100
MAX_RECORD_BYTES = 1024 * 1024
MAX_ASIDE = 10_000  # lines
WRONG_ONE_IN = 10  # of the lines behind an open quote: more say that they are text rather than rows


def read_rows(layout: Layout, block: bytes, found: Rows, *, final: bool = False) -> tuple[Ids, bytes]:
    """Read the ids of a block in file order, repeated ones included, and add what else it holds to `found`.

    The block holds whole lines without the header, each ended by LF or CR LF; lines of nothing but white space are
    no rows. Returns the ids, and the lines at the end whose record is still open, unless the block is the `final`
    one: they must come again with what follows them.
    """
    text = take_line_ends(block, found)
    lines = text.split(b"\n")
    lines.pop()  # nothing stands behind the end of the last line
    at, ids = 0, []
    while at < len(lines):
        taken, member = read_record(layout, lines, at, found, final=final)
        if not taken:
            break
        at += taken
        if member:
            ids.append(member)
    rest = b"" if found.fault else b"".join(line + b"\n" for line in lines[at:])
    return np.array(ids, dtype=np.int64), rest


def take_line_ends(block: bytes, found: Rows) -> bytes:
    """Return a block whose lines end in LF alone."""
    text, before = end_lines(block)
    if before >= 0 and not found.crs_line:
        found.crs_line = found.line + before
    return text


def read_record(layout: Layout, lines: Sequence[bytes], at: int, found: Rows, *, final: bool) -> tuple[int, int]:
    """Read the record that begins at a line: return how many lines it takes, and its id, 0 if it has none.

    It takes no line if it is still open at the end of these, or if a fault was found.
    """
    line = lines[at]
    if is_blank(line):
        found.line += 1
        return 1, 0
    if found.rows + len(found.spans) >= found.max_rows:
        most = f"The file has more than {found.max_rows:,} rows, the most that the server's admin allows."
        found.fault = fault(Code.TOO_LARGE, most)
        return 0, 0
    if layout.enclosed:
        return _read_enclosed(layout, lines, at, found, final=final)
    if b'"' in line:
        return _read_quoted(layout, lines, at, found, final=final)
    return _taken(1, judge_row(layout, line, line.split(b","), found), found)


@dataclass(frozen=True, slots=True)
class Settled:
    """What the spans of a file are: their ids, and the first lines of those that are records, rows, and neither."""

    ids: Ids
    record_line: int
    rows_line: int
    lost_line: int


def settle(found: Rows) -> Settled:
    """Decide at the end of the file what its spans are."""
    is_minimal = not found.odd_line
    is_ordinary = not is_minimal and not any(span.wrong for span in found.spans)
    ids: list[int] = []
    record_line = rows_line = lost_line = 0
    for span in found.spans:
        if is_minimal and span.record:
            ids += [span.member] if span.member else []
            found.add(span.record)
            record_line = record_line or span.line
        elif is_ordinary:
            ids += span.ids
            found.add(span.rows)
            rows_line = rows_line or span.line
        else:
            found.add(span.lines)
            lost_line = lost_line or span.line
        if not (is_minimal and span.member):
            found.fault = found.fault or span.titles
    found.aside = 0
    return Settled(np.array(ids, dtype=np.int64), record_line, rows_line, lost_line)


def _taken(count: int, member: int, found: Rows) -> tuple[int, int]:
    """Go on behind the lines of a row that was judged; where that showed a fault, they are not taken."""
    if found.fault:
        return 0, 0
    found.line += count
    return count, member


def _read_enclosed(layout: Layout, lines: Sequence[bytes], at: int, found: Rows, *, final: bool) -> tuple[int, int]:
    """Read an RFC 4180 record. If a quote in it is broken, each of its lines is a rejected row."""
    if found.lost and not lines[at].startswith(b'"'):
        # The line may be a part of a value still: only a quote at its beginning shows a new record.
        if holds_other_titles(layout, lines[at], found):
            return 0, 0
        found.reject_lines([lines[at]], BROKEN_QUOTE)
        return 1, 0
    walk = Walk(strict=True)
    count = _go(walk, lines, at)
    if walk.open:
        if final or at + count < len(lines):
            what = f"The quote that opens in line {found.line:,} is not closed within"
            found.fault = fault(Code.BROKEN_QUOTE, f"{what} {MAX_RECORD_LINES} lines and {MAX_RECORD_BYTES:,} bytes.")
        return 0, 0
    record = lines[at : at + count]
    # A torn value that does not end with its line goes on in the next ones.
    found.lost = walk.torn and not record[-1].rstrip().endswith(b'"')
    if walk.torn or walk.odd or (count > 1 and not _is_sound(layout, walk.cells)):
        if any(holds_other_titles(layout, line, found) for line in (*record, _one_line(record))):
            return 0, 0
        found.reject_lines(record, BROKEN_QUOTE)
        return count, 0
    is_right = len(walk.cells) == layout.columns and b"\r" not in walk.cells[layout.id_column]
    line = _one_line(record) if is_right else b" ".join(record)
    return _taken(count, judge_row(layout, line, walk.cells, found), found)


def _is_sound(layout: Layout, cells: list[bytes]) -> bool:
    """Tell whether the cells of several lines are one record: as many as the header's, with an id or an empty one."""
    text = bare(cells[layout.id_column]) if len(cells) == layout.columns else b"-"
    return not text or read_id(text) is not None


def _one_line(record: Sequence[bytes]) -> bytes:
    """Return a record as one line, in which a CR stands only if it stood outside of quotes."""
    line = b" ".join(record)
    return line if b"\r" not in line or b"\r" in outside_quotes(line) else line.replace(b"\r", b" ")


def _go(walk: Walk, lines: Sequence[bytes], at: int) -> int:
    """Walk from a line to the end of its record, or as far as one may go; return the number of lines."""
    walk.take(lines[at])
    count, size = 1, len(lines[at])
    while walk.open and count < MAX_RECORD_LINES and at + count < len(lines):
        line = lines[at + count]
        size += 1 + len(line)
        if size > MAX_RECORD_BYTES:
            break
        walk.take(line)
        count += 1
    return count


def _read_quoted(layout: Layout, lines: Sequence[bytes], at: int, found: Rows, *, final: bool) -> tuple[int, int]:
    """Read a line of a plain file that holds quotes, or set it aside with all up to the closing quote."""
    line = lines[at]
    first = Walk(strict=False)
    first.take(line)
    walk = Walk(strict=False)
    count = _go(walk, lines, at) if first.open else 1
    is_at_end = at + count >= len(lines)
    if walk.open and is_at_end and not final:
        return 0, 0
    # Of a quote that opens in the last line nothing can be told, and nothing stands behind it that it could swallow.
    is_last = walk.open and count == 1 and is_at_end
    if first.open and not (walk.broken or is_last) and (is_at_end or not walk.open):
        return _set_aside(layout, lines[at : at + count], walk, found)
    if walk.open and not is_last and _are_text(layout, lines[at : at + count]):
        what = f"The quote that opens in line {found.line:,} is not closed within"
        found.fault = fault(Code.BROKEN_QUOTE, f"{what} {MAX_RECORD_LINES} lines and {MAX_RECORD_BYTES:,} bytes.")
        return 0, 0
    is_odd = (first.open and not is_last) or first.odd or first.torn
    if is_odd and not found.odd_line:
        found.odd_line = found.line
    if b"\r" in line and b"\r" not in outside_quotes(line):
        return _set_aside(layout, [line], first, found)
    cells = line.split(b",")
    is_joined = not first.open and len(first.cells) < len(cells) == layout.columns
    if is_joined and layout.id_column > 0 and b"\r" not in line and not holds_other_titles(layout, line, found):
        # A quoted cell holds a comma, and yet there are no more commas than titles: which is the id?
        found.rows += 1
        return _taken(1, found.reject(line, MOVED_ID), found)
    return _taken(1, judge_row(layout, line, cells, found), found)


def _are_text(layout: Layout, lines: Sequence[bytes]) -> bool:
    """Tell whether lines behind an open quote look like the text of a long value rather than like rows."""
    wrong = sum(line.count(b",") + 1 != layout.columns for line in lines)
    return wrong * WRONG_ONE_IN > len(lines)


def _set_aside(layout: Layout, lines: Sequence[bytes], walk: Walk, found: Rows) -> tuple[int, int]:
    """Keep what the lines of a span may be until the end of the file; nothing of the lines themselves."""
    if walk.odd or walk.torn:
        found.odd_line = found.odd_line or found.line
    as_rows, as_lines, as_titles, record = (Rows(line=found.line) for _ in range(4))
    ids = [_judge_alone(layout, line, as_rows) for line in lines]
    as_lines.reject_lines(lines, OPEN_QUOTE)
    titles = as_rows.fault
    if not titles and holds_other_titles(layout, _one_line(lines), as_titles):
        titles = as_titles.fault
    is_record = not walk.open and _is_sound(layout, walk.cells)
    member = judge_row(layout, b"", walk.cells, record) if is_record else 0
    found.spans.append(
        Span(
            line=found.line,
            record=record if is_record else None,
            member=member,
            rows=as_rows,
            ids=[one for one in ids if one],
            lines=as_lines,
            wrong=any(line.count(b",") + 1 != layout.columns for line in lines),
            titles=titles,
        )
    )
    found.aside += as_lines.rows
    if found.aside > MAX_ASIDE:
        what = f"More than {MAX_ASIDE:,} lines are between quotes that may hold line breaks"
        found.fault = fault(Code.BROKEN_QUOTE, f"{what}, up to line {found.line:,}.")
        return 0, 0
    return _taken(len(lines), 0, found)


def _judge_alone(layout: Layout, line: bytes, found: Rows) -> int:
    """Judge a line of a span as a row, and go on behind it; behind a fault nothing more is judged."""
    member = 0
    if not is_blank(line) and not found.fault:
        member = judge_row(layout, line, line.split(b","), found)
    found.line += 1
    return member
