"""An SFTP client that says one packet at a time, good or bad, over a channel of asyncssh's client.

draft-ietf-secsh-filexfer-02 (version 3): length, type, request id, fields; strings have their length in front.
"""

import asyncio
from dataclasses import dataclass

import asyncssh
from asyncssh.constants import (
    FXF_CREAT,
    FXF_READ,
    FXF_TRUNC,
    FXF_WRITE,
    FXP_CLOSE,
    FXP_HANDLE,
    FXP_INIT,
    FXP_OPEN,
    FXP_STATUS,
    FXP_VERSION,
    FXP_WRITE,
)
from asyncssh.packet import Byte, SSHPacket, String, UInt32, UInt64

PATIENCE_S = 20.0
NO_ATTRS = UInt32(0)
INIT = UInt32(3)


@dataclass
class Answer:
    """An answer: its type, the request's number, its fields."""

    kind: int
    number: int
    packet: SSHPacket

    def status(self) -> tuple[int, str]:
        assert self.kind == FXP_STATUS, f"answered with type {self.kind}"
        return self.packet.get_uint32(), self.packet.get_string().decode()

    def handle(self) -> bytes:
        assert self.kind == FXP_HANDLE, self.status()
        return self.packet.get_string()


class RawSftp:
    """One channel; requests are numbered 0, 1, 2, ..."""

    def __init__(self, channel: asyncssh.SSHClientChannel[bytes], writer: asyncssh.SSHWriter[bytes]) -> None:
        self.channel = channel
        self.extensions: dict[bytes, bytes] = {}
        self.reader: asyncssh.SSHReader[bytes]
        self._writer = writer
        self._next = 0

    @classmethod
    async def open(
        cls, connection: asyncssh.SSHClientConnection, *, init: bytes = INIT, **options: object
    ) -> "RawSftp":
        """Ask for the sftp subsystem and for version 3, which is what any INIT is to be answered with."""
        writer, reader, _ = await connection.open_session(subsystem="sftp", encoding=None, **options)
        raw = cls(writer.channel, writer)
        raw.reader = reader
        raw.send_bytes(Byte(FXP_INIT) + init)
        packet = await raw._packet()
        assert packet.get_byte() == FXP_VERSION
        assert packet.get_uint32() == 3
        while packet:
            name = packet.get_string()
            raw.extensions[name] = packet.get_string()
        return raw

    def send_bytes(self, payload: bytes) -> None:
        """Send a packet as it is, with its length in front."""
        self._writer.write(String(payload))

    def send(self, kind: int, *fields: bytes) -> int:
        """Send a request and return its number."""
        number, self._next = self._next, self._next + 1
        self.send_bytes(Byte(kind) + UInt32(number) + b"".join(fields))
        return number

    async def answer(self) -> Answer:
        """Wait for the next answer."""
        packet = await self._packet()
        return Answer(packet.get_byte(), packet.get_uint32(), packet)

    async def ask(self, kind: int, *fields: bytes) -> Answer:
        """Send a request and wait for its answer."""
        number = self.send(kind, *fields)
        answer = await self.answer()
        assert answer.number == number
        return answer

    async def create(self, path: str | bytes, flags: int = FXF_WRITE | FXF_CREAT | FXF_TRUNC) -> bytes:
        """Open a file for writing and return its handle."""
        return (await self.ask(FXP_OPEN, String(path), UInt32(flags), NO_ATTRS)).handle()

    async def read_handle(self, path: str | bytes) -> bytes:
        """Open a file for reading and return its handle."""
        return await self.create(path, FXF_READ)

    async def write(self, handle: bytes, offset: int, data: bytes) -> tuple[int, str]:
        return (await self.ask(FXP_WRITE, String(handle), UInt64(offset), String(data))).status()

    async def close(self, handle: bytes) -> tuple[int, str]:
        return (await self.ask(FXP_CLOSE, String(handle))).status()

    async def _packet(self) -> SSHPacket:
        async with asyncio.timeout(PATIENCE_S):
            length = int.from_bytes(await self.reader.readexactly(4), "big")
            return SSHPacket(await self.reader.readexactly(length))
