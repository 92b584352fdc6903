"""The server's own keys: read from a folder, made where they are missing, never overwritten.

Three kinds, since senders differ: Ed25519 for the present, ECDSA and RSA for Java clients that know nothing newer. A
sender pins what it saw first, so a key that is broken or exposed is an admin's decision, and a loud refusal here.
"""

from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import asyncssh

from ctsftp.clients.files import (
    close_to_group,
    faults,
    is_open_to_own_group,
    locked,
    make_folder,
    read_small_file,
    write_small_file,
)
from ctsftp.clients.keys import fingerprint
from ctsftp.errors import CtsftpError, RefusedError

MAX_HOST_KEY_BYTES: Final = 64 * 1024
RSA_BITS: Final = 3072

_KEY_MODE: Final = 0o600
_FOLDER_MODE: Final = 0o700
# File names are OpenSSH's, so that an old server's keys can be put here as they are, and its senders notice nothing.
_ALGORITHMS: Final = {
    "ssh_host_ed25519_key": "ssh-ed25519",
    "ssh_host_ecdsa_key": "ecdsa-sha2-nistp256",
    "ssh_host_rsa_key": "ssh-rsa",
}
HOST_KEY_FILES: Final = tuple(_ALGORITHMS)


@dataclass(frozen=True, slots=True, kw_only=True)
class HostKey:
    """A host key; `key` holds the private half, so it is not printed.

    `was_open` if this process's own group could read it until now: Kubernetes gives every file of a volume such rights.
    """

    key: asyncssh.SSHKey
    path: Path
    was_open: bool = False

    @property
    def algorithm(self) -> str:
        """The kind of key, as in the first word of a known_hosts line's key."""
        return self.key.get_algorithm()

    @property
    def fingerprint(self) -> str:
        """The fingerprint that a sender's software shows at its first connection."""
        return fingerprint(self.key.public_data)


def load_or_create_host_keys(folder: Path) -> list[HostKey]:
    """Read the three host keys, the preferred first, and make those whose files are missing.

    RefusedError where one is broken, of another kind, or readable by others; it is left as it is. From this process's
    own group the right to read it is taken away, and a note for `doctor` is left beside it.
    """
    if any(_is_missing(folder / name) for name in _ALGORITHMS):
        make_folder(folder, mode=_FOLDER_MODE)
        with locked(folder):
            for name, algorithm in _ALGORITHMS.items():
                if _is_missing(folder / name):
                    _make(folder / name, algorithm)
    opened = [_close(folder / name) for name in HOST_KEY_FILES]
    return [
        replace(load_host_key(folder, name), was_open=was) for name, was in zip(HOST_KEY_FILES, opened, strict=True)
    ]


def load_host_key(folder: Path, name: str) -> HostKey:
    """Read one of `HOST_KEY_FILES`; RefusedError or DiskError where it cannot be used."""
    return _load(folder / name, _ALGORITHMS[name])


def was_open_until(path: Path) -> datetime | None:
    """Tell when a host key was last taken from its group; None if it never was."""
    try:
        return datetime.fromtimestamp(_note_of(path).stat().st_mtime, UTC)
    except OSError:
        return None


def _close(path: Path) -> bool:
    """Take a key from this process's own group; return whether that could read it."""
    with faults("read", path):
        if not is_open_to_own_group(path):
            return False
    with suppress(OSError, CtsftpError):  # of a mount that is read-only the log tells each time
        close_to_group(path)
        write_small_file(_note_of(path), b"", mode=_KEY_MODE)
    return True


def _note_of(path: Path) -> Path:
    return path.with_name(f".{path.name}.was-open")


def _is_missing(path: Path) -> bool:
    with faults("read", path):
        return not (path.exists() or path.is_symlink())


def _make(path: Path, algorithm: str) -> None:
    key = (
        asyncssh.generate_private_key(algorithm, key_size=RSA_BITS)
        if algorithm == "ssh-rsa"
        else asyncssh.generate_private_key(algorithm)
    )
    write_small_file(path, key.export_private_key("openssh"), mode=_KEY_MODE)


def _load(path: Path, algorithm: str) -> HostKey:
    with faults("read", path):
        data = read_small_file(path, max_bytes=MAX_HOST_KEY_BYTES, private=True)
    try:
        key = asyncssh.import_private_key(data)
    except Exception:  # noqa: BLE001 - as with public keys: whatever the damage brings out, the key is broken
        raise RefusedError(
            f"{path} is not a readable private key (broken, or with a passphrase): "
            "restore it, or move it away for a new one"
        ) from None
    if key.get_algorithm() != algorithm:
        raise RefusedError(f"{path} holds a key of the kind {key.get_algorithm()}, and {algorithm} belongs there")
    return HostKey(key=key, path=path)
