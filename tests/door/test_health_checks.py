"""Balancers that look whether somebody listens are no attackers, as long as they do so at a balancer's pace."""

from ctsftp.sftp.penalties import EARLY_ENDS_PER_S

from ..sftp.room import Room
from .attacker import Attacker
from .conftest import GoodSender


class Clock:
    """The door's clock, which a test turns."""

    def __init__(self, room: Room) -> None:
        self.now_s = room.server.clock_s()
        room.server.door._clock_s = lambda: self.now_s


async def look(room: Room, attacker: Attacker, *, said: bytes = b"") -> None:
    """Connect, read the server's name, and leave."""
    connection = await attacker.connect()
    assert (await connection.line()).startswith(b"SSH-2.0-ctsftp")
    if said:
        connection.say(said)
    connection.close()
    await room.disconnected()


async def test_health_checks_of_several_balancers_earn_no_penalty(room: Room, attacker: Attacker) -> None:
    clock = Clock(room)
    for number in range(60):
        await look(room, attacker, said=b"SSH-2.0-check\r\n" * (number % 2))
        clock.now_s += 0.4
    assert room.server.penalties() == []
    assert [entry["event"] for entry in room.logs if entry["log_level"] == "warning"] == []


async def test_more_of_them_than_any_balancer_makes_are_refused(
    room: Room, attacker: Attacker, good_sender: GoodSender
) -> None:
    Clock(room)
    for _ in range(EARLY_ENDS_PER_S):
        await look(room, attacker)
    assert room.server.penalties() == []
    for _ in range(15):
        await look(room, attacker)
    [penalty] = room.server.penalties()
    assert (penalty.refused, penalty.offences, penalty.last) == (True, 15, "no_authentication")
    await good_sender.gets_a_file_in()
