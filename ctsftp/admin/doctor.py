"""`ctsftp doctor`: gathers the checks of all parts, and adds those that need two of them.

It changes nothing, but for the reserve of a full disk: without that, the database could not be read.
"""

import asyncio
import socket
from collections.abc import Iterator
from datetime import datetime, timedelta

from ctsftp.admin import asking
from ctsftp.admin.work import run
from ctsftp.app.clock import is_synchronised, utc_now
from ctsftp.app.sheet import ANY_ADDRESS
from ctsftp.app.temporary import not_renamed
from ctsftp.clients.checks import check_clients, check_host_keys, made_at
from ctsftp.clients.folder import Clients
from ctsftp.contract.codes import harmless
from ctsftp.contract.counting import some
from ctsftp.contract.events import DeliveryState
from ctsftp.contract.finding import Finding, Level
from ctsftp.contract.names import segment_key
from ctsftp.errors import CtsftpError
from ctsftp.model.commands import AttemptOut, ListFaults, ListLogins, ListPenalties, PenaltyOut
from ctsftp.model.writing import iso
from ctsftp.settings import Settings
from ctsftp.sftp.attempts import NO_MATCH, SIGNED_IN
from ctsftp.sftp.penalties import source_of
from ctsftp.spool.checks import check_clients_folders, check_folder, check_homes, check_room
from ctsftp.spool.ground import check_ground
from ctsftp.spool.reserve import Reserve
from ctsftp.store.store import Store

# What a clock that is set right may differ by from the one that stamped the newest upload.
CLOCK_TOLERANCE = timedelta(minutes=1)
# What a receiver may be away for: it restarts, or is being deployed.
HOOK_PATIENCE = timedelta(minutes=15)
FREE_DISK_RATIO = 0.1  # as much as uploads leave free by default
SHOWN_UPLOADS = 5  # that are named one by one
RESTORE = "Go back to a backup: ctsftp backup --help tells how."


def examine(settings: Settings) -> list[Finding]:
    """Check everything, the running server's database too."""
    try:
        return [
            *_settings(settings),
            *_server(settings),
            *_folders(settings),
            *_keys(settings),
            *run(_database(settings)),
        ]
    except PermissionError as exc:
        text = f"{exc.filename} cannot be read ({exc.strerror}): nothing else was checked."
        return [Finding("account", Level.BAD, text, "Use root, or the server's account.")]


def _settings(settings: Settings) -> Iterator[Finding]:
    if settings.sftp.public_host is None and settings.sftp.host in ANY_ADDRESS:
        text = f"The connection sheet names this machine as {socket.gethostname()}, which is a guess."
        yield Finding(
            "settings",
            Level.OK,
            text,
            "Set CTSFTP_SFTP__PUBLIC_HOST to the name senders use, for the server and for commands, and restart it.",
        )
    yield Finding("settings", Level.OK, "All of them are sound.")


def _server(settings: Settings) -> Iterator[Finding]:
    place = settings.data.socket
    if not asking.is_answered(place):
        yield Finding("server", Level.OK, "No server is running.")
        return
    yield Finding("server", Level.OK, "A server is running.")
    try:
        faults = asking.perform(place, ListFaults())
    except (CtsftpError, ConnectionRefusedError) as exc:
        yield Finding("server", Level.WARN, f"It was not asked how it is: {exc}", "Restart it with this version.")
        return
    for fault in faults:
        yield Finding("server", Level.BAD, fault, "The log of the server says more.")


def _folders(settings: Settings) -> Iterator[Finding]:
    if not settings.data_dir.is_dir():
        yield _no_data_folder(settings)
        return
    yield from check_folder("data", settings.data_dir)
    yield from check_clients_folders(settings.data.clients)
    yield from check_homes(settings.data.clients)
    yield from check_ground(settings.data_dir, shared=settings.takeover.folders is not None)
    yield from check_room(
        settings.data_dir,
        floor=settings.sftp.floor,
        free_ratio=FREE_DISK_RATIO,
        largest_bytes=settings.sftp.max_file_size_bytes,
    )


def _no_data_folder(settings: Settings) -> Finding:
    """Tell a first start from a folder that was moved away: a server that served has made host keys."""
    if settings.data_dir.exists():
        text = f"{settings.data_dir} is no folder."
        return Finding(
            "data", Level.BAD, text, "Set CTSFTP_DATA_DIR for this command to the server's, or move it away."
        )
    text = f"There is no data folder {settings.data_dir}"
    if settings.host_keys.is_dir() and any(settings.host_keys.iterdir()):
        do = (
            "Mount its disk, move it back, or set CTSFTP_DATA_DIR for this command to the server's;"
            " if nothing was served yet, start `ctsftp serve`."
        )
        return Finding("data", Level.WARN, f"{text}, but there are host keys: it may have been moved away.", do)
    do = "Start `ctsftp serve`, or set CTSFTP_DATA_DIR for this command to the server's."
    return Finding("data", Level.WARN, f"{text}: nothing was ever served from here.", do)


