import asyncio
import shutil
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from ctsftp.demo.connect import ExportFile
from ctsftp.demo.push import Program, PushResult, push
from ctsftp.errors import UsageError

FILE = ExportFile("VIP_20260131_0905.csv", b"CTUserID\n" + b"101\n" * 100_000)
ADVICE = "The file is UTF-16. Set Character Set: UTF-8."

needs_sftp = pytest.mark.skipif(shutil.which("sftp") is None, reason="no stock sftp here")
each_program = pytest.mark.parametrize("program", [pytest.param("sftp", marks=needs_sftp), "asyncssh"])


@dataclass
class Served:
    """A plain SFTP server on a folder, what it saw, and how it is to answer."""

    home: Path
    address: dict[str, Any]
    renames: list[tuple[bytes, bytes]] = field(default_factory=list)
    refuse: str = ""

    async def push(self, file: ExportFile = FILE, **options: Any) -> PushResult:
        return await push(file, **{**self.address, **options})

    @property
    def files(self) -> dict[str, bytes]:
        return {str(path.relative_to(self.home)): path.read_bytes() for path in self.home.rglob("*") if path.is_file()}


def sftp_server(served: Served) -> Callable[[asyncssh.SSHServerChannel[bytes]], asyncssh.SFTPServer]:
    class Server(asyncssh.SFTPServer):
        def __init__(self, chan: asyncssh.SSHServerChannel[bytes]) -> None:
            super().__init__(chan, chroot=str(served.home).encode())

        def write(self, file_obj: object, offset: int, data: bytes) -> int:
            if served.refuse == "write":
                raise asyncssh.SFTPFailure(ADVICE)
            return super().write(file_obj, offset, data)  # type: ignore[return-value]

        def close(self, file_obj: object) -> None:
            super().close(file_obj)
            if served.refuse:
                raise asyncssh.SFTPFailure(ADVICE if served.refuse == "close" else "The file has holes.")

        def posix_rename(self, oldpath: bytes, newpath: bytes) -> None:
            served.renames.append((oldpath, newpath))
            super().posix_rename(oldpath, newpath)

    return Server


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    host_key, user_key = (asyncssh.generate_private_key("ssh-ed25519") for _ in range(2))
    key_path = tmp_path / "id with space"
    key_path.touch(mode=0o600)
    key_path.write_bytes(user_key.export_private_key())
    (tmp_path / "home" / "in").mkdir(parents=True)
    served = Served(tmp_path / "home", {"host": "127.0.0.1", "username": "acme", "key_path": key_path})
    served.address["host_key"] = host_key.export_public_key().decode()
    authorized = asyncssh.import_authorized_keys(user_key.export_public_key().decode())
    async with asyncssh.listen(
        "127.0.0.1", 0, server_host_keys=[host_key], authorized_client_keys=authorized, sftp_factory=sftp_server(served)
    ) as listener:
        served.address["port"] = listener.get_port()
        yield served


@each_program
async def test_a_file_arrives_under_its_name_with_its_bytes(served: Served, program: Program) -> None:
    result = await served.push(program=program)

    assert result.ok, result.output
    assert (result.program, result.message) == (program, "")
    assert served.files == {FILE.filename: FILE.data}


@each_program
async def test_a_file_without_bytes_arrives(served: Served, program: Program) -> None:
    result = await served.push(ExportFile("empty_20260131_0905.csv", b""), program=program)

    assert result.ok, result.output
    assert served.files == {"empty_20260131_0905.csv": b""}


@each_program
async def test_a_file_goes_to_the_directory(served: Served, program: Program) -> None:
    await served.push(directory="/in", program=program)

    assert served.files == {f"in/{FILE.filename}": FILE.data}


@each_program
@pytest.mark.parametrize(
    "name",
    [
        *("spaces  in it", 'a "quoted" one', "'; drop table", "100 % [a]*?", "#1 $HOME !ls", "-r", "~"),
        *("a\\b", "a\\\\b", 'a\\"b', "a\\*b", "ends in \\"),
        *("東京 العربية \u200f", "tab\tand\rreturn", "é" * 123),
    ],
)
async def test_a_name_arrives_as_it_is(served: Served, program: Program, name: str) -> None:
    result = await served.push(ExportFile(name, b"x"), program=program)

    assert result.ok, result.output
    assert served.files == {name: b"x"}


