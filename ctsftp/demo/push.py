"""The destination of the Connect stand-in: a file is pushed by SFTP, as a sender's job would push it.

The stock `sftp` does it, so that what is shown and tested is what a stranger's client does; asyncssh's client
takes its place where there is none, and wherever a status's own text matters: stock `sftp` shows the
words of its code ("Failure") alone, and whatever else the server says on stderr.
"""

import asyncio
import posixpath
import shutil
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import asyncssh

from ctsftp.demo.connect import ExportFile
from ctsftp.errors import UsageError

PUSH_TIMEOUT_S = 600
LOGIN_TIMEOUT_S = 30
_BATCH_LINE_BYTES = 2000  # OpenSSH reads lines into 2048

Program = Literal["sftp", "asyncssh"]

_BATCH_FILE = "batch"
_LOCAL_NAME = "export.csv"  # plain on purpose: stock sftp would expand wildcards in a local name


@dataclass(frozen=True, slots=True)
class PushResult:
    """What became of a push.

    `output` is what the client printed. `message` is what the server answered to a request that failed,
    in its own words: "" where all went well, and always "" from stock `sftp`, whose `output` holds what a
    server says on stderr.
    """

    ok: bool
    program: Program
    output: str
    message: str = ""


@dataclass(frozen=True, slots=True)
class _Destination:
    """The login of a push: one server, known by one host key, and one user's key."""

    host: str
    port: int
    username: str
    key_path: Path
    host_key: str

    @property
    def known_hosts(self) -> str:
        """Return a known_hosts file; it is made for one server, so that it holds for any name and port."""
        return f"* {self.host_key.strip()}\n"


async def push(
    file: ExportFile,
    *,
    host: str,
    port: int,
    username: str,
    key_path: Path,
    host_key: str,
    directory: str = "/",
    temporary_name: bool = False,
    program: Program | None = None,
) -> PushResult:
    """Push a file by stock `sftp -b`, or by asyncssh's client where there is none or `program` asks for it.

    `host_key` is the server's public key as a line of OpenSSH: a server with another key is not talked to.
    With `temporary_name` the file is put as `NAME.filepart` and then renamed, as WinSCP and many jobs do.
    Whatever goes wrong on the way or at the server is a result that is not ok. Raises UsageError for a
    name that cannot be written in a batch of `sftp`, and TimeoutError after 10 minutes.
    """
    destination = _Destination(host, port, username, key_path, host_key)
    path = posixpath.join(directory, file.filename)
    steps = [f"{path}.filepart", path] if temporary_name else [path]
    async with asyncio.timeout(PUSH_TIMEOUT_S):
        if program == "asyncssh" or (program is None and shutil.which("sftp") is None):
            return await _push_by_asyncssh(file.data, steps, destination)
        return await _push_by_sftp(file.data, steps, destination)


async def _push_by_sftp(data: bytes, steps: list[str], destination: _Destination) -> PushResult:
    """Run stock `sftp` in a folder of its own; `steps` are the path to put to and the one to rename it to, if any."""
    batch = _batch(steps)
    with TemporaryDirectory(prefix="ctsftp-push-") as name:
        folder = Path(name)
        await asyncio.to_thread((folder / _LOCAL_NAME).write_bytes, data)
        # A file rather than a pipe: a client that ends early would break the pipe, and uvloop then raises.
        (folder / _BATCH_FILE).write_bytes(batch)
        (folder / "known_hosts").write_text(destination.known_hosts, encoding="utf-8")
        process = await asyncio.create_subprocess_exec(
            *_sftp_command(destination),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            cwd=folder,
        )
        try:
            output, _ = await process.communicate()
        finally:
            # Only a push that was cancelled or timed out still runs here. On SIGTERM sftp ends its ssh, too.
            if process.returncode is None:
                process.terminate()
                await process.wait()
    return PushResult(ok=process.returncode == 0, program="sftp", output=output.decode("utf-8", "replace"))


def _sftp_command(destination: _Destination) -> list[str]:
    """Return the command line: this key, this server, no question, and nothing of the user's own settings."""
    options = (
        "UserKnownHostsFile=known_hosts",
        "GlobalKnownHostsFile=none",
        "StrictHostKeyChecking=yes",
        "UpdateHostKeys=no",
        "IdentitiesOnly=yes",
        "IdentityAgent=none",
        "PreferredAuthentications=publickey",
        f"ConnectTimeout={LOGIN_TIMEOUT_S}",
        f"User={destination.username}",
    )
    key_path = str(destination.key_path.absolute())
    command = ["sftp", "-b", _BATCH_FILE, "-F", "none", "-P", str(destination.port), "-i", key_path]
    for option in options:
        command += ["-o", option]
    return [*command, "--", f"[{destination.host}]" if ":" in destination.host else destination.host]


def _batch(steps: list[str]) -> bytes:
    """Return the commands for `sftp`.

    A batch can run programs (`!`), so that what is in a path must never begin a line. `sftp` takes the rest of
    a line that is too long for a line of its own.
    """
    first, *renamed = map(_quoted, steps)
    lines = [f"put {_LOCAL_NAME} {first}", *(f"rename {first} {last}" for last in renamed)]
    encoded = [line.encode() for line in lines]
    if any(b"\n" in line or b"\0" in line or len(line) > _BATCH_LINE_BYTES for line in encoded):
        raise UsageError(f"A batch of sftp cannot hold the path {steps[-1]!r}: use asyncssh's client.")
    return b"\n".join(encoded) + b"\n"


def _quoted(path: str) -> str:
    """Quote a path for a batch: in quotes, wildcards mean nothing, and a backslash protects itself and a quote."""
    return '"' + path.replace("\\", "\\\\").replace('"', '\\"') + '"'


async def _push_by_asyncssh(data: bytes, steps: list[str], destination: _Destination) -> PushResult:
    """Do the same with asyncssh's client, which tells what the server says."""
    first, *renamed = steps
    try:
        async with _connect(destination) as connection, connection.start_sftp_client() as sftp:
            async with sftp.open(first, "wb") as opened:
                await opened.write(data)
            for last in renamed:
                await sftp.posix_rename(first, last)
    except asyncssh.SFTPError as exc:
        # After a failed write the CLOSE fails, too: the write's reason is the one to show.
        told = exc.__context__ if isinstance(exc.__context__, asyncssh.SFTPError) else exc
        return PushResult(ok=False, program="asyncssh", output=f"{type(told).__name__}: {told}", message=told.reason)
    except (asyncssh.Error, OSError) as exc:
        return PushResult(ok=False, program="asyncssh", output=f"{type(exc).__name__}: {exc}")
    return PushResult(ok=True, program="asyncssh", output="")


def _connect(destination: _Destination) -> AbstractAsyncContextManager[asyncssh.SSHClientConnection]:
    """Return a login by this key to this server alone, with nothing of the user's own settings."""
    return asyncssh.connect(
        destination.host,
        destination.port,
        config=None,
        username=destination.username,
        client_keys=[str(destination.key_path)],
        known_hosts=asyncssh.import_known_hosts(destination.known_hosts),
        agent_path=None,
        preferred_auth="publickey",
        login_timeout=LOGIN_TIMEOUT_S,
        connect_timeout=LOGIN_TIMEOUT_S,
    )
