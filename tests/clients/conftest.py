"""Keys for the tests of this room; each worker makes its own, once."""

from functools import cache
from pathlib import Path

import asyncssh
import pytest

from ctsftp.clients.folder import Clients
from ctsftp.clients.keys import PublicKey, read_public_key


@cache
def _pair(algorithm: str, number: int) -> asyncssh.SSHKey:
    return asyncssh.generate_private_key(algorithm, comment=f"key-{number}")


class KeyRing:
    """Numbered key pairs."""

    def pair(self, number: int = 0, algorithm: str = "ssh-ed25519") -> asyncssh.SSHKey:
        return _pair(algorithm, number)

    def text(self, number: int = 0, algorithm: str = "ssh-ed25519") -> bytes:
        return _pair(algorithm, number).export_public_key()

    def public(self, number: int = 0, algorithm: str = "ssh-ed25519") -> PublicKey:
        return read_public_key(self.text(number, algorithm))

    def line(self, number: int = 0, algorithm: str = "ssh-ed25519") -> str:
        return self.public(number, algorithm).openssh_line


@pytest.fixture
def ring() -> KeyRing:
    return KeyRing()


@pytest.fixture
def clients(tmp_path: Path) -> Clients:
    return Clients(tmp_path / "keys")
