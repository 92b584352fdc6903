"""What an attacker does: connections from addresses of its choice, and an SSH handshake said packet by packet."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import asyncssh
from asyncssh.constants import MSG_DISCONNECT, MSG_IGNORE, MSG_KEXINIT
from asyncssh.packet import Boolean, Byte, NameList, SSHPacket, String, UInt32

from ..sftp.room import ACME, PATIENCE_S, Room

ADDRESS = "127.0.0.2"
STRICT = b"kex-strict-c-v00@openssh.com"
IGNORE = Byte(MSG_IGNORE) + String(b"injected")


class Attacker:
    """Opens many connections to a room's server; all of 127.0.0.0/8 is on this machine."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self._open: list[RawSsh] = []

    async def connect(self, address: str = ADDRESS) -> "RawSsh":
        """Open one connection and say nothing."""
        sock = socket.socket()
        sock.bind((address, 0))
        sock.setblocking(False)  # noqa: FBT003
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", self._room.server.port))
        reader, writer = await asyncio.open_connection(sock=sock)
        self._open.append(RawSsh(reader, writer))
        return self._open[-1]

    def leave(self) -> None:
        """Close whatever is open."""
        for one in self._open:
            one.close()

    async def flood(self, count: int, addresses: list[str]) -> list["RawSsh"]:
        """Open so many connections, from all the addresses in turn, and say nothing on any."""
        return [await self.connect(addresses[number % len(addresses)]) for number in range(count)]

    async def log_in(self, address: str = ADDRESS, **options: Any) -> asyncssh.SSHClientConnection:
        """Try to sign in."""
        return await self._room.connect(local_addr=(address, 0), **options)

    async def fails_to_log_in(self, address: str = ADDRESS, **options: Any) -> str:
        """Try to sign in, be refused, and return the reason."""
        try:
            connection = await self.log_in(address, **options)
        except (asyncssh.DisconnectError, OSError) as exc:
            await self._room.disconnected()
            return str(exc)
        connection.abort()
        raise AssertionError(f"{options.get('username', ACME)} signed in from {address}")


class RawSsh:
    """One connection, before encryption."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    def say(self, data: bytes) -> None:
        """Send bytes as they are."""
        with suppress(OSError):
            self._writer.write(data)

    def send(self, payload: bytes) -> None:
        """Send a packet, not encrypted."""
        self.say(self.packet(payload))

    @staticmethod
    def packet(payload: bytes) -> bytes:
        """Write a packet (RFC 4253, section 6)."""
        padding = 8 - (5 + len(payload)) % 8
        padding += 8 if padding < 4 else 0
        return UInt32(1 + len(payload) + padding) + Byte(padding) + payload + os.urandom(padding)

    def stop_reading(self) -> None:
        """Take nothing more from the server."""
        self._writer.transport.pause_reading()  # type: ignore[attr-defined]

    async def say_for_ever(self, data: bytes) -> None:
        """Send the same again and again, as fast as the server takes it."""
        while True:
            self._writer.write(data)
            await self._writer.drain()

    async def line(self) -> bytes:
        """Read the first line; nothing at the end."""
        async with asyncio.timeout(PATIENCE_S):
            return await self._reader.readline()

    async def payload(self) -> SSHPacket:
        """Read a packet; its type comes first."""
        async with asyncio.timeout(PATIENCE_S):
            length = int.from_bytes(await self._reader.readexactly(4), "big")
            body = await self._reader.readexactly(length)
        return SSHPacket(body[1 : -body[0]])

    async def reason_of_the_end(self) -> str | None:
        """Read up to the end; return what the server's DISCONNECT says, or None if it said none."""
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                packet = await self.payload()
                if packet.get_byte() == MSG_DISCONNECT:
                    packet.get_uint32()
                    return packet.get_string().decode()
        return None

    async def ends(self) -> None:
        """Wait until the server closes the connection."""
        with suppress(ConnectionError):
            async with asyncio.timeout(PATIENCE_S):
                await self._reader.read()

    def close(self) -> None:
        self._writer.transport.abort()


def kexinit(*, strict: bool) -> bytes:
    """A client's KEXINIT (RFC 4253, section 7.1) that fits the server."""
    lists = [
        [b"curve25519-sha256", *([STRICT] if strict else [])],
        [b"ssh-ed25519"],
        *([[b"aes128-ctr"]] * 2),
        *([[b"hmac-sha2-256"]] * 2),
        *([[b"none"]] * 2),
        [],
        [],
    ]
    return Byte(MSG_KEXINIT) + os.urandom(16) + b"".join(map(NameList, lists)) + Boolean(value=False) + UInt32(0)


@asynccontextmanager
async def slow_line(to_port: int, *, bytes_per_s: float, delay_s: float) -> AsyncIterator[int]:
    """Pass connections on to a port, so many bytes a second each way and so much later."""

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        loop = asyncio.get_running_loop()
        with suppress(OSError):
            while data := await reader.read(1024):
                loop.call_later(delay_s, writer.write, data)
                await asyncio.sleep(len(data) / bytes_per_s)
        await asyncio.sleep(delay_s)
        writer.close()

    async def arrived(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        passing.append(asyncio.current_task())
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", to_port)
        await asyncio.gather(pass_on(reader, far_writer), pass_on(far_reader, writer))

    passing: list[Any] = []
    server = await asyncio.start_server(arrived, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await asyncio.gather(*passing)
