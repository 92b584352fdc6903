"""`ctsftp segment`: the lists of members, their history, and what an admin does to them."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ctsftp.cli.context import Edge, commands, pass_edge
from ctsftp.cli.output import Column, Row, json_option, print_facts, print_json, print_table, say, short_time
from ctsftp.contract.counting import some
from ctsftp.contract.freshness import read_span, write_span
from ctsftp.errors import UsageError
from ctsftp.model.reads import ListSegments, ListSnapshots, ShowSegment
from ctsftp.model.timeline import StepKind

if TYPE_CHECKING:
    from ctsftp.model.records import Segment, SegmentOut

client_option = click.option("--client", help="The client; needed only if several clients have a segment of this name.")


def _badge(row: Row) -> str:
    """Say what there is to know of a segment at a glance; by the clock, so that it is right where no server runs."""
    from ctsftp.app.clock import utc_now  # noqa: PLC0415  not needed for --help

    badges = []
    if row["retired"]:
        badges.append("retired")
    if row["rolled_back"]:
        badges.append("rolled back")
    if row["overdue_at"]:
        badges.append("overdue" if datetime.fromisoformat(row["overdue_at"]) < utc_now() else "fresh")
    return ", ".join(badges)


def _place(row: Row) -> str:
    """Say what a snapshot is to readers: what they have, or would have after a rollback or once it is restored."""
    if row["current"]:
        return "current" if row["periods"] and row["periods"][-1]["until"] is None else "current once restored"
    return "a rollback goes here" if row["previous"] else ""


def _period(period: Row) -> str:
    """Write when readers had a list, and how they got it but by its load."""
    began = {StepKind.ROLLED_BACK: " (by a rollback)", StepKind.RESTORED: " (restored)"}.get(period["began_by"], "")
    until = short_time(period["until"]) if period["until"] else "now"
    return f"{short_time(period['since'])} to {until}{began}"


COLUMNS: list[Column] = [
    ("CLIENT", "client"),
    ("SEGMENT", "segment"),
    ("MEMBERS", "members"),
    ("ENTERED", "entered"),
    ("LEFT", "left"),
    ("STAMP", "stamp"),
    ("LOADED (UTC)", lambda row: short_time(row["loaded_at"])),
    ("NUMBER", "number"),
    ("", _badge),
]
SPARE = ("NUMBER", "STAMP", "LEFT", "ENTERED")
HISTORY_COLUMNS: list[Column] = [
    ("NUMBER", "number"),
    ("MEMBERS", "members"),
    ("ENTERED", "entered"),
    ("LEFT", "left"),
    ("STAMP", "stamp"),
    ("LOADED (UTC)", lambda row: short_time(row["loaded_at"])),
    ("", _place),
    ("READERS HAD IT (UTC)", lambda row: "; ".join(map(_period, row["periods"]))),
]
HISTORY_SPARE = ("STAMP", "LOADED (UTC)", "LEFT", "ENTERED")


@click.group("segment")
def command() -> None:
    """See the segments and their members.

    \b
    Example: ctsftp segment members "VIP Members"
    """


@command.command("list")
@click.option("--client", help="Only this client's.")
@json_option
@pass_edge
def list_(edge: Edge, client: str | None, as_json: bool) -> None:
    """List the segments.

    \b
    Example: ctsftp segment list --json
    """
    rows = edge.of_client(client, edge.read(ListSegments(client=client)))
    if as_json:
        print_json(rows)
    else:
        empty = "No segments yet: a segment appears when its first file is loaded."
        print_table(rows, COLUMNS, empty=empty, spare=SPARE)


@command.command()
@click.argument("name")
@client_option
@json_option
@pass_edge
def show(edge: Edge, name: str, client: str | None, as_json: bool) -> None:
    """Show one segment.

    \b
    Example: ctsftp segment show vip_members
    """
    [row] = edge.read(ShowSegment(name=name, client=client))
    if as_json:
        print_json(row)
        return
    badge = [("it is", _badge(row))] if _badge(row) else []
    print_facts([("type", "Client Defined"), *badge, *_facts(row)])


@command.command()
@click.argument("name")
@client_option
@json_option
@pass_edge
def members(edge: Edge, name: str, client: str | None, as_json: bool) -> None:
    """Print the members' ids, one a line (or as one list of JSON), ascending.

    \b
    Example: ctsftp segment members vip_members > vip.txt
    """
    from ctsftp.admin.query import query  # noqa: PLC0415
    from ctsftp.cli.exporting import print_members  # noqa: PLC0415

    query(edge.settings, lambda store: print_members(store, name, client, as_json=as_json))


@command.command("export")
@click.argument("name")
@click.argument("file", type=click.Path(dir_okay=False))
@client_option
@json_option
@pass_edge
def export_(edge: Edge, name: str, file: str, client: str | None, *, as_json: bool) -> None:
    """Write the members to FILE as CSV; "-" is stdout. A file that was there is replaced when the new one is complete.

    \b
    Example: ctsftp segment export vip_members vip.csv
    """
    if as_json and file == "-":
        raise UsageError("The members go to stdout: name a file, or leave out --json.")
    from ctsftp.admin.query import query  # noqa: PLC0415
    from ctsftp.cli.exporting import export, output_file  # noqa: PLC0415

    with output_file(file) as opened, edge.acting() as settings:
        segment = query(settings, lambda store: export(store, name, client, opened))
    _say_exported(segment, file, as_json=as_json)


@command.command()
@click.argument("name")
@client_option
@json_option
@pass_edge
def history(edge: Edge, name: str, client: str | None, as_json: bool) -> None:
    """List a segment's snapshots that are kept, newest first, and when readers had each.

    \b
    Example: ctsftp segment history vip_members
    """
    rows = edge.read(ListSnapshots(name=name, client=client))
    if as_json:
        print_json(rows)
    else:
        print_table(rows, HISTORY_COLUMNS, empty="No snapshots.", spare=HISTORY_SPARE)


@command.command()
@click.argument("name")
@click.argument("numbers", nargs=-1, type=int, metavar="[FROM TO]")
@client_option
@json_option
@pass_edge
def diff(edge: Edge, name: str, numbers: tuple[int, ...], *, client: str | None, as_json: bool) -> None:
    """Show who entered (+) and who left (-) between two snapshots; if none are named, by the last load or rollback.

    \b
    Example: ctsftp segment diff vip_members 3 5
    """
    if len(numbers) not in {0, 2}:
        raise click.UsageError("Name both snapshots, FROM and TO, or none: see `ctsftp segment history`.")
    old, new = numbers or (None, None)
    from ctsftp.admin.query import query  # noqa: PLC0415
    from ctsftp.cli.exporting import diff_of  # noqa: PLC0415

    found = query(edge.settings, lambda store: diff_of(store, name, client, old, new))
    if as_json:
        print_json(
            {
                "from": found.old.number,
                "to": found.new.number,
                "entered": found.entered.tolist(),
                "left": found.left.tolist(),
            }
        )
        return
    say(f"From {found.old.number} to {found.new.number}: {len(found.entered):,} entered, {len(found.left):,} left.")
    for sign, ids in (("+", found.entered), ("-", found.left)):
        for ct_user_id in ids.tolist():
            click.echo(f"{sign}{ct_user_id}")


@command.command()
@click.argument("name")
@click.argument("number", type=int, required=False)
@client_option
@json_option
@pass_edge
def rollback(edge: Edge, name: str, number: int | None, *, client: str | None, as_json: bool) -> None:
    """Make another snapshot current: number NUMBER, else what readers had before the current list came.

    So after lists 1, 2 and 3, a rollback to 2, and list 4, it goes back to 2, and once more to 1: `segment history`
    marks where it goes. The segment's uploads are then held until one is approved.

    \b
    Example: ctsftp segment rollback vip_members 3
    """
    row = edge.perform(commands.RollBackSegment(name, client, number))
    again = f"is at snapshot {row['number']} again, with {some(row['members'], 'member')}"
    _answer(row, f"{again}; its uploads are held until one is approved.", as_json=as_json)


@command.command()
@click.argument("name")
@client_option
@json_option
@pass_edge
def retire(edge: Edge, name: str, client: str | None, as_json: bool) -> None:
    """Take a segment out of use: it has no members for its readers, and takes no files.

    \b
    Example: ctsftp segment retire vip_members
    """
    row = edge.perform(commands.RetireSegment(name, client))
    _answer(row, "is retired.", as_json=as_json)


@command.command()
@click.argument("name")
@client_option
@json_option
@pass_edge
def restore(edge: Edge, name: str, client: str | None, as_json: bool) -> None:
    """Put a retired segment back into use, as it was.

    \b
    Example: ctsftp segment restore vip_members
    """
    row = edge.perform(commands.RestoreSegment(name, client))
    _answer(row, f"is in use again, with {some(row['members'], 'member')}.", as_json=as_json)


@command.command()
@click.argument("name")
@click.option("--every", metavar="TIME", help="How often a file is expected: 1d, 12h, 90m, 1w.")
@click.option("--grace", metavar="TIME", default="2h", show_default=True, help="How late it may be.")
@click.option("--never", is_flag=True, help="Stop expecting a file.")
@client_option
@json_option
@pass_edge
def expect(
    edge: Edge, name: str, *, every: str | None, grace: str, never: bool, client: str | None, as_json: bool
) -> None:
    """Set how often a file is expected. If one is missing, hooks are notified once.

    The time counts from the last file that was loaded, or was sent again unchanged. A grace of 2h covers a job that
    starts 15 minutes late, and the autumn night with one more hour.

    \b
    Example: ctsftp segment expect vip_members --every 1d --grace 3h
    """
    if never == (every is not None):
        raise click.UsageError("Say either --every TIME or --never.")
    every_s, grace_s = (read_span(every), read_span(grace)) if every else (None, None)
    row = edge.perform(commands.ExpectSegment(name, client, every_s, grace_s))
    until = f" It is overdue after {short_time(row['overdue_at'])} (UTC)." if row["overdue_at"] else ""
    _answer(row, f"is expected every {write_span(every_s)}.{until}" if every_s else "is not expected.", as_json=as_json)


@command.command()
@click.argument("name")
@client_option
@json_option
@pass_edge
def delete(edge: Edge, name: str, client: str | None, as_json: bool) -> None:
    """Delete a retired segment and its history for good; the ledger keeps its uploads.

    \b
    Example: ctsftp segment delete vip_members
    """
    row = edge.perform(commands.DeleteSegment(name, client))
    _answer(row, "is deleted.", as_json=as_json)


def _say_exported(segment: "Segment", file: str, *, as_json: bool) -> None:
    if as_json:
        place = str(Path(file).absolute())
        print_json({"client": segment.client, "segment": segment.title, "members": segment.members, "file": place})
    else:
        to = "the output" if file == "-" else file
        say(f'Written to {to}: {some(segment.members, "member")} of "{segment.title}".')


def _facts(row: Row) -> Iterator[tuple[str, object]]:
    """Write a segment's fields for people: times and spans as they are read, and what the badge says left out."""
    for name, value in row.items():
        if name in {"retired", "rolled_back"}:
            continue
        if name.endswith("_at"):
            yield f"{name.removesuffix('_at')} (UTC)", short_time(value)
        elif name.endswith("_s"):
            yield name.removesuffix("_s").replace("_", " "), write_span(value) if value else None
        else:
            yield name.replace("_", " "), value


def _answer(row: "SegmentOut", what: str, *, as_json: bool) -> None:
    if as_json:
        print_json(row)
    else:
        say(f'The segment "{row["segment"]}" of {row["client"]} {what}')
