"""Behind a balancer: the PROXY protocol's header, believed from trusted networks alone."""

import asyncio
import socket
import struct
from ipaddress import IPv4Address, IPv6Address

import asyncssh
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from ctsftp.clients.authorized_keys import Refusal
from ctsftp.sftp.proxy import MAX_HEADER_BYTES, MAX_LINE_BYTES, SIGNATURE, Header, HeaderError, read_header
from ctsftp.sftp.settings import SftpSettings

from .room import ACME, GOLD, PATIENCE_S, Room, public_half

LOOPBACK = ("127.0.0.0/8",)
SENDER = "203.0.113.7"


def header(address: str = SENDER, port: int = 40000, *, command: int = 0x21, notes: bytes = b"") -> bytes:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    addresses = 2 * socket.inet_pton(family, address) + struct.pack("!HH", port, 2022) + notes
    return SIGNATURE + struct.pack("!BBH", command, 0x21 if ":" in address else 0x11, len(addresses)) + addresses


LINE = b"PROXY TCP4 203.0.113.7 10.0.0.1 40000 2022\r\n"
LONGEST = b"PROXY UNKNOWN " + b"f" * 91 + b"\r\n"


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
    ("line", "peer"),
    [
        (LINE, (SENDER, 40000)),
        (b"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", ("255.255.255.255", 65535)),
        (b"PROXY TCP6 2001:db8::7 ::1 40000 2022\r\n", ("2001:db8::7", 40000)),
        (b"PROXY TCP6 2001:DB8:0:0:0:0:0:7 ::1 0 0\r\n", ("2001:db8::7", 0)),
        (b"PROXY UNKNOWN\r\n", None),
        (b"PROXY UNKNOWN whatever this may be\r\n", None),
        (
            b"PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65 65\r\n",
            None,
        ),
        (LONGEST, None),
    ],
)
def test_a_line_of_version_1_names_the_sender(line: bytes, peer: tuple[str, int] | None) -> None:
    assert len(line) <= MAX_LINE_BYTES == len(LONGEST) == 107
    assert read_header(line + b"SSH-2.0-") == Header(len(line), peer)
    assert [read_header(line[:size]) for size in range(len(line))] == [None] * len(line)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n", "does not begin"),
        (b"PROXX", "does not begin"),
        (b"proxy TCP4 1.2.3.4 1.2.3.4 1 2\r\n", "does not begin"),
        (b"PROXY TCP5 1.2.3.4 1.2.3.4 1 2\r\n", "TCP4, TCP6 or UNKNOWN"),
        (b"PROXY UNKNOWNS\r\n", "TCP4, TCP6 or UNKNOWN"),
        (b"PROXY \r\n", "TCP4, TCP6 or UNKNOWN"),
        (b"PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n", "two addresses and two ports"),
        (b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3\r\n", "two addresses and two ports"),
        (b"PROXY TCP4  1.2.3.4 1.2.3.4 1 2\r\n", "two addresses and two ports"),
        (b"PROXY TCP4 1.2.3 1.2.3.4 1 2\r\n", "no IPv4 address"),
        (b"PROXY TCP4 1.2.3.04 1.2.3.4 1 2\r\n", "no IPv4 address"),
        (b"PROXY TCP4 ::1 ::1 1 2\r\n", "no IPv4 address"),
        (b"PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n", "no IPv6 address"),
        (b"PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n", "no IPv6 address"),
        (b"PROXY TCP4 \xff\xfe 1.2.3.4 1 2\r\n", "no IPv4 address"),
        (b"PROXY TCP4 1.2.3.4 1.2.3.4 65536 2\r\n", "no port"),
        (b"PROXY TCP4 1.2.3.4 1.2.3.4 +1 2\r\n", "no port"),
        (b"PROXY TCP4 1.2.3.4 1.2.3.4 01 2\r\n", "no port"),
        (b"PROXY TCP4 1.2.3.4 1.2.3.4 1 -2\r\n", "no port"),
        ("PROXY TCP4 1.2.3.4 1.2.3.4 \u0661 2\r\n".encode(), "no port"),
        (b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n", "CR LF"),
        (b"PROXY UNKNOWN\nSSH-2.0-x\r\n", "CR LF"),
        (b"PROXY UNKNOWN " + b"f" * 93, "107 bytes"),
        (LONGEST[:-2] + b"f\r\n", "107 bytes"),
        (SIGNATURE + b"\x11\x11\x00\x0c" + bytes(12), "0x11"),
        (SIGNATURE + b"\x21\x11\x00\x04" + bytes(4), "too short"),
        (SIGNATURE + b"\x21\x11\xff\xff", "4096 is the limit"),
    ],
)
def test_what_is_no_header_is_an_error(data: bytes, why: str) -> None:
    with pytest.raises(HeaderError, match=why):
        read_header(data)


@given(
    st.sampled_from([b"", SIGNATURE, b"PROXY ", b"PROXY TCP4 ", b"PROXY TCP6 ::1 ::1 ", b"PROXY UNKNOWN"]),
    st.binary(max_size=120) | st.text("0123456789abcdef:. \r\n").map(str.encode),
)
def test_no_bytes_are_too_strange_and_no_piece_of_them_says_otherwise(beginning: bytes, rest: bytes) -> None:
    data = beginning + rest

    def answer(size: int) -> Header | str | None:
        try:
            return read_header(data[:size])
        except HeaderError:
            return "none"

    answers = [answer(size) for size in range(len(data) + 1)]
    decided = next((size for size, found in enumerate(answers) if found is not None), len(data))
    assert answers[decided:] == [answers[decided]] * (len(data) + 1 - decided)
    if isinstance(found := answers[decided], Header):
        assert decided == found.size <= MAX_HEADER_BYTES


@given(
    st.ip_addresses(),
    st.ip_addresses(v=4),
    st.integers(0, 65535),
)
def test_every_address_is_read_back(source: IPv4Address | IPv6Address, other: IPv4Address, port: int) -> None:
    family, destination = ("TCP4", str(other)) if source.version == 4 else ("TCP6", f"::ffff:{other}")
    line = f"PROXY {family} {source} {destination} {port} 2022\r\n".encode()
    assert read_header(line) == Header(len(line), (str(source), port))


def test_networks_are_checked_when_the_settings_are_read() -> None:
    with pytest.raises(ValidationError, match="is not an address"):
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


async def test_a_line_of_version_1_is_believed_from_a_trusted_network_alone(room: Room) -> None:
    await room.restart(proxy_addresses=LOOPBACK)
    await connect_behind(room, LINE)
    assert (await room.logins.one()).address == SENDER
    await room.restart(proxy_addresses=("192.0.2.0/24",))
    await heard_until_closed(room, LINE)
    assert [entry["event"] for entry in room.logs if entry.get("address") == SENDER] == ["login", "connection ended"]


async def test_a_balancer_that_checks_by_version_1_keeps_its_own_address(room: Room) -> None:
    await room.restart(proxy_addresses=LOOPBACK)
    await connect_behind(room, b"PROXY UNKNOWN\r\n")
    assert (await room.logins.one()).address == "127.0.0.1"


@pytest.mark.parametrize("first", [header(), LINE], ids=["version 2", "version 1"])
async def test_a_header_that_comes_in_pieces_is_read(room: Room, first: bytes) -> None:
    await room.restart(proxy_addresses=LOOPBACK)
    sock = socket.create_connection(("127.0.0.1", room.server.port))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for byte in first:
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
