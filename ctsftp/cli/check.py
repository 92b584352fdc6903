"""`ctsftp check`: the verdict on a file, offline."""

from pathlib import Path
from typing import Any

import click

from ctsftp.cli.context import Edge, pass_edge
from ctsftp.cli.output import Column, json_option, print_facts, print_json, print_table, say
from ctsftp.contract.counting import some
from ctsftp.contract.freshness import read_span
from ctsftp.contract.states import State

SHOWN_REJECTED_ROWS = 10
FINE = {State.LOADED, State.DUPLICATE}
UNKNOWN = (
    "Whose file it is was not said, so it was not compared with any segment: whether it would be held there (shrunk,"
    " empty, unfinished, rolled_back, ...), a duplicate or superseded is not known. --client NAME tells."
)


@click.command("check")
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True), required=False)
@click.option("--client", help="Judge it as a file of this client, against its segments as they are now.")
@click.option(
    "--kept", is_flag=True, help="Instead of a file, judge all that the server keeps by this version's rules."
)
@click.option("--since", metavar="D", help="With --kept: only files that came in this time, such as 14d.")
@json_option
@pass_edge
@click.pass_context
def command(
    ctx: click.Context,
    edge: Edge,
    *,
    file: Path | None,
    client: str | None,
    kept: bool,
    since: str | None,
    as_json: bool,
) -> None:
    """Check a file: what would become of it, and which setting to change; exit code 1 if it would not be applied.

    What comes from standard input (`-`) has no name, so only its content is judged. With --kept, list the kept files
    that would come out differently than they did; exit code 1 if there are any. Run it after an upgrade.

    \b
    Example: ctsftp check VIP_Members_20261123_0900.csv --client acme
             ctsftp check --kept --since 14d
    """
    if kept:
        if file:
            raise click.UsageError("Name a file, or give --kept: not both.")
        ctx.exit(_check_kept(edge, client, read_span(since) if since else None, as_json=as_json))
    if file is None or since:
        raise click.UsageError("Name a file, or give --kept (and, with it, --since).")
    ctx.exit(_check_file(edge, file, client, as_json=as_json))


def _check_file(edge: Edge, file: Path, client: str | None, *, as_json: bool) -> int:
    from ctsftp.admin.preview import preview  # noqa: PLC0415

    row = preview(edge.as_read, file, client)
    state = row["state"]
    is_alone = client is None and State(state) in {State.LOADED, State.HELD}
    if as_json:
        print_json(row)
    else:
        rejected, warnings = row.pop("rejected_rows"), row.pop("warnings")
        row["state"] = _would_be(state) + (", by the file alone" if is_alone else "")
        facts = [(name, value) for name, value in row.items() if value is not None]
        print_facts([*facts, *((f"warning ({one['code']})", one["text"]) for one in warnings)])
        if rejected:
            columns = [("LINE", "line"), ("VALUE", "value"), ("REASON", "reason")]
            print_table(rejected[:SHOWN_REJECTED_ROWS], columns, empty="")
    if is_alone:
        say(UNKNOWN)
    return 0 if state in FINE else 1


def _would_be(state: str) -> str:
    """Say what becomes of a file that nobody sent yet; JSON keeps the state's own name."""
    return {State.HELD: "would be held for an admin", State.DUPLICATE: "would be a duplicate"}.get(
        State(state), f"would be {state}"
    )


def _check_kept(edge: Edge, client: str | None, since_s: int | None, *, as_json: bool) -> int:
    from ctsftp.admin.preview import preview_kept  # noqa: PLC0415

    found = preview_kept(edge.settings, client, since_s)
    different = found["different"]
    if as_json:
        print_json(found)
    else:
        columns: list[Column] = [
            ("UPLOAD", "id"),
            ("CLIENT", "client"),
            ("FILE", "filename"),
            ("BEFORE", lambda row: _outcome(row["before"])),
            ("NOW", lambda row: _outcome(row["now"])),
            ("REASON", lambda row: row["now"]["reason"]),
        ]
        if different:
            print_table(different, columns, empty="")
        say(f"Judged {some(found['judged'], 'kept file')}; {len(different):,} would come out differently.")
    return 1 if different else 0


def _outcome(side: dict[str, Any]) -> str:
    state = f"{side['state']} ({side['code']})" if side["code"] else str(side["state"])
    if side["members"] is None:
        return state
    return f"{state}, {some(side['members'], 'member')}, {side['rejected']:,} rejected"
