"""How commands print: a table for people, JSON for scripts, one thing a line where it is piped on.

rich and orjson are imported where they are needed: a command that prints its help needs neither.
"""

import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

Row = Mapping[str, Any]
What = str | Callable[[Row], object]
Column = tuple[str, What]

# Headings of columns that are never folded: what is copied into the next command, and single words.
WHOLE = frozenset({"ID", "FINGERPRINT", "EVENT", "STATE"})
PAGE_COLUMNS = 100  # of prose
PIPED_COLUMNS = 10_000  # wider than any row: what is piped on stays one row a line
BETWEEN = "  "  # columns
_UNUSUAL = re.compile(r"[^ -~\n]")

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")


def print_json(value: object) -> None:
    """Print a value as indented JSON, in UTF-8 whatever the terminal's character set is.

    What could move a terminal's cursor or turn its text around is written as an escape of JSON: the value is the same.
    """
    import orjson  # noqa: PLC0415

    text = orjson.dumps(value, option=orjson.OPT_INDENT_2).decode("utf-8")
    click.echo(_UNUSUAL.sub(_json_escape, text).encode("utf-8"))


def print_table(
    rows: Iterable[Row],
    columns: Sequence[Column],
    *,
    empty: str,
    spare: Sequence[str] = (),
    short: Sequence[Column] = (),
) -> None:
    """Print rows as a table; a column is its heading and a key or a function of the row. `empty` is said for none.

    On a narrow terminal those in `short` replace the columns of their heading; then the columns named in `spare` are
    left out, the first of them first, until the rest fits.
    """
    rows = list(rows)
    if not rows:
        click.echo(empty)
        return
    console = _console()
    left_out: list[str] = []
    table = _grid(rows, columns)
    if short and table.width > console.width:
        columns = list((dict(columns) | dict(short)).items())
        table = _grid(rows, columns)
    while len(left_out) < len(spare) and table.width > console.width:
        left_out.append(spare[len(left_out)])
        table = table.without(left_out[-1])
    table.print(console)
    if left_out:
        say(f"Left out, for want of room: {', '.join(left_out)}. A wider terminal or --json shows all.")


def print_facts(facts: Iterable[tuple[str, object]]) -> None:
    """Print labelled values below one another, without a border."""
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for label, value in facts:
        table.add_row(label, Text(plain(value)))
    _console().print(table)


def page_console() -> "Console":
    """Make a console on stdout for a page of prose, whose lines no wide terminal makes too long to read."""
    console = _console()
    console.width = min(console.width, PAGE_COLUMNS)
    return console


def error_console() -> "Console":
    """Make a console on stderr, for what moves while a command works."""
    from rich.console import Console  # noqa: PLC0415

    return Console(file=sys.stderr, highlight=False, emoji=False, markup=False)


def say(text: str) -> None:
    """Print a sentence about what was done; to stderr, so that a pipe gets data only."""
    click.echo(plain(text), err=True)


def short_time(text: str | None) -> str:
    """Write an ISO time in UTC for people."""
    if not text:
        return "-"
    return datetime.fromisoformat(text).strftime("%Y-%m-%d %H:%M:%S")


def iso_time(moment: datetime) -> str:
    """Write a moment as all JSON has it: ISO 8601 in UTC with milliseconds and a Z."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def plain(value: object) -> str:
    """Write a value in one line, so that nothing in it moves the cursor or turns the text around."""
    if value is None:
        return "-"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    text = str(value)
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


class _Grid:
    """Columns of cells. rich would take half a minute for 20,000 rows: it folds what does not fit, and nothing else."""

    def __init__(self, columns: dict[str, list[str]]) -> None:
        self._columns = columns
        self._widths = [max(map(_width, (heading, *cells))) for heading, cells in columns.items()]

    @property
    def width(self) -> int:
        """The width at which nothing is folded."""
        return sum(self._widths) + len(BETWEEN) * (len(self._widths) - 1)

    def without(self, heading: str) -> "_Grid":
        return _Grid({one: cells for one, cells in self._columns.items() if one != heading})

    def print(self, console: "Console") -> None:
        """Print them below their headings."""
        if self.width > console.width:
            console.print(self._folded())
            return
        console.out(self._line(self._columns), style="bold", highlight=False)
        rows = zip(*self._columns.values(), strict=True)
        console.out("\n".join(map(self._line, rows)), highlight=False)

    def _line(self, cells: Iterable[str]) -> str:
        return BETWEEN.join(
            cell + " " * (width - _width(cell)) for cell, width in zip(cells, self._widths, strict=True)
        )

    def _folded(self) -> "Table":
        from rich.table import Table  # noqa: PLC0415
        from rich.text import Text  # noqa: PLC0415

        table = Table(box=None, pad_edge=False, header_style="bold")
        for heading in self._columns:
            table.add_column(heading, overflow="fold", no_wrap=heading in WHOLE)
        for cells in zip(*self._columns.values(), strict=True):
            table.add_row(*map(Text, cells))
        return table


def _grid(rows: Sequence[Row], columns: Iterable[Column]) -> _Grid:
    return _Grid(
        {
            heading: [plain(row[what] if isinstance(what, str) else what(row)) for row in rows]
            for heading, what in columns
        }
    )


def _width(text: str) -> int:
    if text.isascii():
        return len(text)
    from rich.cells import cell_len  # noqa: PLC0415

    return cell_len(text)


def _json_escape(found: re.Match[str]) -> str:
    """Write a character as it is, if it can be printed, else as JSON's escapes for its UTF-16 (RFC 8259, section 7)."""
    if found[0].isprintable():
        return found[0]
    units = found[0].encode("utf-16-be").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))


def _console() -> "Console":
    """Make a console as wide as the terminal; piped, it never cuts or folds a line."""
    from rich.console import Console  # noqa: PLC0415

    width = None if sys.stdout.isatty() else PIPED_COLUMNS
    return Console(file=sys.stdout, width=width, highlight=False, emoji=False, markup=False)