def _keys(settings: Settings) -> Iterator[Finding]:
    serves_already = settings.data.clients.is_dir()
    if serves_already and not settings.keys_dir.is_dir():
        text = f"There is no keys folder {settings.keys_dir}: nobody can sign in."
        do = "Set CTSFTP_KEYS_DIR for this command to the server's, or restore the folder from a backup."
        yield Finding("keys", Level.BAD, text, do)
        return
    if settings.keys_dir.is_dir():
        yield from check_folder("keys", settings.keys_dir, private=False)  # the host keys' folder is closed
    yield from check_host_keys(settings.host_keys, serves_already=serves_already, now=utc_now())
    try:
        days = settings.notify.key_expiry_warning_days
        yield from check_clients(Clients(settings.keys_dir), now=utc_now(), expiring_days=days)
    except CtsftpError as exc:
        yield Finding("clients", Level.BAD, f"{exc}.", "Until then nobody can sign in.")


async def _database(settings: Settings) -> list[Finding]:
    if settings.database_url is None and not settings.data.database.exists():
        if await asyncio.to_thread(asking.is_answered, settings.data.socket):
            return [Finding("database", Level.BAD, "A server runs, and the file of its database is gone.", RESTORE)]
        if any(settings.data.clients.glob("*/uploads/*")):
            text = f"There are uploads in {settings.data_dir}, and no database: its file is gone."
            return [Finding("database", Level.BAD, text, RESTORE)]
        return [Finding("database", Level.OK, "There is none yet: the server makes it.")]
    # A full disk has no room to read it either.
    await asyncio.to_thread(Reserve(settings.data_dir, settings.spool.reserve_bytes).release_if_full)
    advice = (
        RESTORE
        if settings.database_url is None
        else "See that it can be reached, and that CTSFTP_DATABASE_URL for this command is the server's."
    )
    try:
        store = await Store.open(settings.database, clock=utc_now, migrate=False)
    except CtsftpError as exc:
        return [Finding("database", Level.BAD, str(exc), advice)]
    try:
        latest = await store.checks.latest_upload_at()
        return [
            *await store.checks.integrity(),
            *await store.checks.waiting(utc_now()),
            *await _not_renamed(settings, store),
            *await _unknown_segments(settings, store),
            *_clock(latest, utc_now()),
            *await _pins(settings, store),
            *await _hooks(store, utc_now()),
            *await _front_door(settings, await store.checks.login_addresses()),
        ]
    except CtsftpError as exc:
        return [Finding("database", Level.BAD, str(exc), advice)]
    finally:
        await store.close()


def _clock(latest_upload_at: str | None, now: datetime) -> Iterator[Finding]:
    """Compare the clock with the ledger; where they differ, either may be wrong: the clock may have been ahead once."""
    if latest_upload_at is None or datetime.fromisoformat(latest_upload_at) <= now + CLOCK_TOLERANCE:
        yield Finding("clock", Level.OK, f"It is {iso(now)}.")
    elif is_synchronised():
        text = f"It is {iso(now)}, and kept by NTP. It was ahead once: an upload is dated {latest_upload_at}."
        yield Finding("clock", Level.OK, text)
    else:
        text = (
            f"It is {iso(now)} by this machine, and an upload is dated {latest_upload_at}:"
            " the clock is behind now, or it was ahead when that came."
        )
        do = "If it is behind, set it, and keep it by NTP (timedatectl set-ntp true)."
        yield Finding("clock", Level.BAD, text, f"{do} If it is right, do nothing.")


async def _not_renamed(settings: Settings, store: Store) -> list[Finding]:
    """Find the files that would be lists but for their temporary names: nobody else tells of them later."""
    left = await not_renamed(store, Clients(settings.keys_dir), utc_now())
    do = "ctsftp upload show {id}: the sender renames it, or the folder belongs into client.toml (directories)."
    found = []
    for upload in left[:SHOWN_UPLOADS]:
        text = f'"{harmless(upload.filename)}" of {upload.client} has a temporary name or folder still: it is not used.'
        found.append(Finding("uploads", Level.WARN, text, do.format(id=upload.id)))
    if (more := len(left) - SHOWN_UPLOADS) > 0:
        text = f"{more:,} more have temporary names."
        found.append(Finding("uploads", Level.WARN, text, "ctsftp upload list --state ignored"))
    return found


