"""A database out of reach, and a file that kills: CLOSE answers truthfully, others go on, what waits is loaded."""

import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import PATIENCE_S, Box, Serve, fork_process, require_program, start_process, wait_until

from .faults import failing
from .oracle import Journal, Sent, drain, examine
from .senders import send

pytestmark = pytest.mark.slow

MEMORY_FOR_OTHERS_BYTES = 64 << 20
A_MINUTE_S = 60


@pytest.fixture
def serve(box: Box, journal: Journal) -> Serve:
    """A server with one list loaded."""
    box.add_client("acme")
    # Few threads, and no heap for each: an address space that is limited is then taken by the list, and not by them.
    # The C library reads this when a process begins, so it is not a forked one.
    box.env |= {"MALLOC_ARENA_MAX": "1", "CTSFTP_THREADS": "4"}
    box.launch = start_process
    serve = box.start()
    box.launch = fork_process
    assert send(box, journal, list_of(journal, "Gold", 1))
    serve.wait_for("verdict")
    return serve


def list_of(journal: Journal, segment: str, attempt: int) -> Sent:
    return journal.begin("acme", segment, f"{segment}_20240101_0001.csv", range(1000 * attempt, 1000 * attempt + 20))


def database(box: Box) -> Path:
    return box.folder / "data" / "ctsftp.db"


