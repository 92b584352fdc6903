"""The cipher of a connection: AES-GCM wherever the peer can, also where it would rather have another.

The first cipher on the client's list that the server offers is taken (RFC 4253, section 7.1). OpenSSH puts AES-CTR
before AES-GCM up to version 9.8, though with its MAC it takes half again as much CPU on both sides. An offer that is
made only once the client's list is here can leave out AES-CTR for who knows AES-GCM, and keep it for who does not.
"""

import asyncio
from typing import Any

import asyncssh
from asyncssh.constants import MSG_KEXINIT
from asyncssh.packet import SSHPacket

GCM = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com")
CTR = ("aes128-ctr", "aes192-ctr", "aes256-ctr")
# chacha20-poly1305 is a quarter slower here than AES-GCM, so it is not offered.
CIPHERS = (*GCM, *CTR)
# OpenSSH sends its list as soon as it knows whom it talks to; a scanner that takes its name may wait for ours.
PATIENCE_S = 1.0

_COOKIE_BYTES = 16


def prefer_gcm(ssh: asyncssh.SSHServerConnection) -> None:
    """Answer OpenSSH's first KEXINIT, rather than send ours at the same time; call it when the connection is new.

    Other peers are not made to wait: some send their list only after the server's. Rests on asyncssh's
    `_send_kexinit`, `process_packet` and `_enc_algs`.
    """
    conn: Any = ssh
    offer, process = conn._send_kexinit, conn.process_packet  # noqa: SLF001
    timer: asyncio.TimerHandle | None = None

    def offer_later() -> None:
        """Take the place of the first offer; those of later key exchanges are sent as they are."""
        nonlocal timer
        conn._send_kexinit = offer  # noqa: SLF001
        if "OpenSSH" in conn.get_extra_info("client_version", ""):
            timer = asyncio.get_running_loop().call_later(PATIENCE_S, offer_now, CIPHERS)
        else:
            conn.process_packet = process
            offer()

    def offer_now(ciphers: tuple[str, ...]) -> None:
        assert timer is not None
        timer.cancel()
        conn.process_packet = process
        conn._enc_algs = [cipher.encode() for cipher in ciphers]  # noqa: SLF001
        offer()

    def receive(pkttype: int, pktid: int, packet: SSHPacket) -> object:
        if pkttype == MSG_KEXINIT:
            known = _ciphers_in(packet.get_remaining_payload())
            offer_now(tuple(cipher for cipher in GCM if cipher in known) or CTR)
        return process(pkttype, pktid, packet)

    conn._send_kexinit, conn.process_packet = offer_later, receive  # noqa: SLF001


def _ciphers_in(kexinit: bytes) -> set[str]:
    """Read which ciphers a peer's KEXINIT (RFC 4253, section 7.1) names for both directions."""
    packet = SSHPacket(kexinit)
    packet.get_bytes(_COOKIE_BYTES)
    for _ in ("key exchange", "host keys"):
        packet.get_namelist()
    both = set(packet.get_namelist()) & set(packet.get_namelist())
    return {cipher.decode(errors="replace") for cipher in both}
