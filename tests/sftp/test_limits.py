"""What one client asks for, or leaves lying, is bounded, so that it costs the others nothing."""

import asyncio
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import asyncssh
import pytest
from asyncssh.constants import (
    FILEXFER_ATTR_SIZE,
    FX_EOF,
    FX_FAILURE,
    FX_OK,
    FX_PERMISSION_DENIED,
    FXF_CREAT,
    FXF_READ,
    FXF_WRITE,
    FXP_DATA,
    FXP_EXTENDED,
    FXP_FSETSTAT,
    FXP_NAME,
    FXP_OPEN,
    FXP_OPENDIR,
    FXP_READ,
    FXP_READDIR,
)
from asyncssh.packet import String, UInt32, UInt64

from ctsftp.contract.codes import Code, Fault
from ctsftp.sftp.fairness import REQUESTS_A_TURN
from ctsftp.sftp.receipts import ReceiptFile
from ctsftp.sftp.session import Session

from .raw import NO_ATTRS, PATIENCE_S, Answer, RawSftp
from .room import ACME, GOLD, Room, public_half

SILVER = "Silver_20261101_0001.csv"
LIST = b"CTUserID\n1\n2\n3\n"
OTHER_LIST = b"CTUserID\n4\n5\n"
NO_COLUMN = Fault(Code.NO_ID_COLUMN, "No column is called CTUserID: add it to the export's columns.")
OK = (FX_OK, "")
READ_BYTES = 256 * 1024
SOCKET_BYTES = 64 * 1024


async def with_reads_waiting(room: Room, connection: asyncssh.SSHClientConnection, *, window: int) -> RawSftp:
    """A channel on which 60 READs, 15 MiB, were sent and no answer is taken; the server had the time for all."""
    await room.landed_put(GOLD, b"x" * READ_BYTES)
    raw = await RawSftp.open(connection, window=window)
    handle = await raw.read_handle(GOLD)
    if window > READ_BYTES:
        connection._transport.pause_reading()
    for _ in range(60):
        raw.send(FXP_READ, String(handle), UInt64(0), UInt32(READ_BYTES))
    for _ in range(3):
        await (await room.sftp()).stat("/")
    assert room.disk.reads
    return raw


async def assert_all_is_answered(raw: RawSftp) -> None:
    for _ in range(60):
        answer = await raw.answer()
        assert answer.kind == FXP_DATA
        assert len(answer.packet.get_string()) == READ_BYTES


