"""`ctsftp sweep`: one sweep now."""

import click

from ctsftp.cli.context import Edge, commands, pass_edge
from ctsftp.cli.output import json_option, print_facts, print_json


@click.command("sweep")
@json_option
@pass_edge
def command(edge: Edge, as_json: bool) -> None:
    """Look for files that were not picked up yet, and load them now.

    \b
    Example: ctsftp sweep
    """
    swept = edge.perform(commands.Sweep())
    if as_json:
        print_json(swept)
        return
    print_facts(
        [
            ("adopted files", swept["adopted"]),
            ("uploads found", len(swept["queued"])),
            ("old uploads deleted", swept["uploads_deleted"]),
            ("old partials deleted", swept["partials_deleted"]),
            ("old snapshots deleted", swept["snapshots_deleted"]),
        ]
    )
