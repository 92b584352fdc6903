"""`ctsftp gate`: which segments open an activity, a reward or a campaign."""

from typing import TYPE_CHECKING

import click

from ctsftp.cli.context import Edge, commands, pass_edge
from ctsftp.cli.output import Column, json_option, print_json, print_table, say, short_time
from ctsftp.model.reads import ListGates

if TYPE_CHECKING:
    from ctsftp.model.records import GateOut

COLUMNS: list[Column] = [
    ("CLIENT", "client"),
    ("KIND", "kind"),
    ("ITEM", "item"),
    ("OPEN TO MEMBERS OF", lambda row: ", ".join(row["segments"])),
    ("SET (UTC)", lambda row: short_time(row["set_at"])),
]
client_option = click.option("--client", help="The client; needed only if several clients have such a gate or segment.")


@click.group("gate")
def command() -> None:
    """Set which segments open an activity, a reward or a campaign.

    \b
    Example: ctsftp gate set reward 4711 --segment "VIP Members"
    """


@command.command("set")
@click.argument("kind")
@click.argument("item")
@click.option(
    "--segment", "segments", multiple=True, required=True, help="A segment whose members may see it; may be repeated."
)
@client_option
@json_option
@pass_edge
def set_(edge: Edge, kind: str, item: str, *, segments: tuple[str, ...], client: str | None, as_json: bool) -> None:
    """Open an item to the members of any of these segments, and to nobody else.

    KIND is activity, reward, campaign or any other word; ITEM is what the program calls it.

    \b
    Example: ctsftp gate set reward 4711 --segment VIP --segment Gold
    """
    row = edge.perform(commands.SetGate(kind, item, segments, client))
    _answer(row, f"is open to the members of {', '.join(row['segments'])}.", as_json=as_json)


@command.command("list")
@click.option("--client", help="Only this client's.")
@json_option
@pass_edge
def list_(edge: Edge, client: str | None, as_json: bool) -> None:
    """List the gates.

    \b
    Example: ctsftp gate list
    """
    rows = edge.of_client(client, edge.read(ListGates(client=client)))
    if as_json:
        print_json(rows)
    else:
        print_table(rows, COLUMNS, empty="No gates yet: set one with `ctsftp gate set`.")


@command.command()
@click.argument("kind")
@click.argument("item")
@client_option
@json_option
@pass_edge
def remove(edge: Edge, kind: str, item: str, *, client: str | None, as_json: bool) -> None:
    """Remove a gate.

    \b
    Example: ctsftp gate remove reward 4711
    """
    row = edge.perform(commands.RemoveGate(kind, item, client))
    _answer(row, "has no gate now.", as_json=as_json)


def _answer(row: "GateOut", what: str, *, as_json: bool) -> None:
    if as_json:
        print_json(row)
    else:
        say(f"The {row['kind']} {row['item']} of {row['client']} {what}")
