"""A disk that fails or is full: the sender is told, what was there stays, and the server recovers by itself.

`strace` makes the calls of a real server fail. It counts for each thread, so "once" is one failure in each.
"""

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.e2e.conftest import PATIENCE_S, Box, require_program

from .oracle import Journal, Sent, drain, examine
from .senders import send

NAME = "Gold_20240101_0001.csv"
FILE_CALLS = {
    "fsync": ("fsync", "EIO"),
    "write": ("pwrite64", "EIO"),
    "rename": ("rename,renameat,renameat2", "EIO"),
    "link": ("link,linkat", "EIO"),
    "folder_fsync": ("fsync", "EIO", "home"),
    "full_disk": ("pwrite64,mkdir,mkdirat", "ENOSPC"),
}


@pytest.fixture
def ready(box: Box, journal: Journal) -> Box:
    """A server with one list loaded."""
    require_program("strace")
    box.add_client("acme")
    serve = box.start()
    assert send(box, journal, begin(journal, 1))
    serve.wait_for("verdict")
    return box


def begin(journal: Journal, attempt: int) -> Sent:
    return journal.begin("acme", "Gold", NAME, range(1000 * attempt + 1, 1000 * attempt + 21))


@contextmanager
def failing(box: Box, calls: str, error: str, place: str = "", *, when: str) -> Iterator[None]:
    """Let calls of the running server fail for the time of the block; its database stays sound but for its log."""
    assert box.serve is not None
    command = ["strace", "-f", "-p", str(box.serve.process.pid), "-e", f"trace={calls}"]
    if place:
        command += ["-P", str((box.folder / "data" / "clients" / "acme" / place).resolve())]
    command += ["-e", f"inject={calls}:error={error}:when={when}"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as strace:
        assert strace.stderr is not None
        said = strace.stderr.readline()
        while "Requested path" in said:  # with -P it tells first how it resolved the path
            said = strace.stderr.readline()
        if "attached" not in said:
            strace.wait(PATIENCE_S)
            pytest.skip(f"this system lets no process trace another: {said}")
        try:
            yield
        finally:
            strace.send_signal(signal.SIGINT)
            said = strace.communicate(timeout=PATIENCE_S)[1]
    assert "INJECTED" in said, "the fault never came to pass"


@pytest.mark.parametrize(("fault", "when"), [("fsync", "1"), ("rename", "1"), *((fault, "1+") for fault in FILE_CALLS)])
def test_a_failing_disk_is_told_and_costs_nothing_that_was_there(
    fault: str, when: str, ready: Box, journal: Journal
) -> None:
    serve = ready.serve
    assert serve is not None
    sent = begin(journal, 2)
    with failing(ready, *FILE_CALLS[fault], when=when):
        assert not send(ready, journal, sent)
        assert sent.refused
    healed = begin(journal, 3)
    seen = serve.mark()
    assert send(ready, journal, healed)
    serve.wait_for("verdict", lambda event: event["file"] == NAME and event["state"] == "loaded", since=seen)
    assert serve.process.poll() is None
    drain(ready)
    assert not examine(ready.folder / "data", journal)


def test_a_database_that_cannot_be_written_keeps_no_upload_from_being_taken(ready: Box, journal: Journal) -> None:
    serve = ready.serve
    assert serve is not None
    seen = serve.mark()
    with failing(ready, "fdatasync", "EIO", when="1+"):
        assert send(ready, journal, begin(journal, 2))
        serve.wait_for("load failed", since=seen)
    serve.wait_for("verdict", since=seen)
    drain(ready)
    assert not examine(ready.folder / "data", journal)
