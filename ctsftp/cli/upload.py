"""`ctsftp upload`: the ledger of all uploads, and what an admin decides about one."""

import functools
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any

import click

from ctsftp.cli.context import Edge, commands, pass_edge
from ctsftp.cli.main import EXIT_NO
from ctsftp.cli.output import Column, json_option, print_facts, print_json, print_table, say, short_time
from ctsftp.contract.codes import PAGES, Code, Page, advised_setting
from ctsftp.contract.counting import some
from ctsftp.contract.ids import SHORT_ID, is_upload_id
from ctsftp.contract.names import segment_key
from ctsftp.contract.states import State
from ctsftp.model.reads import FindUpload, ListRejected, ListUploads, ShowUpload

if TYPE_CHECKING:
    from ctsftp.model.records import IfApprovedOut, UploadOut

SHOWN_UPLOADS = 50
# What is told of an upload in words of its own.
IN_WORDS = frozenset({"current", "periods", "if_approved", "duplicate_of"})
COLUMNS: list[Column] = [
    ("RECEIVED (UTC)", lambda row: short_time(row["received_at"])),
    ("CLIENT", "client"),
    ("FILE", "filename"),
    ("STATE", lambda row: f"{row['state']} ({row['code']})" if row["code"] else row["state"]),
    ("ROWS", "rows"),
    ("MEMBERS", "members"),
    ("DUPLICATES", "duplicates"),
    ("REJECTED", "rejected"),
    ("ID", "id"),
]
SHORT: list[Column] = [
    ("RECEIVED (UTC)", lambda row: short_time(row["received_at"])[len("2026-") :]),
    ("ID", lambda row: row["id"][:SHORT_ID]),
]
# What `retry` reads again.
RETRIED = (State.REJECTED, State.FAILED, State.RETIRED)
# What it is content with: the file was read, and nothing is wrong with it.
READ_WELL = frozenset({State.LOADED, State.DUPLICATE, State.SUPERSEDED, State.HELD, State.IGNORED})
SPARE = ("DUPLICATES", "ROWS", "REJECTED", "MEMBERS", "CLIENT")


def of_one_upload(*states: State) -> Callable[[Callable[..., object]], Callable[..., object]]:
    """Give a command the id of the upload that is meant: of several of one name, the newest in these states, if any."""

    def decorate(function: Callable[..., object]) -> Callable[..., object]:
        def command(
            edge: Edge, *, given: str | None, segment: str | None, client: str | None, **others: object
        ) -> object:
            return function(edge, _find(edge, given, segment, client, states or tuple(State)), **others)

        made: Callable[..., object] = functools.update_wrapper(command, function)
        made = click.option("--client", help="The client; needed only if several clients sent such a file.")(
            pass_edge(made)
        )
        made = click.option("--segment", metavar="NAME", help="Instead of an ID: this segment's newest upload.")(made)
        return click.argument("given", metavar="[ID|FILE]", required=False)(made)

    return decorate


def _find(edge: Edge, given: str | None, segment: str | None, client: str | None, states: Collection[State]) -> str:
    """Find an upload, and say which it is where it was not named by its id; give the id."""
    if (given is None) == (segment is None):
        raise click.UsageError("Name one upload: its id, its file's name, or --segment.")
    if given is not None and is_upload_id(given):
        return given
    wanted = tuple(state.value for state in states)
    [upload] = edge.read(FindUpload(given=given, segment=segment, client=client, states=wanted))
    if given is None or not upload["id"].startswith(given.lower()):
        came = short_time(upload["received_at"])
        this = f"{upload['filename']} of {upload['client']}, {upload['state']}"
        say(f"This is {this}, which came at {came} (UTC): {upload['id']}")
    return upload["id"]


@click.group("upload")
def command() -> None:
    """See what became of each file; approve or discard one that waits.

    An upload is named by its ID, of which the first 8 characters or more are enough where no other begins so; by its
    file's name (the newest of that name); or by --segment NAME, the newest of the segment that waits.

    \b
    Example: ctsftp upload list --state rejected
    """


@command.command("list")
@click.option("--state", type=click.Choice([state.value for state in State]), help="Only those in this state.")
@click.option("--client", help="Only this client's.")
@click.option("--segment", metavar="NAME", help="Only those of the segment of this name.")
@json_option
@pass_edge
def list_(edge: Edge, state: str | None, client: str | None, segment: str | None, as_json: bool) -> None:
    """List the uploads, newest first: the table shows 50, --json all.

    \b
    Example: ctsftp upload list --state held --client acme
    """
    limit = None if as_json else SHOWN_UPLOADS + 1
    key = segment_key(segment) if segment else None
    uploads = edge.read(ListUploads(client=client, state=state, segment_key=key, limit=limit))
    rows = edge.of_client(client, uploads)
    if as_json:
        print_json(rows)
    else:
        print_table(rows[:SHOWN_UPLOADS], COLUMNS, empty="No uploads.", spare=SPARE, short=SHORT)
        if len(rows) > SHOWN_UPLOADS:
            say(f"These are the newest {SHOWN_UPLOADS}: --json lists all.")


