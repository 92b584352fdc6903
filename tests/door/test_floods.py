"""Floods of every kind: each costs little, and a good sender gets its file in meanwhile."""

import asyncio
import time
from collections.abc import Callable

import asyncssh
import pytest
from asyncssh.constants import FX_FAILURE, FX_OK, FXP_OPENDIR
from asyncssh.packet import String

from ctsftp.sftp.penalties import Offence

from ..sftp.raw import RawSftp
from ..sftp.room import ACME, Room, public_half
from .attacker import ADDRESS, Attacker
from .conftest import GoodSender

EVIL = "evil"


async def test_a_flood_of_a_thousand_connections_from_one_address(
    room: Room, attacker: Attacker, good_sender: GoodSender, record_property: Callable[[str, object], None]
) -> None:
    await attacker.flood(1000, [ADDRESS])
    began_s = time.monotonic()
    await good_sender.gets_a_file_in()
    record_property("put_s", time.monotonic() - began_s)
    assert len(room.server.connections) <= room.server.settings.unauthenticated_per_address + 1
    attacker.leave()
    await room.disconnected()


async def test_a_flood_of_a_thousand_connections_from_two_hundred_addresses(
    room: Room, attacker: Attacker, good_sender: GoodSender, record_property: Callable[[str, object], None]
) -> None:
    await attacker.flood(1000, [f"127.0.1.{number}" for number in range(1, 201)])
    there = [one for one in room.server.connections if not one.turned_away]
    assert len(there) <= room.server.settings.unauthenticated_full
    began_s = time.monotonic()
    await good_sender.gets_a_file_in()
    record_property("put_s", time.monotonic() - began_s)
    attacker.leave()
    await room.disconnected()


async def test_a_flood_that_goes_on_and_on(room: Room, attacker: Attacker, good_sender: GoodSender) -> None:
    going_on = True

    async def flood() -> None:
        while going_on:
            one = await attacker.connect()
            one.say(b"SSH-2.0-flood\r\n")
            one.close()

    attacks = [asyncio.create_task(flood()) for _ in range(8)]
    for _ in range(3):
        await good_sender.gets_a_file_in()
    going_on = False
    await asyncio.gather(*attacks)
    assert room.server.penalties()[0].refused


async def test_slow_logins_lose_their_place_when_their_time_is_over(
    room: Room, attacker: Attacker, good_sender: GoodSender
) -> None:
    await room.restart(login_timeout_s=3, unauthenticated_per_address=50)  # within which the good sender signs in
    slow = await attacker.flood(40, [ADDRESS])
    for one in slow:
        one.say(b"SSH-2.0-slow")  # and never the end of the line
    await good_sender.gets_a_file_in()
    await asyncio.gather(*(one.ends() for one in slow))
    await room.disconnected()
    (penalty,) = room.server.penalties()
    assert (penalty.source, penalty.last, penalty.refused) == (ADDRESS, Offence.LOGIN_TIMEOUT, True)


