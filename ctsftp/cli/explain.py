"""`ctsftp explain`: a code, in words."""

from dataclasses import asdict

import click

from ctsftp.cli.output import Column, json_option, print_facts, print_json, print_table
from ctsftp.contract.codes import PAGES, Code
from ctsftp.pages import OF_KIND

COLUMNS: list[Column] = [("CODE", "code"), ("KIND", "kind"), ("MEANING", "meaning")]


@click.command("explain")
@click.argument("code", type=click.Choice([code.value for code in Code], case_sensitive=False), required=False)
@json_option
def command(code: str | None, as_json: bool) -> None:
    """Explain a CODE: what it means, which setting of the job to change, and who does what. Without one, list all.

    \b
    Example: ctsftp explain delimiter
    """
    pages = [{"code": one.value, **asdict(PAGES[one])} for one in Code if code in {None, one.value}]
    if as_json:
        print_json(pages if code is None else pages[0])
    elif code is None:
        print_table(pages, COLUMNS, empty="")
    else:
        more = f"ctsftp help {OF_KIND[pages[0]['kind']]}"
        print_facts((name, value) for name, value in {**pages[0], "more": more}.items() if value)
