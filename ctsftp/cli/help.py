"""`ctsftp help`: the pages."""

import os
import sys

import click
from rich.markdown import Markdown
from rich.theme import Theme

from ctsftp import pages
from ctsftp.cli.main import COMMANDS
from ctsftp.cli.output import Column, json_option, page_console, print_json, print_table
from ctsftp.contract.codes import Code
from ctsftp.errors import NotFoundError, UsageError

COLUMNS: list[Column] = [("PAGE", "page"), ("TITLE", "title")]


@click.command("help")
@click.argument("page", required=False)
@json_option
def command(page: str | None, as_json: bool) -> None:
    """Show a PAGE of the manual: how to do a task. Without PAGE, list the pages.

    \b
    Example: ctsftp help held
    """
    if page is None:
        rows = [{"page": name, "title": pages.title(name)} for name in pages.NAMES]
        print_json(rows) if as_json else print_table(rows, COLUMNS, empty="")
        return
    text = _find(page)
    if as_json:
        print_json({"page": page, "title": pages.title(page), "text": text})
    else:
        _show(_for_terminal(text))


def _find(page: str) -> str:
    try:
        return pages.text(page)
    except NotFoundError as exc:
        hint = ""
        if page in set(Code):
            hint = f" For the code: ctsftp explain {page}."
        elif page in COMMANDS:
            hint = f" For the command: ctsftp {page} --help."
        raise UsageError(f"{exc}{hint}") from None


def _for_terminal(text: str) -> str:
    """Leave the pictures out, and write links as what to type."""

    def write(words: str, target: str, _anchor: str) -> str:
        page = pages.page_of(target)
        if page:
            return f"{words} (`ctsftp help {page}`)"
        return f"{words} ({target})" if target.startswith("https:") else words

    return pages.replace_links(pages.PICTURE.sub("", text), write)


def _show(text: str) -> None:
    """Print a page: as Markdown where it is piped on, else laid out, in a pager."""
    if not sys.stdout.isatty():
        click.echo(text, nl=False)
        return
    os.environ.setdefault("LESS", "FRX")  # as git does: colours, and no pager for what fits on the screen
    console = page_console()
    console.push_theme(Theme({"markdown.code": "bold"}))
    with console.pager(styles=True):
        console.print(Markdown(text, code_theme="ansi_light"))
