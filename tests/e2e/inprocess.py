"""A real server in the tests' own event loop: dozens of cases share it, each with a client of its own.

A trigger in the database writes down every move that an upload makes, so that a test can say which moves and
codes it exercises (`exercises`), is held to it, and `test_contract_coverage` can say what no test exercises.
"""

import asyncio
import itertools
import os
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import asyncssh
import pytest

from ctsftp.admin.administration import open_service
from ctsftp.app.service import Service
from ctsftp.clients.folder import Clients
from ctsftp.clients.hostkeys import load_or_create_host_keys
from ctsftp.clients.keys import read_public_key
from ctsftp.contract.codes import Code
from ctsftp.contract.names import segment_key
from ctsftp.contract.states import State
from ctsftp.demo.connect import ExportFile
from ctsftp.demo.push import Program, PushResult, push
from ctsftp.errors import NotFoundError
from ctsftp.model.commands import decode
from ctsftp.settings import Settings

from .forked import run_forked

PATIENCE_S = 60.0

# What a module needs whose tests share a server: `pytest_plugins = FIXTURES` and `pytestmark = in_process`.
FIXTURES = ["tests.e2e.fixtures"]
in_process = pytest.mark.asyncio(loop_scope="session")

Move = tuple[State, State]
Row = dict[str, Any]
Test = TypeVar("Test", bound=Callable[..., Any])


def exercises(*what: Code | Move) -> Callable[[Test], Test]:
    """Say which codes and moves a test brings about; its sender fails it if it does not."""

    def mark(test: Test) -> Test:
        test.exercises = frozenset(what)  # type: ignore[attr-defined]
        return test

    return mark


def stamp(day: int, version: int = 900) -> str:
    """Give a stamp of January 2024, long ago on any clock."""
    return f"202401{day:02}_{version:04}"


def days_ahead(days: int) -> str:
    """Give a stamp so many days from now."""
    return f"{datetime.now(UTC) + timedelta(days=days):%Y%m%d}_0900"


def ids(*members: object, header: str = "CTUserID") -> bytes:
    """Write a list of members as a right export does."""
    return "".join(f"{line}\n" for line in (header, *members)).encode()


