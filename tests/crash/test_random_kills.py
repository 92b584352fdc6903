"""Senders that never stop, and a server that is killed again and again at random: nothing acknowledged is lost.

`CTSFTP_TESTS_KILLS` says how often the long form kills, 1,000 times if it says nothing.
"""

import asyncio
import os
import random
import shutil
import signal
import sqlite3
import time
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field

import pytest

from tests.e2e.conftest import PATIENCE_S, Box

from .oracle import Journal, Sent, drain, examine
from .senders import BROKEN, put, session

pytestmark = pytest.mark.slow

CLIENTS = ("acme", "bravo")
SEGMENTS = ("Gold", "Lapsed since May")
VERSIONS_A_DAY = 10_000
KILLS_A_ROUND = 50
MOST_ACKNOWLEDGED_BEFORE_A_KILL = 12
FIRST_ID_BITS = 24
WRONG_SHARE = 0.1  # of the lists: their senders are refused once the ledger says so
ROWS = (1, 2_000, 2_000, 20_000)
SYNC_EVERY_BYTES = 50_000  # so that the larger lists are synced while they arrive
NO_GUARD = "[guards]\nshrunk_ratio = 0.0\n"  # the sizes are random


@dataclass
class Load:
    """All senders of all segments, each of which sends its segment's files one after another."""

    box: Box
    journal: Journal
    chance: random.Random
    serving: asyncio.Event = field(default_factory=asyncio.Event)
    answered: asyncio.Condition = field(default_factory=asyncio.Condition)
    ended: bool = False
    files: int = 0
    loading: int = 0
    latest: dict[tuple[str, str], str] = field(default_factory=dict)

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
        self.files += 1
        day, version = divmod(max(self.files - self.chance.randrange(2), 0), VERSIONS_A_DAY)
        name = f"{segment.replace(' ', '_')}_202401{day + 1:02}_{version:04}.csv"
        earlier = self.latest.get((client, segment), "")
        if earlier > name or (earlier and self.chance.random() < 0.2):
            name = earlier
        self.latest[client, segment] = name
        first = self.files << FIRST_ID_BITS
        ids = range(first, first + self.chance.choice(ROWS))
        return self.journal.begin(client, segment, name, ids, wrong=self.chance.random() < WRONG_SHARE)

    async def run_until_killed(self) -> None:
        """Serve until so many were acknowledged, and a moment longer; then kill."""
        serve = await asyncio.to_thread(self.box.start)
        self.serving.set()
        goal = self.journal.acknowledged + self.chance.randrange(MOST_ACKNOWLEDGED_BEFORE_A_KILL)
        async with asyncio.timeout(PATIENCE_S), self.answered:
            await self.answered.wait_for(lambda: self.journal.acknowledged >= goal)
        await asyncio.sleep(self.chance.random() * 0.1)  # no event: the moment of the kill is to be any
        self.serving.clear()
        told = [sent.digest for sent in self.journal.all() if sent.wrong and sent.refused]
        await asyncio.to_thread(serve.stop, signal.SIGKILL)
        assert set(told) <= self.rejected(), "a sender was refused, and the ledger does not say so"
        self.loading += self.count_loading()

    def rejected(self) -> set[str]:
        """Give the digests of what the ledger rejects, as the dead server left it."""
        with closing(sqlite3.connect(f"file:{self.box.folder / 'data' / 'ctsftp.db'}?mode=ro", uri=True)) as db:
            return {digest for (digest,) in db.execute("SELECT sha256 FROM uploads WHERE state = 'rejected'")}

    def count_loading(self) -> int:
        """Count what the server was loading when it died, and leave everything as it is."""
        with closing(sqlite3.connect(f"file:{self.box.folder / 'data' / 'ctsftp.db'}?mode=ro", uri=True)) as db:
            (count,) = db.execute("SELECT count(*) FROM uploads WHERE state = 'loading'").fetchone()
        return int(count)


async def kill_again_and_again(box: Box, journal: Journal, kills: int, seed: int) -> int:
    """Kill so often; give how many uploads were being loaded at that."""
    load = Load(box, journal, random.Random(seed))  # noqa: S311 - no secret
    async with asyncio.TaskGroup() as tasks:
        senders = [tasks.create_task(load.send_for_ever(client, segment)) for client in CLIENTS for segment in SEGMENTS]
        for _ in range(kills):
            await load.run_until_killed()
        load.ended = True
        load.serving.set()
        for sender in senders:
            sender.cancel()
    return load.loading


def check(box: Box, kills: int) -> None:
    """Kill so often, in rounds that each begin with an empty server and end with a reckoning."""
    seed = random.randrange(1 << 32)  # noqa: S311 - no secret
    box.env["CTSFTP_SFTP__SYNC_EVERY_BYTES"] = str(SYNC_EVERY_BYTES)
    for client in CLIENTS:
        box.add_client(client)
        (box.folder / "keys" / "clients" / client / "client.toml").write_text(NO_GUARD)
    began = time.monotonic()
    total: Counter[str] = Counter()
    while total["kills"] < kills:
        journal = Journal()
        number = min(KILLS_A_ROUND, kills - total["kills"])
        loading = asyncio.run(kill_again_and_again(box, journal, number, seed + total["kills"]))
        waited = drain(box)
        faults = examine(box.folder / "data", journal)
        sent = journal.all()
        total.update(
            kills=number,
            sent=len(sent),
            acknowledged=journal.acknowledged,
            refused=sum(one.refused for one in sent),
            loading_when_killed=loading,
            waited_for_an_admin=waited,
            faults=len(faults),
        )
        print(f"seed {seed}, {time.monotonic() - began:.0f} s: {dict(total)}", flush=True)  # noqa: T201 - the figures
        assert not faults
        assert not waited
        assert journal.acknowledged
        shutil.rmtree(box.folder / "data")


def test_a_few_random_kills_under_load_lose_nothing(box: Box) -> None:
    check(box, 6)


@pytest.mark.soak
@pytest.mark.timeout(4 * 3600)
def test_many_random_kills_under_load_lose_nothing(box: Box) -> None:
    check(box, int(os.environ.get("CTSFTP_TESTS_KILLS", "1000")))
