"""Stands at the door: whom the penalties or the crowd keep out, and what a connection that ends badly earns.

Refusals are cheap and come in floods, so they are told to the admin in sums: the first at once, the others together.
"""

import random
from collections.abc import Callable, Hashable
from contextlib import suppress
from dataclasses import replace
from socket import socket
from typing import Protocol

import structlog
from asyncssh import DISC_TOO_MANY_CONNECTIONS

from ctsftp.clients.addresses import matches
from ctsftp.sftp.admission import Admission, Crowd
from ctsftp.sftp.asyncssh_seam.connection import SshConnection
from ctsftp.sftp.penalties import EarlyEnds, Offence, Penalties, Penalty, source_of
from ctsftp.sftp.settings import SftpSettings
from ctsftp.sftp.standing import KnownAddresses, Standing
from ctsftp.sftp.sums import Sums

PENALTY = "penalty"

# What the peer is told (RFC 4253, section 4.2, allows lines before the version): one text for all that wait.
TRY_LATER = "Too many connections: try again later."
NOT_NOW = "Not allowed at this time."

log = structlog.get_logger()


class Visitor(Hashable, Protocol):
    """A connection that may be turned away; `greeted` tells whether it was told the server's version."""

    ssh: SshConnection
    address: str
    greeted: bool
    turned_away: bool


class Door:
    """Counts who is connected, remembers who behaved badly, and turns away."""

    def __init__(self, settings: SftpSettings, *, clock_s: Callable[[], float]) -> None:
        self._clock_s = clock_s
        self._crowd: Admission[Visitor] = Admission(
            settings, chance=random.SystemRandom().random, draw=random.SystemRandom().choice
        )
        self._settings = settings
        self._refused = Sums("connection refused", "connections refused")
        self._known = KnownAddresses()
        self.penalties = Penalties(settings.penalties)
        self._early_ends = EarlyEnds(settings.penalties.max_sources)

    def apply(self, settings: SftpSettings) -> None:
        """Go by other limits from now on; who is in stays in."""
        self._settings = self._crowd.limits = settings
        self.penalties.settings = settings.penalties

    def is_closed_to(self, peer: socket, address: str) -> bool:
        """Turn a newcomer away if its address has a penalty: that costs next to nothing."""
        if not self._refuses(address):
            return False
        self._end(peer, address, PENALTY, NOT_NOW)
        return True

    def refuse(self, peer: socket, address: str, limit: Crowd) -> None:
        """Turn a newcomer away where too many come."""
        self._end(peer, address, limit, TRY_LATER)

    def arrive(self, connection: Visitor) -> bool:
        """Let a connection begin, or end it; another one may have to go in its place."""
        if self._refuses(connection.address):
            self._turn_away(connection, PENALTY, NOT_NOW)
            return False
        arrival = self._crowd.arrive(
            connection,
            source_of(connection.address),
            trusted=self._trusts(connection.address),
            known=self.standing(connection.address) is Standing.KNOWN,
        )
        if arrival.limit and arrival.leaves:
            self._turn_away(arrival.leaves, arrival.limit, TRY_LATER)
        return arrival.leaves is not connection

    def sign_in(self, connection: Visitor, client: str) -> bool:
        """Count a login, and know its address from now on, unless the client has as many connections as it may."""
        if not self._crowd.sign_in(connection, client):
            return False
        self._known.note(connection.address, self._clock_s())
        return True

    def leave(self, connection: Visitor) -> None:
        """Count a connection no longer."""
        self._crowd.leave(connection)

    def blame(self, address: str, offence: Offence, share: float = 1.0) -> None:
        """Note an offence, or a part of one, and say so if the address is refused from now on."""
        if self.penalties.earn(address, offence, self._clock_s(), share) and not self._trusts(address):
            wait_s = self.penalties.refused_s(address, self._clock_s())
            log.warning("address refused", address=address, offence=str(offence), for_s=round(wait_s))
            self._known.forget(address)

    def standing(self, address: str) -> Standing:
        """Tell how well an address is known, before anybody signed in."""
        known = self._trusts(address) or self._known.knows(address, self._clock_s())
        return Standing.KNOWN if known else Standing.STRANGER

    def excuses(self, address: str) -> bool:
        """Tell whether a connection of an address may end before its KEXINIT: now and then, as a health check does."""
        return self._early_ends.excuses(address, self._clock_s())

    def penalties_now(self) -> list[Penalty]:
        """List who has a penalty; a trusted address is never refused for it."""
        found = self.penalties.current(self._clock_s())
        return [replace(one, refused=one.refused and not self._trusts(one.source.partition("/")[0])) for one in found]

    def close(self) -> None:
        """Tell what is untold; closing twice is fine."""
        self._refused.close()

    def _trusts(self, address: str) -> bool:
        trusted = self._settings.trusted_addresses
        return bool(trusted) and matches(trusted, address)

    def _refuses(self, address: str) -> bool:
        return bool(self.penalties.refused_s(address, self._clock_s())) and not self._trusts(address)

    def _end(self, peer: socket, address: str, cause: str, text: str) -> None:
        with peer, suppress(OSError):
            peer.send(f"{text}\r\n".encode())
        self._refused.tell(cause, address=address)

    def _turn_away(self, connection: Visitor, cause: str, text: str) -> None:
        connection.turned_away = True
        if connection.greeted:
            connection.ssh.disconnect(DISC_TOO_MANY_CONNECTIONS, text)
        else:
            connection.ssh.end_before_version(text)
        self._refused.tell(cause, address=connection.address)
