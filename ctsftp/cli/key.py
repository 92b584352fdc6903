"""`ctsftp key`: the public keys that a client may sign in with."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ctsftp.cli.context import Edge, pass_edge
from ctsftp.cli.keyfiles import clients_in, read_key_file
from ctsftp.cli.output import Column, iso_time, json_option, print_json, print_table, say, short_time
from ctsftp.contract.counting import some
from ctsftp.errors import UsageError

if TYPE_CHECKING:
    from ctsftp.clients.authorized_keys import KeyEntry

COLUMNS: list[Column] = [
    ("TYPE", "type"),
    ("BITS", "bits"),
    ("FINGERPRINT", "fingerprint"),
    ("COMMENT", "comment"),
    ("FROM", lambda row: ",".join(row["from"]) or "anywhere"),
    ("LAST USED", lambda row: short_time(row["last_used_at"])),
    ("EXPIRES", lambda row: short_time(row["expires"]) + (" (expired)" if row["expired"] else "")),
]
SPARE = ("BITS", "TYPE", "LAST USED", "COMMENT")


@click.group("key")
def command() -> None:
    """Add, list and revoke a client's public keys.

    \b
    Example: ctsftp key add acme acme.pub --from 192.0.2.0/24
    """


@command.command()
@click.argument("client")
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True))
@click.option("--from", "from_cidrs", multiple=True, metavar="CIDR", help="Accept it from these addresses only.")
@click.option("--expires", type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]), help="When it expires (UTC).")
@click.option("--comment", help="A note that tells it from other keys; else the key's own comment.")
@json_option
@pass_edge
def add(
    edge: Edge,
    client: str,
    file: Path,
    *,
    from_cidrs: tuple[str, ...],
    expires: datetime | None,
    comment: str | None,
    as_json: bool,
) -> None:
    """Add a public key (OpenSSH, RFC 4716 or PEM; `-` reads it from standard input).

    \b
    Example: ctsftp key add acme acme.pub --from 192.0.2.0/24 --expires 2027-12-31
    """
    expires = expires.replace(tzinfo=UTC) if expires else None
    if expires and expires <= datetime.now(UTC):
        raise UsageError(f"The key would have expired already, at {iso_time(expires)}: name a later day.")
    key = read_key_file(file)
    entry = clients_in(edge.for_keys.keys_dir).add_key(
        client, key, from_cidrs=from_cidrs, expires=expires, comment=comment
    )
    if as_json:
        print_json(_row(entry, {}, datetime.now(UTC)))
        return
    say(f"{client} can sign in with {entry.key.algorithm} {entry.key.fingerprint} from its next login on.")


@command.command("list")
@click.argument("client")
@json_option
@pass_edge
def list_(edge: Edge, client: str, as_json: bool) -> None:
    """List a client's keys.

    \b
    Example: ctsftp key list acme
    """
    from ctsftp.admin.sheet import key_uses  # noqa: PLC0415  the database's imports take a third of a second

    keys = clients_in(edge.settings.keys_dir).list_keys(client)
    uses = key_uses(edge.settings, client)
    soon = timedelta(days=edge.settings.notify.key_expiry_warning_days)
    now = datetime.now(UTC)
    rows = [_row(entry, uses, now) for entry in keys.entries]
    if as_json:
        print_json(rows)
    else:
        print_table(rows, COLUMNS, spare=SPARE, empty=f"No keys: ctsftp key add {client} FILE")
    for entry in keys.entries:
        if entry.expires and entry.expires_within(soon, now):
            days = some((entry.expires - now).days, "day")
            say(f"Warning: {entry.key.fingerprint} expires in {days}: have the sender make its next key.")
    for problem in keys.problems:
        say(f"Problem: {problem}")


@command.command()
@click.argument("client")
@click.argument("fingerprint")
@json_option
@pass_edge
def revoke(edge: Edge, client: str, fingerprint: str, as_json: bool) -> None:
    """Revoke a key by its fingerprint; sessions that signed in with it end.

    \b
    Example: ctsftp key revoke acme SHA256:uNiVztksCsDhcc0u9e8BrWD2S8pN0uHk6ldSwTYlGf0
    """
    clients = clients_in(edge.for_keys.keys_dir)
    clients.revoke(client, fingerprint)
    edge.recheck_sessions()
    if as_json:
        print_json({"client": client, "fingerprint": fingerprint, "keys": len(clients.get(client).keys.entries)})
        return
    say(f"Revoked {fingerprint}.")
    if not clients.get(client).keys.entries:
        say(f"{client} has no key left and cannot sign in: `ctsftp key add {client} FILE` gives it one.")


def _row(entry: "KeyEntry", uses: dict[str, str], now: datetime) -> dict[str, object]:
    return {
        "line": entry.line,
        "type": entry.key.algorithm,
        "bits": entry.key.bits,
        "fingerprint": entry.key.fingerprint,
        "from": list(entry.from_patterns),
        "last_used_at": uses.get(entry.key.fingerprint),
        "expires": iso_time(entry.expires) if entry.expires else None,
        "expires_at": iso_time(entry.expires) if entry.expires else None,
        "expired": entry.expires is not None and entry.expires <= now,
        "comment": entry.comment,
    }
