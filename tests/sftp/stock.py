"""OpenSSH's sftp and ssh as real senders run them."""

import asyncio
import os
import signal
from asyncio.subprocess import PIPE, Process
from dataclasses import dataclass
from pathlib import Path

from .room import ACME, PATIENCE_S, Room


@dataclass(frozen=True)
class Finished:
    """How a program ended, and what it said."""

    code: int
    out: str
    err: str


class StockSftp:
    """Runs the programs in the sender's folder, against the room's server."""

    def __init__(self, *, sftp: str, ssh: str, room: Room, key_file: Path, folder: Path) -> None:
        self.folder = folder
        self.key_file = key_file
        self._sftp = sftp
        self._ssh = ssh
        self._room = room
        self._ssh_pid = folder / "ssh.pid"
        # sftp starts its ssh by way of this, so that a test can kill the one or the other.
        self._wrapper = folder / "ssh-with-pid"
        self._wrapper.write_text(f'#!/bin/sh\necho $$ > "{self._ssh_pid}"\nexec "{ssh}" "$@"\n')
        self._wrapper.chmod(0o755)

    def file(self, name: str, data: bytes) -> Path:
        """A file of the sender."""
        path = self.folder / name
        path.write_bytes(data)
        return path

    async def batch(self, *commands: str, options: tuple[str, ...] = ()) -> Finished:
        """Run `sftp -b`, which ends at the first command that fails."""
        process = await self.start(*commands, options=options)
        return await finish(process)

    async def start(self, *commands: str, limit_kbit: int | None = None, options: tuple[str, ...] = ()) -> Process:
        """Start `sftp -b`; `limit_kbit` slows it down, so that a test can meet it in the middle."""
        batch = self.folder / "batch"
        batch.write_text("\n".join(commands) + "\n")
        slow = ["-l", str(limit_kbit)] if limit_kbit else []
        return await asyncio.create_subprocess_exec(
            self._sftp,
            *slow,
            *("-S", str(self._wrapper)),
            *("-b", str(batch)),
            *("-P", str(self._room.server.port)),
            *options,
            *self._options(),
            f"{ACME}@127.0.0.1",
            stdout=PIPE,
            stderr=PIPE,
            cwd=self.folder,
            env=_environment(),
        )

    async def ssh(
        self, *args: str, user: str = ACME, key_file: Path | None = None, options: tuple[str, ...] = ()
    ) -> Finished:
        """Run `ssh` with a command."""
        process = await asyncio.create_subprocess_exec(
            self._ssh,
            *("-p", str(self._room.server.port)),
            *options,  # before the others: of two values ssh takes the first
            *self._options(key_file),
            f"{user}@127.0.0.1",
            *args,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=PIPE,
            stderr=PIPE,
            env=_environment(),
        )
        return await finish(process)

    def kill_ssh(self) -> None:
        """Kill the ssh below the sftp that runs, as kill -9 does."""
        os.kill(int(self._ssh_pid.read_text()), signal.SIGKILL)

    def _options(self, key_file: Path | None = None) -> list[str]:
        settings = {
            "IdentityFile": str(key_file or self.key_file),
            "IdentitiesOnly": "yes",
            "IdentityAgent": "none",
            "StrictHostKeyChecking": "no",
            "UserKnownHostsFile": "/dev/null",
            "GlobalKnownHostsFile": "/dev/null",
            "BatchMode": "yes",
            "LogLevel": "ERROR",
        }
        return ["-F", "/dev/null", *(part for name, value in settings.items() for part in ("-o", f"{name}={value}"))]


async def finish(process: Process) -> Finished:
    """Wait for a program's end."""
    async with asyncio.timeout(PATIENCE_S):
        out, err = await process.communicate()
    assert process.returncode is not None
    return Finished(process.returncode, out.decode(), err.decode())


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != "SSH_AUTH_SOCK"}
