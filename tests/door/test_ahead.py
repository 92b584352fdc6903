"""What a client sends ahead of its answers: so much is kept, and forgotten when it is gone."""

import asyncio
from typing import Any

import asyncssh
import pytest
from asyncssh.constants import FXP_CLOSE, FXP_OPENDIR, FXP_STAT, FXP_WRITE
from asyncssh.packet import String, UInt64

from ctsftp.sftp import server
from ctsftp.sftp.asyncssh_seam import handler, stream

from ..sftp.raw import RawSftp
from ..sftp.room import GOLD, PATIENCE_S, Room
from .conftest import GoodSender

WRITE = String(bytes(32_000))


def kept_bytes(room: Room) -> int:
    """Count what waits for all sessions."""
    return sum(
        one._recv_buf_len + sum(len(data) for data, _ in one._channel._recv_buf)  # type: ignore[attr-defined]
        for one in room.server._sessions
    )


async def hold_answers(room: Room) -> None:
    for connection in room.server.connections:
        connection.ssh.answerable.clear()


async def test_what_a_client_sends_ahead_on_all_its_channels_is_bounded(
    room: Room, good_sender: GoodSender, strange_keys: list[asyncssh.SSHKey]
) -> None:
    """Two hundred channels could keep 4 MiB each."""
    await room.restart(max_connections_per_client=40)
    connections = [await room.connect() for _ in range(10)]
    channels = [await room.raw(one) for one in connections for _ in range(10)]
    await hold_answers(room)
    for raw in channels:
        for _ in range(100):
            raw.send(FXP_WRITE, String(b"none"), UInt64(0), WRITE)
    wide, narrow = server.WIDE_CHANNELS, len(channels) - server.WIDE_CHANNELS
    most = wide * server.WINDOW_BYTES + narrow * server.NARROW_WINDOW_BYTES + len(channels) * stream.AHEAD_BYTES
    async with asyncio.timeout(PATIENCE_S):
        while kept_bytes(room) < most * 3 // 4:  # noqa: ASYNC110  nothing tells of it
            await asyncio.sleep(0.01)
    assert kept_bytes(room) <= most + len(channels) * 65_536
    await good_sender.gets_a_file_in()


async def waiting(room: Room, raw: RawSftp, bytes_: int) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while kept_bytes(room) < bytes_:  # noqa: ASYNC110  nothing tells of it
            await asyncio.sleep(0.01)


async def test_what_only_looks_is_not_answered_to_a_client_that_is_gone(room: Room) -> None:
    """A server that was to stop went on with them for minutes."""
    connection = await room.connect()
    raw = await room.raw(connection)
    await hold_answers(room)
    for _ in range(10_000):
        raw.send(FXP_STAT, String("/"))
    await waiting(room, raw, 100_000)
    (found,) = room.server._sessions
    connection.abort()
    await room.sessions_ended()
    assert found.requests < 10


@pytest.mark.parametrize("looks", [1, 10])
async def test_what_a_client_wrote_and_closed_before_it_was_gone_lands(room: Room, looks: int) -> None:
    connection = await room.connect()
    raw = await room.raw(connection)
    handle = String(await raw.create(GOLD))
    await hold_answers(room)
    data = b"CTUserID\n" + b"1234567\n" * 1000
    for _ in range(looks):
        raw.send(FXP_STAT, String("/"))
    raw.send(FXP_WRITE, handle, UInt64(0), String(data))
    raw.send(FXP_CLOSE, handle)
    await waiting(room, raw, len(data))
    connection.abort()
    assert (await room.landed.one()).path.read_bytes() == data


async def test_of_what_a_client_that_is_gone_sent_so_much_is_worked_off(room: Room) -> None:
    connection = await room.connect()
    raw = await room.raw(connection)
    handle = String(await raw.create(GOLD))
    await hold_answers(room)
    for offset in range(handler.LAST_REQUESTS * 3):
        raw.send(FXP_WRITE, handle, UInt64(offset), String(b"x"))
    await waiting(room, raw, handler.LAST_REQUESTS * 3 * 25)
    connection.abort()
    await room.sessions_ended()
    assert 0 < len(room.partial(GOLD)) <= handler.LAST_REQUESTS + 1


async def test_listings_that_wait_for_one_another_are_not_made_for_a_client_that_is_gone(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed: list[Any] = []
    names = room.disk.names
    connections = [await room.connect() for _ in range(5)]
    channels = [await room.raw(one) for one in connections]
    monkeypatch.setattr(room.disk, "names", lambda path: listed.append(path) or names(path))
    gate = room.disk.hold("names")
    for raw in channels:
        raw.send(FXP_OPENDIR, String("/"))
    await gate.reached()
    for connection in connections:
        connection.abort()
    await room.disconnected()
    room.disk.gates.clear()
    gate.open()
    await room.sessions_ended(5)
    assert [place.name for place in listed].count("home") == 1