async def slow_socket(room: Room) -> socket.socket:
    """A connection that takes little more than it reads."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SOCKET_BYTES)
    sock.settimeout(0)
    await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", room.server.port))
    return sock


async def test_a_client_that_leaves_no_window_for_answers_is_not_read_from(room: Room) -> None:
    raw = await with_reads_waiting(room, await room.connect(), window=READ_BYTES)
    assert room.disk.reads < 5
    await assert_all_is_answered(raw)


async def test_a_client_that_does_not_read_its_socket_is_not_read_from(room: Room) -> None:
    connection = await room.connect(sock=await slow_socket(room))
    raw = await with_reads_waiting(room, connection, window=1 << 30)
    assert room.disk.reads < 40  # the kernel took some MiB
    connection._transport.resume_reading()
    await assert_all_is_answered(raw)


@pytest.mark.parametrize("window", [READ_BYTES, 1 << 30], ids=["no window", "a full socket"])
async def test_a_client_that_takes_no_answers_leaves_nothing_behind_when_it_goes(room: Room, window: int) -> None:
    connection = await room.connect(sock=await slow_socket(room))
    await with_reads_waiting(room, connection, window=window)
    connection.abort()
    await room.sessions_ended(2)
    assert room.nothing_left_open()


async def test_a_session_with_many_requests_at_once_lets_others_have_their_turn(room: Room) -> None:
    connection = await room.connect()
    raw = await room.raw(connection)
    gate = room.disk.hold("names")
    raw.send(FXP_OPENDIR, String("/"))
    await gate.reached()
    for _ in range(500):
        raw.send(FXP_READ, String(b"no handle"), UInt64(0), UInt32(1))
    await room.raw(connection)  # the requests came before this
    room.disk.gates.clear()
    longest = most_answers_in_a_turn(next(iter(room.server._sessions)))
    gate.open()
    for _ in range(501):
        await raw.answer()
    assert 0 < longest() <= REQUESTS_A_TURN


def most_answers_in_a_turn(session: Session) -> Callable[[], int]:
    """Count how many answers a session sends before any other task can run."""
    loop, send = asyncio.get_running_loop(), session._channel.write
    counts = [0]

    def write(*args: Any) -> None:
        if not counts[-1]:
            loop.call_soon(counts.append, 0)
        counts[-1] += 1
        send(*args)

    session._channel.write = write  # type: ignore[method-assign]
    return lambda: max(counts)


async def test_variables_that_a_client_sets_are_not_kept(room: Room) -> None:
    await RawSftp.open(await room.connect(), env={"LANG": "C", "LD_PRELOAD": "x" * 1000})
    (session,) = room.server._sessions
    assert session._channel.get_environment() == {}


async def test_of_many_signals_to_a_busy_session_one_is_kept(room: Room) -> None:
    connection = await room.connect()
    raw = await room.raw(connection)
    gate = room.disk.hold("names")
    raw.send(FXP_OPENDIR, String("/"))
    await gate.reached()
    for _ in range(100):
        raw.channel.send_signal("TERM")
    await room.raw(connection)  # the signals came before this
    session = next(iter(room.server._sessions))
    assert len(session._recv_buf[None]) == 1
    gate.open()
    await room.sessions_ended()


# Reading.


async def test_a_read_is_answered_with_no_more_than_the_limit(room: Room) -> None:
    await room.restart(max_read_bytes=1024)
    await room.landed_put(GOLD, LIST * 1000)
    raw = await room.raw()
    handle = await raw.read_handle(GOLD)
    answer = await raw.ask(FXP_READ, String(handle), UInt64(0), UInt32(0xFFFFFFFF))
    assert answer.kind == FXP_DATA
    assert answer.packet.get_string() == (LIST * 1000)[:1024]
    assert await raw.close(handle) == OK


@pytest.mark.parametrize("offset", [1 << 20, 1 << 63, (1 << 64) - 1])
async def test_a_read_behind_the_end_is_the_end_of_the_file(room: Room, offset: int) -> None:
    await room.landed_put(GOLD, LIST)
    raw = await room.raw()
    handle = await raw.read_handle(GOLD)
    assert (await raw.ask(FXP_READ, String(handle), UInt64(offset), UInt32(100))).status()[0] == FX_EOF


async def test_a_file_that_is_open_for_reading_cannot_be_written(room: Room) -> None:
    await room.landed_put(GOLD, LIST)
    raw = await room.raw()
    handle = await raw.read_handle(GOLD)
    size = UInt32(FILEXFER_ATTR_SIZE) + UInt64(0)
    assert (await raw.write(handle, 0, b"x"))[0] == FX_PERMISSION_DENIED
    assert (await raw.ask(FXP_FSETSTAT, String(handle), size)).status()[0] == FX_PERMISSION_DENIED
    assert await raw.close(handle) == OK
    assert room.home(GOLD) == LIST
    assert len(room.landed.all) == 1


# Limits.


async def test_a_session_has_so_many_handles_files_and_folders_together(room: Room) -> None:
    await room.restart(max_open_handles=3)
    await room.landed_put(GOLD, LIST)
    raw = await room.raw()
    opening = (
        (FXP_OPENDIR, String("/")),
        (FXP_OPEN, String(GOLD), UInt32(FXF_READ), NO_ATTRS),
        (FXP_OPEN, String(SILVER), UInt32(FXF_WRITE | FXF_CREAT), NO_ATTRS),
    )
    handles = [(await raw.ask(*request)).handle() for request in opening]
    for request in opening:
        code, reason = (await raw.ask(*request)).status()
        assert code == FX_FAILURE
        assert "3 open handles" in reason
    for handle in handles:
        assert await raw.close(handle) == OK
    assert (await raw.ask(*opening[0])).handle()


async def test_a_connection_has_so_many_channels(room: Room) -> None:
    await room.restart(max_channels=2)
    connection = await room.connect()
    first = await room.raw(connection)
    await room.raw(connection)
    with pytest.raises(asyncssh.ChannelOpenError):
        await room.raw(connection)
    first.channel.close()
    await room.sessions_ended()
    await room.raw(connection)


async def test_a_channel_that_never_asked_for_sftp_counts_no_longer_than_it_lives(room: Room) -> None:
    await room.restart(max_channels=1)
    connection = await room.connect()
    for count in (1, 2):
        with pytest.raises(asyncssh.ChannelOpenError, match="Session request failed"):
            await connection.create_process(subsystem="shell")
        await room.sessions_ended(count)
    await room.raw(connection)
    assert len(room.server._sessions) == 1


async def test_a_file_larger_than_the_limit_is_refused_while_it_is_written(room: Room) -> None:
    await room.restart(max_file_size_bytes=len(LIST))
    raw = await room.raw()
    handle = await raw.create(GOLD)
    assert await raw.write(handle, 0, LIST) == OK
    code, reason = await raw.write(handle, len(LIST), b"4")
    assert code == FX_FAILURE
    assert f"limit of {len(LIST)} bytes" in reason
    assert await raw.close(handle) == (FX_FAILURE, reason)
    assert room.landed.all == []
    size = UInt32(FILEXFER_ATTR_SIZE) + UInt64(1 << 40)
    handle = await raw.create(SILVER)
    assert (await raw.ask(FXP_FSETSTAT, String(handle), size)).status()[0] == FX_FAILURE


async def test_a_client_may_have_a_limit_of_its_own_below_the_servers(room: Room) -> None:
    (room.clients.folder / ACME / "client.toml").write_text(f"max_file_size_bytes = {len(LIST) - 1}\n")
    raw = await room.raw()
    assert (await raw.write(await raw.create(GOLD), 0, LIST))[0] == FX_FAILURE


async def test_open_listings_of_a_client_take_so_much_memory_together(room: Room) -> None:
    """Before, each kept 25 MB for a folder of 100,000 files, and a client could have 5,120 of them open."""
    await room.restart(max_view_bytes_per_client=1 << 20)
    await (await room.sftp()).stat("/")
    for number in range(3_000):
        (room.folder / "spool" / ACME / "home" / f"{number}").mkdir()
    first, second = await room.raw(), await room.raw()
    handle = (await first.ask(FXP_OPENDIR, String("/"))).handle()
    assert_too_much(await second.ask(FXP_OPENDIR, String("/")))
    assert await first.close(handle) == OK
    left_open = (await second.ask(FXP_OPENDIR, String("/"))).handle()
    assert_too_much(await first.ask(FXP_OPENDIR, String("/")))
    while (await second.ask(FXP_READDIR, String(left_open))).kind == FXP_NAME:
        pass
    handle = (await first.ask(FXP_OPENDIR, String("/"))).handle()
    first.channel.abort()
    await room.sessions_ended()
    assert await second.close(left_open) == OK
    assert len(await (await room.sftp()).listdir("/")) == 3_001


async def test_open_receipts_of_a_client_take_so_much_memory_together(room: Room) -> None:
    await room.restart(max_view_bytes_per_client=1 << 20)
    room.receipts[ACME] = [ReceiptFile("a.txt", b"x" * 600_000, 0)]
    first, second = await room.raw(), await room.raw()
    handle = await first.read_handle("/receipts/a.txt")
    assert_too_much(await open_receipt(second))
    assert await first.close(handle) == OK
    await second.read_handle("/receipts/a.txt")
    assert_too_much(await open_receipt(first))
    second.channel.abort()
    await room.sessions_ended()
    await first.read_handle("/receipts/a.txt")


async def open_receipt(raw: RawSftp) -> Answer:
    return await raw.ask(FXP_OPEN, String("/receipts/a.txt"), UInt32(FXF_READ), NO_ATTRS)


def assert_too_much(answer: Answer) -> None:
    code, reason = answer.status()
    assert code == FX_FAILURE
    assert "max_view_bytes_per_client" in reason


async def test_a_client_that_waits_for_the_disk_leaves_threads_to_the_others(room: Room) -> None:
    """Before, who opened enough large files to be written on had them all copied, and all threads for it."""
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(2))
    await room.restart(max_threads_per_client=1)
    room.clients.add("other", [public_half(room.user_key)])
    connection = await room.connect()
    busy = [await room.raw(connection) for _ in range(3)]
    handles = [await raw.create(f"{number}.csv") for number, raw in enumerate(busy)]
    gate = room.disk.hold("fsync")
    for raw, handle in zip(busy, handles, strict=True):
        raw.send(FXP_EXTENDED, String("fsync@openssh.com"), String(handle))
    await gate.reached()
    async with asyncio.timeout(PATIENCE_S):
        other = await (await room.connect(username="other")).start_sftp_client()
        assert await other.listdir("/") == ["receipts"]
    gate.open()
    for raw in busy:
        assert (await raw.answer()).status() == OK
