"""`ctsftp settings`: what applies, and from where."""

from dataclasses import asdict

import click

from ctsftp.cli.context import Edge, pass_edge
from ctsftp.cli.output import Column, Row, json_option, print_json, print_table


def _shown(row: Row) -> str:
    """Write a value as people write it: lists with commas."""
    value = row["value"]
    if isinstance(value, bool):
        return str(value).lower()
    return ", ".join(value) if isinstance(value, list) else "-" if value is None else str(value)


COLUMNS: list[Column] = [("SETTING", "name"), ("VALUE", _shown), ("FROM", "source")]


@click.command("settings")
@click.option("--changed", is_flag=True, help="Leave out those with their default.")
@json_option
@pass_edge
def command(edge: Edge, changed: bool, as_json: bool) -> None:
    """Show the settings that apply here, and where each comes from: file, environment variable or default.

    The server has its own environment: run this with the same variables and folder to see what applies to it. Passwords
    are hidden. `sftp.port` is `port` under `[sftp]` in the file, and CTSFTP_SFTP__PORT in the environment.

    \b
    Example: ctsftp settings --changed
    """
    rows = [asdict(one) for one in edge.tell() if not changed or one.source != "default"]
    if as_json:
        print_json(rows)
    else:
        print_table(rows, COLUMNS, empty="Every setting has its default.")
