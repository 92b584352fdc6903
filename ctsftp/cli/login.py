"""`ctsftp login`: who signed in at a running server, who was refused, and who had no algorithm in common with it."""

from datetime import datetime

import click

from ctsftp.cli.context import Edge, commands, pass_edge
from ctsftp.cli.output import Column, iso_time, json_option, print_json, print_table, short_time
from ctsftp.errors import RefusedError

COLUMNS: list[Column] = [
    ("LAST", lambda row: short_time(row["at"])),
    ("TIMES", "times"),
    ("ADDRESS", "address"),
    ("USER", lambda row: row["user"] or None),
    ("OUTCOME", "outcome"),
    ("KEYS", lambda row: row["keys"] or None),
    ("SOFTWARE", lambda row: row["software"] or None),
    ("WHY", lambda row: " ".join(filter(None, (row["text"], row["help"]))) or None),
]


@click.group("login")
def command() -> None:
    """See recent logins, and why some were refused.

    \b
    Example: ctsftp login list
    """


@command.command("list")
@json_option
@pass_edge
def list_(edge: Edge, as_json: bool) -> None:
    """List recent logins, refused ones, and senders without an algorithm in common; newest first.

    A user name that is nearly a client's is shown with the client that it was meant for. The running server remembers
    500 of each kind, and forgets them when it stops; a client's sheet (client show) has its last login for good.

    \b
    Example: ctsftp login list --json
    """
    found = edge.perform_live(commands.ListLogins())
    if found is None:
        raise RefusedError("No server is running here, and only a running one knows: see `ctsftp client show NAME`.")
    rows = [{**row, "at": iso_time(datetime.fromisoformat(row["at"]))} for row in found]
    if as_json:
        print_json(rows)
    else:
        print_table(rows, COLUMNS, empty="No logins since the server started.", spare=["SOFTWARE"])
