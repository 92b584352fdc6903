"""Whose turn it is: bounded work in each turn of the event loop, one after another."""

import asyncio
from time import perf_counter

from ctsftp.sftp.turns import EACH_S, SIGNED_IN_S, STRANGERS_S, Turns

PACKET_S = 0.0001


class Peer:
    """Has so many packets, each of which takes a while."""

    def __init__(self, name: str, packets: int, order: list[str], *, signed_in: bool = True) -> None:
        self.name = name
        self.packets = packets
        self.signed_in = signed_in
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
    strangers = [Peer(f"{number}", int(STRANGERS_S / PACKET_S), order, signed_in=False) for number in range(20)]
    for stranger in strangers:
        turns.add(stranger)
    good = Peer("good", 1, order)
    turns.add(good)
    assert not good.packets
    assert await all_done(*strangers) >= 10