async def test_nobody_is_blamed_for_the_time_that_our_own_disk_takes(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    await room.restart(login_timeout_s=1)
    with monkeypatch.context() as patched:
        patched.setattr(room.server, "read_client", lambda _name: asyncio.Event().wait())
        ends = await asyncio.gather(*(room.connect() for _ in range(3)), return_exceptions=True)
    assert all(isinstance(end, asyncssh.Error | OSError) for end in ends)
    await room.disconnected()
    assert room.server.penalties() == []
    async with await room.connect():
        pass


async def test_a_flood_of_keys_earns_a_penalty_and_is_over(
    room: Room, attacker: Attacker, good_sender: GoodSender, strange_keys: list[asyncssh.SSHKey]
) -> None:
    for _ in range(4):
        said = await attacker.fails_to_log_in(client_keys=strange_keys)
        assert "Too many keys" in said
        await good_sender.gets_a_file_in()
    assert await (await attacker.connect()).line() == b"Not allowed at this time.\r\n"
    (penalty,) = room.server.penalties()
    assert (penalty.source, penalty.offences, penalty.last) == (ADDRESS, 4, Offence.FAILED_KEYS)
    assert penalty.refused
    await good_sender.gets_a_file_in()


async def test_a_flood_of_user_names_earns_a_penalty(room: Room, attacker: Attacker, good_sender: GoodSender) -> None:
    for number in range(4):
        await attacker.fails_to_log_in(username=f"user{number}")
    assert [one.last for one in room.server.penalties()] == [Offence.UNKNOWN_USER]
    assert await (await attacker.connect()).line() == b"Not allowed at this time.\r\n"
    await good_sender.gets_a_file_in()


async def test_a_flood_of_handles_and_channels_of_a_client_that_turned_bad(
    room: Room, good_sender: GoodSender, strange_keys: list[asyncssh.SSHKey]
) -> None:
    room.clients.add(EVIL, [public_half(strange_keys[0])])
    evil = await room.connect(username=EVIL, client_keys=strange_keys[:1])
    limits = room.server.settings
    channels = [await room.raw(evil) for _ in range(limits.max_channels)]
    with pytest.raises(asyncssh.ChannelOpenError):
        await room.raw(evil)
    for raw in channels:
        for number in range(limits.max_open_handles // 2):
            await raw.create(f"{number}.csv")
            await raw.ask(FXP_OPENDIR, String("/"))
        code, reason = (await raw.ask(FXP_OPENDIR, String("/"))).status()
        assert (code, f"{limits.max_open_handles} open handles" in reason) == (FX_FAILURE, True)
    await good_sender.gets_a_file_in()
    evil.abort()
    await room.sessions_ended(len(channels) + 1)
    assert room.nothing_left_open()


async def test_connections_of_one_client_leave_room_for_the_others(
    room: Room, good_sender: GoodSender, strange_keys: list[asyncssh.SSHKey]
) -> None:
    room.clients.add(EVIL, [public_half(strange_keys[0])])
    for _ in range(room.server.settings.max_connections_per_client):
        await room.connect(username=EVIL, client_keys=strange_keys[:1])
    told: list[str] = []

    class Told(asyncssh.SSHClient):
        def connection_lost(self, exc: Exception | None) -> None:
            told.append(str(exc))

    for _ in range(3):
        one_more = await room.connect(username=EVIL, client_keys=strange_keys[:1], client_factory=Told)
        await one_more.wait_closed()
    assert set(told) == {"evil has 20 connections open, which is the limit (error 12)"}
    await good_sender.gets_a_file_in()
    assert len([one for one in room.server.connections if one.username == EVIL]) == 20
    assert len([one for one in room.server.connections if one.username == ACME]) == 0


async def test_pools_of_ten_channels_on_each_of_a_clients_connections_leave_room_for_the_others(
    room: Room, good_sender: GoodSender, strange_keys: list[asyncssh.SSHKey]
) -> None:
    pool = "pool"
    room.clients.add(pool, [public_half(strange_keys[0])])
    limits = room.server.settings
    connections = [
        await room.connect(username=pool, client_keys=strange_keys[:1])
        for _ in range(limits.max_connections_per_client)
    ]
    channels = [raw for one in connections for raw in await asyncio.gather(*(room.raw(one) for _ in range(10)))]
    assert (len(channels), room.server.session_count) == (200, 200)

    async def put(number: int, raw: RawSftp) -> None:
        handle = await raw.create(f"{number}.txt")
        assert await raw.write(handle, 0, b"%d" % number) == (FX_OK, "")
        assert await raw.close(handle) == (FX_OK, "")

    puts = [asyncio.create_task(put(number, raw)) for number, raw in enumerate(channels)]
    await good_sender.gets_a_file_in()
    await asyncio.gather(*puts)
    with pytest.raises(asyncssh.ChannelOpenError):
        await room.raw(connections[0])
    await good_sender.gets_a_file_in()
