"""Right exports, and what happens to them on their way: the ids that were exported are known, whatever comes out.

Each damage is a function of an export and a source of chance, and gives the bytes that arrive. `LIST_A` can be seen
in the file; `LIST_B` no reader of one file can see.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from random import Random

from hypothesis import strategies as st

from ctsftp.contract.lastrow import FOOTER_FROM

BOM = b"\xef\xbb\xbf"
ID_WIDTH = 6
TEXTS = ["Basel", "Zürich", "東京", "O'Neill", "", "x", "7", "12 Main Street", "a;b", "Ulm"]
# In a plain export quotes are ordinary characters; the first is one that RFC 4180 would never write so.
QUOTED_TEXTS = ['5" screen', '"Jim" Smith', 'John "JJ" Doe', 'say "hi"', '6"', '"', '"open', 'close"', '""', '"x"']
RICH_TEXTS = [
    *(*TEXTS, "Doe, Jane", "12, Main Street", 'The "Boss"', '5" x', '"', "a, 12, b"),
    *("Flat 3\n12, Main Street\nBasel", "a\n12\nb", "\n", "x\r\ny", "7,8\n9,10", "Flat\r3", "a\n\n77,b"),
]
OTHER_TITLES = ["CITY", "ZIP", "NAME_"]


@dataclass(frozen=True)
class Export:
    """An export: its rows are ids with the texts of the other columns."""

    titles: tuple[str, ...]
    at: int
    rows: tuple[tuple[int, tuple[str, ...]], ...]
    style: str
    end: bytes
    mark: bytes
    has_last_end: bool = True

    @property
    def ids(self) -> set[int]:
        return {one for one, _ in self.rows}

    @property
    def header(self) -> bytes:
        return self.line(self.titles, is_header=True)

    def line(self, cells: Sequence[str], *, is_header: bool = False) -> bytes:
        enclose = {"plain": _plain, "minimal": _minimal, "enclosed": _enclosed, "rows enclosed": _enclosed}[self.style]
        if is_header and self.style == "rows enclosed":
            enclose = _plain
        return ",".join(map(enclose, cells)).encode()

    def cells(self, row: tuple[int, tuple[str, ...]]) -> list[str]:
        cells = list(row[1])
        cells.insert(self.at, str(row[0]))
        return cells

    @property
    def lines(self) -> list[bytes]:
        return [self.line(self.cells(row)) for row in self.rows]

    def write(self, lines: Sequence[bytes] | None = None, *, header: bytes | None = None) -> bytes:
        written = [self.header if header is None else header, *(self.lines if lines is None else lines)]
        return self.mark + self.end.join(written) + (self.end if self.has_last_end else b"")


def _plain(text: str) -> str:
    return text


def _enclosed(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def _minimal(text: str) -> str:
    return _enclosed(text) if re.search('[",\r\n]', text) else text


@st.composite
def exports(draw: st.DrawFn, *, most: int = 30) -> Export:
    """Draw a right export. Its ids have six digits, and no other cell has."""
    others = draw(st.integers(0, 3))
    at = draw(st.integers(0, others))
    style = draw(st.sampled_from(["plain", "plain", "minimal", "enclosed", "rows enclosed"]))
    chance = Random(draw(st.integers(0, 2**32)))  # noqa: S311  the texts: they need not shrink
    first, step = draw(st.integers(100_001, 900_000)), draw(st.integers(1, 2_000))
    count = draw(st.integers(1, most))
    texts = TEXTS if style == "plain" else RICH_TEXTS
    has_quotes = style == "plain" and others > 0 and draw(st.booleans())
    rows = []
    for number in range(count):
        cells = [chance.choice(texts) for _ in range(others)]
        if has_quotes and (number == 0 or chance.random() < 0.5):
            cells[chance.randrange(others)] = QUOTED_TEXTS[0] if number == 0 else chance.choice(QUOTED_TEXTS)
        rows.append((first + number * step, tuple(cells)))
    titles = OTHER_TITLES[:others]
    titles.insert(at, draw(st.sampled_from(["CTUserID", "CTUserID", "ctuserid", "id", "ID"])))
    if others and titles[at].lower() == "ctuserid" and draw(st.booleans()):
        titles[(at + 1) % len(titles)] = "id"  # Unity writes both
    return Export(
        titles=tuple(titles),
        at=at,
        rows=tuple(rows),
        style=style,
        end=draw(st.sampled_from([b"\n", b"\n", b"\r\n"])),
        mark=draw(st.sampled_from([b"", b"", BOM])),
        has_last_end=draw(st.sampled_from([True, True, True, False])),
    )


Damage = Callable[[Export, Random], bytes]

INVISIBLE = ["\u200b", "\u00a0", "\u200e", "\u2060", "\ufeff", "\u00ad", "\u202f", "\u3000"]
CONTROL = ["\x01", "\x07", "\x08", "\x0b", "\x0c", "\x1a", "\x1b", "\x1f", "\x7f", "\x85"]
OTHER_BREAKS = ["\x0b", "\x0c", "\x1c", "\x1e", "\x85", "\u2028", "\u2029"]


JOINTS = [*OTHER_BREAKS, "\x1a", "\ufeff"]
SPOILERS = [
    ("\u00ef\u00bb\u00bf", ""),
    ("\ufffe", ""),
    ("\ufffd", ""),
    ("\u201c", "\u201d"),
    ('="', '"'),
    ("", "_"),
    ("", ":"),
]


def _insert(data: bytes, place: int, what: bytes) -> bytes:
    return data[:place] + what + data[place:]


def _char_place(data: bytes, chance: Random) -> int:
    """Choose a place between two characters."""
    place = chance.randrange(len(data) + 1)
    while place < len(data) and data[place] & 0b1100_0000 == 0b1000_0000:
        place += 1
    return place


def no_damage(export: Export, chance: Random) -> bytes:
    return export.write()


def all_ends_cr(export: Export, chance: Random) -> bytes:
    data = export.write().replace(b"\r\n", b"\n").replace(b"\n", b"\r")
    return data + b"\n" if chance.random() < 0.2 else data


def some_ends_cr(export: Export, chance: Random) -> bytes:
    lines = export.lines
    at = chance.randrange(len(lines))
    joined = b"\r".join(lines[at : at + chance.randint(2, 4)])
    return (
        export.write([*lines[:at], joined, *lines[at + 4 :]])
        if len(lines) > at + 4
        else export.write([*lines[:at], b"\r".join(lines[at:])])
    )


def doubled_cr(export: Export, chance: Random) -> bytes:
    return replace(export, end=b"\r\r\n").write()


def other_breaks(export: Export, chance: Random) -> bytes:
    lines = export.lines
    at = chance.randrange(len(lines))
    mark = chance.choice(OTHER_BREAKS).encode()
    joined = mark.join(lines[at : at + 3])
    return export.write([*lines[:at], joined, *lines[at + 3 :]])


def unquoted_break(export: Export, chance: Random) -> bytes:
    """A value with a line break, and nothing around it that says so: no piece of it looks like a row."""
    lines = export.lines
    at = chance.randrange(len(lines))
    row = export.rows[at]
    if not row[1]:
        return export.write()
    cells = export.cells((row[0], tuple("x" for _ in row[1])))
    place = chance.choice([one for one in range(len(cells)) if one != export.at])
    cells[place] = chance.choice(["Flat\nBasel", "a\nb\nc", "x\n", "\nx", "Flat\n\nBasel"])
    return export.write([*lines[:at], ",".join(cells).encode(), *lines[at + 1 :]])


def _second(export: Export, chance: Random, *, titles: Sequence[str], at: int) -> Export:
    """Half of the rows, in a file with the columns in this order; the other half is the first file."""
    return replace(export, titles=tuple(titles), at=at, rows=export.rows[len(export.rows) // 2 :])


def _join(export: Export, second: Export, chance: Random) -> bytes:
    first = replace(export, rows=export.rows[: len(export.rows) // 2] or export.rows[:1])
    data = first.write()
    if chance.random() < 0.3:
        data = data.removesuffix(first.end) if first.has_last_end else data
    elif not first.has_last_end:
        data += first.end
    if chance.random() < 0.2:
        data = data[: len(data) - chance.randrange(1, 5)]
    if chance.random() < 0.2:
        second = replace(second, mark=BOM)
    if chance.random() < 0.2:
        second = replace(second, style="enclosed")
    if chance.random() < 0.2:
        end = chance.choice([*JOINTS, "\r"]).encode() + chance.choice([b"", b"\n"])
        return data + second.mark + second.header + end + replace(second, mark=b"").write()[len(second.header) + 1 :]
    return data + second.write()


def joined_same(export: Export, chance: Random) -> bytes:
    return _join(export, _second(export, chance, titles=export.titles, at=export.at), chance)


def joined_other(export: Export, chance: Random) -> bytes:
    if len(export.titles) == 1:
        titles, at = ["ZIP", "CTUserID"], 1
        second = replace(export, titles=tuple(titles), at=at, rows=tuple((one, ("4051",)) for one, _ in export.rows))
        return _join(export, replace(second, rows=second.rows[len(second.rows) // 2 :]), chance)
    other = [title for place, title in enumerate(export.titles) if place != export.at]
    at = chance.choice([place for place in range(len(export.titles)) if place != export.at])
    id_title = chance.choice([export.titles[export.at], "CTUserID"])
    if export.titles[export.at].lower() == "id" and len(other) == 1:
        id_title = export.titles[export.at]
    other.insert(at, id_title)
    if export.style != "plain" and chance.random() < 0.2:
        place = chance.choice([place for place in range(len(other)) if place != at])
        other[place] = chance.choice(["ZIP\ncode", "\nZIP", "CITY\r\n\r\nZIP"])
        if id_title.lower() == "id":
            other[at] = "CTUserID"
    return _join(export, _second(export, chance, titles=other, at=at), chance)


def joined_without_its_end(export: Export, chance: Random) -> bytes:
    """A file that lost its last line end, and then one in which the ids stand elsewhere, under `id`."""
    other = [title for place, title in enumerate(export.titles) if place != export.at]
    if not other or export.titles[export.at].lower() == "id" or "id" in other:
        return export.write()
    at = chance.choice([place for place in range(len(export.titles)) if place != export.at])
    other.insert(at, chance.choice(["id", "ID", "Id"]))
    first = replace(export, rows=export.rows[: len(export.rows) // 2] or export.rows[:1], has_last_end=False)
    return first.write() + replace(_second(export, chance, titles=other, at=at), mark=b"").write()


def joined_by_a_mark(export: Export, chance: Random) -> bytes:
    """Two files without titles in the second, and a mark or another break where the first should end its last line."""
    place = chance.randrange(len(export.rows))
    lines = export.lines
    if chance.random() < 0.3:
        lines[place] = lines[place][: chance.randrange(1, len(lines[place]) + 1)]
    first = replace(export, has_last_end=False).write(lines[: place + 1])
    second = replace(export, mark=b"", has_last_end=chance.random() < 0.7).write(lines[place + 1 :], header=b"")
    return first + chance.choice(JOINTS).encode() + second.removeprefix(export.end)


def all_ends_of_another_kind(export: Export, chance: Random) -> bytes:
    end = chance.choice(JOINTS).encode()
    data = replace(export, end=end).write()
    return data + b"\n" if chance.random() < 0.3 else data


def title_spoiled(export: Export, chance: Random) -> bytes:
    """Something beside the title of the ids that a program added to it."""
    title = export.titles[export.at]
    before, behind = chance.choice(SPOILERS)
    titles = [*export.titles]
    titles[export.at] = before + title + behind
    return export.write(header=",".join(titles).encode())


def doubled_mark(export: Export, chance: Random) -> bytes:
    return BOM + BOM + replace(export, mark=b"").write()


def quoted_mark(export: Export, chance: Random) -> bytes:
    return b'"' + BOM + replace(export, mark=b"").write().removeprefix(b'"')


def mark_inside(export: Export, chance: Random) -> bytes:
    lines = export.lines
    at = chance.randrange(len(lines))
    return export.write([*lines[:at], BOM + lines[at], *lines[at + 1 :]])


def titles_enclosed(export: Export, chance: Random) -> bytes:
    return export.write(header=",".join(map(_enclosed, export.titles)).encode())


def some_rows_enclosed(export: Export, chance: Random) -> bytes:
    """Some rows are enclosed; the one that says that quotes are text stays as it is."""
    lines = [
        ",".join(map(_enclosed, export.cells(row))).encode()
        if chance.random() < 0.5 and QUOTED_TEXTS[0] not in row[1]
        else line
        for row, line in zip(export.rows, export.lines, strict=True)
    ]
    return export.write(lines)


def ids_enclosed(export: Export, chance: Random) -> bytes:
    lines = []
    for row, line in zip(export.rows, export.lines, strict=True):
        one = b"%d" % row[0]
        lines.append(line if b'"' + one in line else line.replace(one, b'"' + one + b'"'))
    return export.write(lines)


def quote_lost(export: Export, chance: Random) -> bytes:
    """A quote is lost in a file without line breaks in its values."""
    flat = tuple((one, tuple(re.sub("[\r\n]+", " ", text) for text in texts)) for one, texts in export.rows)
    data = replace(export, rows=flat).write()
    places = [found.start() for found in re.finditer(b'"', data)]
    place = chance.choice(places) if places else None
    return data if place is None else data[:place] + data[place + 1 :]


def single_quotes(export: Export, chance: Random) -> bytes:
    lines = [",".join(f"'{cell}'" for cell in export.cells(row)).encode() for row in export.rows]
    if any(b"\n" in line or b"\r" in line for line in lines):
        return export.write()
    return export.write(lines)


def invisible(export: Export, chance: Random) -> bytes:
    data = export.write()
    for _ in range(chance.randint(1, 3)):
        data = _insert(data, _char_place(data, chance), chance.choice(INVISIBLE).encode())
    return data


def invisible_everywhere(export: Export, chance: Random) -> bytes:
    what = chance.choice(INVISIBLE).encode()
    ids = {b"%d" % one: what + b"%d" % one if chance.random() < 0.5 else b"%d" % one + what for one in export.ids}
    return export.write(
        [re.sub(rb"[0-9]{6}", lambda found: ids.get(found[0], found[0]), line) for line in export.lines]
    )


def control(export: Export, chance: Random) -> bytes:
    data = export.write()
    for _ in range(chance.randint(1, 3)):
        data = _insert(data, _char_place(data, chance), chance.choice(CONTROL).encode())
    return data


def comma_too_many(export: Export, chance: Random) -> bytes:
    """Some commas too many in the titles, or in the rows."""
    header, lines = export.header, export.lines
    if chance.random() < 0.2:
        return export.write(header=_insert(header, _char_place(header, chance), b","))
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(len(lines))
        lines[at] = _insert(lines[at], _char_place(lines[at], chance), b",")
    return export.write(lines)


def comma_lost(export: Export, chance: Random) -> bytes:
    data = export.write()
    places = [found.start() for found in re.finditer(b",", data)]
    place = chance.choice(places) if places else None
    return data if place is None else data[:place] + data[place + 1 :]


def thousands(export: Export, chance: Random) -> bytes:
    mark = chance.choice([",", "'", ".", " ", "\u00a0", "\u202f", "\u2019"])
    between = rb"\1" + mark.encode() + rb"\2"
    return export.write([re.sub(rb"([0-9]{3})([0-9]{3})", between, line) for line in export.lines])


def cut_inside_a_row(export: Export, chance: Random) -> bytes:
    """The file ends somewhere inside its last row: nothing behind it has arrived."""
    whole = replace(export, has_last_end=True)
    rows = whole.rows[: chance.randint(1, len(whole.rows))]
    before = replace(whole, rows=rows[:-1]).write()
    last = whole.line(whole.cells(rows[-1])) + whole.end
    return before + last[: chance.randrange(1, len(last))]


def ctrl_z(export: Export, chance: Random) -> bytes:
    return export.write() + chance.choice([b"\x1a", b"\x1a\r\n", b"\x1a\n", b"\x1a\x1a"])


def separator_line(export: Export, chance: Random) -> bytes:
    return (
        export.mark + chance.choice([b"sep=,", b"sep=;", b'"sep=,"']) + export.end + replace(export, mark=b"").write()
    )


def blank_lines(export: Export, chance: Random) -> bytes:
    lines = export.lines
    for _ in range(3):
        lines.insert(chance.randrange(len(lines) + 1), chance.choice([b"", b" ", b"\t"]))
    return export.write(lines)


def comma_and_break(export: Export, chance: Random) -> bytes:
    """A comma too many in the titles, and two rows in one line, or a row in two: another break is in it."""
    header, lines = export.header, export.lines
    if export.titles[export.at].lower() == "id" or "id" in export.titles:
        return export.write()
    place = chance.choice([0, len(header), *(found.start() for found in re.finditer(b",", header))])
    mark, at = chance.choice(JOINTS).encode(), chance.randrange(len(lines))
    if chance.random() < 0.5:
        lines[at : at + 2] = [mark.join(lines[at : at + 2])]
    else:
        lines[at] = _insert(lines[at], _char_place(lines[at], chance), mark)
    return export.write(lines, header=_insert(header, place, b","))


def titles_glued(export: Export, chance: Random) -> bytes:
    """A file that lost its last line end, and then titles without their commas, and ids in another column."""
    if export.at != 0 or len(export.titles) == 1:
        return export.write()
    half = len(export.rows) // 2 or 1
    first = replace(export, rows=export.rows[:half], has_last_end=False).write()
    titles, at = ["ZIP"] * (len(export.titles) - 1) + ["CTUserID"], len(export.titles) - 1
    second = replace(_second(export, chance, titles=titles, at=at), mark=b"")
    return first + second.write(header=second.header.replace(b",", b""))


LIST_A: dict[str, Damage] = {
    function.__name__: function
    for function in (
        *(no_damage, all_ends_cr, some_ends_cr, doubled_cr, other_breaks, unquoted_break, joined_same, joined_other),
        *(doubled_mark, quoted_mark, mark_inside, titles_enclosed, some_rows_enclosed, ids_enclosed, quote_lost),
        *(single_quotes, invisible, invisible_everywhere, control, comma_too_many, comma_lost, thousands),
        *(comma_and_break, titles_glued),
        *(joined_without_its_end, joined_by_a_mark, all_ends_of_another_kind, title_spoiled),
        *(cut_inside_a_row, ctrl_z, separator_line, blank_lines),
    )
}


def cut_at_a_row_s_end(export: Export, chance: Random) -> bytes:
    return replace(export, rows=export.rows[: chance.randint(0, len(export.rows))]).write()


def footer(export: Export, chance: Random) -> bytes:
    """A last row with the number of rows in the id's column."""
    if len(export.rows) < FOOTER_FROM:
        return export.write()
    cells = export.cells((len(export.rows), tuple("" for _ in export.titles[1:])))
    blank = [b""] if chance.random() < 0.3 else []
    surplus = chance.choice([b"", b"", b",", b",,", b",records"]) if export.at == 0 else b""
    last = [*blank, export.line(cells) + surplus]
    for _ in range(chance.choice([0, 0, 1, 2])):
        # A spreadsheet ends a column that was cleared with rows of commas.
        last.insert(chance.randrange(len(last) + 1), export.line([""] * len(export.titles)))
    return replace(export, has_last_end=True).write([*export.lines, *last])


LIST_B: dict[str, Damage] = {function.__name__: function for function in (cut_at_a_row_s_end, footer)}
