"""Tricks with the protocol, with paths and with names: each is refused, and costs nobody else anything."""

import asyncio
import io
import json
from pathlib import Path

import asyncssh
import pytest
import structlog
from asyncssh.constants import (
    FX_OK,
    FXF_READ,
    FXP_LSTAT,
    FXP_MKDIR,
    FXP_OPEN,
    FXP_OPENDIR,
    FXP_REMOVE,
    FXP_RENAME,
    FXP_STAT,
    FXP_STATUS,
    MSG_KEXINIT,
)
from asyncssh.packet import Byte, String, UInt32

from ctsftp.cli.logs import configure_logs

from ..sftp.raw import NO_ATTRS
from ..sftp.room import GOLD, PATIENCE_S, Room
from .attacker import IGNORE, Attacker, RawSsh, kexinit
from .conftest import GoodSender

# The handshake.


async def greeted(attacker: Attacker) -> RawSsh:
    """A connection on which both sides have said their version and the server its KEXINIT."""
    one = await attacker.connect()
    one.say(b"SSH-2.0-attacker\r\n")
    assert await one.line() == b"SSH-2.0-ctsftp\r\n"
    assert (await one.payload()).get_byte() == MSG_KEXINIT
    return one


@pytest.mark.parametrize("before_kexinit", [True, False], ids=["before KEXINIT", "before NEWKEYS"])
async def test_a_packet_injected_into_the_handshake_ends_it(
    attacker: Attacker, good_sender: GoodSender, *, before_kexinit: bool
) -> None:
    """The first step of Terrapin (CVE-2023-48795): what is injected here would let a later packet be cut off."""
    one = await greeted(attacker)
    if before_kexinit:
        one.send(IGNORE)
    one.send(kexinit(strict=True))
    if not before_kexinit:
        one.send(IGNORE)
    reason = await one.reason_of_the_end()
    assert reason is not None
    assert "Strict key exchange violation" in reason
    await good_sender.gets_a_file_in()


async def test_a_client_that_knows_no_strict_key_exchange_may_say_such_a_packet(attacker: Attacker) -> None:
    """Which shows that the refusal above is that of the strict key exchange."""
    one = await greeted(attacker)
    one.send(IGNORE)
    one.send(kexinit(strict=False))
    one.send(IGNORE)
    one.send(Byte(30) + String(b"no point on the curve"))
    assert "Strict" not in (await one.reason_of_the_end() or "")


@pytest.mark.parametrize(
    "said",
    [b"\xff\xff\xff\xff" + bytes(60), b"\x7f\xff\xff\xff" + bytes(60), bytes(64), b"\0\0\0\x01\xff" + bytes(64)],
    ids=["4 GiB", "2 GiB", "no length", "more padding than packet"],
)
async def test_a_packet_of_an_impossible_length_ends_the_handshake(
    room: Room, attacker: Attacker, good_sender: GoodSender, said: bytes
) -> None:
    one = await greeted(attacker)
    one.say(said)
    await one.ends()
    await room.disconnected()
    await good_sender.gets_a_file_in()


async def test_an_endless_version_ends_the_handshake(room: Room, attacker: Attacker) -> None:
    one = await attacker.connect()
    one.say(b"SSH-2.0-" + b"x" * 100_000)
    await one.ends()
    await room.disconnected()


