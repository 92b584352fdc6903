"""`ctsftp token`: who may use the API."""

from datetime import UTC, datetime

import click

from ctsftp.cli.context import Edge, commands, pass_edge
from ctsftp.cli.output import Column, iso_time, json_option, print_json, print_table, say, short_time
from ctsftp.errors import UsageError
from ctsftp.model.reads import ListTokens

COLUMNS: list[Column] = [
    ("NAME", "name"),
    ("CLIENT", lambda row: row["client"] or "all"),
    ("SCOPE", "scope"),
    ("ADDED (UTC)", lambda row: short_time(row["created_at"])),
    ("EXPIRES (UTC)", lambda row: short_time(row["expires_at"])),
    ("LAST USED (UTC)", lambda row: short_time(row["last_used_at"])),
]


@click.group("token")
def command() -> None:
    """Add, list and revoke the tokens of the API.

    \b
    Example: ctsftp token add storefront --client acme
    """


@command.command()
@click.argument("name")
@click.option("--client", help="Limit it to this client; else it sees all clients.")
@click.option("--admin", is_flag=True, help="It may also approve, roll back, retire and set gates.")
@click.option("--expires", type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]), help="When it expires (UTC).")
@json_option
@pass_edge
def add(edge: Edge, name: str, *, client: str | None, admin: bool, expires: datetime | None, as_json: bool) -> None:
    """Make a token, and print its secret: it is shown once, and kept as a hash.

    \b
    Example: ctsftp token add storefront --client acme --expires 2027-12-31
    """
    expires = expires.replace(tzinfo=UTC) if expires else None
    if expires and expires <= datetime.now(UTC):
        raise UsageError(f"The token would have expired already, at {iso_time(expires)}: name a later day.")
    secret = edge.perform(commands.AddToken(name, client, admin, expires.isoformat() if expires else None))
    if as_json:
        print_json({"name": name, "token": secret})
    else:
        say(f"The token {name}, which is shown this once:")
        click.echo(secret)


@command.command("list")
@json_option
@pass_edge
def list_(edge: Edge, as_json: bool) -> None:
    """List the tokens: client, rights, expiry, last use.

    \b
    Example: ctsftp token list
    """
    rows = edge.read(ListTokens())
    if as_json:
        print_json(rows)
    else:
        print_table(rows, COLUMNS, empty="No tokens yet: create one with `ctsftp token add NAME`.")


@command.command()
@click.argument("name")
@json_option
@pass_edge
def revoke(edge: Edge, name: str, as_json: bool) -> None:
    """Revoke a token; it is refused from now on.

    \b
    Example: ctsftp token revoke storefront
    """
    edge.perform(commands.RevokeToken(name))
    if as_json:
        print_json({"name": name})
    else:
        say(f"The token {name} is revoked.")
