"""Key exchange: which methods are offered, how often the costly ones are done, and who hears when nothing is in common.

An exchange takes 1 ms of the event loop, and one over a finite field 2 to 8 ms. So no more than `FINITE_FIELD_PER_S` of
those are done in a second, one after the other, and strangers' (`standing.py`) of all kinds have paces of their own; a
connection waits for its turn before its KEXINIT is worked off. Rests on asyncssh's table
`_packet_handlers`, on `_kex_algs`, `_server_host_key_algs` and `_mac_algs`; the group exchange on `_KexDHGex` and
`_kex_handlers`.
"""

import asyncio
import warnings
from collections.abc import Callable
from hashlib import sha256
from typing import Any

import asyncssh
from asyncssh import kex, kex_dh
from asyncssh.constants import MSG_KEXINIT
from asyncssh.packet import MPInt, SSHPacket

from ctsftp.sftp.asyncssh_seam.ciphers import CIPHERS
from ctsftp.sftp.asyncssh_seam.connection import SshConnection
from ctsftp.sftp.negotiation import GROUP_EXCHANGE, Kind, Mismatch, Offer, is_finite_field, mismatch, read_offer
from ctsftp.sftp.standing import Standing

# The last four are for senders that know nothing newer (RFC 9142 says MUST of group 14, SHOULD of the others).
KEX_ALGORITHMS = (
    "mlkem768x25519-sha256",
    "curve25519-sha256",
    "curve25519-sha256@libssh.org",
    "ecdh-sha2-nistp256",
    "ecdh-sha2-nistp384",
    "ecdh-sha2-nistp521",
    "diffie-hellman-group14-sha256",
    "diffie-hellman-group16-sha512",
)
FINITE_FIELD_PER_S = 20
STRANGERS_FINITE_FIELD_PER_S = 10
STRANGERS_EXCHANGES_PER_S = 100
# Of the groups that a peer may ask for by their size: a smaller one is broken, a larger one takes 17 ms or more.
GROUP_BITS = (2048, 3072, 4096)
# cryptography, which asyncssh does them with, will drop them one day, and says so at each: then they leave the list.
warnings.filterwarnings("ignore", message="Diffie-Hellman over finite fields")


class Pace:
    """Lets those that wait go on one after the other, at most so many in a second."""

    def __init__(self, per_s: float) -> None:
        self._interval_s = 1 / per_s
        self._loop = asyncio.get_running_loop()
        self._line = asyncio.Lock()
        self._next_s = 0.0

    async def turn(self, *, is_gone: Callable[[], bool] = lambda: False) -> None:
        """Wait for a turn; whoever is gone when it comes leaves it to the next."""
        async with self._line:
            if not is_gone():
                await asyncio.sleep(self._next_s - self._loop.time())
                self._next_s = self._loop.time() + self._interval_s


class Paces:
    """Those of one server, by who exchanges keys and how."""

    def __init__(self) -> None:
        self.finite_field = Pace(FINITE_FIELD_PER_S)
        self._strangers = Pace(STRANGERS_EXCHANGES_PER_S)
        self._strangers_finite_field = Pace(STRANGERS_FINITE_FIELD_PER_S)

    def of(self, standing: Standing, *, finite_field: bool) -> Pace | None:
        """Give the line that a peer waits in; None: in none."""
        if standing is Standing.STRANGER:
            return self._strangers_finite_field if finite_field else self._strangers
        return self.finite_field if finite_field else None


def attend_exchanges(
    ssh: SshConnection,
    paces: Paces,
    *,
    heard: Callable[[], None],
    failed: Callable[[Mismatch | None], None],
) -> None:
    """Have each KEXINIT of a new connection `heard`, wait for its turn, and failures told."""
    conn: Any = ssh
    negotiate = conn._packet_handlers[MSG_KEXINIT]  # noqa: SLF001

    def receive(_conn: object, pkttype: int, pktid: int, packet: SSHPacket) -> object:
        offer = read_offer(packet.get_remaining_payload())
        heard()
        return exchange(offer, pkttype, pktid, packet)

    async def exchange(offer: Offer, pkttype: int, pktid: int, packet: SSHPacket) -> None:
        ours = {
            Kind.KEX: _names(conn._kex_algs),  # noqa: SLF001
            Kind.HOST_KEY: _names(conn._server_host_key_algs),  # noqa: SLF001
            Kind.CIPHER: CIPHERS,
            Kind.MAC: _names(conn._mac_algs),  # noqa: SLF001
            Kind.COMPRESSION: ("none",),
        }
        if pace := paces.of(conn.standing, finite_field=is_finite_field(offer, ours[Kind.KEX])):
            await pace.turn(is_gone=conn.is_closed)
        if conn.is_closed():
            return
        try:
            await negotiate(conn, pkttype, pktid, packet)
        except asyncssh.KeyExchangeFailed:
            failed(mismatch(offer, ours))
            raise

    conn._packet_handlers = {**conn._packet_handlers, MSG_KEXINIT: receive}  # noqa: SLF001


class BoundedGroupExchange(kex_dh._KexDHGex):  # noqa: SLF001  the seam
    """The group exchange (RFC 4419), without the group of 1,024 bits that asyncssh gives to whoever asks for it."""

    def _process_request(self, pkttype: int, _pktid: int, packet: SSHPacket) -> None:
        if self._conn.is_client() or self._p:
            raise asyncssh.ProtocolError("Unexpected request for a group")
        self._gex_data = packet.get_remaining_payload()
        if pkttype == kex_dh.MSG_KEX_DH_GEX_REQUEST_OLD:
            least, wanted, most = 0, packet.get_uint32(), GROUP_BITS[-1]
        else:
            least, wanted, most = packet.get_uint32(), packet.get_uint32(), packet.get_uint32()
        packet.check_end()
        fitting = [group for group in kex_dh._dh_gex_groups if group[0] in GROUP_BITS and least <= group[0] <= most]  # noqa: SLF001
        if not fitting:
            raise asyncssh.KeyExchangeFailed(f"The group must have {GROUP_BITS[0]} to {GROUP_BITS[-1]} bits")
        _, g, p = next((group for group in fitting if group[0] >= wanted), fitting[-1])
        self._init_group(g, p)
        self._gex_data += MPInt(p) + MPInt(g)
        self.send_packet(self._group_type, MPInt(p), MPInt(g))

    _packet_handlers = {  # noqa: RUF012  asyncssh's own table
        **kex_dh._KexDHGex._packet_handlers,  # noqa: SLF001  the seam
        kex_dh.MSG_KEX_DH_GEX_REQUEST_OLD: _process_request,
        kex_dh.MSG_KEX_DH_GEX_REQUEST: _process_request,
    }


kex._kex_handlers[GROUP_EXCHANGE.encode()] = (BoundedGroupExchange, sha256, ())  # noqa: SLF001  the seam


def _names(names: list[bytes]) -> tuple[str, ...]:
    return tuple(name.decode("ascii") for name in names)
