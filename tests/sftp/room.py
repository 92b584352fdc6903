"""The server under test with everything that it is given: real clients, a real spool, a disk that can be held up."""

import asyncio
import threading
from collections.abc import Callable, MutableMapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import asyncssh
from asyncssh.constants import FX_OK

from ctsftp.clients.folder import Clients
from ctsftp.clients.keys import PublicKey, read_public_key
from ctsftp.contract.places import Places
from ctsftp.sftp.hooks import Hooks
from ctsftp.sftp.login import Connection
from ctsftp.sftp.receipts import ReceiptFile, ReceiptSource
from ctsftp.sftp.server import SftpServer
from ctsftp.sftp.session import Session
from ctsftp.sftp.settings import SftpSettings
from ctsftp.spool.disk import LocalDisk
from ctsftp.spool.home import Entry
from ctsftp.spool.ids import UploadIds
from ctsftp.spool.spool import Spool
from ctsftp.spool.stored import StoredUpload

from .raw import RawSftp

if TYPE_CHECKING:
    from ctsftp.contract.codes import Fault
    from ctsftp.sftp.attempts import Login, LoginRefused
    from ctsftp.sftp.landing import Answer, Ask, CutOff

PATIENCE_S = 20.0
ACME = "acme"
GOLD = "Gold_20261101_0001.csv"

T = TypeVar("T")


class Heard(Generic[T]):
    """What the server told its owner, in order, and a way to wait for more of it."""

    def __init__(self) -> None:
        self.all: list[T] = []
        self._more = asyncio.Event()

    def __call__(self, what: T) -> None:
        self.all.append(what)
        self._more.set()

    async def first(self, count: int = 1) -> list[T]:
        async with asyncio.timeout(PATIENCE_S):
            while len(self.all) < count:
                self._more.clear()
                await self._more.wait()
        return self.all[:count]

    async def one(self) -> T:
        (only,) = await self.first()
        return only


class Gate:
    """A point where the server waits, in one of its threads, until the test lets it go on."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._reached = asyncio.Event()
        self._open = threading.Event()

    async def reached(self) -> None:
        async with asyncio.timeout(PATIENCE_S):
            await self._reached.wait()

    def open(self) -> None:
        self._open.set()

    def pass_through(self) -> None:
        self._loop.call_soon_threadsafe(self._reached.set)
        assert self._open.wait(PATIENCE_S), "the test never opened the gate"


class HeldDisk(LocalDisk):
    """The real disk; it counts what is open, can be held up at a call, and can fail as a disk does."""

    def __init__(self) -> None:
        self.open_fds: set[int] = set()
        self.gates: dict[str, Gate] = {}
        self.faults: dict[str, Exception] = {}
        self.fail_once: dict[str, Exception] = {}
        self.short_write = False
        self.bytes_written = 0
        self.reads = 0
        self._more_written = asyncio.Event()

    def hold(self, call: str) -> Gate:
        """Hold up every `call` from now on."""
        gate = self.gates[call] = Gate()
        return gate

    async def wrote(self, count: int) -> None:
        """Wait until so many bytes of uploads were written in all."""
        async with asyncio.timeout(PATIENCE_S):
            while self.bytes_written < count:
                self._more_written.clear()
                await self._more_written.wait()

    def create(self, path: Path) -> int:
        self._enter("create")
        return self._opened(super().create(path))

    def open_write(self, path: Path) -> int:
        return self._opened(super().open_write(path))

    def open_read(self, path: Path) -> int:
        return self._opened(super().open_read(path))

    def close(self, fd: int) -> None:
        self.open_fds.remove(fd)
        super().close(fd)
        self._enter("close")

    def read(self, fd: int, size: int, offset: int) -> bytes:
        self.reads += 1
        return super().read(fd, size, offset)

    def write(self, fd: int, data: bytes, offset: int) -> int:
        self._enter("write")
        written = super().write(fd, data[: len(data) // 2] if self.short_write else data, offset)
        self.bytes_written += written
        self._more_written.set()
        return written

    def fsync(self, fd: int) -> None:
        self._enter("fsync")
        super().fsync(fd)

    def rename(self, old: Path, new: Path) -> None:
        self._enter("rename")
        super().rename(old, new)

    def names(self, path: Path) -> list[str]:
        self._enter("names")
        return super().names(path)

    def _enter(self, call: str) -> None:
        if gate := self.gates.get(call):
            gate.pass_through()
        if fault := self.faults.get(call) or self.fail_once.pop(call, None):
            raise fault

    def _opened(self, fd: int) -> int:
        self.open_fds.add(fd)
        return fd


class Connections(set[Connection]):
    """The server's connections, and an event for each that is lost."""

    def __init__(self) -> None:
        super().__init__()
        self.left = asyncio.Event()

    def discard(self, connection: Connection) -> None:
        super().discard(connection)
        self.left.set()