async def _unknown_segments(settings: Settings, store: Store) -> list[Finding]:
    """Find guards for segments that are not there: one with a spelling mistake guards nothing, without a word."""
    clients = Clients(settings.keys_dir)
    found = []
    for name in await asyncio.to_thread(clients.names):
        config = (await asyncio.to_thread(clients.get, name)).config
        known = {one.key for one in await store.segments.segments(client=name)} if config.segments else set()
        for title in config.segments:
            if segment_key(title) not in known:
                text = f'client.toml of {name} has guards for [segments."{harmless(title)}"], which is no segment yet.'
                do = f"Correct the title (ctsftp segment list --client {name}), unless its first file is still to come."
                found.append(Finding("clients", Level.WARN, text, do))
    return found


async def _pins(settings: Settings, store: Store) -> list[Finding]:
    """Find the clients that knew other host keys: theirs refuse to connect, and say so only in their own logs."""
    made = await asyncio.to_thread(made_at, settings.host_keys)
    if made is None or not (clients := await store.checks.signed_in_before(iso(made))):
        return []
    text = f"A host key was written on {iso(made)}, after the last login of: {', '.join(clients)}."
    do = "If it was replaced, restore the old one, or send the fingerprints (ctsftp client show NAME) to these senders."
    return [Finding("host keys", Level.WARN, text, do)]


async def _hooks(store: Store, now: datetime) -> list[Finding]:
    """Find the hooks that take nothing, and those for which what they were to hear was given up."""
    backlog = await store.outbox.backlog()
    silent = await store.outbox.silent(now - HOOK_PATIENCE)
    found = []
    for hook in await store.outbox.hooks():
        called = f"Hook {hook.id} ({hook.shown})"
        test = f"ctsftp hook test {hook.id}"
        if error := silent.get(hook.id):
            pending = backlog[hook.id, DeliveryState.PENDING]
            minutes = HOOK_PATIENCE.seconds // 60
            waiting = "1 event waits" if pending == 1 else f"{pending:,} events wait"
            text = f"{called} has been failing for over {minutes} minutes ({error}); {waiting}."
            found.append(Finding("hooks", Level.WARN, text, test))
        if dead := backlog.get((hook.id, DeliveryState.DEAD), 0):
            text = f"{called} did not take {some(dead, 'event')}, and is not sent them again."
            again = f"{test}; once it answers: ctsftp hook deliveries --retry {hook.id}"
            found.append(Finding("hooks", Level.WARN, text, again))
    return found


async def _front_door(settings: Settings, logins: list[tuple[str, str]]) -> list[Finding]:
    """Ask the running server whom it keeps out: a sender's address, or a sender without an algorithm in common."""
    try:
        place = settings.data.socket
        penalties = await asyncio.to_thread(asking.perform, place, ListPenalties())
        attempts = await asyncio.to_thread(asking.perform, place, ListLogins())
    except (ConnectionRefusedError, CtsftpError):  # none runs, or it is of another version or account
        return []
    refused = {one["source"]: one for one in penalties if one["refused"]}
    senders = _senders(logins, attempts)
    kept_out = [(refused.get(source_of(address)), address, clients) for address, clients in senders]
    found = [_kept_out(penalty, address, clients) for penalty, address, clients in kept_out if penalty]
    newest = next((one for one in attempts if one["outcome"] == NO_MATCH), None)
    if newest:
        address, at = newest["address"], newest["at"]
        since = any(one["address"] == address and one["at"] > at for one in attempts if one["outcome"] == SIGNED_IN)
        known = not since and address in dict(senders)
        found.append(_no_match(newest, Level.WARN if known else Level.OK))
    return found


def _senders(logins: list[tuple[str, str]], attempts: list[AttemptOut]) -> list[tuple[str, str]]:
    """List the addresses from which clients sign in, each with those clients' names."""
    clients: dict[str, set[str]] = {}
    lately = [(one["user"], one["address"]) for one in attempts if one["outcome"] == SIGNED_IN]
    for client, address in [*logins, *lately]:
        clients.setdefault(address, set()).add(client)
    return [(address, ", ".join(sorted(names))) for address, names in sorted(clients.items())]


def _kept_out(penalty: PenaltyOut, address: str, clients: str) -> Finding:
    left_s, last = round(penalty["seconds_left"]), penalty["last"]
    text = f"{address} is refused for another {left_s} s (for {last}); from there these clients sign in: {clients}."
    do = (
        f"ctsftp penalty clear {address}. If a balancer connects from there, add it to "
        "CTSFTP_SFTP__PROXY_ADDRESSES, or to CTSFTP_SFTP__TRUSTED_ADDRESSES, for the server and restart it."
    )
    return Finding("server", Level.WARN, text, do)


def _no_match(attempt: AttemptOut, level: Level) -> Finding:
    when = datetime.fromisoformat(attempt["at"])
    text = f"{attempt['address']} ({attempt['software']}) could not connect on {iso(when)}: {attempt['text']}."
    return Finding("server", level, text, attempt["help"] or "ctsftp login list")
