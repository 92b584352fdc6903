"""Behind a balancer: the PROXY protocol's header, believed from trusted networks alone."""

import asyncio
import socket
import struct

import asyncssh
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from ctsftp.clients.authorized_keys import Refusal
from ctsftp.sftp.proxy import MAX_HEADER_BYTES, SIGNATURE, Header, HeaderError, read_header
from ctsftp.sftp.settings import SftpSettings

from .room import ACME, GOLD, PATIENCE_S, Room, public_half

LOOPBACK = ("127.0.0.0/8",)
SENDER = "203.0.113.7"


def header(address: str = SENDER, port: int = 40000, *, command: int = 0x21, notes: bytes = b"") -> bytes:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    addresses = 2 * socket.inet_pton(family, address) + struct.pack("!HH", port, 2022) + notes
    return SIGNATURE + struct.pack("!BBH", command, 0x21 if ":" in address else 0x11, len(addresses)) + addresses


async def connect_behind(room: Room, first: bytes, **options: object) -> asyncssh.SSHClientConnection:
    sock = socket.create_connection(("127.0.0.1", room.server.port))
    sock.sendall(first)
    sock.settimeout(0)
    return await room.connect(sock=sock, **options)


async def heard_until_closed(room: Room, *sent: bytes) -> bytes:
    """Send some bytes and give what comes back until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", room.server.port)
    for piece in sent:
        writer.write(piece)
        await writer.drain()
    async with asyncio.timeout(PATIENCE_S):
        heard = b""
        try:
            while piece := await reader.read(1000):
                heard += piece
        except ConnectionError:
            pass
    writer.close()
    return heard


# The header.


@pytest.mark.parametrize("address", [SENDER, "2001:db8::7"])
@pytest.mark.parametrize("notes", [b"", b"\x04\x00\x02hi"])
def test_a_header_names_the_sender(address: str, notes: bytes) -> None:
    data = header(address, notes=notes)
    assert read_header(data + b"SSH-2.0-") == Header(len(data), (address, 40000))


def test_a_header_that_is_not_all_there_is_waited_for() -> None:
    data = header()
    assert [read_header(data[:size]) for size in range(len(data))] == [None] * len(data)


def test_a_balancer_that_speaks_for_itself_names_nobody() -> None:
    data = header(command=0x20)
    assert read_header(data) == Header(len(data), None)
    unknown = SIGNATURE + b"\x21\x00\x00\x00"
    assert read_header(unknown) == Header(len(unknown), None)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n", "does not begin"),
        (b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2\r\n", "does not begin"),
        (SIGNATURE + b"\x11\x11\x00\x0c" + bytes(12), "0x11"),
        (SIGNATURE + b"\x21\x11\x00\x04" + bytes(4), "too short"),
        (SIGNATURE + b"\x21\x11\xff\xff", "4096 is the limit"),
    ],
)
def test_what_is_no_header_is_an_error(data: bytes, why: str) -> None:
    with pytest.raises(HeaderError, match=why):
        read_header(data)


@given(st.binary(max_size=60), st.booleans())
def test_no_bytes_are_too_strange(data: bytes, signed: bool) -> None:  # noqa: FBT001
    try:
        found = read_header(SIGNATURE + data if signed else data)
    except HeaderError:
        return
    assert found is None or found.size <= min(len(SIGNATURE) + len(data), MAX_HEADER_BYTES)


def test_networks_are_checked_when_the_settings_are_read() -> None:
    with pytest.raises(ValidationError, match="is no address"):
        SftpSettings(proxy_addresses=("balancer.example",))


# A server behind a balancer.


async def test_the_sender_and_not_the_balancer_counts(room: Room) -> None:
    await room.restart(proxy_addresses=LOOPBACK)
    connection = await connect_behind(room, header())
    assert (await room.logins.one()).address == SENDER
    async with connection.start_sftp_client() as sftp, sftp.open(GOLD, "wb") as file:
        await file.write(b"CTUserID\n1\n")
    assert (await room.landed.one()).filename == GOLD


async def test_a_key_is_held_to_the_senders_address(room: Room, rsa_key: asyncssh.SSHKey) -> None:
    room.clients.add_key(ACME, public_half(rsa_key), from_cidrs=["203.0.113.0/24"])
    await room.restart(proxy_addresses=LOOPBACK)
    await connect_behind(room, header(), client_keys=[rsa_key])
    with pytest.raises(asyncssh.PermissionDenied):
        await connect_behind(room, header("198.51.100.9"), client_keys=[rsa_key])
    refusal = await room.refusals.one()
    assert (refusal.cause, refusal.address) == (Refusal.OUTSIDE_FROM, "198.51.100.9")


async def test_a_header_that_comes_in_pieces_is_read(room: Room) -> None:
    await room.restart(proxy_addresses=LOOPBACK)
    sock = socket.create_connection(("127.0.0.1", room.server.port))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for byte in header():
        sock.sendall(bytes([byte]))
        await asyncio.sleep(0)
    sock.settimeout(0)
    await room.connect(sock=sock)
    assert (await room.logins.one()).address == SENDER


async def test_a_trusted_network_must_send_the_header(room: Room) -> None:
    await room.restart(proxy_addresses=LOOPBACK)
    assert b"disconnect" not in await heard_until_closed(room, b"SSH-2.0-OpenSSH_9.2\r\n")
    assert any(entry["event"] == "balancer's connection refused" for entry in room.logs)
    await room.disconnected()


async def test_a_header_has_a_deadline_of_its_own(room: Room) -> None:
    await room.restart(proxy_addresses=LOOPBACK, proxy_header_timeout_s=0.05)
    await heard_until_closed(room, header()[:20])
    assert [entry["reason"] for entry in room.logs if "reason" in entry] == ["no PROXY header came in time"]
    await room.disconnected()


async def test_a_balancer_that_only_looks_is_no_event(room: Room) -> None:
    await room.restart(proxy_addresses=LOOPBACK)
    with socket.create_connection(("127.0.0.1", room.server.port)):
        pass
    await room.disconnected()
    assert [entry["event"] for entry in room.logs if entry["log_level"] != "info"] == []


async def test_nobody_else_may_name_another_sender(room: Room) -> None:
    await room.restart(proxy_addresses=("192.0.2.0/24",))
    await heard_until_closed(room, header(), b"SSH-2.0-OpenSSH_9.2\r\n")
    await room.disconnected()
    await room.connect()
    assert (await room.logins.one()).address == "127.0.0.1"


async def test_a_server_can_stop_while_a_header_is_awaited(room: Room) -> None:
    await room.restart(proxy_addresses=LOOPBACK)
    reader, writer = await asyncio.open_connection("127.0.0.1", room.server.port)
    await reader.readline()
    await room.stop()
    writer.close()
