"""Where events may be sent: not inside, unless the admin allows it.

An address is chosen by whoever adds it, and the request comes from this machine: to the metadata service of a
cloud, or to a database on loopback, it would look trustworthy (OWASP: server-side request forgery).

Which addresses are public is written down here, after IANA's registries of special-purpose addresses (RFC 6890):
the answer must not change with the version of Python.
"""

import asyncio
import socket
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

ALLOW = "CTSFTP_NOTIFY__ALLOW_INTERNAL=true"

INSIDE_4 = tuple(
    map(
        IPv4Network,
        (
            "0.0.0.0/8",  # this network
            "10.0.0.0/8",  # private
            "100.64.0.0/10",  # shared by a carrier's customers
            "127.0.0.0/8",  # loopback
            "168.63.129.16/32",  # Azure's own services, at every machine there
            "169.254.0.0/16",  # link-local, and the clouds' metadata
            "172.16.0.0/12",  # private
            "192.0.0.0/24",  # protocol assignments, and Oracle's metadata
            "192.0.2.0/24",  # documentation
            "192.31.196.0/24",  # AS112: a sink, often one's own
            "192.52.193.0/24",  # tunnels of multicast (AMT)
            "192.88.99.0/24",  # relays of 6to4, deprecated
            "192.168.0.0/16",  # private
            "192.175.48.0/24",  # AS112
            "198.18.0.0/15",  # benchmarks
            "198.51.100.0/24",  # documentation
            "203.0.113.0/24",  # documentation
            "224.0.0.0/3",  # multicast, reserved, broadcast
        ),
    )
)
# All else of IPv6 is loopback, unique local, link-local, multicast, or reserved.
PUBLIC_6 = IPv6Network("2000::/3")
INSIDE_6 = tuple(
    map(
        IPv6Network,
        (
            "2001::/23",  # protocol assignments: Teredo, benchmarks, ORCHID
            "2001:db8::/32",  # documentation
            "2620:4f:8000::/48",  # AS112
            "3fff::/20",  # documentation
        ),
    )
)
MAPPED = IPv6Network("::ffff:0:0/96")  # RFC 4291, 2.5.5.2
NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052; 64:ff9b:1::/48 is for use inside (RFC 8215)


def is_internal(address: str) -> bool:
    """Tell whether an IP address is anything but a public one for one receiver, also where IPv6 wraps IPv4."""
    found = ip_address(address)
    if isinstance(found, IPv4Address):
        return any(found in network for network in INSIDE_4)
    if wrapped := _wrapped(found):
        return any(wrapped in network for network in INSIDE_4)
    return found not in PUBLIC_6 or any(found in network for network in INSIDE_6)


def refusal(host: str) -> str:
    """Say that a host is inside, and which setting would allow it."""
    return f"{host} is an address inside: set {ALLOW} for ctsftp serve if events may go there, and restart it."


async def resolve(host: str, port: int) -> list[str]:
    """Look a host's addresses up, those to try first in front; OSError where it has none."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def _wrapped(address: IPv6Address) -> IPv4Address | None:
    """Give the IPv4 address that an IPv6 address stands for: mapped, translated, or reached by a tunnel (6to4)."""
    if address in MAPPED or address in NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.sixtofour