@each_program
async def test_a_temporary_name_is_renamed_at_the_end(served: Served, program: Program) -> None:
    name = 'VIP "A" *.csv'
    result = await served.push(ExportFile(name, b"x"), temporary_name=True, program=program)

    assert result.ok, result.output
    assert served.renames == [(f"/{name}.filepart".encode(), f"/{name}".encode())]
    assert served.files == {name: b"x"}


@each_program
async def test_a_close_that_is_refused_fails_the_push(served: Served, program: Program) -> None:
    served.refuse = "close"
    result = await served.push(program=program)

    assert not result.ok
    assert result.output
    assert result.message == (ADVICE if program == "asyncssh" else "")


@each_program
async def test_after_a_refused_close_nothing_is_renamed(served: Served, program: Program) -> None:
    served.refuse = "close"
    result = await served.push(temporary_name=True, program=program)

    assert not result.ok
    assert served.renames == []


async def test_a_refused_write_is_told_rather_than_the_close_that_fails_after_it(served: Served) -> None:
    served.refuse = "write"
    result = await served.push(program="asyncssh")

    assert (result.ok, result.message) == (False, ADVICE)
    assert ADVICE in result.output


@each_program
async def test_a_folder_that_is_not_there_is_told(served: Served, program: Program) -> None:
    result = await served.push(directory="/nowhere", program=program)

    assert not result.ok
    assert "No such file" in result.output


@each_program
async def test_a_server_with_another_host_key_gets_no_byte(served: Served, program: Program) -> None:
    other = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    result = await served.push(host_key=other, program=program)

    assert not result.ok
    assert "host key" in result.output.lower()
    assert served.files == {}


@each_program
async def test_a_key_that_the_server_does_not_know_is_refused(served: Served, program: Program, tmp_path: Path) -> None:
    stranger = tmp_path / "stranger"
    stranger.touch(mode=0o600)
    stranger.write_bytes(asyncssh.generate_private_key("ssh-ed25519").export_private_key())
    result = await served.push(key_path=stranger, program=program)

    assert not result.ok
    assert "Permission denied" in result.output


@each_program
async def test_a_port_where_nothing_listens_is_a_result(served: Served, program: Program, unused_tcp_port: int) -> None:
    result = await served.push(port=unused_tcp_port, program=program)

    assert not result.ok
    assert "refused" in result.output.lower()


@needs_sftp
@pytest.mark.parametrize("name", ["VIP\n!touch hacked\n.csv", "nul\0", "x" * 2_000, '"' * 1_000])
async def test_a_name_that_would_begin_a_command_of_its_own_is_refused(served: Served, name: str) -> None:
    with pytest.raises(UsageError, match="batch"):
        await served.push(ExportFile(name, b"x"), program="sftp")

    assert served.files == {}


async def test_without_a_stock_sftp_the_client_of_asyncssh_pushes(
    served: Served, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    result = await served.push()

    assert (result.ok, result.program) == (True, "asyncssh")
    assert served.files == {FILE.filename: FILE.data}


@needs_sftp
async def test_a_push_that_is_cancelled_ends_its_client_and_the_ssh_below(tmp_path: Path) -> None:
    connected, gone = asyncio.Event(), asyncio.Event()

    async def never_answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connected.set()
        await reader.read()
        writer.close()
        gone.set()

    async with await asyncio.start_server(never_answer, "127.0.0.1", 0) as server, asyncio.timeout(10):
        port = server.sockets[0].getsockname()[1]
        login: dict[str, Any] = {"username": "acme", "key_path": tmp_path / "none", "host_key": "ssh-ed25519 AAAA"}
        pushing = asyncio.create_task(push(FILE, host="127.0.0.1", port=port, program="sftp", **login))
        await connected.wait()
        pushing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await pushing
        await gone.wait()
