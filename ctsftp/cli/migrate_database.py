"""`ctsftp migrate-database`: from a database file to PostgreSQL."""

import click

from ctsftp.cli.context import Edge, pass_edge
from ctsftp.cli.output import error_console, json_option, print_json, say
from ctsftp.contract.counting import some
from ctsftp.errors import UsageError


@click.command("migrate-database")
@click.argument("source", metavar="SQLITE_URL")
@click.argument("target", metavar="POSTGRES_URL")
@json_option
@pass_edge
def command(edge: Edge, source: str, target: str, *, as_json: bool) -> None:
    """Copy the database file at SQLITE_URL to the empty database at POSTGRES_URL, and compare the two.

    Stop the server, and use its own settings: its data folder is locked meanwhile, and keeps the uploads' files. If
    the copy is interrupted, run this again: it starts from the beginning. No server opens an unfinished copy. The file
    stays as it is.

    \b
    Example: ctsftp migrate-database sqlite+aiosqlite:////srv/data/ctsftp.db postgresql://ctsftp@db/ctsftp
    """
    from rich.progress import (  # noqa: PLC0415
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    from ctsftp.admin.work import run  # noqa: PLC0415
    from ctsftp.app.lock import data_lock  # noqa: PLC0415  the database's imports take a third of a second
    from ctsftp.cluster.node import node_name  # noqa: PLC0415
    from ctsftp.store.copying import copy_database  # noqa: PLC0415
    from ctsftp.store.sqlite import path_of  # noqa: PLC0415

    settings = edge.settings
    own = {settings.data.database}
    if settings.database.startswith("sqlite"):
        own.add(path_of(settings.database))
    if path_of(source).resolve() not in {path.resolve() for path in own}:
        names = " or ".join(sorted(map(str, own)))
        raise UsageError(f"{path_of(source)} is not the server's own database, {names}: use the server's settings.")
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = error_console()
    bar = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
    with data_lock(settings.data_dir), bar:
        task = bar.add_task("Reading", total=None)
        members = run(
            copy_database(
                source,
                target,
                node=node_name(settings.data_dir),
                progress=lambda what, done, total: bar.update(task, description=what, completed=done, total=total),
            )
        )
    if as_json:
        print_json({"members": members})
        return
    say(
        f"Copied and compared: {some(members, 'member')} of all snapshots."
        " Set CTSFTP_DATABASE_URL for the server and for commands, and start it."
    )
