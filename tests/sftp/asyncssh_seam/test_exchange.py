"""Key exchange: the slow methods take turns, and the group exchange gives no weak group."""

import asyncio
from collections.abc import Callable
from time import monotonic

import asyncssh
import pytest
from asyncssh import kex_dh
from asyncssh.packet import UInt32

from ctsftp.sftp.asyncssh_seam.exchange import FINITE_FIELD_PER_S, GROUP_BITS, Pace
from ctsftp.sftp.negotiation import GROUP_EXCHANGE

from ..room import Room

SLOW = "diffie-hellman-group14-sha256"
# What Axway's servers offered by 2021.
AXWAY = [GROUP_EXCHANGE, SLOW, *(f"diffie-hellman-group{number}-sha512" for number in (15, 16, 17, 18))]


class CountingPace(Pace):
    count = 0

    async def turn(self, *, is_gone: Callable[[], bool] = lambda: False) -> None:
        self.count += 1
        await super().turn(is_gone=is_gone)


class HeldPace(Pace):
    """Lets nobody go on before the test says so."""

    def __init__(self, per_s: float) -> None:
        super().__init__(per_s)
        self.go_on = asyncio.Event()

    async def turn(self, *, is_gone: Callable[[], bool] = lambda: False) -> None:
        await self.go_on.wait()
        await super().turn(is_gone=is_gone)


async def test_turns_come_one_after_the_other_at_their_pace() -> None:
    pace = Pace(100)
    began_s = monotonic()
    await asyncio.gather(*(pace.turn() for _ in range(11)))
    assert monotonic() - began_s >= 10 / 100


async def test_who_leaves_the_line_costs_the_others_no_time() -> None:
    pace = Pace(10)
    await pace.turn()
    waiting = [asyncio.create_task(pace.turn()) for _ in range(500)]
    await asyncio.sleep(0)
    for task in waiting:
        task.cancel()
    began_s = monotonic()
    await pace.turn()
    assert monotonic() - began_s < 500 / 10


async def test_slow_exchanges_wait_for_their_turn_and_others_do_not(room: Room) -> None:
    room.server.paces.finite_field = pace = HeldPace(1000)
    slow = [asyncio.create_task(room.connect(kex_algs=[SLOW])) for _ in range(4)]
    await room.connect(kex_algs=["ecdh-sha2-nistp256"])
    assert not any(task.done() for task in slow)
    pace.go_on.set()
    await asyncio.gather(*slow)


async def test_the_pace_is_that_of_the_house(room: Room) -> None:
    began_s = monotonic()
    await asyncio.gather(*(room.connect(kex_algs=[SLOW]) for _ in range(11)))
    assert monotonic() - began_s >= 10 / FINITE_FIELD_PER_S


async def test_new_session_keys_wait_for_a_turn_as_well(room: Room) -> None:
    room.server.paces.finite_field = pace = CountingPace(1000)
    connection = await room.connect(kex_algs=[SLOW], rekey_bytes=100_000)
    async with connection.start_sftp_client() as sftp, sftp.open("large.csv", "wb") as file:
        await file.write(b"x" * 500_000)
    assert pace.count > 2
    assert room.home("large.csv") == b"x" * 500_000


async def test_whoever_is_turned_away_while_it_waits_costs_the_others_no_time(room: Room) -> None:
    room.server.paces.finite_field = pace = CountingPace(1)
    await room.connect(kex_algs=[SLOW])
    waiting = [asyncio.create_task(room.connect(kex_algs=[SLOW])) for _ in range(20)]
    while pace.count < 21:  # noqa: ASYNC110  nothing else tells
        await asyncio.sleep(0)
    for one in list(room.server.connections):
        if not one.signed_in:
            one.ssh.abort()
    await asyncio.wait(waiting)
    began_s = monotonic()
    await room.connect(kex_algs=[SLOW])
    assert monotonic() - began_s < 10


@pytest.mark.parametrize("kex", [[SLOW], ["diffie-hellman-group16-sha512"], ["ecdh-sha2-nistp384"], AXWAY])
async def test_what_appliances_know_is_spoken(room: Room, kex: list[str]) -> None:
    connection = await room.connect(kex_algs=kex)
    async with connection.start_sftp_client() as sftp:
        assert await sftp.listdir("/") != []


async def test_whoever_knows_something_better_gets_it(room: Room) -> None:
    room.server.paces.finite_field = pace = CountingPace(1)
    await room.connect()
    assert pace.count == 0


def asks_for(monkeypatch: pytest.MonkeyPatch, least: int, wanted: int, most: int) -> list[int]:
    """Have asyncssh's client ask for a group of such a size; give the sizes that it gets."""
    sizes: list[int] = []

    def request(self: kex_dh._KexDHGex) -> None:
        self._gex_data = UInt32(least) + UInt32(wanted) + UInt32(most)
        self.send_packet(kex_dh.MSG_KEX_DH_GEX_REQUEST, self._gex_data)

    perform = kex_dh._KexDHGex._perform_init

    def note(self: kex_dh._KexDHGex) -> None:
        sizes.append(self._p.bit_length())
        perform(self)

    monkeypatch.setattr(kex_dh._KexDHGex, "_send_request", request)
    monkeypatch.setattr(kex_dh._KexDHGex, "_perform_init", note)
    return sizes


@pytest.mark.parametrize(
    ("asked", "given"),
    [
        ((2048, 2048, 8192), 2048),
        ((1024, 1024, 8192), 2048),
        ((1024, 2500, 8192), 3072),
        ((2048, 8192, 8192), 4096),
        ((4096, 4096, 4096), 4096),
    ],
)
async def test_the_group_exchange_gives_groups_that_are_neither_weak_nor_slow(
    room: Room, monkeypatch: pytest.MonkeyPatch, asked: tuple[int, int, int], given: int
) -> None:
    await room.restart(extra_kex=(GROUP_EXCHANGE,))
    sizes = asks_for(monkeypatch, *asked)
    await room.connect(kex_algs=[GROUP_EXCHANGE])
    assert sizes == [given]
    assert given in GROUP_BITS


@pytest.mark.parametrize("asked", [(1024, 1024, 1024), (8192, 8192, 8192), (1, 0, 0)])
async def test_the_group_exchange_refuses_what_asks_for_a_weak_or_slow_group(
    room: Room, monkeypatch: pytest.MonkeyPatch, asked: tuple[int, int, int]
) -> None:
    await room.restart(extra_kex=(GROUP_EXCHANGE,))
    asks_for(monkeypatch, *asked)
    with pytest.raises(asyncssh.KeyExchangeFailed, match="2048 to 4096 bits"):
        await room.connect(kex_algs=[GROUP_EXCHANGE])
    await room.mismatches.one()
