"""What `ctsftp doctor` asks of keys/: host keys, every line of every authorized_keys, clients without a key."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ctsftp.clients.files import is_open_to_own_group
from ctsftp.clients.folder import Client, Clients
from ctsftp.clients.hostkeys import HOST_KEY_FILES, load_host_key, was_open_until
from ctsftp.contract.finding import Finding, Level
from ctsftp.errors import CtsftpError

OPEN_KEY_WARNING = timedelta(days=30)
TAKEN_AWAY = "At each start `serve` takes that right away."
OPEN_KEY_ADVICE = (
    "If the group has other members, make new host keys. On Kubernetes, keep them in a Secret, or set "
    "fsGroupChangePolicy: OnRootMismatch."
)


def check_host_keys(folder: Path, *, serves_already: bool, now: datetime) -> Iterator[Finding]:
    """Read every host key, and make none; one that is missing where senders have been is a broken pin to come."""
    missing = []
    opened = []
    for name in HOST_KEY_FILES:
        if not (folder / name).exists():
            missing.append(name)
            continue
        try:
            load_host_key(folder, name)
        except CtsftpError as exc:
            yield Finding("host keys", Level.BAD, f"{exc}.", "Until then the server does not start.")
        else:
            until = was_open_until(folder / name)
            if is_open_to_own_group(folder / name) or (until and now - until < OPEN_KEY_WARNING):
                opened.append(name)
    if opened:
        text = f"The server's group may read {', '.join(opened)} in {folder}, or could in the last 30 days."
        yield Finding("host keys", Level.WARN, f"{text} {TAKEN_AWAY}", OPEN_KEY_ADVICE)
    if missing and serves_already:
        yield Finding(
            "host keys",
            Level.BAD,
            f"Missing in {folder}, though senders may have pinned them: {', '.join(missing)}.",
            "Restore them from a backup before the server starts again: it would make new ones, which senders refuse.",
        )
    elif not missing:
        yield Finding("host keys", Level.OK, f"{len(HOST_KEY_FILES)} in {folder}.")


def made_at(folder: Path) -> datetime | None:
    """Tell when the newest host key was written; None where there is none."""
    there = [folder / name for name in HOST_KEY_FILES if (folder / name).exists()]
    return max((datetime.fromtimestamp(path.stat().st_mtime, UTC) for path in there), default=None)


def check_clients(clients: Clients, *, now: datetime, expiring_days: int) -> Iterator[Finding]:
    """Read every client's folder as a login does."""
    for problem in clients.problems():
        yield Finding("clients", Level.BAD, f"{problem}.", problem.do)
    names = clients.names()
    for name in names:
        client = clients.get(name)
        if client.config.enabled:
            yield from _check_keys(client, now, timedelta(days=expiring_days))
    if names:
        yield Finding("clients", Level.OK, f"{len(names):,} in {clients.folder}.")
    else:
        yield Finding("clients", Level.WARN, f"There is no client in {clients.folder}.", "ctsftp client add NAME")


def _check_keys(client: Client, now: datetime, soon: timedelta) -> Iterator[Finding]:
    entries = client.keys.entries
    sound = [entry for entry in entries if entry.expires is None or now < entry.expires]
    if not sound:
        why, do = "it has no key", f"ctsftp key add {client.name} FILE"
        if entries:
            why = "all of its keys have expired"
        elif client.keys.problems:
            why, do = "no line of its authorized_keys is valid", client.keys.problems[0].do
        yield Finding("clients", Level.BAD, f"{client.name} cannot sign in: {why}.", do)
    for entry in entries:
        if entry.expires is None or entry.expires - now > soon:
            continue
        past = entry.expires <= now
        when = f"{'expired' if past else 'expires'} on {entry.expires:%Y-%m-%d %H:%M} UTC"
        revoke = f"ctsftp key revoke {client.name} {entry.key.fingerprint}"
        yield Finding(
            "clients",
            Level.WARN,
            f"The key {entry.key.fingerprint} of {client.name} {when}.",
            revoke if past else f"Ask for a new one, then: ctsftp key add {client.name} FILE and {revoke}",
        )
