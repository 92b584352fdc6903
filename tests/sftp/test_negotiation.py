"""Which algorithms two peers have in common: read from a KEXINIT, without a connection."""

import os

import pytest
from asyncssh.packet import Boolean, NameList, PacketDecodeError, UInt32
from hypothesis import given
from hypothesis import strategies as st

from ctsftp.sftp.negotiation import (
    GROUP_EXCHANGE,
    SHOWN_CHARS,
    SHOWN_NAMES,
    Kind,
    Mismatch,
    is_finite_field,
    mismatch,
    read_offer,
)

OURS = {
    Kind.KEX: ("curve25519-sha256", "diffie-hellman-group14-sha256"),
    Kind.HOST_KEY: ("ssh-ed25519",),
    Kind.CIPHER: ("aes128-gcm@openssh.com", "aes128-ctr"),
    Kind.MAC: ("hmac-sha2-256",),
    Kind.COMPRESSION: ("none",),
}
FITTING = [
    ["curve25519-sha256"],
    ["ssh-ed25519"],
    *[["aes128-ctr"]] * 2,
    *[["hmac-sha2-256"]] * 2,
    *[["none"]] * 2,
]
PLACES = {Kind.KEX: 0, Kind.HOST_KEY: 1, Kind.CIPHER: 2, Kind.MAC: 4, Kind.COMPRESSION: 6}


def kexinit(lists: list[list[str]]) -> bytes:
    names = [NameList([name.encode() for name in one]) for one in [*lists, [], []]]
    return os.urandom(16) + b"".join(names) + Boolean(False) + UInt32(0)  # noqa: FBT003


def found(lists: list[list[str]]) -> Mismatch | None:
    return mismatch(read_offer(kexinit(lists)), OURS)


def with_list(place: int, names: list[str]) -> list[list[str]]:
    return [*FITTING[:place], names, *FITTING[place + 1 :]]


def test_peers_that_can_agree_have_no_mismatch() -> None:
    assert found(FITTING) is None
    assert found(with_list(0, ["sntrup761", "diffie-hellman-group14-sha256"])) is None


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("direction", [0, 1])
def test_the_kind_of_which_there_is_nothing_in_common_is_named(kind: Kind, direction: int) -> None:
    place = PLACES[kind] + (direction if kind not in {Kind.KEX, Kind.HOST_KEY} else 0)
    assert found(with_list(place, ["x", "y"])) == Mismatch(kind, ("x", "y"), OURS[kind])
    assert found(with_list(place, [])) == Mismatch(kind, (), OURS[kind])


def test_the_first_of_several_counts() -> None:
    lists = [["x"], ["y"], *FITTING[2:]]
    assert found(lists) == Mismatch(Kind.KEX, ("x",), OURS[Kind.KEX])


@pytest.mark.parametrize(("ciphers", "kind"), [((0,), Kind.MAC), ((1,), Kind.MAC), ((0, 1), None)])
def test_a_cipher_with_a_mac_of_its_own_needs_no_other(ciphers: tuple[int, ...], kind: Kind | None) -> None:
    lists = [list(one) for one in FITTING]
    lists[4] = lists[5] = ["hmac-md5"]
    for direction in ciphers:
        lists[2 + direction] = ["aes128-gcm@openssh.com"]
    wrong = found(lists)
    assert (wrong.kind if wrong else None) is kind


def test_it_says_what_would_help() -> None:
    wrong = found(with_list(0, ["diffie-hellman-group14-sha1"]))
    assert wrong is not None
    assert wrong.help == "The sender's software must offer one of: curve25519-sha256, diffie-hellman-group14-sha256."
    wrong = found(with_list(0, ["diffie-hellman-group14-sha1", GROUP_EXCHANGE]))
    assert wrong is not None
    assert f"CTSFTP_SFTP__EXTRA_KEX='[\"{GROUP_EXCHANGE}\"]'" in wrong.help


def test_of_an_endless_list_so_much_is_shown() -> None:
    wrong = found(with_list(0, [f"{number}-{'x' * 1000}" for number in range(1000)]))
    assert wrong is not None
    assert len(wrong.offered) == SHOWN_NAMES
    assert {len(name) for name in wrong.offered} == {SHOWN_CHARS}


@pytest.mark.parametrize(
    ("kex", "finite"),
    [
        (["curve25519-sha256", "diffie-hellman-group14-sha256"], False),
        (["diffie-hellman-group14-sha256", "curve25519-sha256"], True),
        (["diffie-hellman-group1-sha1", "curve25519-sha256"], False),
        (["diffie-hellman-group1-sha1"], False),
        ([], False),
    ],
)
def test_only_what_would_be_chosen_is_an_exchange_over_a_finite_field(kex: list[str], finite: bool) -> None:  # noqa: FBT001
    assert is_finite_field(read_offer(kexinit(with_list(0, kex))), OURS[Kind.KEX]) is finite


@given(st.binary(max_size=200))
def test_no_bytes_are_too_strange(data: bytes) -> None:
    try:
        offer = read_offer(data)
    except PacketDecodeError:
        return
    mismatch(offer, OURS)
