"""A node dies with uploads that it has acknowledged, on a disk that the others see: they finish them, once."""

import signal
from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.crash.oracle import Journal
from tests.crash.senders import send

from .cluster import CLIENTS, Cluster, Node, Outside

pytestmark = pytest.mark.slow

LEASE_S = 2
LEFT_BEHIND = 3


@pytest.fixture
def nodes(cluster: Cluster) -> Iterator[list[Node]]:
    for node in cluster.nodes:
        node.env |= {
            "CTSFTP_TAKEOVER__FOLDERS": str(cluster.front.folder / "node-*" / "data"),
            "CTSFTP_TAKEOVER__AFTER_S": str(LEASE_S),
            "CTSFTP_INGEST__RETRY_AFTER_DEATH_S": "0.1",
        }
    with cluster.running():
        yield cluster.nodes


def stored(node: Node) -> set[str]:
    return {folder.name for folder in (node.data / "clients").glob("*/uploads/*")}


def send_until_some_lie_at(node: Node, cluster: Cluster, journal: Journal) -> None:
    """Send list after list, to all nodes in turn."""
    while len(stored(node)) < LEFT_BEHIND:
        number = len(journal.all()) + 1
        client = CLIENTS[number % 2]
        ids = range(number << 24, (number << 24) + 2000)
        assert send(cluster.front, journal, journal.begin(client, "Gold", f"Gold_20240101_{number:04}.csv", ids))


def not_ended(cluster: Cluster, ids: set[str]) -> set[str]:
    with closing(Outside(cluster.postgres, cluster.database)) as db:
        return ids - {one for (one,) in db.execute("SELECT id FROM uploads WHERE finished_at IS NOT NULL").fetchall()}


def wait_for(event: str, dead: Node, living: Node) -> None:
    assert living.serve is not None
    living.serve.wait_for(event, lambda seen: seen["folder"] == str(dead.data))


@pytest.mark.timeout(180)
@pytest.mark.parametrize("back", ["while they are finished", "when they are finished"])
def test_what_a_dead_node_had_acknowledged_is_finished_by_another_and_once(
    cluster: Cluster, nodes: list[Node], back: str
) -> None:
    journal = Journal()
    dead, living, other = nodes
    assert dead.serve is not None
    assert other.serve is not None
    other.serve.stop()  # in good order: nobody has anything to do in its folder, and somebody looks
    dead.line.kill()  # it still acknowledges, and loads nothing any more
    send_until_some_lie_at(dead, cluster, journal)
    left_behind = stored(dead)
    dead.serve.stop(signal.SIGKILL)
    assert not_ended(cluster, left_behind) == left_behind
    dead.line.start()
    if back == "while they are finished":
        wait_for("taking over", dead, living)
        dead.start()
    wait_for("took over", dead, living)
    assert not_ended(cluster, left_behind) == set()
    if back == "when they are finished":
        wait_for("took over", other, living)
        assert not (dead.data / "alive").exists()
        dead.start()
    other.start()
    cluster.drain()
    assert cluster.faults(journal) == []
