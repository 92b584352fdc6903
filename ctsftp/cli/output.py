"""How commands print: a table for people, JSON for scripts, one thing a line where it is piped on."""

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import click
import orjson
from rich.console import Console
from rich.table import Table
from rich.text import Text

Row = Mapping[str, Any]
What = str | Callable[[Row], object]
Column = tuple[str, What]

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")


def print_json(value: Any) -> None:
    """Print a value as indented JSON, in UTF-8."""
    text = orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS, default=str)
    click.echo(text.decode("utf-8"))


def print_table(rows: Iterable[Row], columns: Sequence[Column], *, empty: str) -> None:
    """Print rows as a table; a column is its heading and a key or a function of the row. `empty` is said for none."""
    rows = list(rows)
    if not rows:
        click.echo(empty)
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading, _ in columns:
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*(_cell(row, what) for _, what in columns))
    _console().print(table)


def print_facts(facts: Iterable[tuple[str, object]]) -> None:
    """Print labelled values below one another, without a border."""
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for label, value in facts:
        table.add_row(label, Text(_plain(value)))
    _console().print(table)


def error_console() -> Console:
    """Make a console on stderr, for what moves while a command works."""
    return Console(file=sys.stderr, highlight=False, emoji=False, markup=False)


def say(text: str) -> None:
    """Print a sentence about what was done; to stderr, so that a pipe gets data only."""
    click.echo(text, err=True)


def short_time(text: str | None) -> str:
    """Write an ISO time in UTC for people."""
    if not text:
        return "-"
    return datetime.fromisoformat(text).strftime("%Y-%m-%d %H:%M:%S")


def _cell(row: Row, what: What) -> Text:
    return Text(_plain(row[what] if isinstance(what, str) else what(row)))


def _plain(value: object) -> str:
    """Write a value so that nothing in it moves the cursor or turns the text around."""
    if value is None:
        return "-"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    text = str(value)
    return "".join(
        char if char.isprintable() or char == "\n" else char.encode("unicode_escape").decode() for char in text
    )


def _console() -> Console:
    """Make a console as wide as the terminal; piped, it never cuts a line."""
    return Console(
        file=sys.stdout, width=None if sys.stdout.isatty() else 240, highlight=False, emoji=False, markup=False
    )
