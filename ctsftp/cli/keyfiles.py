"""The keys folder on the command line: public key files that are named there, and the clients that have keys.

What reads keys imports asyncssh, and what reads clients pydantic: neither is needed for `--help`.
"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ctsftp.errors import RefusedError

if TYPE_CHECKING:
    from ctsftp.clients.folder import Clients
    from ctsftp.clients.keys import PublicKey

MAX_KEY_FILE_BYTES = 64 * 1024


def clients_in(folder: Path) -> "Clients":
    """Give the clients of a keys folder."""
    from ctsftp.clients.folder import Clients  # noqa: PLC0415

    return Clients(folder)


def read_key_file(file: Path) -> "PublicKey":
    """Read a public key from a file, or from standard input for `-`; raise `RefusedError` with what to do instead."""
    from ctsftp.clients.keys import read_public_key  # noqa: PLC0415

    try:
        if str(file) == "-":
            data = sys.stdin.buffer.read(MAX_KEY_FILE_BYTES + 1)
        else:
            with file.open("rb") as opened:
                data = opened.read(MAX_KEY_FILE_BYTES + 1)
    except OSError as exc:
        raise RefusedError(f"{click.format_filename(file)} cannot be read: {exc.strerror}.") from None
    if len(data) > MAX_KEY_FILE_BYTES:
        raise RefusedError(f"{click.format_filename(file)} is larger than any public key: name the .pub file.")
    try:
        return read_public_key(data)
    except RefusedError as exc:
        raise RefusedError(f"{click.format_filename(file)}: {exc}") from None
