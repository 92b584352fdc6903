"""A server that is killed before any call to the disk, or whose disk fails, keeps what it acknowledged.

The points are counted, not listed by hand: the first run of a way names every call that changes a file
below the data folder, database included, and further runs are killed before the n-th of them until a run
comes through to its end. By default points are drawn for some seconds, with `-m soak` each one is covered.
"""

import json
import os
import platform
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing
from itertools import count
from pathlib import Path

import pytest

from tests.e2e.conftest import PATIENCE_S, Box, Serve

from .oracle import Journal, Sent, drain, examine
from .senders import send

pytestmark = pytest.mark.slow

NAME = "Gold_20240101_0001.csv"
SHORT_S = 6
SHARDS = 2


class Traced:
    """A tracer that watches a process from now on, and kills it before its n-th call."""

    def __init__(self, pid: int, data: Path, kill_before: int) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.crash.tracer", str(pid), str(data), str(kill_before)],
            cwd=Path(__file__).parents[2],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def wait_until_attached(self) -> None:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if line != "attached\n":
            _, complaint = self._process.communicate(timeout=PATIENCE_S)
            self._give_up(complaint)

    def calls(self) -> list[str]:
        """Wait for the process to end, and give the calls that it made or was about to make."""
        out, complaint = self._process.communicate(timeout=PATIENCE_S)
        lines = out.splitlines()
        if not lines or not lines[-1].startswith("["):
            self._give_up(complaint)
        calls: list[str] = json.loads(lines[-1])
        return calls

    @staticmethod
    def _give_up(complaint: str) -> None:
        if "Operation not permitted" in complaint and not os.environ.get("CTSFTP_TESTS_NO_SKIP"):
            pytest.skip("this system lets no process trace another")
        pytest.fail(f"the tracer died: {complaint}")


@pytest.fixture
def traced() -> None:
    if platform.system() != "Linux" or platform.machine() != "x86_64":
        pytest.skip("the tracer knows Linux's calls on x86-64")


def ids_of(attempt: int) -> range:
    """Members like no other attempt's, and not so few that a guard would hold the file."""
    return range(1000 * attempt + 1, 1000 * attempt + 21)


def comes_to(serve: Serve, event: str) -> bool:
    """Wait for an event, or for the death of the server; whether the event came."""
    try:
        serve.wait_for(event)
    except AssertionError:
        assert serve.process.wait(PATIENCE_S) == -signal.SIGKILL
        return False
    return True


class Way:
    """One way through the server, which begins with the same data folder every time.

    `go` takes the way with a tracer at its heels and ends when the server is dead.
    """

    def __init__(self, box: Box) -> None:
        self.box = box
        self.data = (box.folder / "data").resolve()
        self.before: list[Sent] = []
        box.add_client("acme")
        self.prepare()
        # With its hard links: a file in a home without a second link is a stranger.
        subprocess.run(["cp", "-a", str(self.data), str(self.template)], check=True)

    @property
    def template(self) -> Path:
        return self.box.folder / "template"

    def prepare(self) -> None:
        """Bring the data folder to where the way begins."""
        self.box.start().stop()

    def go(self, journal: Journal, kill_before: int) -> list[str]:
        """Take the way; give the calls, the last of them the one that was never made."""
        serve = self.box.start()
        serve.wait_for("swept")
        tracer = Traced(serve.process.pid, self.data, kill_before)
        tracer.wait_until_attached()
        if send(self.box, journal, self.sent(journal, 2)) and comes_to(serve, "verdict"):
            serve.stop(signal.SIGTERM)
        serve.stop(signal.SIGKILL)
        return tracer.calls()

    def sent(self, journal: Journal, attempt: int) -> Sent:
        return journal.begin("acme", "Gold", NAME, ids_of(attempt))

    def again(self) -> Journal:
        """Go back to the beginning, and give a journal of what was sent before."""
        shutil.rmtree(self.data)
        subprocess.run(["cp", "-a", str(self.template), str(self.data)], check=True)
        journal = Journal()
        for earlier in self.before:
            sent = journal.begin(earlier.client, earlier.segment, earlier.name, earlier.ids)
            sent.acknowledged = earlier.acknowledged
        return journal

    def survives(self, kill_before: int) -> list[str]:
        """Kill it once before that call, restart, and hold everything against the journal."""
        journal = self.again()
        calls = self.go(journal, kill_before)
        drain(self.box)
        faults = examine(self.data, journal)
        assert not faults, f"killed before call {kill_before}, {calls[-1:]}: {faults}"
        return calls


class FirstUpload(Way):
    """A client's first upload, which makes its folders and its segment."""


