"""Which algorithms the server speaks, one at a time, and which it does not."""

import asyncssh
import pytest
from pydantic import ValidationError

from ctsftp.sftp.asyncssh_seam.ciphers import CIPHERS
from ctsftp.sftp.asyncssh_seam.exchange import KEX_ALGORITHMS
from ctsftp.sftp.negotiation import GROUP_EXCHANGE
from ctsftp.sftp.server import MACS
from ctsftp.sftp.settings import SftpSettings

from ..sftp.room import Room

REFUSED = [
    *(("kex_algs", name) for name in ("diffie-hellman-group14-sha1", "diffie-hellman-group-exchange-sha1")),
    *(("kex_algs", name) for name in ("diffie-hellman-group-exchange-sha256", "diffie-hellman-group18-sha512")),
    *(("encryption_algs", name) for name in ("chacha20-poly1305@openssh.com", "aes128-cbc", "3des-cbc")),
    *(("mac_algs", name) for name in ("hmac-sha1", "hmac-sha1-etm@openssh.com", "hmac-md5", "umac-64@openssh.com")),
    ("compression_algs", "zlib@openssh.com"),
]


def options(kind: str, name: str) -> dict[str, list[str]]:
    """Offer one algorithm; a MAC counts only beside a cipher that needs one."""
    return {kind: [name], **({"encryption_algs": ["aes128-ctr"]} if kind == "mac_algs" else {})}


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        *(("kex_algs", name) for name in KEX_ALGORITHMS),
        *(("encryption_algs", name) for name in CIPHERS),
        *(("mac_algs", name) for name in MACS),
    ],
)
async def test_each_algorithm_of_the_house_is_spoken(room: Room, kind: str, name: str) -> None:
    connection = await room.connect(**options(kind, name))
    if kind == "encryption_algs":
        assert connection.get_extra_info("recv_cipher") == name
    if kind == "mac_algs":
        assert connection.get_extra_info("recv_mac") == name


@pytest.mark.parametrize(("kind", "name"), REFUSED)
async def test_what_is_weak_slow_or_compressed_is_not_spoken(room: Room, kind: str, name: str) -> None:
    with pytest.raises(asyncssh.KeyExchangeFailed):
        await room.connect(**options(kind, name))


def test_the_key_exchange_that_a_quantum_computer_does_not_break_comes_first() -> None:
    assert KEX_ALGORITHMS[0] == "mlkem768x25519-sha256"


async def test_the_group_exchange_is_spoken_where_it_is_switched_on(room: Room) -> None:
    await room.restart(extra_kex=(GROUP_EXCHANGE,))
    await room.connect(kex_algs=[GROUP_EXCHANGE])
    with pytest.raises(ValidationError):
        SftpSettings(extra_kex=("diffie-hellman-group1-sha1",))  # type: ignore[arg-type]


def test_what_is_older_comes_behind_what_is_newer() -> None:
    assert KEX_ALGORITHMS.index("ecdh-sha2-nistp256") < KEX_ALGORITHMS.index("ecdh-sha2-nistp384")
    assert all(name.startswith("diffie-hellman-group1") for name in KEX_ALGORITHMS[-2:])
