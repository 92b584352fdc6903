"""Single strange packets of a client that has signed in: each is refused, or ends its session; nobody notices."""

from typing import TYPE_CHECKING

import pytest
from asyncssh.constants import (
    FXP_EXTENDED,
    FXP_INIT,
    FXP_LSTAT,
    FXP_OPEN,
    FXP_READ,
    FXP_READDIR,
    FXP_SETSTAT,
    FXP_WRITE,
    MSG_CHANNEL_EXTENDED_DATA,
    MSG_CHANNEL_OPEN_CONFIRMATION,
    MSG_CHANNEL_WINDOW_ADJUST,
    MSG_REQUEST_SUCCESS,
    MSG_USERAUTH_REQUEST,
)
from asyncssh.packet import Byte, String, UInt32, UInt64

from ..sftp.room import GOLD, Room
from .conftest import GoodSender

if TYPE_CHECKING:
    import asyncssh

MOST32, MOST64 = UInt32((1 << 32) - 1), UInt64((1 << 64) - 1)
NUMBER = UInt32(7)

REQUESTS = {
    "nothing": b"",
    "a type alone": Byte(FXP_READ),
    "a second beginning": Byte(FXP_INIT) + UInt32(3),
    "a handle longer than the packet": Byte(FXP_READ) + NUMBER + MOST32,
    "an unknown extension": Byte(FXP_EXTENDED) + NUMBER + String("x" * 200_000),
    "a path that climbs": Byte(FXP_LSTAT) + NUMBER + String("../" * 60_000),
    "a path of NULs": Byte(FXP_LSTAT) + NUMBER + String(b"\0" * 1000),
    "attributes without an end": Byte(FXP_OPEN) + NUMBER + String("x") + UInt32(0x1A) + MOST32 + MOST64,
    "a size beyond all": Byte(FXP_SETSTAT) + NUMBER + String(GOLD) + UInt32(1) + MOST64,
    "a type that nobody knows": Byte(99) + NUMBER + b"x" * 100,
}
PACKETS = {
    "an answer to nothing": (MSG_REQUEST_SUCCESS, b""),
    "a channel that was not asked for": (MSG_CHANNEL_OPEN_CONFIRMATION, NUMBER + NUMBER + MOST32 + MOST32),
    "a second login": (MSG_USERAUTH_REQUEST, String("root") + String("ssh-connection") + String("none")),
}
ON_CHANNEL = {
    "errors of a program": (MSG_CHANNEL_EXTENDED_DATA, UInt32(1) + String("x")),
    "more window than there is": (MSG_CHANNEL_WINDOW_ADJUST, MOST32),
}


async def nothing_came_of_it(room: Room, good_sender: GoodSender, peer: "asyncssh.SSHClientConnection") -> None:
    await good_sender.gets_a_file_in()
    peer.abort()
    await room.disconnected()
    assert room.errors() == []
    assert room.nothing_left_open()


@pytest.mark.parametrize("request_", REQUESTS.values(), ids=REQUESTS)
@pytest.mark.parametrize("leaves", [False, True], ids=["stays", "leaves at once"])
async def test_a_strange_request(room: Room, good_sender: GoodSender, request_: bytes, leaves: bool) -> None:  # noqa: FBT001
    peer = await room.connect()
    raw = await room.raw(peer)
    if leaves:
        (connection,) = room.server.connections
        connection.ssh.answerable.clear()
    raw.channel.write(String(request_) * 3)
    await nothing_came_of_it(room, good_sender, peer)


async def test_handles_of_the_other_kind(room: Room, good_sender: GoodSender) -> None:
    await room.landed_put(GOLD, b"CTUserID\n1\n")
    peer = await room.connect()
    raw = await room.raw(peer)
    handle = String(await raw.read_handle(GOLD))
    assert (await raw.ask(FXP_READDIR, handle)).status()[0] != 0
    assert (await raw.ask(FXP_WRITE, handle, UInt64(0), String("x"))).status()[0] != 0
    assert (await raw.ask(FXP_READ, handle, MOST64, MOST32)).status()[0] != 0
    await nothing_came_of_it(room, good_sender, peer)


@pytest.mark.parametrize(("kind", "body"), PACKETS.values(), ids=PACKETS)
async def test_a_strange_packet(room: Room, good_sender: GoodSender, kind: int, body: bytes) -> None:
    peer = await room.connect()
    await room.raw(peer)
    peer.send_packet(kind, body)
    await nothing_came_of_it(room, good_sender, peer)


@pytest.mark.parametrize(("kind", "body"), ON_CHANNEL.values(), ids=ON_CHANNEL)
async def test_a_strange_packet_on_a_channel(room: Room, good_sender: GoodSender, kind: int, body: bytes) -> None:
    peer = await room.connect()
    raw = await room.raw(peer)
    raw.channel.send_packet(kind, body)
    await nothing_came_of_it(room, good_sender, peer)
