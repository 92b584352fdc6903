"""Strangers become connections one address after another, so many a second, and no more wait than may."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from time import monotonic

import pytest

from ctsftp.sftp import newcomers
from ctsftp.sftp.admission import Crowd
from ctsftp.sftp.newcomers import Newcomers
from ctsftp.sftp.settings import SftpSettings

from .room import PATIENCE_S

LIMITS = SftpSettings(unauthenticated_per_address=3, unauthenticated_full=6)


class Street:
    """Where strangers come from, and what became of them."""

    def __init__(self, sockets: ExitStack) -> None:
        self._sockets = sockets
        self.begun: list[str] = []
        self.refused: list[tuple[str, Crowd]] = []
        self.newcomers = Newcomers(
            begin=lambda _peer, address: self.begun.append(address),
            refuse=lambda _peer, address, limit: self.refused.append((address, limit)),
            draw=lambda sources: sources[0],
        )

    def comes(self, address: str) -> socket.socket:
        peer = self._sockets.enter_context(socket.socket())
        self.newcomers.add(peer, address, LIMITS)
        return peer

    async def have_begun(self, count: int) -> list[str]:
        async with asyncio.timeout(PATIENCE_S):
            while len(self.begun) < count:  # noqa: ASYNC110  nothing tells of it
                await asyncio.sleep(0.001)
        return self.begun


@pytest.fixture
def sockets() -> Iterator[ExitStack]:
    with ExitStack() as sockets:
        yield sockets


async def test_one_that_is_alone_begins_at_once(sockets: ExitStack) -> None:
    street = Street(sockets)
    street.comes("a")
    assert street.begun == ["a"]
    street.newcomers.close()


async def test_after_a_pause_some_begin_at_once(sockets: ExitStack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(newcomers, "STRANGERS_AT_ONCE", 3)
    monkeypatch.setattr(newcomers, "STRANGERS_PER_S", 2)  # slow enough for a busy machine
    street = Street(sockets)
    for address in "abcd":
        street.comes(address)
    assert street.begun == ["a", "b", "c"]
    await street.have_begun(4)
    street.newcomers.close()


async def test_addresses_take_turns_at_the_pace_of_the_house(
    sockets: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(newcomers, "STRANGERS_AT_ONCE", 1)
    monkeypatch.setattr(newcomers, "STRANGERS_PER_S", 5)  # slow enough for a busy machine
    street = Street(sockets)
    began_s = monotonic()
    for address in "aaaabc":
        street.comes(address)
    assert await street.have_begun(6) == ["a", "a", "b", "c", "a", "a"]
    assert monotonic() - began_s >= 4 / newcomers.STRANGERS_PER_S
    assert not street.refused
    street.newcomers.close()


async def test_an_address_has_so_many_places_and_all_have_so_many(
    sockets: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(newcomers, "STRANGERS_AT_ONCE", 1)
    monkeypatch.setattr(newcomers, "STRANGERS_PER_S", 5)
    street = Street(sockets)
    for address in "aaaaabbbc":
        street.comes(address)
    assert street.refused == [("a", Crowd.UNAUTHENTICATED_ADDRESS), ("a", Crowd.UNAUTHENTICATED)]
    assert sorted(await street.have_begun(7)) == [*"aaa", *"bbb", "c"]
    street.newcomers.close()


async def test_who_waits_at_the_end_is_let_go(sockets: ExitStack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(newcomers, "STRANGERS_AT_ONCE", 1)
    street = Street(sockets)
    street.comes("a")
    waiting = street.comes("a")
    street.newcomers.close()
    street.newcomers.close()
    assert waiting.fileno() < 0
    assert street.begun == ["a"]