class Correction(Way):
    """An upload over one of the same name, in a segment that is there."""

    def prepare(self) -> None:
        serve = self.box.start()
        journal = Journal()
        self.before = [self.sent(journal, 1)]
        assert send(self.box, journal, self.before[0])
        serve.wait_for("verdict")
        serve.stop()


class Recovery(Correction):
    """The restart after a death in the middle of a load: the upload is acknowledged, its snapshot half written."""

    def prepare(self) -> None:
        super().prepare()
        serve = self.box.start()
        self.before.append(self.sent(Journal(), 2))
        assert send(self.box, Journal(), self.before[-1])
        serve.wait_for("verdict")
        serve.stop()
        with closing(sqlite3.connect(self.data / "ctsftp.db")) as db:
            db.executescript(HALF_LOADED)
        client = self.data / "clients" / "acme"
        (client / "staging" / "0123456789abcdef").write_bytes(b"CTUser")
        (client / "uploads" / "00000000-0000-7000-8000-000000000000").mkdir()

    def go(self, _: Journal, kill_before: int) -> list[str]:
        """Let a process that finds no server recover, with the tracer at its heels from its first call on."""
        process = subprocess.Popen(
            [sys.executable, "-c", WAITING_SWEEP], cwd=self.box.folder, env=self.box.env, stdin=subprocess.PIPE
        )
        tracer = Traced(process.pid, self.data, kill_before)
        tracer.wait_until_attached()
        process.communicate(b"go\n", timeout=PATIENCE_S)
        assert process.returncode == (-signal.SIGKILL if kill_before else 0) or not process.returncode
        return tracer.calls()


WAITING_SWEEP = """
import sys
sys.stdin.readline()
sys.argv = ["ctsftp", "sweep"]
from ctsftp.cli import main
main()
"""

# What a load that died leaves: a snapshot of no segment that lacks parts, and rows that nobody reads.
HALF_LOADED = """
UPDATE segments SET current_snapshot_id = (SELECT min(id) FROM snapshots),
    row_set = (SELECT id FROM row_sets WHERE snapshot_id = (SELECT min(id) FROM snapshots));
UPDATE snapshots SET segment_id = NULL, number = NULL, previous_id = NULL, entered = NULL, "left" = NULL,
    published_at = NULL WHERE id = (SELECT max(id) FROM snapshots);
DELETE FROM snapshot_parts WHERE snapshot_id = (SELECT max(id) FROM snapshots);
UPDATE row_sets SET snapshot_id = NULL WHERE id = (SELECT max(id) FROM row_sets);
DELETE FROM member_rows WHERE row_set = (SELECT max(id) FROM row_sets) AND ct_user_id % 2;
UPDATE uploads SET state = 'loading', finished_at = NULL, rows = NULL, members = NULL, duplicates = NULL,
    rejected = NULL, sha256 = NULL WHERE id = (SELECT max(id) FROM uploads);
"""

WAYS = [FirstUpload, Correction, Recovery]


def covered_by(way: Way, first: int, step: int) -> tuple[int, list[str]]:
    """Kill at `first` and every `step` further, until a run gets by alive; give the points and all of its calls."""
    for covered, kill_before in enumerate(count(first, step)):
        calls = way.survives(kill_before)
        if len(calls) < kill_before:
            return covered, calls
    raise AssertionError


@pytest.mark.usefixtures("traced")
@pytest.mark.parametrize("way", WAYS)
def test_a_kill_before_a_call_of_an_upload_loses_nothing(way: type[Way], box: Box) -> None:
    prepared = way(box)
    calls = prepared.survives(0)
    points = random.sample(range(1, len(calls) + 1), len(calls))
    deadline, covered = time.monotonic() + SHORT_S, 0
    while time.monotonic() < deadline:
        prepared.survives(points[covered])
        covered += 1
    print(f"{way.__name__}: {covered} of {len(calls)} points covered: {sorted(points[:covered])}")  # noqa: T201 - the figures are the result
    assert covered


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.usefixtures("traced")
@pytest.mark.parametrize("shard", range(SHARDS))
@pytest.mark.parametrize("way", WAYS)
def test_a_kill_before_each_call_of_an_upload_loses_nothing(way: type[Way], shard: int, box: Box) -> None:
    covered, calls = covered_by(way(box), 1 + shard, SHARDS)
    kinds = Counter(call.split()[0] for call in calls)
    print(f"{way.__name__}: {covered} points covered, shard {shard} of {SHARDS}; {dict(kinds)}")  # noqa: T201 - the figures are the result
    assert covered >= (len(calls) - shard) // SHARDS
