"""The PROXY protocol, versions 1 and 2: how a balancer tells whom it speaks for (haproxy.org, doc/proxy-protocol.txt).

Version 1 is a line, `PROXY TCP4 203.0.113.7 10.0.0.1 40000 2022`, that ends with CR LF; version 2 is binary.

Only what trusted networks say is believed, and from those nothing else is taken: a header that could be left out
could be forged by whoever reaches the balancer. What follows it on the connection is SSH.
"""

import asyncio
import struct
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv6Address, ip_address

import structlog

from ctsftp.sftp.asyncssh_seam.connection import SshConnection

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
FIXED = struct.Struct("!12sBBH")
MAX_HEADER_BYTES = 4096  # addresses take 36; the rest are notes of the balancer's, which are passed over

LINE_BEGINNING = b"PROXY "
MAX_LINE_BYTES = 107  # its CR LF included
LINE_FIELDS = 4  # source, destination, and the port of each
FAMILIES: dict[bytes, type[IPv4Address | IPv6Address]] = {b"TCP4": IPv4Address, b"TCP6": IPv6Address}
NOBODY = b"UNKNOWN"
MAX_PORT = 65535

LOCAL, PROXY = 0x20, 0x21
ADDRESS_BYTES = {0x11: 4, 0x21: 16}  # TCP over IPv4, over IPv6

log = structlog.get_logger()


class HeaderError(ValueError):
    """What came is no header of this protocol."""


@dataclass(frozen=True, slots=True)
class Header:
    """A header of `size` bytes; `peer` is None where the balancer speaks for itself."""

    size: int
    peer: tuple[str, int] | None


def read_header(data: bytes) -> Header | None:
    """Read the header that `data` begins with; None if it is not all there yet, `HeaderError` if it is none."""
    if data[: len(SIGNATURE)] == SIGNATURE[: len(data)]:
        return _read_binary(data)
    if data[: len(LINE_BEGINNING)] == LINE_BEGINNING[: len(data)]:
        return _read_line(data)
    raise HeaderError("it does not begin with a PROXY header")


def _read_line(data: bytes) -> Header | None:
    line, ended, _ = data[:MAX_LINE_BYTES].partition(b"\n")
    if not ended:
        if len(data) >= MAX_LINE_BYTES:
            raise HeaderError(f"the PROXY line does not end within {MAX_LINE_BYTES} bytes")
        return None
    if not line.endswith(b"\r"):
        raise HeaderError("the PROXY line does not end with CR LF")
    return Header(len(line) + 1, _peer_in(line[len(LINE_BEGINNING) : -1]))


def _peer_in(line: bytes) -> tuple[str, int] | None:
    """Read whom a line of version 1 names, without its beginning and end."""
    family, *fields = line.split(b" ")
    if family == NOBODY:  # the rest of the line is to be passed over
        return None
    if family not in FAMILIES:
        raise HeaderError("the PROXY line names none of TCP4, TCP6 or UNKNOWN")
    if len(fields) != LINE_FIELDS:
        raise HeaderError("the PROXY line does not hold two addresses and two ports")
    source, _ = (_address(field, FAMILIES[family]) for field in fields[:2])
    port, _ = map(_port, fields[2:])
    return source, port


def _address(field: bytes, family: type[IPv4Address | IPv6Address]) -> str:
    try:
        address = family(field.decode("ascii"))
    except (AddressValueError, UnicodeDecodeError):
        address = None
    if address is None or b"%" in field:  # a zone is of one machine alone
        raise HeaderError(f"the PROXY line holds {field!r}, which is no {family.__name__[:4]} address")
    return str(address)


def _port(field: bytes) -> int:
    if not field.isdigit() or (port := int(field)) > MAX_PORT or field != b"%d" % port:
        raise HeaderError(f"the PROXY line holds {field!r}, which is no port")
    return port


def _read_binary(data: bytes) -> Header | None:
    if len(data) < FIXED.size:
        return None
    _, command, family, length = FIXED.unpack_from(data)
    if command not in {LOCAL, PROXY}:
        raise HeaderError(f"the PROXY header's version and command are {command:#x}")
    size = FIXED.size + length
    if size > MAX_HEADER_BYTES:
        raise HeaderError(f"the PROXY header has {size} bytes, and {MAX_HEADER_BYTES} is the limit")
    if len(data) < size:
        return None
    width = ADDRESS_BYTES.get(family)
    if command == LOCAL or width is None:
        return Header(size, None)
    if length < 2 * width + 4:
        raise HeaderError("the PROXY header is too short for its addresses")
    source = data[FIXED.size : FIXED.size + width]
    (port,) = struct.unpack_from("!H", data, FIXED.size + 2 * width)
    return Header(size, (str(ip_address(source)), port))


class HeaderFirst(asyncio.Protocol):
    """Takes a transport's data until the header is there, and then gives the transport back to its protocol."""

    def __init__(
        self,
        transport: asyncio.Transport,
        protocol: asyncio.Protocol,
        *,
        arrived: Callable[[str | None], None],
        timeout_s: float,
    ) -> None:
        self._transport = transport
        self._protocol = protocol
        self._arrived = arrived
        self._data = b""
        self._deadline = asyncio.get_running_loop().call_later(timeout_s, self._give_up, "no PROXY header came in time")
        transport.set_protocol(self)

    def data_received(self, data: bytes) -> None:
        """Collect the header; pass on what follows it."""
        self._data += data
        try:
            header = read_header(self._data)
        except HeaderError as exc:
            self._give_up(str(exc))
            return
        if header is None:
            return
        self._deadline.cancel()
        self._transport.set_protocol(self._protocol)
        self._arrived(header.peer[0] if header.peer else None)
        if (rest := self._data[header.size :]) and not self._transport.is_closing():
            self._protocol.data_received(rest)

    def eof_received(self) -> bool | None:
        """Pass it on."""
        return self._protocol.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """Pass it on: a balancer looks whether somebody listens, and leaves."""
        self._deadline.cancel()
        self._protocol.connection_lost(exc)

    def pause_writing(self) -> None:
        """Pass it on."""
        self._protocol.pause_writing()

    def resume_writing(self) -> None:
        """Pass it on."""
        self._protocol.resume_writing()

    def _give_up(self, why: str) -> None:
        peer = self._transport.get_extra_info("peername")
        log.warning("balancer's connection refused", address=peer[0] if peer else "", reason=why)
        self._deadline.cancel()
        self._transport.abort()


def await_header(ssh: SshConnection, *, arrived: Callable[[str | None], None], timeout_s: float) -> None:
    """Let an SSH connection that was just made wait for its header; `arrived` is told the peer, None: the balancer."""
    HeaderFirst(ssh.transport, ssh, arrived=arrived, timeout_s=timeout_s)
