"""`ctsftp hook`: who is told what happens, and what became of it."""

import sys

import click

from ctsftp.cli.context import Edge, commands, pass_edge
from ctsftp.cli.main import EXIT_NO
from ctsftp.cli.output import Column, json_option, print_facts, print_json, print_table, say, short_time
from ctsftp.contract.counting import some
from ctsftp.contract.events import DeliveryState, EventKind
from ctsftp.errors import CtsftpError
from ctsftp.model.reads import ListDeliveries, ListHooks

SHOWN_DELIVERIES = 50
COLUMNS: list[Column] = [
    ("ID", "id"),
    ("KIND", "kind"),
    ("ADDRESS", "address"),
    ("CLIENT", lambda row: row["client"] or "all"),
    ("EVENTS", lambda row: ", ".join(row["events"]) if row["events"] else "all"),
    ("PENDING", "pending"),
    ("DEAD", "dead"),
]
DELIVERY_COLUMNS: list[Column] = [
    ("AT (UTC)", lambda row: short_time(row["at"])),
    ("EVENT", "kind"),
    ("CLIENT", "client"),
    ("SEGMENT", "segment"),
    ("HOOK", "hook"),
    ("STATE", "state"),
    ("FAILED", "attempts"),
    ("NEXT TRY (UTC)", lambda row: short_time(row["next_at"])),
    ("LAST ERROR", "last_error"),
]
SPARE = ("NEXT TRY (UTC)", "CLIENT", "SEGMENT")


@click.group("hook")
def command() -> None:
    """Notify programs and people.

    \b
    Example: ctsftp hook add https://example.com/ctsftp --event upload.loaded
    """


@command.command()
@click.argument("url")
@click.option("--client", help="Only events of this client.")
@click.option(
    "--event",
    "events",
    multiple=True,
    type=click.Choice([kind.value for kind in EventKind]),
    help="Only events of this kind; may be given several times.",
)
@click.option("--test/--no-test", "is_tested", default=True, help="Send a test at once (the default).")
@json_option
@pass_edge
def add(edge: Edge, url: str, client: str | None, *, events: tuple[str, ...], is_tested: bool, as_json: bool) -> None:
    """Send events to URL from now on; "-" reads it from standard input, so that no shell keeps its secrets.

    The web addresses that Slack, Teams, Discord and Google Chat give out, and any other address that apprise knows
    (mailto://, ...), get messages for people: one when something breaks, one when it is well. Every other web address
    gets every event as a signed webhook (standardwebhooks.com). A hook that does not take the test stays.

    \b
    Example: ctsftp hook add mailtos://user:password@example.com?to=marketing@example.com --client acme
    """
    address = sys.stdin.readline().strip() if url == "-" else url
    row = edge.perform(commands.AddHook(address, client, events))
    if as_json:
        print_json({**row, **(_tested(edge, row["id"]) if is_tested else {"delivered": None, "error": None})})
        return
    heard = {"client": client or "all", "events": ", ".join(events) or "all"}
    shown = {"id": row["id"], "kind": row["kind"], "address": row["address"], **heard}
    print_facts([*shown.items(), *([("secret", row["secret"])] if row["secret"] else [])])
    if row["secret"]:
        say("The secret is shown this once: the receiver checks the signatures with it.")
    tested = _tested(edge, row["id"]) if is_tested else None
    if tested:
        say(_answer(row["address"], tested))
    if not tested or not tested["delivered"]:
        again = "once it knows the secret" if row["secret"] and tested else "to try it"
        say(f"The hook is there; {again}: ctsftp hook test {row['id']}")


@command.command("list")
@json_option
@pass_edge
def list_(edge: Edge, as_json: bool) -> None:
    """List the hooks, without the secrets in their addresses, and how many events wait for each.

    \b
    Example: ctsftp hook list
    """
    rows = edge.read(ListHooks())
    if as_json:
        print_json(rows)
    else:
        print_table(rows, COLUMNS, empty="No hooks yet, so nobody is notified: ctsftp hook add URL")


@command.command()
@click.argument("hook_id", metavar="ID", type=int)
@json_option
@pass_edge
def test(edge: Edge, hook_id: int, as_json: bool) -> int:
    """Send a test to a hook now; exit 1 if it was not taken.

    \b
    Example: ctsftp hook test 1
    """
    row = edge.perform(commands.TryHook(hook_id))
    if as_json:
        print_json(row)
    else:
        say(_answer(row["address"], row))
    return 0 if row["delivered"] else EXIT_NO


@command.command()
@click.argument("hook_id", metavar="ID", type=int)
@json_option
@pass_edge
def remove(edge: Edge, hook_id: int, as_json: bool) -> None:
    """Remove a hook; pending events for it are dropped.

    \b
    Example: ctsftp hook remove 1
    """
    row = edge.perform(commands.RemoveHook(hook_id))
    if as_json:
        print_json(row)
    else:
        say(f"Hook {row['id']} ({row['address']}) is removed.")


@command.command()
@click.option("--hook", "hook_id", type=int, help="Only those of this hook.")
@click.option("--state", type=click.Choice([state.value for state in DeliveryState]), help="Only those in this state.")
@click.option("--retry", "revived_id", type=int, metavar="ID", help="First send again what this hook never took.")
@json_option
@pass_edge
def deliveries(edge: Edge, *, hook_id: int | None, state: str | None, revived_id: int | None, as_json: bool) -> None:
    """List deliveries, newest first: the table shows 50, --json all that are kept.

    \b
    Example: ctsftp hook deliveries --state dead
    """
    if revived_id is not None:
        done = edge.perform(commands.ReviveDeliveries(revived_id))
        say(f"Hook {revived_id} gets again {some(done['revived'], 'event')} that it did not take before.")
    limit = None if as_json else SHOWN_DELIVERIES
    rows = edge.read(ListDeliveries(hook_id=hook_id, state=state, limit=limit))
    if as_json:
        print_json(rows)
    else:
        print_table(rows, DELIVERY_COLUMNS, spare=SPARE, empty="No deliveries.")


def _tested(edge: Edge, hook_id: int) -> "commands.Tried":
    """Send a test to a new hook, whose secret must be shown whatever becomes of that."""
    try:
        row = edge.perform(commands.TryHook(hook_id))
    except CtsftpError as exc:
        return {"delivered": False, "error": str(exc)}
    return {"delivered": row["delivered"], "error": row["error"]}


def _answer(address: str, tried: "commands.Tried") -> str:
    """Say what came back of a test."""
    error = (tried["error"] or "").rstrip(".")
    return f"{address} took the test." if tried["delivered"] else f"{address} did not take the test: {error}."
