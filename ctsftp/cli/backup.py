"""`ctsftp backup`: a copy of the database."""

import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from ctsftp.cli.context import Edge, pass_edge
from ctsftp.cli.output import error_console, json_option, print_json, say
from ctsftp.errors import UsageError

STDOUT = Path("-")


@click.command("backup")
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True))
@json_option
@pass_edge
def command(edge: Edge, file: Path, as_json: bool) -> None:
    """Copy the database to a new FILE while the server works; "-" is stdout, by way of the folder for temporary files.

    To go back to a copy: stop the server, put the copy in the place of ctsftp.db in the data folder, remove
    ctsftp.db-wal and ctsftp.db-shm there, give the file to the server's account, and start the server. It loads the
    uploads that came since, as far as their files are there.

    \b
    Example: ctsftp backup /backup/ctsftp-2026-11-23.db
    """
    database = edge.as_read.database
    if file == STDOUT:
        if as_json or sys.stdout.isatty():
            raise UsageError("The copy goes to stdout: lead that into a file or a pipe, and leave out --json.")
        with TemporaryDirectory(prefix="ctsftp-backup-") as folder:
            target = Path(folder, "copy")
            size = _copy(edge, target)
            with target.open("rb") as copy:
                shutil.copyfileobj(copy, sys.stdout.buffer)
    else:
        size = _copy(edge, file.absolute())
    if as_json:
        print_json({"file": str(file.absolute()), "size": size})
    else:
        to = "the output" if file == STDOUT else file.absolute()
        say(f"Copied {database} to {to} ({size:,} bytes).")


def _copy(edge: Edge, target: Path) -> int:
    from rich.progress import Progress  # noqa: PLC0415

    from ctsftp.store.backup import back_up  # noqa: PLC0415  the database's imports take a third of a second

    with Progress(console=error_console(), transient=True, disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task("Copying", total=None)
        return back_up(
            edge.as_read.database,
            target,
            progress=lambda left, total: progress.update(task, total=total, completed=total - left),
            as_owner=edge.acting,
        )
