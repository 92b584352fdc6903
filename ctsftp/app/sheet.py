"""The connection sheet: what a sender types into Responsys' form, and how its last logins went."""

import socket
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from ctsftp.app.control import ask
from ctsftp.app.query import query
from ctsftp.app.work import run
from ctsftp.clients.hostkeys import HostKey, load_or_create_host_keys
from ctsftp.clients.problem import Problem
from ctsftp.contract.counting import some
from ctsftp.errors import CtsftpError
from ctsftp.model.records import Logins
from ctsftp.settings import Settings
from ctsftp.sftp.penalties import source_of

FILE_SETTINGS = {
    "Name": "no prefix, your segment name, YYYYMMDD_HH24MI.csv",
    "Character Set": "UTF-8",
    "Field delimiter": "Comma",
    "Field enclosure": "None",
    "Column Header": "True",
    "Encryption/Compression": "None",
}
ANY_ADDRESS = {"", "0.0.0.0", "::"}  # noqa: S104  compared, not listened on
CAUSES = {
    "unknown_client": "there is no such client",
    "disabled": "the client is disabled: ctsftp client enable",
    "no_key": "no key was offered: the sender has none, or tried a password",
    "unknown_key": "the key is not in authorized_keys: ctsftp key add",
    "outside_from": "the key is known, but not accepted from this address (its from= option)",
    "expired": "the key has expired (its expiry-time= option)",
    "signature": "the key is known, but the signature with it was wrong, or never came",
    "sha1": "the key signed with SHA-1: allow_sha1 = true in its client.toml lets it, from the next login on",
}


def connection_sheet(settings: Settings, client: str, problems: Sequence[Problem] = ()) -> dict[str, Any]:
    """Gather a client's sheet; host keys are made if the server never ran. `problems` are those of its keys."""
    host_keys = load_or_create_host_keys(settings.host_keys)
    logins = query(settings, lambda store: store.logins.facts(client), missing=Logins)
    sheet = write_sheet(settings, client, host_keys, logins)
    sheet["refused_now"] = _refused_now(settings, logins.login_address)
    if logins.refusal_cause == "unknown_key" and problems:
        sheet["refusal_says"] = f"the key did not count, perhaps since {problems[0]}. {problems[0].do}"
    return sheet


def write_sheet(settings: Settings, client: str, host_keys: Sequence[HostKey], logins: Logins) -> dict[str, Any]:
    """Write a client's sheet, of what is known."""
    return {
        "host": settings.sftp.public_host or _guessed_host(settings.sftp.host),
        "host_is_guessed": settings.sftp.public_host is None,
        "port": settings.sftp.port,
        "directory": "/",
        "username": client,
        "authentication": "SSH key",
        "host_keys": [{"type": key.algorithm, "fingerprint": key.fingerprint} for key in host_keys],
        "file": FILE_SETTINGS,
        "logins": asdict(logins),
        "refusal_says": CAUSES.get(logins.refusal_cause or "", ""),
    }


def _refused_now(settings: Settings, address: str | None) -> str:
    """Say that the running server refuses the address from which the client last signed in; "" if it does not."""
    if not address:
        return ""
    try:
        penalties = run(ask(settings.data_dir / "control.sock", "penalty.list", {}))
    except (ConnectionRefusedError, CtsftpError):  # none runs, or it is of another version or account
        return ""
    left_s = [one["seconds_left"] for one in penalties if one["refused"] and one["source"] == source_of(address)]
    if not left_s:
        return ""
    return f"{address} is refused for another {some(round(left_s[0]), 'second')}: ctsftp penalty clear {address}"


def key_uses(settings: Settings, client: str) -> dict[str, str]:
    """Tell when each key of a client was last used, by fingerprint."""
    return query(settings, lambda store: store.logins.key_uses(client), missing=dict)


def _guessed_host(listening: str) -> str:
    """Guess what senders connect to: the one address that is listened on, else this machine's name.

    The resolver is not asked for a longer name: a broken one takes its time, and knows no better.
    """
    return socket.gethostname() if listening in ANY_ADDRESS else listening
