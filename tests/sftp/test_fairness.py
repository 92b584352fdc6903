"""What one client may take: so many requests are answered in a turn of the event loop, whichever sessions ask."""

import asyncio
import contextlib

from ctsftp.sftp.fairness import ANSWERS_S, REQUESTS_A_TURN, FairShare


def share() -> FairShare:
    return FairShare(threads=1, view_bytes=1)


async def asks(share: FairShare, name: str, count: int, order: list[str]) -> None:
    for _ in range(count):
        if not share.answers_now():
            await share.turn()
        order.append(name)


async def test_who_asks_for_little_does_not_wait() -> None:
    order: list[str] = []
    turn = asks(share(), "a", REQUESTS_A_TURN, order)
    with contextlib.suppress(StopIteration):
        turn.send(None)
    assert len(order) == REQUESTS_A_TURN


async def test_in_a_turn_of_the_event_loop_all_sessions_of_a_client_have_so_many_answers() -> None:
    order: list[str] = []
    of_one = share()
    sessions = [asyncio.create_task(asks(of_one, f"{number}", REQUESTS_A_TURN, order)) for number in range(200)]
    turns = 0
    while not all(session.done() for session in sessions):
        before = len(order)
        await asyncio.sleep(0)
        turns += 1
        assert len(order) - before <= REQUESTS_A_TURN
    assert turns >= 199


async def test_sessions_take_turns() -> None:
    order: list[str] = []
    of_one = share()
    many = [asyncio.create_task(asks(of_one, "many", 10 * REQUESTS_A_TURN, order)) for _ in range(5)]
    few = asyncio.create_task(asks(of_one, "few", 1, order))
    await few
    assert order.index("few") <= 2 * REQUESTS_A_TURN
    await asyncio.gather(*many)


async def test_who_leaves_while_it_waits_takes_no_turn() -> None:
    order: list[str] = []
    of_one = share()
    sessions = [asyncio.create_task(asks(of_one, "a", 2 * REQUESTS_A_TURN, order)) for _ in range(2)]
    await asyncio.sleep(0)
    sessions[0].cancel()
    await asyncio.wait(sessions)
    assert len(order) >= 2 * REQUESTS_A_TURN


async def test_what_takes_long_leaves_less_for_others_of_the_same_turn() -> None:
    of_one = share()
    order: list[int] = []

    async def answer(number: int) -> None:
        if not of_one.answers_now():
            await of_one.turn()
        order.append(number)
        of_one.spend(0.6 * ANSWERS_S)

    sessions = [asyncio.create_task(answer(number)) for number in range(40)]
    while not all(session.done() for session in sessions):
        before = len(order)
        await asyncio.sleep(0)
        assert len(order) - before <= 2
    assert order == list(range(40))
