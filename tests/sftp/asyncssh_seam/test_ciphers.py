"""Which cipher a connection gets: AES-GCM where the client knows it, AES-CTR where not, and nobody waits for ever."""

import asyncio
import re

import pytest
from asyncssh.constants import MSG_KEXINIT

from ctsftp.sftp.asyncssh_seam import ciphers
from ctsftp.sftp.asyncssh_seam.ciphers import CIPHERS

from ..room import PATIENCE_S, Room
from ..stock import StockSftp

CTR_FIRST = ["aes128-ctr", "aes256-gcm@openssh.com"]


@pytest.mark.parametrize(
    ("known", "chosen"),
    [
        ("chacha20-poly1305@openssh.com,aes128-ctr,aes256-ctr,aes256-gcm@openssh.com", "aes256-gcm@openssh.com"),
        ("aes128-gcm@openssh.com,aes128-ctr", "aes128-gcm@openssh.com"),
        ("aes256-ctr,aes192-ctr", "aes256-ctr"),
    ],
)
async def test_openssh_gets_gcm_wherever_it_knows_it(stock: StockSftp, known: str, chosen: str) -> None:
    done = await stock.ssh("true", options=(f"-oCiphers={known}", "-oLogLevel=DEBUG1"))
    assert re.findall(r"cipher: (\S+)", done.err) == [chosen, chosen]


async def test_a_client_that_is_not_openssh_gets_the_first_of_its_own(room: Room) -> None:
    connection = await room.connect(encryption_algs=CTR_FIRST)
    assert connection.get_extra_info("recv_cipher") == "aes128-ctr"


async def test_the_keys_can_be_exchanged_again(room: Room) -> None:
    connection = await room.connect(
        client_version="OpenSSH_9.2", encryption_algs=CTR_FIRST, rekey_bytes=200_000, mac_algs=["hmac-sha2-256"]
    )
    assert connection.get_extra_info("recv_cipher") == "aes256-gcm@openssh.com"
    data = b"x" * 2_000_000
    async with connection.start_sftp_client() as sftp, sftp.open("large.csv", "wb") as file:
        await file.write(data)
    assert room.home("large.csv") == data


async def test_a_peer_that_calls_itself_openssh_and_waits_for_the_servers_list_gets_it(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a scanner does."""
    monkeypatch.setattr(ciphers, "PATIENCE_S", 0.01)
    reader, writer = await asyncio.open_connection("127.0.0.1", room.server.port)
    writer.write(b"SSH-2.0-OpenSSH_8.2\r\n")
    async with asyncio.timeout(PATIENCE_S):
        assert (await reader.readline()).startswith(b"SSH-2.0-ctsftp")
        packet = await reader.readexactly(int.from_bytes(await reader.readexactly(4)))
    assert packet[1] == MSG_KEXINIT
    assert ",".join(CIPHERS).encode() in packet
    writer.close()
    await writer.wait_closed()


async def test_a_peer_that_leaves_before_it_was_answered_leaves_nothing_behind(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ciphers, "PATIENCE_S", 0.01)
    _, writer = await asyncio.open_connection("127.0.0.1", room.server.port)
    writer.write(b"SSH-2.0-OpenSSH_8.2\r\n")
    writer.close()
    await writer.wait_closed()
    await room.disconnected()
    assert await room.connect()
