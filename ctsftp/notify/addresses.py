"""Where webhooks may go: not inside, unless the admin allows it.

A webhook's address is chosen by whoever adds it, and the request comes from this machine: to the metadata
service of a cloud, or to a database on loopback, it would look trustworthy (OWASP: server-side request forgery).
"""

import asyncio
import socket
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052: the last 32 bits are an IPv4 address
COMPATIBLE = IPv6Network("::/96")  # RFC 4291, 2.5.5.1: deprecated, and so is the loopback in it


def is_internal(address: str) -> bool:
    """Tell whether an IP address is anything but a public one for one receiver, also where IPv6 wraps IPv4."""
    found = ip_address(address)
    if isinstance(found, IPv4Address):
        return _is_inside(found)
    wrapped = list(_wrapped(found))
    return any(_is_inside(one) for one in wrapped) or (not wrapped and _is_inside(found))


async def resolve(host: str, port: int) -> list[str]:
    """Look a host's addresses up, those to try first in front; OSError where it has none."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def _is_inside(address: IPv4Address | IPv6Address) -> bool:
    special = address.is_multicast or address.is_reserved or address.is_link_local or address.is_unspecified
    return special or address.is_loopback or not address.is_global or getattr(address, "is_site_local", False)


def _wrapped(address: IPv6Address) -> Iterator[IPv4Address]:
    """Give the IPv4 addresses that an IPv6 address stands for: mapped, translated, or reached by a tunnel."""
    if address.ipv4_mapped:
        yield address.ipv4_mapped
    if address.sixtofour:
        yield address.sixtofour
    if address.teredo:
        yield from address.teredo
    if address in NAT64 or address in COMPATIBLE:
        yield IPv4Address(int(address) & 0xFFFFFFFF)