class Room:
    """A server that can be started, stopped and started again on the same folders."""

    def __init__(
        self,
        folder: Path,
        *,
        user_key: asyncssh.SSHKey,
        host_key: asyncssh.SSHKey,
        logs: list[MutableMapping[str, Any]],
    ) -> None:
        self.folder = folder
        self.logs = logs
        self.user_key = user_key
        self.host_key = host_key
        self.now = datetime(2026, 11, 1, 12, tzinfo=UTC)
        self.clients = Clients(folder / "keys")
        self.clients.add(ACME, [public_half(user_key)])
        self.disk = HeldDisk()
        self.spool = Spool(folder / "spool", disk=self.disk, next_id=UploadIds().next)
        self.landed: Heard[StoredUpload] = Heard()
        self.cut_offs: Heard[CutOff] = Heard()
        self.logins: Heard[Login] = Heard()
        self.refusals: Heard[LoginRefused] = Heard()
        self.mismatches: Heard[str] = Heard()
        self.ended: Heard[Session] = Heard()
        self.faults: dict[str, Fault] = {}
        self.answers: dict[str, asyncio.Future[Answer | None]] = {}  # that are awaited, by file name
        self.receipts: dict[str, list[ReceiptFile]] = {}
        self.receipt_details: dict[str, list[ReceiptFile]] = {}
        self.inspect: Callable[[StoredUpload], Fault | None] = lambda upload: self.faults.get(upload.filename)
        self.server: SftpServer
        self.connections: list[asyncssh.SSHClientConnection] = []
        self._owner: asyncio.Task[None] | None = None

    def second(self) -> "Room":
        """Another server beside this one."""
        return Room(self.folder / "second", user_key=self.user_key, host_key=self.host_key, logs=self.logs)

    async def start(self, **settings: Any) -> None:
        """Start a server; one TaskGroup owns its tasks, as in `serve`."""
        up: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._stop = asyncio.Event()
        self._owner = asyncio.create_task(self._serve(SftpSettings(**{"host": "127.0.0.1", "port": 0, **settings}), up))
        await asyncio.wait({up, self._owner}, return_when=asyncio.FIRST_COMPLETED)
        if self._owner.done():
            await self._owner

    async def stop(self) -> None:
        """Stop the server; an error in any of its tasks comes out here."""
        for gate in self.disk.gates.values():
            gate.open()
        for connection in self.connections:
            connection.abort()
            await connection.wait_closed()
        self.connections.clear()
        if self._owner:
            self._stop.set()
            owner, self._owner = self._owner, None
            async with asyncio.timeout(PATIENCE_S):
                await owner

    async def restart(self, **settings: Any) -> None:
        """Stop the server as SIGTERM does, and start another one on the same folders."""
        await self.stop()
        await self.start(**settings)

    def crash(self) -> asyncio.Task[None]:
        """Let another part of the program die, which cancels every task; return the one that owns them all."""

        async def die() -> None:
            raise RuntimeError("another part died")

        assert self._owner is not None
        owner, self._owner = self._owner, None
        self._tasks.create_task(die())
        return owner

    async def connect(self, **options: Any) -> asyncssh.SSHClientConnection:
        """Sign in with asyncssh's client."""
        defaults: dict[str, Any] = {
            "host": "127.0.0.1",
            "username": ACME,
            "client_keys": [self.user_key],
            "known_hosts": None,
            "config": None,
            "agent_path": None,
        }
        connection = await asyncssh.connect(port=self.server.port, **{**defaults, **options})
        self.connections.append(connection)
        return connection

    async def sftp(self, **options: Any) -> asyncssh.SFTPClient:
        """Open asyncssh's SFTP client on a connection of its own."""
        return await (await self.connect(**options)).start_sftp_client()

    async def raw(self, connection: asyncssh.SSHClientConnection | None = None) -> RawSftp:
        """Open a channel on which a test says each packet itself."""
        return await RawSftp.open(connection or await self.connect())

    async def landed_put(self, name: str, data: bytes) -> StoredUpload:
        """Put a file on a session of its own, which is over when this returns."""
        sessions, uploads = len(self.ended.all), len(self.landed.all)
        raw = await self.raw()
        handle = await raw.create(name)
        assert await raw.write(handle, 0, data) == (FX_OK, "")
        assert await raw.close(handle) == (FX_OK, "")
        raw.channel.get_connection().close()
        await self.sessions_ended(sessions + 1)
        return self.landed.all[uploads]

    async def leave_partial(self, name: str, data: bytes) -> None:
        """Cut off an upload on a session of its own, which is over when this returns."""
        sessions = len(self.ended.all)
        raw = await self.raw()
        assert await raw.write(await raw.create(name), 0, data) == (FX_OK, "")
        raw.channel.get_connection().close()
        await self.sessions_ended(sessions + 1)
        assert self.partial(name) == data

    async def disconnected(self, *, but: int = 0) -> None:
        """Wait until the server knows of no connection any more, or of no more than so many."""
        async with asyncio.timeout(PATIENCE_S):
            while len(self.server.connections) > but:
                self._connections.left.clear()
                await self._connections.left.wait()

    async def sessions_ended(self, count: int = 1) -> None:
        """Wait until so many sessions are over, their clean-up included."""
        await self.ended.first(count)

    def errors(self) -> list[MutableMapping[str, Any]]:
        """Take the errors of ours that were logged since the last call."""
        found = [entry for entry in self.logs if entry["log_level"] == "error"]
        self.logs[:] = [entry for entry in self.logs if entry["log_level"] != "error"]
        return found

    def home(self, name: str) -> bytes | None:
        """What stands in the client's home."""
        return _bytes(self.folder / "spool" / ACME / "home" / name)

    def partial(self, name: str) -> bytes | None:
        """What was kept of a cut-off upload."""
        return _bytes(self.folder / "spool" / ACME / "partials" / name)

    def staging(self) -> list[Path]:
        """Files that are being written, or were forgotten."""
        return list((self.folder / "spool" / ACME / "staging").iterdir())

    def nothing_left_open(self) -> bool:
        """Whether every file was closed and staging is empty."""
        return not self.disk.open_fds and not self.staging()

    def _inspect(self, upload: StoredUpload) -> "Fault | None":
        return self.inspect(upload)  # which a test may have replaced

    def _land(self, upload: StoredUpload) -> "Ask | None":
        answer = self.answers.get(upload.filename)
        if answer is None:
            self.spool.settle(upload)
        self.landed(upload)
        return (lambda: answer) if answer else None

    async def _receipt_entries(self, client: str) -> list[Entry]:
        return [receipt.entry for receipt in self.receipts.get(client, [])]

    async def _receipt_details(self, client: str) -> list[Entry]:
        return [receipt.entry for receipt in self.receipt_details.get(client, [])]

    async def _render_receipt(self, client: str, name: str) -> ReceiptFile | None:
        shown = [*self.receipts.get(client, []), *self.receipt_details.get(client, [])]
        return next((receipt for receipt in shown if receipt.name == name), None)

    async def _serve(self, settings: SftpSettings, up: asyncio.Future[None]) -> None:
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            self.server = SftpServer(
                settings,
                clients=self.clients,
                host_keys=[self.host_key],
                spool=self.spool,
                tasks=tasks,
                key_expiry_warning=timedelta(days=30),
                now=lambda: self.now,
                hooks=Hooks(
                    is_upload_name=lambda _client, path: Places().read(path) is not None,
                    inspect=self._inspect,
                    landed=self._land,
                    cut_off=self.cut_offs,
                    receipts=ReceiptSource(self._receipt_entries, self._receipt_details, self._render_receipt),
                    on_login=self.logins,
                    on_refusal=self.refusals,
                    on_mismatch=self.mismatches,
                ),
            )
            ended = self.server._session_ended

            def session_ended(session: Session) -> None:
                ended(session)
                self.ended(session)

            self.server._session_ended = session_ended  # type: ignore[method-assign]
            self.server.connections = self._connections = Connections()
            await self.server.start()
            up.set_result(None)
            try:
                await self._stop.wait()
            finally:
                await self.server.stop()


def public_half(key: asyncssh.SSHKey) -> PublicKey:
    return read_public_key(key.export_public_key())


def _bytes(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None
