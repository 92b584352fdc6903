"""`ctsftp penalty`: the addresses that a running server refuses, since their logins failed."""

from typing import TypeVar

import click

from ctsftp.cli.context import Edge, commands, pass_edge
from ctsftp.cli.output import Column, json_option, print_json, print_table, say
from ctsftp.contract.counting import some
from ctsftp.errors import NotFoundError, RefusedError

R = TypeVar("R")


@click.group("penalty")
def command() -> None:
    """See and clear the addresses that are refused after failed logins.

    \b
    Example: ctsftp penalty list
    """


@command.command("list")
@json_option
@pass_edge
def list_(edge: Edge, as_json: bool) -> None:
    """List the addresses whose logins failed lately; those that are refused wait for the seconds that are left.

    \b
    Example: ctsftp penalty list
    """
    rows = [{**row, "seconds_left": round(row["seconds_left"], 1)} for row in _ask(edge, commands.ListPenalties())]
    if as_json:
        print_json(rows)
        return
    columns: list[Column] = [
        ("ADDRESS", "source"),
        ("REFUSED", lambda row: "yes" if row["refused"] else "no"),
        ("SECONDS LEFT", lambda row: round(row["seconds_left"])),
        ("OFFENCES", "offences"),
        ("LAST", "last"),
    ]
    print_table(rows, columns, empty="No address has failed to sign in recently.")


@command.command()
@click.argument("address", required=False)
@json_option
@pass_edge
def clear(edge: Edge, address: str | None, as_json: bool) -> None:
    """Clear the penalty of an address (of an IPv6 one, its /64), or of all; it can connect at once.

    \b
    Example: ctsftp penalty clear 192.0.2.7
    """
    count = _ask(edge, commands.ClearPenalties(address))
    if address and not count:
        raise NotFoundError(f"{address} has no penalty: `ctsftp penalty list` shows those that have.")
    if as_json:
        print_json({"address": address, "forgiven": count})
        return
    say(f"Cleared {address}." if address else f"Cleared {some(count, 'address')}.")


def _ask(edge: Edge, command: "commands.LiveCommand[R]") -> R:
    answer = edge.perform_live(command)
    if answer is None:
        raise RefusedError("No server is running here, so there are no penalties.")
    return answer
