"""Nodes die, lose the database, are rolled; the database restarts: nothing acknowledged is lost or mixed up."""

import asyncio
import random
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.crash.oracle import Journal, Sent
from tests.crash.senders import BROKEN, put, session
from tests.e2e.conftest import PATIENCE_S

from .cluster import CLIENTS, Cluster

pytestmark = pytest.mark.slow

SEGMENTS = ("Gold", "Lapsed since May")
FIRST_ID_BITS = 24
STOPPING = "The server is stopping: try again in a minute."  # to whoever opens a file while a node drains
MORE = 10  # acknowledgements that show that work goes on


class Watch:
    """Senders that never stop, one a segment; each file goes over a connection of its own, so to any node."""

    def __init__(self, cluster: Cluster, journal: Journal, chance: random.Random) -> None:
        self.cluster = cluster
        self.journal = journal
        self.chance = chance
        self.refusals: set[str] = set()
        self.most_in_vain = 0  # files that one sender sent in vain, one after another
        self._answered = asyncio.Condition()

    async def send_for_ever(self, client: str, segment: str) -> None:
        """Send list after list, as a job does that is started again whatever became of the last one."""
        in_vain = 0
        while True:
            sent = self._next_file(client, segment)
            try:
                async with asyncio.timeout(PATIENCE_S), session(self.cluster.front, client) as sftp:
                    await put(sftp, self.journal, sent)
            except BROKEN as exc:
                if sent.refused:
                    self.refusals.add(str(exc))
                in_vain += 1
                self.most_in_vain = max(self.most_in_vain, in_vain)
                await asyncio.sleep(0)
            else:
                in_vain = 0
                async with self._answered:
                    self._answered.notify_all()

    async def more(self, count: int = MORE) -> None:
        """Wait until so many further files were acknowledged, and a moment longer: the next blow may fall any time."""
        goal = self.journal.acknowledged + count
        async with asyncio.timeout(PATIENCE_S), self._answered:
            await self._answered.wait_for(lambda: self.journal.acknowledged >= goal)
        await asyncio.sleep(self.chance.random() * 0.05)

    def _next_file(self, client: str, segment: str) -> Sent:
        """Make a list like no other, under a newer stamp than the last one's."""
        number = len(self.journal.all()) + 1
        name = f"{segment.replace(' ', '_')}_20240101_{number:04}.csv"
        first = number << FIRST_ID_BITS
        return self.journal.begin(client, segment, name, range(first, first + self.chance.randrange(1500, 2500)))


async def kill_a_node(cluster: Cluster, watch: Watch) -> None:
    node = cluster.nodes[0]
    assert node.serve is not None
    await asyncio.to_thread(node.serve.stop, signal.SIGKILL)
    await watch.more()
    await asyncio.to_thread(node.start)


async def cut_a_node_off_from_the_database(cluster: Cluster, watch: Watch) -> None:
    node = cluster.nodes[1]
    node.line.kill()
    await watch.more()
    node.line.start()


async def restart_the_database(cluster: Cluster, watch: Watch) -> None:
    await asyncio.to_thread(cluster.postgres.stop)
    await watch.more()  # a CLOSE needs no database
    cluster.postgres.start()


async def roll_the_nodes(cluster: Cluster, watch: Watch) -> None:
    for node in cluster.nodes:
        assert node.serve is not None
        assert await asyncio.to_thread(node.serve.stop) == 0
        await watch.more()
        await asyncio.to_thread(node.start)


@asynccontextmanager
async def senders(watch: Watch) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as tasks:
        running = [
            tasks.create_task(watch.send_for_ever(client, segment)) for client in CLIENTS for segment in SEGMENTS
        ]
        yield
        for sender in running:
            sender.cancel()


@pytest.mark.timeout(300)
def test_three_nodes_outlive_every_blow_and_lose_nothing(cluster: Cluster) -> None:
    with cluster.running():
        outlive_every_blow(cluster)


def outlive_every_blow(cluster: Cluster) -> None:
    seed = random.randrange(1 << 32)  # noqa: S311 - no secret
    print(f"seed {seed}")  # noqa: T201 - the figures are the result
    journal = Journal()
    watch = Watch(cluster, journal, random.Random(seed))  # noqa: S311 - no secret
    began = time.monotonic()

    async def work() -> None:
        async with senders(watch):
            await watch.more()
            for blow in (kill_a_node, cut_a_node_off_from_the_database, restart_the_database, roll_the_nodes):
                await blow(cluster, watch)
                await watch.more()

    asyncio.run(work())
    retried = cluster.drain()
    found = cluster.faults(journal)
    sent = journal.all()
    refused = sum(one.refused for one in sent)
    print(  # noqa: T201 - the figures are the result
        f"{time.monotonic() - began:.0f} s: {len(sent)} files sent, {journal.acknowledged} acknowledged, "
        f"{refused} refused, at most {watch.most_in_vain} in vain in a row, "
        f"{retried} retried by the admin, {len(found)} faults"
    )
    assert found == []
    assert watch.refusals <= {STOPPING}  # all else is a connection that broke
