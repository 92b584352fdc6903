"""`ctsftp doctor`: checks everything an admin can get wrong."""

from dataclasses import asdict

import click

from ctsftp.cli.context import Edge, pass_edge
from ctsftp.cli.output import Column, json_option, print_json, print_table

COLUMNS: list[Column] = [("", "level"), ("PART", "part"), ("FOUND", "text"), ("WHAT TO DO", "do")]


@click.command("doctor")
@json_option
@pass_edge
@click.pass_context
def command(ctx: click.Context, edge: Edge, as_json: bool) -> None:
    """Check everything that an admin can get wrong; exit code 1 if something needs attention.

    Read-only. Works whether or not the server is running. Looks at settings, keys, clients, disk, clock, database and
    waiting uploads.

    \b
    Example: ctsftp doctor
    """
    from ctsftp.admin.doctor import examine  # noqa: PLC0415  the database's imports take a third of a second
    from ctsftp.contract.finding import Level  # noqa: PLC0415  the same

    order = [Level.BAD, Level.WARN, Level.OK]
    findings = sorted(examine(edge.settings), key=lambda finding: order.index(finding.level))
    rows = [asdict(finding) for finding in findings]
    if as_json:
        print_json(rows)
    else:
        print_table(rows, COLUMNS, empty="")
    ctx.exit(0 if all(finding.level is Level.OK for finding in findings) else 1)
