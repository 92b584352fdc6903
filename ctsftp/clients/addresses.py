"""The pattern lists of `from="..."`: which addresses a key may be used from.

OpenSSH's lists (PATTERNS in ssh_config(5)) in so far as they speak of addresses: CIDR blocks, the wildcards `*`
and `?`, and `!` to exclude. A host name would need DNS, which the one who is to be kept out may control.
"""

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

from ctsftp.errors import UsageError

MAX_PATTERNS: Final = 256

_BLOCK: Final = re.compile(r"[0-9a-f.:]+(/[0-9]{1,3})?")
_WILDCARD: Final = re.compile(r"[0-9.*?]+|(?=[^:]*:)[0-9a-f:.*?]+")


def check_patterns(patterns: Sequence[str]) -> None:
    """Raise UsageError unless every pattern speaks of addresses and the list can match at all."""
    if len(patterns) > MAX_PATTERNS:
        raise UsageError(f"from= lists {len(patterns)} patterns, and {MAX_PATTERNS} is the limit")
    for pattern in patterns:
        _check_pattern(pattern.removeprefix("!").lower(), shown=pattern)
    if all(pattern.startswith("!") for pattern in patterns):
        raise UsageError("from= only says what it excludes, so nothing would ever match: add what is allowed")


def matches(patterns: Sequence[str], address: str) -> bool:
    """Tell whether a checked list allows an address; as in sshd, one excluding match outweighs all others.

    What is no address matches nothing: a peer whose address is unknown is outside every list.
    """
    try:
        ip: IPv4Address | IPv6Address = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(ip, IPv6Address) and ip.ipv4_mapped:
        ip = ip.ipv4_mapped  # How a listener on :: sees an IPv4 peer.
    covering = [pattern for pattern in patterns if _covers(pattern.removeprefix("!").lower(), ip)]
    return bool(covering) and not any(pattern.startswith("!") for pattern in covering)


def _covers(pattern: str, ip: IPv4Address | IPv6Address) -> bool:
    if "*" in pattern or "?" in pattern:
        return fnmatchcase(str(ip), pattern)
    return ip in ip_network(pattern)


def _check_pattern(pattern: str, *, shown: str) -> None:
    if ("*" in pattern or "?" in pattern) and _WILDCARD.fullmatch(pattern):
        return
    if not _BLOCK.fullmatch(pattern):
        raise UsageError(
            f"from= holds {shown!r}, which is not an address: give addresses, CIDR blocks or wildcards "
            "(10.1.2.3, 10.0.0.0/8, 10.1.*); host names are not looked up"
        )
    try:
        network = ip_network(pattern)
    except ValueError as error:
        raise UsageError(f"from= holds {shown!r}: {error}") from None
    if isinstance(network, IPv6Network) and network.network_address.ipv4_mapped:
        # Peers are compared as IPv4, so this would never match, nor exclude.
        raise UsageError(f"from= holds {shown!r}: write an IPv4 address as such, without ::ffff:")