@contextmanager
def locked(box: Box) -> Iterator[None]:
    """Hold the write lock, as another program does that has forgotten to commit."""
    with closing(sqlite3.connect(database(box), isolation_level=None, timeout=PATIENCE_S)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


@contextmanager
def read_only(box: Box) -> Iterator[None]:
    """Let every write to the database fail as on a file system that was mounted anew, read-only."""
    require_program("strace")
    assert box.serve is not None
    with failing(box.serve, "pwrite64,fdatasync", "EROFS", database(box).with_name("ctsftp.db-wal")):
        yield


def loads(serve: Serve, sent: Sent, since: int) -> None:
    serve.wait_for("verdict", lambda event: (event["file"], event["state"]) == (sent.name, "loaded"), since=since)


@pytest.mark.parametrize("fault", [locked, read_only])
def test_what_is_acknowledged_while_the_database_is_out_of_reach_is_loaded_once_it_is_back(
    fault: Callable[[Box], Any], box: Box, serve: Serve, journal: Journal
) -> None:
    seen = serve.mark()
    sent = list_of(journal, "Gold", 2)
    with fault(box):
        assert send(box, journal, sent)
        refusal = serve.wait_for("load failed", since=seen)
        assert (refusal["code"], refusal["level"]) == ("database", "error")
        assert str(database(box)) in refusal["reason"]
    loads(serve, sent, seen)
    assert serve.stop() == 0
    drain(box)
    assert not examine(box.folder / "data", journal)


@pytest.mark.soak
def test_a_database_that_is_locked_for_a_minute_keeps_no_upload_from_being_taken_and_loaded(
    box: Box, serve: Serve, journal: Journal
) -> None:
    seen, ends = serve.mark(), time.monotonic() + A_MINUTE_S
    all_sent: list[Sent] = []
    with locked(box):
        while time.monotonic() < ends:
            all_sent.append(list_of(journal, f"Segment {len(all_sent)}", 2 + len(all_sent)))
            assert send(box, journal, all_sent[-1])
            time.sleep(1)
    for sent in all_sent:
        loads(serve, sent, seen)
    assert serve.stop() == 0
    drain(box)
    assert not examine(box.folder / "data", journal)


def test_the_backlog_is_told_while_the_database_cannot_be_written(box: Box, serve: Serve, journal: Journal) -> None:
    with read_only(box):
        assert send(box, journal, list_of(journal, "Gold", 2))
        assert len(box.json("sweep")["queued"]) == 1
        assert [one["filename"] for one in box.json("upload", "list")] == ["Gold_20240101_0001.csv"]


def test_a_database_that_was_replaced_by_garbage_stops_the_next_start_and_its_backup_brings_everything_back(
    box: Box, serve: Serve, journal: Journal
) -> None:
    box.run("backup", "copy.db")
    box.file("garbage", b"This is no database. " * 1000).rename(database(box))
    seen, sent = serve.mark(), list_of(journal, "Gold", 2)
    assert send(box, journal, sent)
    serve.wait_for("load failed", since=seen)  # nothing is written into a file that no longer has a name
    serve.stop(signal.SIGKILL)
    for log in ("ctsftp.db-wal", "ctsftp.db-shm"):  # a small database may be whole in its log
        database(box).with_name(log).unlink()
    garbage = database(box).read_bytes()
    for command in (("serve",), ("upload", "list"), ("sweep",)):
        refused = box.run(*command, check=False)
        assert (refused.returncode, refused.stdout) == (1, "")
        [line] = refused.stderr.splitlines()
        assert str(database(box)) in line
        assert "not an SQLite database" in line
    assert database(box).read_bytes() == garbage

    for left in database(box).parent.glob("ctsftp.db*"):
        left.unlink()
    (box.folder / "copy.db").rename(database(box))
    loads(box.start(), sent, 0)
    assert box.serve is not None
    assert box.serve.stop() == 0
    drain(box)
    assert not examine(box.folder / "data", journal)


def ledger(box: Box) -> dict[str, tuple[str, str | None]]:
    """Give the state and the code of each upload, by its file's name."""
    with closing(sqlite3.connect(database(box), timeout=PATIENCE_S)) as db:
        return {name: (state, code) for name, state, code in db.execute("SELECT filename, state, code FROM uploads")}


def test_a_file_that_needs_too_much_memory_is_tried_three_times_and_others_go_on(
    box: Box, serve: Serve, journal: Journal
) -> None:
    pid = serve.process.pid
    used = next(
        int(line.split()[1]) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if "VmSize" in line
    )
    limit = (used << 10) + MEMORY_FOR_OTHERS_BYTES
    subprocess.run(["prlimit", "--pid", str(pid), f"--as={limit}:unlimited"], check=True)
    huge = journal.begin("acme", "Huge", "Huge_20240101_0001.csv", range(1_000_000, 3_500_000))
    assert send(box, journal, huge)
    for attempts in (1, 2, 3):
        failed = serve.wait_for("load failed", lambda event: event.get("attempts") == attempts)  # noqa: B023
        assert "MemoryError" in failed["reason"]
        seen = serve.mark()
        other = list_of(journal, "Gold", 1 + attempts)
        assert send(box, journal, other)
        loads(serve, other, seen)
    wait_until(lambda: ledger(box)[huge.name] == ("failed", "internal"))
    subprocess.run(["prlimit", "--pid", str(pid), "--as=unlimited"], check=True)
    [waiting] = box.json("upload", "list", "--state", "failed")
    assert box.json("upload", "retry", waiting["id"])["state"] == "loaded"
    serve.stop()
    drain(box)
    assert not examine(box.folder / "data", journal)


def test_a_file_that_kills_the_server_is_tried_three_times_and_others_go_on(
    box: Box, serve: Serve, journal: Journal
) -> None:
    require_program("strace")
    killer, others = list_of(journal, "Killer", 2), [list_of(journal, f"Other {one}", 3 + one) for one in range(4)]
    with locked(box):
        for sent in (killer, *others):
            assert send(box, journal, sent)
        serve.stop(signal.SIGKILL)
    [place] = (box.folder / "data").resolve().glob(f"clients/acme/uploads/*/{killer.name}")
    box.launch = lambda box: start_process(box, *killed_when_it_reads(place, box.folder / "strace.log"))
    box.env["CTSFTP_INGEST__RETRY_AFTER_DEATH_S"] = "1"
    for _ in range(3):
        with box.launch(box) as dying:
            try:
                assert dying.wait(PATIENCE_S) == -signal.SIGKILL
            finally:
                dying.kill()
    box.start().wait_for("swept")  # reading it would kill this one, too
    drained = {sent.name: ("loaded", None) for sent in others}
    wait_until(lambda: drained.items() <= ledger(box).items())
    assert ledger(box)[killer.name] == ("failed", "loader_died")
    assert send(box, journal, list_of(journal, "Gold", 9))
    assert box.serve is not None
    assert box.serve.stop() == 0
    box.launch = fork_process
    [waiting] = box.json("upload", "list", "--state", "failed")
    assert "died" in waiting["reason"]
    assert box.json("upload", "retry", waiting["id"])["state"] == "loaded"
    drain(box)
    assert not examine(box.folder / "data", journal)


def killed_when_it_reads(place: Path, log: Path) -> list[str]:
    """Give a command in front of another that kills it when it reads this file; its process stays the same."""
    return [
        *("strace", "-D", "-f", "-o", str(log), "-P", str(place)),
        *("-e", "trace=read", "-e", "inject=read:signal=SIGKILL"),
    ]
