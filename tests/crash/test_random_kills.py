"""Senders that never stop, and a server that is killed again and again at random: nothing acknowledged is lost.

`CTSFTP_TESTS_KILLS` says how often the long form kills, 1,000 times if it says nothing.
"""

import asyncio
import os
import random
import signal
import time
from dataclasses import dataclass, field

import pytest

from tests.e2e.conftest import PATIENCE_S, Box

from .oracle import Journal, Sent, drain, examine
from .senders import BROKEN, put, session

CLIENTS = ("acme", "bravo")
SEGMENTS = ("Gold", "Lapsed since May")
VERSIONS_A_DAY = 10_000
MOST_ACKNOWLEDGED_BEFORE_A_KILL = 12
FIRST_ID_BITS = 24


@dataclass
class Load:
    """All senders of all segments, each of which sends its segment's files one after another."""

    box: Box
    journal: Journal
    chance: random.Random
    serving: asyncio.Event = field(default_factory=asyncio.Event)
    answered: asyncio.Condition = field(default_factory=asyncio.Condition)
    ended: bool = False

    async def send_for_ever(self, client: str, segment: str) -> None:
        """Send list after list, over a new connection whenever one breaks."""
        while not self.ended:
            await self.serving.wait()
            try:
                async with asyncio.timeout(PATIENCE_S), session(self.box, client) as sftp:
                    while not self.ended:
                        sent = self.next_file(client, segment)
                        await put(sftp, self.journal, sent, by_rename=self.chance.random() < 0.2)
                        async with self.answered:
                            self.answered.notify_all()
            except BROKEN:
                await asyncio.sleep(0)

    def next_file(self, client: str, segment: str) -> Sent:
        """Make a list like no other, under a newer stamp or, as a correction, under the last one's."""
        number = len(self.journal.all()) - self.chance.randrange(2)
        earlier = [sent.name for sent in self.journal.all() if (sent.client, sent.segment) == (client, segment)]
        day, version = divmod(max(number, 0), VERSIONS_A_DAY)
        name = f"{segment.replace(' ', '_')}_202401{day + 1:02}_{version:04}.csv"
        if earlier and (earlier[-1] > name or self.chance.random() < 0.2):
            name = earlier[-1]
        first = (len(self.journal.all()) + 1) << FIRST_ID_BITS
        return self.journal.begin(client, segment, name, range(first, first + self.chance.randrange(1500, 2500)))

    async def run_until_killed(self) -> None:
        """Serve until so many were acknowledged, and a moment longer; then kill."""
        serve = await asyncio.to_thread(self.box.start)
        self.serving.set()
        goal = self.journal.acknowledged + self.chance.randrange(MOST_ACKNOWLEDGED_BEFORE_A_KILL)
        async with asyncio.timeout(PATIENCE_S), self.answered:
            await self.answered.wait_for(lambda: self.journal.acknowledged >= goal)
        await asyncio.sleep(self.chance.random() * 0.1)  # no event: the moment of the kill is to be any
        self.serving.clear()
        await asyncio.to_thread(serve.stop, signal.SIGKILL)


async def kill_again_and_again(box: Box, journal: Journal, kills: int, seed: int) -> None:
    load = Load(box, journal, random.Random(seed))  # noqa: S311 - no secret
    async with asyncio.TaskGroup() as tasks:
        senders = [tasks.create_task(load.send_for_ever(client, segment)) for client in CLIENTS for segment in SEGMENTS]
        for _ in range(kills):
            await load.run_until_killed()
        load.ended = True
        load.serving.set()
        for sender in senders:
            sender.cancel()


def check(box: Box, journal: Journal, kills: int) -> None:
    seed = random.randrange(1 << 32)  # noqa: S311 - no secret
    print(f"seed {seed}")  # noqa: T201 - the figures are the result
    for client in CLIENTS:
        box.add_client(client)
    began = time.monotonic()
    asyncio.run(kill_again_and_again(box, journal, kills, seed))
    retried = drain(box)
    faults = examine(box.folder / "data", journal)
    sent = journal.all()
    print(  # noqa: T201 - the figures are the result
        f"{kills} kills in {time.monotonic() - began:.0f} s: {len(sent)} files sent, "
        f"{journal.acknowledged} acknowledged, {sum(one.refused for one in sent)} refused, "
        f"{retried} retried by the admin after three deaths, {len(faults)} faults"
    )
    assert not faults
    assert journal.acknowledged > kills


def test_a_few_random_kills_under_load_lose_nothing(box: Box, journal: Journal) -> None:
    check(box, journal, 4)


@pytest.mark.soak
@pytest.mark.timeout(4 * 3600)
def test_many_random_kills_under_load_lose_nothing(box: Box, journal: Journal) -> None:
    check(box, journal, int(os.environ.get("CTSFTP_TESTS_KILLS", "1000")))
