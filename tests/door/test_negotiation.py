"""A peer that has no algorithm in common with the server: the admin is told what it lacks."""

import asyncio
from typing import Any

import asyncssh
import pytest
from asyncssh.constants import DISC_KEY_EXCHANGE_FAILED, MSG_DISCONNECT
from asyncssh.packet import Byte, String, UInt32

from ctsftp.sftp import sums
from ctsftp.sftp.attempts import SAID_CHARS

from ..sftp.room import Room
from ..sftp.stock import StockSftp
from .attacker import ADDRESS, Attacker

EVENT = "no algorithm in common"


def told(room: Room) -> list[Any]:
    return [entry for entry in room.logs if entry["event"] == EVENT]


@pytest.mark.parametrize(
    ("options", "cause", "needed"),
    [
        ({"kex_algs": ["diffie-hellman-group14-sha1"]}, "kex", "curve25519-sha256"),
        ({"server_host_key_algs": ["rsa-sha2-256"]}, "host_key", "ssh-ed25519"),
        ({"encryption_algs": ["aes256-cbc"]}, "cipher", "aes128-gcm@openssh.com"),
        ({"mac_algs": ["hmac-sha1"], "encryption_algs": ["aes128-ctr"]}, "mac", "hmac-sha2-256"),
        ({"compression_algs": ["zlib@openssh.com"]}, "compression", "none"),
    ],
)
async def test_a_failed_negotiation_is_told_with_what_would_help(
    room: Room, attacker: Attacker, options: dict[str, list[str]], cause: str, needed: str
) -> None:
    await attacker.fails_to_log_in(client_version="Appliance_7", **options)
    [entry] = told(room)
    assert (entry["log_level"], entry["cause"], entry["address"]) == ("warning", cause, ADDRESS)
    assert entry["software"] == "SSH-2.0-Appliance_7"
    assert next(iter(options.values()))[0] in entry["offered"].split(",")
    assert needed in entry["needed"].split(",")
    assert needed in entry["help"]
    assert room.mismatches.all == [cause]
    [attempt] = room.server.attempts.as_json()
    assert (attempt["outcome"], attempt["cause"], attempt["times"]) == ("no match", cause, 1)
    assert attempt["help"] == entry["help"]


async def test_openssh_with_old_algorithms_is_told_of(room: Room, stock: StockSftp) -> None:
    for option in ("KexAlgorithms=diffie-hellman-group14-sha1", "Ciphers=aes128-cbc", "HostKeyAlgorithms=ssh-rsa"):
        await stock.ssh("true", options=("-o", option))
    await room.mismatches.first(3)
    assert room.mismatches.all == ["kex", "cipher", "host_key"]
    assert all("OpenSSH" in one["software"] for one in room.server.attempts.as_json())


async def test_many_are_told_in_sums(room: Room, attacker: Attacker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sums, "TELL_INTERVAL_S", 3600)
    for _ in range(4):
        await attacker.fails_to_log_in(kex_algs=["diffie-hellman-group14-sha1"])
    await attacker.fails_to_log_in(encryption_algs=["aes256-cbc"])
    await room.server.stop()
    first, summed = told(room)
    assert (first["cause"], first["address"]) == ("kex", ADDRESS)
    assert (summed["times"], summed["kex"], summed["cipher"]) == (4, 3, 1)
    assert {one["cause"]: one["times"] for one in room.server.attempts.as_json()} == {"kex": 4, "cipher": 1}


async def test_a_peer_that_leaves_with_its_own_reason_is_told_of_too(room: Room, attacker: Attacker) -> None:
    connection = await attacker.connect()
    connection.say(b"SSH-2.0-shy\r\n")
    await connection.line()
    await connection.payload()  # the server's list, in which it finds nothing
    reason = String(b"no matching cipher" + b"!" * 10_000) + String(b"")
    connection.send(Byte(MSG_DISCONNECT) + UInt32(DISC_KEY_EXCHANGE_FAILED) + reason)
    await room.mismatches.one()
    [entry] = told(room)
    assert (entry["cause"], entry["software"]) == ("unknown", "SSH-2.0-shy")
    assert "no matching cipher" in entry["said"]
    assert len(entry["said"]) == len(room.server.attempts.as_json()[0]["text"]) == SAID_CHARS


async def test_whoever_signs_in_or_is_refused_is_no_mismatch(room: Room, strange_keys: list[asyncssh.SSHKey]) -> None:
    await room.connect()
    with pytest.raises(asyncssh.PermissionDenied):
        await room.connect(client_keys=strange_keys[:1])
    await room.refusals.one()
    assert told(room) == []


async def test_a_stranger_s_names_forge_no_line(room: Room, attacker: Attacker) -> None:
    connection = await attacker.connect()
    connection.say(b"SSH-2.0-x\r\n")
    await connection.line()
    lists = [b"\n\x1b[2Jlogin client=acme", *[b""] * 9]
    kexinit = Byte(20) + bytes(16) + b"".join(map(String, lists)) + bytes(5)
    connection.send(kexinit)
    async with asyncio.timeout(20):
        await room.mismatches.one()
    [entry] = told(room)
    assert entry["cause"] == "kex"
