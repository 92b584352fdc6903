"""Reading the public key files that are named on the command line."""

import sys
from pathlib import Path

import click

from ctsftp.clients.keys import PublicKey, read_public_key
from ctsftp.errors import RefusedError

MAX_KEY_FILE_BYTES = 64 * 1024


def read_key_file(file: Path) -> PublicKey:
    """Read a public key from a file, or from standard input for `-`; raise `RefusedError` with what to do instead."""
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
