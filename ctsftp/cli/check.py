"""`ctsftp check`: the verdict on a file, offline."""

from pathlib import Path

import click

from ctsftp.app.preview import preview
from ctsftp.cli.context import Edge, pass_edge
from ctsftp.cli.output import json_option, print_facts, print_json, print_table
from ctsftp.contract.states import State

SHOWN_REJECTED_ROWS = 10
FINE = {State.LOADED, State.DUPLICATE}


@click.command("check")
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True))
@click.option("--client", help="Judge it as this client's, against its segments as they are now.")
@json_option
@pass_edge
@click.pass_context
def command(ctx: click.Context, edge: Edge, file: Path, client: str | None, as_json: bool) -> None:
    """Tell what would become of a file, and which setting to change; exit code 1 if it would not be applied.

    What comes from standard input (`-`) has no name, so only its content is judged.

    \b
    Example: ctsftp check VIP_Members_20261123_0900.csv --client acme
    """
    row = preview(edge.as_read, file, client)
    state = row["state"]
    if as_json:
        print_json(row)
    else:
        rejected, warnings = row.pop("rejected_rows"), row.pop("warnings")
        facts = [(name, value) for name, value in row.items() if value is not None]
        print_facts([*facts, *((f"warning ({one['code']})", one["text"]) for one in warnings)])
        if rejected:
            columns = [("LINE", "line"), ("VALUE", "value"), ("REASON", "reason")]
            print_table(rejected[:SHOWN_REJECTED_ROWS], columns, empty="")
    ctx.exit(0 if state in FINE else 1)
