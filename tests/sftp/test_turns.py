"""Whose turn it is: bounded work in each turn of the event loop, one after another."""

import asyncio
from time import perf_counter

from ctsftp.sftp.standing import Standing
from ctsftp.sftp.turns import EACH_S, SHARES_S, Turns

PACKET_S = 0.0001
SIGNED_IN_S, STRANGERS_S = SHARES_S[Standing.SIGNED_IN], SHARES_S[Standing.STRANGER]


class Peer:
    """Has so many packets, each of which takes a while."""

    def __init__(
        self,
        name: str,
        packets: int,
        order: list[str],
        *,
        owner: str | None = None,
        standing: Standing = Standing.SIGNED_IN,
    ) -> None:
        self.name = name
        self.packets = packets
        self.owner = owner or name
        self.standing = standing
        self._order = order

    def work(self, until_s: float) -> bool:
        self._order.append(self.name)
        while self.packets:
            self.packets -= 1
            busy_until_s = perf_counter() + PACKET_S
            while perf_counter() < busy_until_s:
                pass
            if perf_counter() >= until_s:
                break
        return self.packets > 0


async def all_done(*peers: Peer) -> int:
    """Wait until they have worked; return how many turns of the event loop that took."""
    turns = 0
    while any(peer.packets for peer in peers):
        await asyncio.sleep(0)
        turns += 1
    return turns


async def test_who_is_alone_works_at_once() -> None:
    order: list[str] = []
    Turns().add(Peer("a", 1, order))
    assert order == ["a"]


async def test_who_has_much_works_in_pieces_and_everything_else_has_its_turn_between_them() -> None:
    packets = int(10 * SIGNED_IN_S / PACKET_S)
    peer = Peer("a", packets, [])
    Turns().add(peer)
    assert await all_done(peer) >= 5


async def test_they_take_turns() -> None:
    order: list[str] = []
    turns = Turns()
    many, few = Peer("many", int(5 * EACH_S / PACKET_S), order), Peer("few", 1, order)
    turns.add(many)
    turns.add(few)
    await all_done(many, few)
    assert order.index("few") <= 2


async def test_strangers_wait_in_a_line_of_their_own() -> None:
    order: list[str] = []
    turns = Turns()
    strangers = [
        Peer(f"{number}", int(STRANGERS_S / PACKET_S), order, standing=Standing.STRANGER) for number in range(20)
    ]
    for stranger in strangers:
        turns.add(stranger)
    good = Peer("good", 1, order)
    turns.add(good)
    assert not good.packets
    assert await all_done(*strangers) >= 10


async def test_a_client_with_many_connections_gets_no_more_turns_than_one_with_one() -> None:
    order: list[str] = []
    turns = Turns()
    packets = int(2 * EACH_S / PACKET_S)
    many = [Peer(f"many {number}", packets, order, owner="many") for number in range(20)]
    one = Peer("one", packets, order)
    for peer in (*many, one):
        turns.add(peer)
    await all_done(one)
    until_done = order[: len(order) - order[::-1].index("one")]
    assert len(until_done) - until_done.count("one") <= until_done.count("one") + 1
    await all_done(*many)


async def test_who_is_known_does_not_wait_behind_strangers() -> None:
    order: list[str] = []
    turns = Turns()
    packets = int(5 * EACH_S / PACKET_S)
    strangers = [Peer(f"{number}", packets, order, standing=Standing.STRANGER) for number in range(20)]
    known = Peer("known", packets, order, standing=Standing.KNOWN)
    for peer in (*strangers, known):
        turns.add(peer)
    await all_done(known)
    assert any(stranger.packets for stranger in strangers)
    await all_done(*strangers)


async def test_who_signs_in_meanwhile_waits_where_it_stands_now() -> None:
    order: list[str] = []
    turns = Turns()
    strangers = [Peer(f"{number}", 50, order, standing=Standing.STRANGER) for number in range(20)]
    signing_in = Peer("signing in", int(3 * EACH_S / PACKET_S), order, standing=Standing.STRANGER)
    for peer in (signing_in, *strangers):
        turns.add(peer)
    signing_in.standing = Standing.SIGNED_IN
    await all_done(signing_in)
    assert sum(stranger.packets > 0 for stranger in strangers) > 10
    await all_done(*strangers)
