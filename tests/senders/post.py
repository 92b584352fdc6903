"""The server that all senders of a test run share, and an account on it for each test.

The server is a real `ctsftp serve` in a process of its own, since most senders are programs that block.
"""

import asyncio
import itertools
import os
import sqlite3
import subprocess
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncssh

from ctsftp.clients.folder import Clients
from ctsftp.clients.keys import read_public_key

from ..e2e.conftest import Box, Serve

# The folder that every home has; some programs mark a folder in their listing.
RECEIPTS = {"receipts", "receipts/"}
HOST = "127.0.0.1"
PATIENCE_S = 60.0
HEADER = "CTUserID\n"


def export(ids: Iterable[int]) -> bytes:
    """Write a list of members as a right export does."""
    return (HEADER + "".join(f"{ct_user_id}\n" for ct_user_id in ids)).encode()


@dataclass(frozen=True)
class KeyFiles:
    """The private keys of a sender: each program reads the kind that it knows; `.pub` stands beside each."""

    ed25519: Path
    ecdsa: Path
    rsa: Path

    @classmethod
    def make(cls, folder: Path) -> "KeyFiles":
        """Make the keys; those for old programs in the PEM form that they read."""
        files = cls(folder / "ed25519", folder / "ecdsa", folder / "rsa")
        _write_key(files.ed25519, asyncssh.generate_private_key("ssh-ed25519"), "openssh")
        _write_key(files.ecdsa, asyncssh.generate_private_key("ecdsa-sha2-nistp256"), "pkcs1-pem")
        _write_key(files.rsa, asyncssh.generate_private_key("ssh-rsa", key_size=2048), "pkcs1-pem")
        return files

    @property
    def public(self) -> list[Path]:
        return [Path(f"{place}.pub") for place in (self.ed25519, self.ecdsa, self.rsa)]


def _write_key(place: Path, key: asyncssh.SSHKey, form: str) -> None:
    place.touch(mode=0o600)
    place.write_bytes(key.export_private_key(form))
    Path(f"{place}.pub").write_bytes(key.export_public_key())


class Post:
    """A server that runs, its keys, and its database as any other program sees it."""

    def __init__(self, box: Box, keys: KeyFiles) -> None:
        self.box = box
        self.keys = keys
        self.serve: Serve = box.start()
        self._clients = Clients(box.folder / "keys")
        self._names = (f"sender{number}" for number in itertools.count(1))
        self._public = [read_public_key(place.read_bytes()) for place in keys.public]

    def open_account(self, folder: Path, config: str = "") -> "Account":
        """Make a client that may sign in with any of the keys; `config` is its client.toml."""
        name = next(self._names)
        self._clients.add(name, self._public)
        (self.box.folder / "keys" / "clients" / name / "client.toml").write_text(config)
        return Account(self, name, folder)

    def select(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """Read the database."""
        with closing(sqlite3.connect(self.box.folder / "data" / "ctsftp.db", timeout=PATIENCE_S)) as database:
            return database.execute(query, values).fetchall()


class Account:
    """One client: its files at the sender's side, and what became of them at the server's."""

    def __init__(self, post: Post, client: str, folder: Path) -> None:
        self.post = post
        self.client = client
        self.folder = folder
        self.keys = post.keys
        self.port = post.serve.port
        self.look_on()
        self.environment = {
            **{name: value for name, value in os.environ.items() if name != "SSH_AUTH_SOCK"},
            "HOME": str(folder),  # programs leave their settings and known hosts there
        }

    def file(self, name: str, data: bytes) -> Path:
        """Write a file of the sender."""
        place = self.folder / name
        place.write_bytes(data)
        return place

    def execute(self, *command: str, stdin: str | None = None, code: int = 0) -> str:
        """Run a program in the sender's folder, hold it to its exit code, and give what it said."""
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        assert done.returncode == code, f"{command[0]} ended with {done.returncode}: {done.stdout}{done.stderr}"
        return done.stdout

    def event(self, event: str, **fields: object) -> dict[str, Any]:
        """Wait until the server logs this of the client."""
        expected = {"client": self.client, **fields}
        return self.post.serve.wait_for(event, lambda found: expected.items() <= found.items(), since=self._mark)

    def look_on(self) -> None:
        """Let only what is logged from here on count as an event."""
        self._mark = self.post.serve.mark()

    def state(self, name: str) -> str:
        """Wait for the verdict on a file."""
        return str(self.event("verdict", file=name)["state"])

    def states(self) -> list[tuple[str, str]]:
        """Give the names and states of the client's uploads, in the order of their CLOSE."""
        query = "SELECT filename, state FROM uploads WHERE client = ? ORDER BY received_at, id"
        return self.post.select(query, self.client)

    def members(self, segment: str) -> list[int]:
        """Give the members of a segment, ascending."""
        query = "SELECT ct_user_id FROM segment_members WHERE client = ? AND segment = ? ORDER BY 1"
        return [ct_user_id for (ct_user_id,) in self.post.select(query, self.client, segment)]

    def cut_off(self, name: str, data: bytes) -> None:
        """Send the first bytes of a file and lose the connection: the server keeps them as a partial."""
        asyncio.run(self._cut_off(name, data))
        assert self.event("upload cut off", path=f"/{name}")["kept_bytes"] == len(data)

    async def _cut_off(self, name: str, data: bytes) -> None:
        connection = await asyncssh.connect(
            HOST,
            self.port,
            config=None,
            username=self.client,
            client_keys=[str(self.keys.ed25519)],
            known_hosts=None,
            agent_path=None,
        )
        sftp = await connection.start_sftp_client()
        opened = await sftp.open(name, "wb")
        await opened.write(data)
        connection.abort()
        await connection.wait_closed()