@command.command()
@of_one_upload()
@json_option
def show(edge: Edge, upload_id: str, as_json: bool) -> None:
    """Show one upload: what became of it, why, and what to do.

    \b
    Example: ctsftp upload show 019ab8f0-5c1e-7a52-9a3b-0f2d4c6e8a10
    """
    [told] = edge.read(ShowUpload(upload_id=upload_id))
    row: dict[str, Any] = dict(told["upload"])
    if as_json:
        print_json(row | _help(told["upload"]))
        return
    warnings = [(f"warning ({warning['code']})", warning["text"]) for warning in row.pop("warnings")]
    if row["duplicate_of"]:  # the reason is of the time it came; what is so now stands in `list`
        row.pop("reason")
    times = {name: short_time(row.pop(name)) for name in ("received_at", "finished_at")}
    shown = {name: value for name, value in (row | times).items() if name not in IN_WORDS}
    facts = [(name.replace("_", " "), value) for name, value in shown.items()]
    if told["list"]:
        facts.append(("list", told["list"]))
    if approved := told["upload"]["if_approved"]:
        facts.append(("if approved", _say_change(approved, told["upload"]["members"] or 0)))
    print_facts([*facts, *warnings, *_advice(told["upload"])])


@command.command()
@of_one_upload()
@json_option
def rejects(edge: Edge, upload_id: str, as_json: bool) -> None:
    """List an upload's rejected rows, the first 1,000: line, value, reason.

    \b
    Example: ctsftp upload rejects 019ab8f0-5c1e-7a52-9a3b-0f2d4c6e8a10
    """
    rows = edge.read(ListRejected(upload_id=upload_id))
    if as_json:
        print_json(rows)
    else:
        print_table(rows, [("LINE", "line"), ("VALUE", "value"), ("REASON", "reason")], empty="No rejected rows.")


@command.command()
@of_one_upload(*RETRIED)
@json_option
def retry(edge: Edge, upload_id: str, as_json: bool) -> int:
    """Read a rejected or failed upload again, as if it had just come; exit 1 if it is refused again, or has to wait.

    So with a retired one, once its segment is restored.

    \b
    Example: ctsftp upload retry VIP_Members_20261123_0900.csv
    """
    return _decide(edge, commands.RetryUpload(upload_id), well=READ_WELL, as_json=as_json)


@command.command()
@of_one_upload(State.HELD, State.SUPERSEDED)
@json_option
def approve(edge: Edge, upload_id: str, as_json: bool) -> int:
    """Apply a held or superseded upload to its segment; exit 1 if it is not, or has to wait.

    \b
    Example: ctsftp upload approve --segment vip_members
    """
    return _decide(edge, commands.ApproveUpload(upload_id), well={State.LOADED}, as_json=as_json)


@command.command()
@of_one_upload(State.HELD)
@json_option
def discard(edge: Edge, upload_id: str, as_json: bool) -> int:
    """Drop a held upload: it is not applied.

    \b
    Example: ctsftp upload discard VIP_Members_20261123_0900.csv
    """
    return _decide(edge, commands.DiscardUpload(upload_id), well={State.DISCARDED}, as_json=as_json)


def _decide(edge: Edge, command: "commands.Command[UploadOut]", *, well: Collection[State], as_json: bool) -> int:
    row = edge.perform(command)
    if as_json:
        print_json(row)
    else:
        say(f"{row['filename']} is {row['state']}." + (f" {row['reason']}" if row["reason"] else ""))
    return 0 if row["state"] in well else EXIT_NO


def _say_change(approved: "IfApprovedOut", then: int) -> str:
    if approved["retired"]:
        return "nothing: the segment is retired, and takes no files until it is restored"
    if approved["members_now"] is None:
        return f"a new segment, with {some(then, 'member')}"
    change = f"{approved['members_now']:,} -> {some(then, 'member')}"
    if approved["enter"] is None or approved["leave"] is None:
        return f"{change}; who would enter and leave cannot be told here, where its file is not"
    return f"{change}: {approved['enter']:,} enter, {approved['leave']:,} leave"


def _page(row: "UploadOut") -> Page | None:
    return PAGES[Code(row["code"])] if row["code"] in set(Code) else None


def _help(row: "UploadOut") -> dict[str, str | None]:
    """Give what a receipt for programs has, too: the setting to change, and what the code means."""
    page = _page(row)
    return {
        "setting": advised_setting(row["reason"], row["code"]) or None,
        "meaning": page.meaning if page else None,
    }


def _advice(row: "UploadOut") -> list[tuple[str, str]]:
    """Tell what the page of the upload's code says, for the admin; the setting to change stands in the reason."""
    if not (page := _page(row)):
        return []
    facts = [("meaning", page.meaning), ("sender", page.sender), ("admin", page.admin)]
    return [*facts, ("more", f"ctsftp explain {row['code']}")]
