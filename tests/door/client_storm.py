"""A client that turned bad, in a process of its own: `python -m tests.door.client_storm PORT KEY KIND NUMBER SECONDS`.

It signs in as `evil` from 127.NUMBER.0.1 on all connections that it may have, with all channels, and floods each. It
says so when it begins.
"""

import asyncio
import logging
import sys
from contextlib import suppress

import asyncssh
from asyncssh.constants import (
    FXF_CREAT,
    FXF_WRITE,
    FXP_CLOSE,
    FXP_OPEN,
    FXP_OPENDIR,
    FXP_READ,
    FXP_READDIR,
    FXP_STAT,
    FXP_WRITE,
    MSG_CHANNEL_FAILURE,
    MSG_CHANNEL_SUCCESS,
    MSG_KEXINIT,
    MSG_REQUEST_FAILURE,
    MSG_REQUEST_SUCCESS,
    MSG_UNIMPLEMENTED,
)
from asyncssh.packet import String, UInt32, UInt64

from ..sftp.raw import NO_ATTRS, RawSftp
from .floods import CHANNEL_OPENED, CLIENTS, begin_key_exchange, say_no_ignore, take_any

CONNECTIONS, CHANNELS, AT_ONCE = 20, 10, 5
A_TURN = 50  # packets
FILE = "Storm_20261101_0001.bin"


async def one_more(raw: RawSftp, kind: str, handle: bytes) -> None:
    """Send what a kind of work asks for, without waiting for the answer, but for those that need it."""
    if kind == "reads":
        raw.send(FXP_READ, String(handle), UInt64(0), UInt32(1 << 18))
    elif kind == "tiny writes":
        raw.send(FXP_WRITE, String(handle), UInt64(0), String(b"x"))
    elif kind == "looks":
        raw.send(FXP_STAT, String("/"))
    elif kind == "opens":
        opened = await raw.ask(FXP_OPEN, String(f"{id(raw)}.bin"), UInt32(FXF_WRITE | FXF_CREAT), NO_ATTRS)
        with suppress(AssertionError):
            await raw.ask(FXP_CLOSE, String(opened.handle()))
    else:
        listing = await raw.ask(FXP_OPENDIR, String("/"))
        with suppress(AssertionError):
            open_ = String(listing.handle())
            for _ in range(3):
                await raw.ask(FXP_READDIR, open_)
            await raw.ask(FXP_CLOSE, open_)


WORK = ("reads", "reads that nobody takes", "tiny writes", "looks", "opens", "listings")


async def work(peer: asyncssh.SSHClientConnection, raw: RawSftp, kind: str) -> None:
    """Ask for one kind of work for ever; where answers are not waited for, they are thrown away."""
    handle = b""
    if kind.startswith("reads"):
        handle = await raw.read_handle(FILE)
    elif kind == "tiny writes":
        handle = await raw.create(f"{id(raw)}.bin")
    if kind == "reads that nobody takes":
        peer._transport.pause_reading()  # type: ignore[union-attr]
        kind = "reads"
    elif kind not in {"opens", "listings"}:
        throwing = asyncio.create_task(throw_away(raw))
        throwing.add_done_callback(lambda task: task.cancelled() or task.exception())
    await ask_for_ever(peer, raw, kind, handle)


async def reads_during_a_key_exchange(peer: asyncssh.SSHClientConnection, channels: list[RawSftp]) -> None:
    """Begin a key exchange, never end it, and ask meanwhile."""
    handles = [await raw.read_handle(FILE) for raw in channels]
    take_any(peer, MSG_KEXINIT)
    begin_key_exchange(peer)
    pairs = zip(channels, handles, strict=True)
    await asyncio.gather(*(ask_for_ever(peer, raw, "reads", handle) for raw, handle in pairs))


async def ask_for_ever(peer: asyncssh.SSHClientConnection, raw: RawSftp, kind: str, handle: bytes) -> None:
    while not peer.is_closed():
        for _ in range(1 if kind in {"opens", "listings"} else A_TURN):
            await one_more(raw, kind, handle)
        await raw._writer.drain()
        await asyncio.sleep(0)  # a drain that need not wait lets nobody else go on


async def throw_away(raw: RawSftp) -> None:
    while await raw.reader.read(1 << 20):
        pass


async def idle_packets(peer: asyncssh.SSHClientConnection, raw: RawSftp, kind: str) -> None:
    flood = CLIENTS[kind]
    number = raw.channel._send_chan
    assert number is not None
    take_any(peer, MSG_UNIMPLEMENTED, MSG_REQUEST_SUCCESS, MSG_REQUEST_FAILURE, *CHANNEL_OPENED)
    take_any(raw.channel, MSG_CHANNEL_SUCCESS, MSG_CHANNEL_FAILURE)
    if kind != "ignored packets":
        say_no_ignore(peer)
    while peer._transport and not peer._transport.is_closing():
        for _ in range(A_TURN):
            flood(peer, number)
        await asyncio.sleep(0)


async def new_keys(peer: asyncssh.SSHClientConnection) -> None:
    while peer._transport and not peer._transport.is_closing():
        if peer._kex_complete:
            peer._send_kexinit()
            peer._kexinit_sent = True
        await asyncio.sleep(0)


async def sign_in(port: int, key: str, address: str) -> tuple[asyncssh.SSHClientConnection, list[RawSftp]]:
    """Sign in and open all channels; wait while an earlier storm's connections are not gone yet."""
    while True:
        with suppress(asyncssh.DisconnectError, asyncssh.ChannelOpenError):
            peer = await asyncssh.connect(
                "127.0.0.1",
                port,
                local_addr=(address, 0),
                username="evil",
                client_keys=[key],
                known_hosts=None,
                config=None,
                agent_path=None,
            )
            return peer, [await RawSftp.open(peer) for _ in range(CHANNELS)]
        await asyncio.sleep(0.1)


async def rage(port: int, key: str, kind: str, address: str, turns: asyncio.Semaphore) -> None:
    async with turns:
        peer, channels = await sign_in(port, key, address)
        print("raging", flush=True)  # noqa: T201  for who waits for it
    if kind == "new keys":
        await new_keys(peer)
    elif kind == "reads during a key exchange":
        await reads_during_a_key_exchange(peer, channels)
    elif kind in WORK:
        await asyncio.gather(*(work(peer, raw, kind) for raw in channels))
    else:
        await idle_packets(peer, channels[0], kind)


async def storm(port: int, key: str, kind: str, number: int, seconds: float) -> None:
    turns = asyncio.Semaphore(AT_ONCE)
    address = f"127.{number}.0.1"
    raging = [asyncio.create_task(rage(port, key, kind, address, turns)) for _ in range(CONNECTIONS)]
    await asyncio.wait(raging, timeout=seconds)
    for one in raging:
        one.cancel()
    await asyncio.gather(*raging, return_exceptions=True)


if __name__ == "__main__":
    logging.disable()
    port, key, kind, number, seconds = sys.argv[1:]
    asyncio.run(storm(int(port), key, kind, int(number), float(seconds)))