@pytest.mark.slow
async def test_a_peer_that_asks_and_never_reads_is_not_kept_answering(
    room: Room, attacker: Attacker, good_sender: GoodSender, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each packet of a kind that nobody knows is answered; what is not taken must not pile up."""
    for limit in ("LOGIN_BYTES", "LOGIN_PACKETS"):  # which would end it sooner
        monkeypatch.setattr(f"ctsftp.sftp.budget.{limit}", 1 << 40)
    one = await greeted(attacker)
    one.send(kexinit(strict=False))
    one.stop_reading()
    (connection,) = room.server.connections
    transport = connection.ssh._transport
    assert transport is not None
    paused, pause = asyncio.Event(), connection.ssh.pause_writing

    def noted_pause() -> None:
        pause()
        paused.set()

    connection.ssh.pause_writing = noted_pause  # type: ignore[method-assign]
    asking = asyncio.create_task(one.say_for_ever(one.packet(Byte(10)) * 1000))
    async with asyncio.timeout(PATIENCE_S):
        await paused.wait()
    for _ in range(2):
        await good_sender.gets_a_file_in()
    assert transport.get_write_buffer_size() < 1 << 20
    asking.cancel()
    one.close()
    await room.disconnected()


# SFTP packets.


@pytest.mark.parametrize("length", [257 * 1024 + 1, 1 << 30, (1 << 32) - 1])
async def test_a_request_larger_than_the_limit_ends_its_session_alone(
    room: Room, good_sender: GoodSender, length: int
) -> None:
    connection = await room.connect()
    raw, other = await room.raw(connection), await room.raw(connection)
    await raw.write(await raw.create(GOLD), 0, b"CTUserID\n")
    raw._writer.write(UInt32(length))
    await room.sessions_ended()
    assert room.partial(GOLD) == b"CTUserID\n"
    await other.create("still here.csv")
    await good_sender.gets_a_file_in()


async def test_the_largest_request_is_served(room: Room) -> None:
    await room.restart(max_packet_bytes=40_000)
    raw = await room.raw()
    handle = await raw.create(GOLD)
    head = len(Byte(0) + UInt32(0) + String(handle) + bytes(8) + UInt32(0))
    assert await raw.write(handle, 0, b"x" * (40_000 - head)) == (FX_OK, "")
    raw.send(6, String(handle), bytes(8), String(b"x" * (40_001 - head)))
    await room.sessions_ended()


# Paths.

UNREACHABLE = [
    b"../secret.txt",
    b"/../../secret.txt",
    b"//../secret.txt",
    b"a/../../secret.txt",
    b"%s",  # the absolute path of the secret
    b"/%s",
    b"link/secret.txt",
    b"secret.txt\0.csv",
    b"\x1b[2J.csv",
    b"line\nbreak.csv",
    b"\xff\xfe.csv",
    b"x" * 256,
    b"d/" * 33 + b"x",
    b"y" * 3000,
]


@pytest.mark.parametrize("path", UNREACHABLE, ids=lambda path: repr(path[:20]))
async def test_no_path_leads_out_of_the_home_and_no_name_is_beyond_reason(
    room: Room, good_sender: GoodSender, outside: Path, path: bytes
) -> None:
    raw = await room.raw()
    beside = neighbours(outside)
    (room.folder / "spool" / "acme" / "home" / "link").symlink_to(outside.parent)
    path = path.replace(b"%s", str(outside).encode())
    requests = [
        (FXP_OPEN, String(path), UInt32(FXF_READ), NO_ATTRS),
        (FXP_OPEN, String(path), UInt32(0x1A), NO_ATTRS),
        (FXP_OPENDIR, String(path)),
        (FXP_STAT, String(path)),
        (FXP_LSTAT, String(path)),
        (FXP_REMOVE, String(path)),
        (FXP_MKDIR, String(path), NO_ATTRS),
        (FXP_RENAME, String("nothing"), String(path)),
    ]
    for kind, *fields in requests:
        answer = await raw.ask(kind, *fields)
        assert answer.kind == FXP_STATUS
        assert answer.status()[0] != FX_OK
    assert neighbours(outside) == beside
    await good_sender.gets_a_file_in()


def neighbours(outside: Path) -> dict[str, bytes | None]:
    """What stands beside the secret, and in it."""
    return {place.name: place.read_bytes() if place.is_file() else None for place in outside.parent.iterdir()}


@pytest.mark.parametrize(("setting", "longest"), [("max_path_bytes", 16), ("max_path_depth", 3)])
async def test_the_length_and_the_depth_of_a_path_have_their_edge(room: Room, setting: str, longest: int) -> None:
    await room.restart(**{setting: longest})
    raw = await room.raw()
    path = b"x" * longest if setting == "max_path_bytes" else b"d/" * (longest - 1) + b"x"
    code, reason = (await raw.ask(FXP_STAT, String(path))).status()
    assert "is not there" in reason
    code, reason = (await raw.ask(FXP_STAT, String(b"e/" + path if longest == 3 else path + b"x"))).status()
    assert code != FX_OK
    assert f" than {longest} " in reason


# The log.

FORGED = 'x\n{"event": "login", "client": "acme"}'
NAMES = [FORGED, "\x1b[31mred", "\r\nlogin refused", "\u202eemca", "a" * 1000, "a\x00b", "\x85"]


@pytest.mark.parametrize("form", ["json", "console"])
async def test_no_name_forges_a_line_of_the_log(
    room: Room, attacker: Attacker, good_sender: GoodSender, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    lines = io.StringIO()
    before = structlog.get_config()
    monkeypatch.setattr("sys.stderr", lines)
    configure_logs(form)
    try:
        for name in NAMES:
            await attacker.fails_to_log_in(client_factory=said_as(name), username="someone")
            room.server.door.penalties.clear()
        raw = await room.raw()
        for name in NAMES:
            await raw.ask(FXP_OPEN, String(name.encode()), UInt32(0x1A), NO_ATTRS)
        raw.channel.get_connection().close()
        await room.disconnected()
    finally:
        monkeypatch.undo()
        structlog.configure(**before)
    text = lines.getvalue()
    assert "login refused" in text
    assert text.replace("\n", "").isprintable()
    for line in text.splitlines():
        if form == "json":
            assert json.loads(line)["event"] in EVENTS
        else:
            assert any(f"] {event}" in line for event in EVENTS), line
    await good_sender.gets_a_file_in()


EVENTS = ("login", "login refused", "connection ended", "upload cut off", "connection refused", "session broke off")


def said_as(name: str) -> type[asyncssh.SSHClient]:
    """A client that says a user name which asyncssh's own would refuse to say."""

    class Forger(asyncssh.SSHClient):
        def connection_made(self, conn: asyncssh.SSHClientConnection) -> None:
            conn._username = name

    return Forger
