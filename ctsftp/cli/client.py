"""`ctsftp client`: the companies that send files."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ctsftp.cli.context import Edge, pass_edge
from ctsftp.cli.keyfiles import clients_in, read_key_file
from ctsftp.cli.output import Column, json_option, print_facts, print_json, print_table, say, short_time
from ctsftp.contract.counting import some
from ctsftp.errors import RefusedError

if TYPE_CHECKING:
    from ctsftp.clients.folder import Client
    from ctsftp.model.guide import ConnectionSheetOut
    from ctsftp.store import Store


NAMED_AT_MOST = 5  # of the things that keep a client


@click.group("client")
def command() -> None:
    """Add, show, disable and remove clients.

    \b
    Example: ctsftp client add acme --key acme.pub
    """


@command.command()
@click.argument("name")
@click.option(
    "--key", "keys", type=click.Path(path_type=Path, allow_dash=True), multiple=True, help="A public key file."
)
@json_option
@pass_edge
def add(edge: Edge, name: str, keys: tuple[Path, ...], as_json: bool) -> None:
    """Add a client, with the public keys that it may sign in with.

    \b
    Example: ctsftp client add acme --key acme.pub
    """
    read = [read_key_file(file) for file in keys]
    clients = clients_in(edge.for_keys.keys_dir)
    client = clients.add(name, read)
    if as_json:
        print_json(_row(client))
        return
    say(f"Added {name} with {some(len(client.keys.entries), 'key')} in {clients.folder / name}.")
    if not keys:
        say(f"It cannot sign in yet: ctsftp key add {name} FILE")


@command.command("list")
@json_option
@pass_edge
def list_(edge: Edge, as_json: bool) -> None:
    """List all clients.

    \b
    Example: ctsftp client list
    """
    clients = clients_in(edge.settings.keys_dir)
    rows = [_row(clients.get(name)) for name in clients.names()]
    if as_json:
        print_json(rows)
        return
    columns: list[Column] = [
        ("CLIENT", "client"),
        ("ENABLED", lambda row: "yes" if row["enabled"] else "no"),
        ("KEYS", "keys"),
    ]
    print_table(
        rows, [*columns, ("PROBLEMS", lambda row: len(row["problems"]))], empty="No clients: ctsftp client add NAME"
    )


@command.command()
@click.argument("name")
@json_option
@pass_edge
def show(edge: Edge, name: str, as_json: bool) -> None:
    """Show a client's connection sheet: what its sender types into Responsys; and its last logins.

    \b
    Example: ctsftp client show acme
    """
    from ctsftp.admin.sheet import connection_sheet  # noqa: PLC0415  the database's imports take a third of a second

    client = clients_in(edge.settings.keys_dir).get(name)
    sheet = connection_sheet(edge.settings, name, client.keys.problems)
    if as_json:
        print_json({**_row(client), **sheet})
        return
    print_facts(_sheet_facts(sheet))
    for problem in client.problems:
        say(f"Problem: {problem}")


@command.command()
@click.argument("name")
@json_option
@pass_edge
def disable(edge: Edge, name: str, as_json: bool) -> None:
    """Block a client from signing in, and end its sessions; its keys and segments stay.

    \b
    Example: ctsftp client disable acme
    """
    clients_in(edge.for_keys.keys_dir).disable(name)
    edge.recheck_sessions()
    _answer(edge, name, f"Disabled {name}.", as_json=as_json)


@command.command()
@click.argument("name")
@json_option
@pass_edge
def enable(edge: Edge, name: str, as_json: bool) -> None:
    """Let a disabled client sign in again.

    \b
    Example: ctsftp client enable acme
    """
    clients_in(edge.for_keys.keys_dir).enable(name)
    _answer(edge, name, f"Enabled {name}.", as_json=as_json)


@command.command()
@click.argument("name")
@json_option
@pass_edge
def remove(edge: Edge, name: str, as_json: bool) -> None:
    """Remove a client that has no segments, tokens or hooks, with its keys.

    \b
    Example: ctsftp client remove acme
    """
    clients = clients_in(edge.for_keys.keys_dir)
    from ctsftp.admin.query import query  # noqa: PLC0415  the same

    client = clients.get(name)
    if bound := query(edge.for_keys, lambda store: _bound_to(name, store), missing=list[str]):
        raise RefusedError(" ".join(bound))
    clients.remove(name)
    edge.recheck_sessions()
    if as_json:
        print_json(_row(client))
    else:
        say(f"Removed {name}.")


def _answer(edge: Edge, name: str, said: str, *, as_json: bool) -> None:
    if as_json:
        print_json(_row(clients_in(edge.for_keys.keys_dir).get(name)))
    else:
        say(said)


async def _bound_to(name: str, store: "Store") -> list[str]:
    """Tell what the next client of that name would have, and what to do about it."""
    found = (
        ("segment", "retire and delete", [f'"{one.title}"' for one in await store.segments.segments(client=name)]),
        ("token", "`ctsftp token revoke`", [one.name for one in await store.tokens.tokens() if one.client == name]),
        ("hook", "`ctsftp hook remove`", [str(one.id) for one in await store.outbox.hooks() if one.client == name]),
    )
    return [
        f"{name} has {some(len(names), what)} ({', '.join(_first(names))}): {do} them first."
        for what, do, names in found
        if names
    ]


def _first(names: list[str]) -> list[str]:
    return names if len(names) <= NAMED_AT_MOST else [*names[:NAMED_AT_MOST], "..."]


def _sheet_facts(sheet: "ConnectionSheetOut") -> list[tuple[str, object]]:
    """Write the sheet in the words of Responsys' form, then how the last logins went."""
    host = sheet["host"] + (
        " (a guess: set CTSFTP_SFTP__PUBLIC_HOST for the server and for commands, and restart it)"
        if sheet["host_is_guessed"]
        else ""
    )
    logins = sheet["logins"]
    login, refusal = "none yet", "none"
    if logins["login_at"]:
        login = (
            f"{short_time(logins['login_at'])} UTC from {logins['login_address']} with "
            f"{logins['login_algorithm']} {logins['login_fingerprint']}"
        )
    if logins["refusal_at"]:
        refusal = f"{short_time(logins['refusal_at'])} UTC from {logins['refusal_address']}: {sheet['refusal_says']}"
        if logins["refusal_fingerprint"]:
            refusal += f" ({logins['refusal_fingerprint']})"
    return [
        ("Destination", "External Server by SFTP"),
        ("Host", host),
        ("Port", str(sheet["port"])),
        ("Directory", sheet["directory"]),
        ("Username", sheet["username"]),
        ("Authentication", sheet["authentication"]),
        *(("Host key", f"{key['type']} {key['fingerprint']}") for key in sheet["host_keys"]),
        *sheet["file"].items(),
        ("Last login", login),
        ("Last refusal", refusal),
        *([("Refused now", sheet["refused_now"])] if sheet["refused_now"] else []),
    ]


def _row(client: "Client") -> dict[str, object]:
    return {
        "client": client.name,
        "enabled": client.config.enabled,
        "keys": len(client.keys.entries),
        "problems": [str(problem) for problem in client.problems],
    }
