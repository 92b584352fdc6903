"""`ctsftp backup`: a copy of the database."""

import sys
from pathlib import Path

import click
from rich.progress import Progress

from ctsftp.cli.context import Edge, pass_edge
from ctsftp.cli.output import error_console, say


@click.command("backup")
@click.argument("file", type=click.Path(path_type=Path))
@pass_edge
def command(edge: Edge, file: Path) -> None:
    """Copy the database to a new FILE while the server works; deploy/restore.md tells how to go back to it.

    \b
    Example: ctsftp backup /backup/ctsftp-2026-11-23.db
    """
    from ctsftp.store.backup import back_up  # noqa: PLC0415  the database's imports take a third of a second

    with Progress(console=error_console(), transient=True, disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task("Copying", total=None)
        size = back_up(
            edge.settings.database,
            file.absolute(),
            progress=lambda left, total: progress.update(task, total=total, completed=total - left),
        )
    say(f"Copied {edge.settings.database} to {file.absolute()} ({size:,} bytes).")