class Server:
    """A running service, how to reach it, and its database as any other program sees it."""

    def __init__(self, service: Service, settings: Settings, folder: Path) -> None:
        self.service = service
        self.engine = service.engine
        self.settings = settings
        self.database = settings.data_dir / "ctsftp.db"
        self.host_key = load_or_create_host_keys(settings.host_keys)[0].key.export_public_key().decode().strip()
        self.key_path = folder / "sender_key"
        self._key = asyncssh.generate_private_key("ssh-ed25519")
        self.key_path.touch(mode=0o600)
        self.key_path.write_bytes(self._key.export_private_key())
        self._clients = Clients(settings.keys_dir)
        self._names = (f"client{number}" for number in itertools.count(1))

    def add_sender(self) -> "Sender":
        name = next(self._names)
        self._clients.add(name, [read_public_key(self._key.export_public_key())])
        return Sender(self, name)

    @contextmanager
    def sql(self) -> Iterator[sqlite3.Connection]:
        """Open the database; whoever writes does so in a thread, since the server's loop may hold the lock."""
        connect = partial(sqlite3.connect, timeout=PATIENCE_S, isolation_level=None, check_same_thread=False)
        with closing(connect(self.database)) as connection:
            yield connection

    async def cli(self, *arguments: str) -> str:
        """Run a command as an admin of this server does, and give what it prints."""
        settings = self.settings
        done = await asyncio.to_thread(
            run_forked,
            arguments,
            folder=settings.data_dir.parent,
            env={
                **{name: value for name, value in os.environ.items() if not name.startswith("CTSFTP_")},
                "CTSFTP_DATA_DIR": str(settings.data_dir),
                "CTSFTP_KEYS_DIR": str(settings.keys_dir),
            },
            stdin=None,
            timeout=PATIENCE_S,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    async def change(self, statement: str, parameters: tuple[object, ...] = ()) -> None:
        """Change the database behind the server's back."""
        with self.sql() as connection:
            await asyncio.to_thread(connection.execute, statement, parameters)


class Sender:
    """One client: what its job pushes, what the ledger says of it, and what an admin does about it."""

    def __init__(self, server: Server, name: str) -> None:
        self.server = server
        self.name = name
        self.engine = server.engine
        self._connection: asyncssh.SSHClientConnection | None = None
        self._sftp: asyncssh.SFTPClient | None = None

    def configure(self, toml: str) -> None:
        """Write the client's client.toml; it counts from the next file on."""
        (self.server.settings.keys_dir / "clients" / self.name / "client.toml").write_text(toml)

    async def push(self, file: ExportFile, *, program: Program = "sftp", temporary_name: bool = False) -> PushResult:
        """Push a file as a job does, by a login of its own, and wait until the server is done with it."""
        result = await push(
            file,
            host="127.0.0.1",
            port=self.server.service.server.port,
            username=self.name,
            key_path=self.server.key_path,
            host_key=self.server.host_key,
            temporary_name=temporary_name,
            program=program,
        )
        await self.settled()
        return result

    async def put(self, name: str, content: bytes) -> Row:
        """Put a file, whether it is refused or not, and give its row of the ledger."""
        await self.send(ExportFile(name, content))
        return await self.newest(name)

    async def send(self, file: ExportFile, *, temporary_name: bool = False) -> str:
        """Put a file by asyncssh's client over a connection that is kept, and wait until the server is done with it.

        Gives the server's answer in its own words, "" where it was OK.
        """
        answer = await self.send_only(file, temporary_name=temporary_name)
        await self.settled()
        return answer

    async def send_only(self, file: ExportFile, *, temporary_name: bool = False) -> str:
        """Put a file and wait for the answer alone."""
        sftp = await self.connect()
        first = f"{file.filename}.filepart" if temporary_name else file.filename
        try:
            async with sftp.open(first, "wb") as opened:
                await opened.write(file.data)
            if temporary_name:
                await sftp.posix_rename(first, file.filename)
        except asyncssh.SFTPError as exc:
            return exc.reason
        return ""

    async def close(self) -> None:
        if self._connection:
            self._connection.close()
            await self._connection.wait_closed()

    async def connect(self) -> asyncssh.SFTPClient:
        """Log in, once."""
        if self._sftp is None:
            self._connection = await asyncssh.connect(
                "127.0.0.1",
                self.server.service.server.port,
                config=None,
                username=self.name,
                client_keys=[str(self.server.key_path)],
                known_hosts=asyncssh.import_known_hosts(f"* {self.server.host_key}"),
                agent_path=None,
            )
            self._sftp = await self._connection.start_sftp_client()
        return self._sftp

    async def settled(self) -> None:
        await self.engine.queue.wait_for()

    async def ledger(self) -> list[Row]:
        """Give the client's uploads, newest first."""
        return [upload.as_json() for upload in await self.engine.store.ledger.uploads(client=self.name)]

    async def newest(self, filename: str) -> Row:
        """Give the newest upload of a name, whichever folder it was put into."""
        return next(row for row in await self.ledger() if row["filename"] == filename.rpartition("/")[2])

    def make_folder(self, name: str) -> None:
        (self.engine.spool.home(self.name).files / name).mkdir(parents=True, exist_ok=True)

    async def state(self, upload_id: str) -> str:
        return (await self.engine.store.ledger.upload(upload_id)).state.value

    async def rejects(self, upload_id: str) -> list[tuple[int, str, str]]:
        rows = await self.engine.store.ledger.rejects(upload_id)
        return [(row.line, row.value, row.reason) for row in rows]

    async def segments(self) -> list[str]:
        return [segment.title for segment in await self.engine.store.segments.segments(client=self.name)]

    async def segment(self, title: str) -> Row | None:
        try:
            return (await self.engine.store.segments.segment(self.name, segment_key(title))).as_json()
        except NotFoundError:
            return None

    def members(self, title: str) -> list[int]:
        """Read who is in a segment as any program with plain SQL does."""
        query = "SELECT ct_user_id FROM segment_members WHERE client = ? AND segment = ? ORDER BY 1"
        with self.server.sql() as connection:
            return [row[0] for row in connection.execute(query, (self.name, title))]

    async def do(self, operation: str, **arguments: Any) -> Any:
        """Do what an admin asks of the running server."""
        return await self.server.service.perform(decode({"do": operation, "with": arguments}))

    async def on_segment(self, operation: str, title: str, **arguments: Any) -> Any:
        return await self.do(f"segment.{operation}", name=title, client=self.name, **arguments)

    def seen(self) -> set[Code | Move]:
        """Give every move that the client's uploads made, and every code that one had or was warned with."""
        with self.server.sql() as connection:
            moves = seen_moves(connection, self.name)
            query = "SELECT json_extract(value, '$.code') FROM uploads, json_each(warnings) WHERE client = ?"
            warned = {Code(row[0]) for row in connection.execute(query, (self.name,))}
        return moves | warned

    def check_accounts(self) -> None:
        """Hold that no row was lost: rows = members + duplicates + rejected, in whatever state an upload is."""
        with self.server.sql() as connection:
            query = "SELECT filename, rows, members, duplicates, rejected FROM uploads WHERE client = ?"
            for filename, rows, members, duplicates, rejected in connection.execute(query, (self.name,)):
                assert (rows is None) == (members is None), filename
                assert rows is None or rows == members + duplicates + rejected, filename


def watch_moves(database: Path) -> None:
    """Have the database write down the moves of all uploads, in the transactions that make them."""
    with closing(sqlite3.connect(database, timeout=PATIENCE_S)) as connection, connection:
        connection.executescript(
            "CREATE TABLE IF NOT EXISTS seen_moves (client, old, new, code);"
            "CREATE TRIGGER IF NOT EXISTS see_moves AFTER UPDATE OF state ON uploads BEGIN"
            " INSERT INTO seen_moves VALUES (NEW.client, OLD.state, NEW.state, NEW.code); END;"
        )


def seen_moves(connection: sqlite3.Connection, client: str) -> set[Code | Move]:
    seen: set[Code | Move] = set()
    for old, new, code in connection.execute("SELECT old, new, code FROM seen_moves WHERE client = ?", (client,)):
        seen.add((State(old), State(new)))
        if code:
            seen.add(Code(code))
    return seen


@asynccontextmanager
async def running(folder: Path, **changes: Any) -> AsyncIterator[Server]:
    """Run a server in this folder; `changes` are settings, group by group."""
    groups: dict[str, Any] = {
        # A load that failed is tried again when a test says so.
        "ingest": {"retry_first_s": 3600, "retry_most_s": 3600},
        "sftp": {"host": "127.0.0.1", "port": 0, "drain_timeout_s": 0},
        "http": {"enabled": False, "port": 0},
    }
    for group, values in changes.items():
        groups[group] = groups.get(group, {}) | values
    settings = Settings(data_dir=folder / "data", keys_dir=folder / "keys", **groups)
    async with open_service(settings) as service:
        await asyncio.to_thread(watch_moves, settings.data_dir / "ctsftp.db")
        yield Server(service, settings, folder)


class Gate:
    """A pipe in the place of an upload's file: its load waits in `loading` until the test lets it read."""

    def __init__(self, place: Path) -> None:
        self._place = place
        self._content = place.read_bytes()
        pipe = place.with_name(f".{place.name}.pipe")
        os.mkfifo(pipe)
        pipe.rename(place)  # in one step: whoever looks finds the one or the other
        self._fd: int | None = None

    async def reached(self) -> None:
        """Wait until the load has opened the file."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                self._fd = await asyncio.to_thread(os.open, self._place, os.O_WRONLY)
        except TimeoutError:
            os.close(os.open(self._place, os.O_RDONLY | os.O_NONBLOCK))  # else the thread waits for ever
            raise

    def open(self) -> None:
        """Let the load read the file (it must fit into a pipe), and put the file back in its place."""
        assert self._fd is not None
        fd, self._fd = self._fd, None
        self._place.unlink()
        self._place.write_bytes(self._content)
        os.write(fd, self._content)
        os.close(fd)


@asynccontextmanager
async def locked(server: Server) -> AsyncIterator[None]:
    """Hold the database's write lock: what is pushed meanwhile is acknowledged, and not yet in the ledger."""
    with server.sql() as connection:
        # In a thread: the server's own transactions need this event loop to come to their end.
        await asyncio.to_thread(connection.execute, "BEGIN IMMEDIATE")
        try:
            yield
        finally:
            connection.execute("ROLLBACK")
