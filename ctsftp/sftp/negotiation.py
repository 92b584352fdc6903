"""What a peer and this server have in common: the lists of a KEXINIT (RFC 4253, section 7.1), read and compared.

Pure. Of each list the first name that the server offers too is taken; where there is none, the connection ends, and the
admin is told what was offered, what was missing and what would help.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from asyncssh.packet import SSHPacket

COOKIE_BYTES = 16
# A list may hold thousands of names, and each is whatever a stranger wrote.
SHOWN_NAMES = 20
SHOWN_CHARS = 64

GROUP_EXCHANGE = "diffie-hellman-group-exchange-sha256"
FINITE_FIELD = "diffie-hellman-"


class Kind(StrEnum):
    """What two peers have to agree on, in the order of a KEXINIT."""

    KEX = "kex"
    HOST_KEY = "host_key"
    CIPHER = "cipher"
    MAC = "mac"
    COMPRESSION = "compression"


Lists = Mapping[Kind, Sequence[str]]


@dataclass(frozen=True, slots=True)
class Offer:
    """A peer's lists; of those that are there for each direction, from the peer first."""

    lists: tuple[tuple[Kind, tuple[str, ...]], ...]

    def of(self, kind: Kind) -> list[tuple[str, ...]]:
        """Give the lists of one kind."""
        return [names for one, names in self.lists if one is kind]


@dataclass(frozen=True, slots=True)
class Mismatch:
    """Why two peers could not agree: the kind, what the peer offered of it, and what the server has."""

    kind: Kind
    offered: tuple[str, ...]
    needed: tuple[str, ...]

    @property
    def help(self) -> str:
        """Say what would help."""
        if self.kind is Kind.KEX and GROUP_EXCHANGE in self.offered:
            return f"Set CTSFTP_SFTP__EXTRA_KEX='[\"{GROUP_EXCHANGE}\"]', and start the server again."
        return f"The sender's software must offer one of: {', '.join(self.needed)}."


def read_offer(kexinit: bytes) -> Offer:
    """Read a KEXINIT behind its type; `PacketDecodeError` if it is broken."""
    packet = SSHPacket(kexinit)
    packet.get_bytes(COOKIE_BYTES)
    order = (Kind.KEX, Kind.HOST_KEY, *(kind for kind in (Kind.CIPHER, Kind.MAC, Kind.COMPRESSION) for _ in range(2)))
    return Offer(tuple((kind, tuple(map(_name, packet.get_namelist()))) for kind in order))


def mismatch(offer: Offer, ours: Lists) -> Mismatch | None:
    """Find the first kind of which there is nothing in common; None if all can be agreed on."""
    ciphers = iter(offer.of(Kind.CIPHER))
    for kind, names in offer.lists:
        if kind is Kind.MAC and "gcm" in (chosen(next(ciphers), ours[Kind.CIPHER]) or ""):
            continue  # AES-GCM needs none
        if chosen(names, ours[kind]) is None:
            return Mismatch(kind, tuple(name[:SHOWN_CHARS] for name in names[:SHOWN_NAMES]), tuple(ours[kind]))
    return None


def chosen(theirs: Sequence[str], ours: Sequence[str]) -> str | None:
    """Give the first of a peer's names that the server has too."""
    return next((name for name in theirs if name in ours), None)


def is_finite_field(offer: Offer, kex: Sequence[str]) -> bool:
    """Tell whether a peer will exchange keys over a finite field, which takes milliseconds."""
    return (chosen(offer.of(Kind.KEX)[0], kex) or "").startswith(FINITE_FIELD)


def _name(name: bytes) -> str:
    return name.decode("ascii", errors="replace")
