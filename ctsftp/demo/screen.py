"""How the tour prints: headings, prose, what was typed, what was answered. Plain text where it is piped."""

import sys
import textwrap

import click
from rich.console import Console
from rich.text import Text

MAX_PROSE_COLUMNS = 100  # longer lines are hard to read, and a pipe has no width at all


def heading(text: str) -> None:
    """Print the title of a step, with an empty line before it."""
    _console().print(Text(f"\n{text}", style="bold"))


def prose(text: str) -> None:
    """Print sentences, wrapped to the terminal."""
    width = min(_console().width, MAX_PROSE_COLUMNS)
    click.echo(textwrap.fill(text, width, break_long_words=False, break_on_hyphens=False))


def command(line: str) -> None:
    """Print a command as a person would type it; what it prints comes below."""
    _console().print(Text(f"$ {line}", style="cyan"), soft_wrap=True)


def verbatim(text: str) -> None:
    """Print lines as they are, indented and never wrapped: they can be pasted."""
    for line in text.splitlines():
        _console().print(Text(f"  {line}"), soft_wrap=True)


def line(text: str = "") -> None:
    """Print one line, however long; without a text an empty one."""
    click.echo(text)


def _console() -> Console:
    """Make a console of the terminal's width: it may have changed since the last line."""
    width = None if sys.stdout.isatty() else MAX_PROSE_COLUMNS
    return Console(file=sys.stdout, width=width, highlight=False, emoji=False, markup=False)
