"""The PROXY protocol, version 2: how a balancer tells whom it speaks for (haproxy.org, doc/proxy-protocol.txt).

Only what trusted networks say is believed, and from those nothing else is taken: a header that could be left out
could be forged by whoever reaches the balancer. What follows it on the connection is SSH.
"""

import asyncio
import struct
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

import structlog

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
FIXED = struct.Struct("!12sBBH")
MAX_HEADER_BYTES = 4096  # addresses take 36; the rest are notes of the balancer's, which are passed over

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
    if data[: len(SIGNATURE)] != SIGNATURE[: len(data)]:
        raise HeaderError("it does not begin with a PROXY header of version 2")
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


def await_header(ssh: Any, *, arrived: Callable[[str | None], None], timeout_s: float) -> None:
    """Let an SSH connection that was just made wait for its header; `arrived` is told the peer, None: the balancer."""
    HeaderFirst(ssh._transport, ssh, arrived=arrived, timeout_s=timeout_s)  # noqa: SLF001  there is no public way to it
