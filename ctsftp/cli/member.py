"""`ctsftp member`: what a member is in."""

import click

from ctsftp.cli.context import Edge, pass_edge, reads
from ctsftp.cli.output import Column, json_option, print_json, print_table, short_time


@click.group("member")
def command() -> None:
    """See which segments a member is in.

    \b
    Example: ctsftp member segments 1234567
    """


@command.command()
@click.argument("ct_user_id", type=int, metavar="ID")
@json_option
@pass_edge
def segments(edge: Edge, ct_user_id: int, as_json: bool) -> None:
    """List the segments that a member is in, of all clients.

    \b
    Example: ctsftp member segments 1234567 --json
    """
    rows = edge.read(reads.ListMemberSegments(ct_user_id=ct_user_id))
    if as_json:
        print_json(rows)
    else:
        columns: list[Column] = [("CLIENT", "client"), ("SEGMENT", "segment"), ("STAMP", "stamp")]
        loaded: Column = ("LOADED (UTC)", lambda row: short_time(row["loaded_at"]))
        print_table(rows, [*columns, loaded], empty=f"{ct_user_id} is in no segment.")
