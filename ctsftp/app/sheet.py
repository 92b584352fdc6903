"""The connection sheet: what a sender types into Responsys' form, and how its last logins went."""

import socket
from collections.abc import Sequence
from dataclasses import asdict

from ctsftp.clients.hostkeys import HostKey
from ctsftp.model.guide import SheetOut
from ctsftp.model.records import Logins
from ctsftp.settings import Settings

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


def write_sheet(settings: Settings, client: str, host_keys: Sequence[HostKey], logins: Logins) -> SheetOut:
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


def _guessed_host(listening: str) -> str:
    """Guess what senders connect to: the one address that is listened on, else this machine's name.

    The resolver is not asked for a longer name: a broken one takes its time, and knows no better.
    """
    return socket.gethostname() if listening in ANY_ADDRESS else listening
