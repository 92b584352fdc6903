"""Which algorithms the server speaks, one at a time, and which it does not."""

import asyncssh
import pytest

from ctsftp.sftp.server import CIPHERS, KEX_ALGORITHMS, MACS

from ..sftp.room import Room

REFUSED = [
    *(("kex_algs", name) for name in ("diffie-hellman-group14-sha1", "diffie-hellman-group-exchange-sha1")),
    *(("kex_algs", name) for name in ("diffie-hellman-group14-sha256", "ecdh-sha2-nistp521")),
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
