"""A disk that fails or is full: the sender is told, what was there stays, and the server recovers by itself."""

import itertools
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import Box, Serve, require_program

from .faults import failing
from .oracle import Journal, Sent, drain, examine
from .senders import send

pytestmark = pytest.mark.slow

# The calls, the error, and, where not all of them are to fail, the client's folder in which they do.
FAULTS = {
    "fsync": ("fsync", "EIO"),
    "write": ("pwrite64", "EIO"),
    "rename": ("rename,renameat,renameat2", "EIO"),
    "link": ("link,linkat", "EIO"),
    "uploads_fsync": ("fsync", "EIO", "uploads"),
    "home_fsync": ("fsync", "EIO", "home"),
    "full_disk": ("pwrite64,mkdir,mkdirat", "ENOSPC"),
}
SMALL_DISK_BYTES = 12 << 20


class Ward:
    """A server with one list loaded, whose disk fails now and then; each list is a correction of the one before."""

    def __init__(self, box: Box) -> None:
        self.box = box
        self.journal = Journal()
        self._attempts = itertools.count(1)
        box.add_client("acme")
        self.serve: Serve = box.start()
        self.loads_one()

    def sent(self, ids: int = 20) -> Sent:
        first = 1_000_000 * next(self._attempts)
        return self.journal.begin("acme", "Gold", "Gold_20240101_0001.csv", range(first, first + ids))

    def send(self, sent: Sent) -> bool:
        return send(self.box, self.journal, sent)

    def loads_one(self) -> None:
        """Hold that the server takes a list, and loads it, by itself."""
        seen = self.serve.mark()
        assert self.send(self.sent())
        self.serve.wait_for("verdict", lambda event: event["state"] == "loaded", since=seen)

    def examine(self) -> None:
        assert self.serve.process.poll() is None
        drain(self.box)
        assert not examine(self.box.folder / "data", self.journal)


@pytest.fixture(scope="module")
def ward(tmp_path_factory: pytest.TempPathFactory, host_keys: Path) -> Iterator[Ward]:
    require_program("strace")
    box = Box(tmp_path_factory.mktemp("ward"))
    shutil.copytree(host_keys, box.folder / "keys" / "host")
    try:
        yield Ward(box)
    finally:
        if box.serve:
            box.serve.stop()


@pytest.mark.parametrize("when", ["1", "1+"], ids=["once", "always"])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_failing_disk_is_told_and_costs_nothing_that_was_there(fault: str, when: str, ward: Ward) -> None:
    calls, error, *place = FAULTS[fault]
    client = ward.box.folder / "data" / "clients" / "acme"
    sent = ward.sent()
    with failing(ward.serve, calls, error, *(client / name for name in place), when=when):
        assert not ward.send(sent)
        assert sent.refused
    ward.loads_one()
    ward.examine()


def test_a_database_that_cannot_be_written_keeps_no_upload_from_being_taken(ward: Ward) -> None:
    seen = ward.serve.mark()
    with failing(ward.serve, "fdatasync", "EIO"):
        assert ward.send(ward.sent())
        ward.serve.wait_for("load failed", since=seen)
    ward.serve.wait_for("verdict", lambda event: event["state"] == "loaded", since=seen)
    ward.examine()


@pytest.fixture
def small_disk(box: Box) -> Iterator[Path]:
    """A data folder that is a small disk of its own."""
    data = box.folder / "data"
    data.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SMALL_DISK_BYTES}", "tmpfs", str(data)]
    if (done := subprocess.run(mount, capture_output=True, text=True, check=False)).returncode:
        reason = f"this system lets nobody mount: {done.stderr}"
        if os.environ.get("CTSFTP_TESTS_NO_SKIP") and not os.environ.get("CTSFTP_TESTS_NO_MOUNT"):
            pytest.fail(reason)
        pytest.skip(reason)
    try:
        yield data
    finally:
        if box.serve:
            box.serve.stop()
        subprocess.run(["umount", str(data)], check=True)


def test_a_file_that_the_disk_has_no_room_for_is_refused_and_leaves_no_trace(small_disk: Path, box: Box) -> None:
    ward = Ward(box)
    room = shutil.disk_usage(small_disk).free
    large = ward.sent(ids=2_000_000)
    assert len(large.data) > room
    assert not ward.send(large)
    assert large.refused
    ward.loads_one()
    ward.examine()


def test_what_is_acknowledged_before_the_disk_is_full_is_loaded_when_there_is_room_again(
    small_disk: Path, box: Box
) -> None:
    ward = Ward(box)
    ballast = small_disk / "ballast"
    seen = ward.serve.mark()
    with failing(ward.serve, "fdatasync", "EIO"):  # so that it waits to be loaded
        assert ward.send(ward.sent())
        ward.serve.wait_for("load failed", since=seen)
        fill(ballast)
    full = ward.serve.wait_for("load failed", lambda event: "full" in event["reason"], since=seen)
    assert full["code"] == "database"
    refused = ward.sent()
    assert not ward.send(refused)
    assert refused.refused
    ballast.unlink()
    ward.serve.wait_for("verdict", lambda event: event["state"] == "loaded", since=seen)
    ward.loads_one()
    ward.examine()


@pytest.mark.parametrize("serves", [True, False], ids=["served", "by commands alone"])
def test_a_full_server_starts_deletes_and_tells(small_disk: Path, box: Box, *, serves: bool) -> None:
    box.env["CTSFTP_SPOOL__RESERVE_BYTES"] = str(4 << 20)
    ward = Ward(box)
    ward.serve.stop()
    assert (small_disk / "reserve").stat().st_size == 4 << 20
    fill(small_disk / "ballast")
    if serves:
        assert [event for event in box.start().events if "reserve was released" in event["event"]]
    found = json.loads(box.run("doctor", "--json", check=False).stdout)
    bad = {one["part"] for one in found if one["level"] == "bad"}
    assert ("disk" in bad, "database" in bad) == (True, False)
    for command in (("segment", "retire", "Gold"), ("segment", "delete", "Gold"), ("sweep",)):
        box.run(*command)
    assert box.json("segment", "list") == []
    assert not (small_disk / "reserve").exists()


def fill(place: Path) -> None:
    """Leave not one page of the disk."""
    with place.open("wb", buffering=0) as file:
        for size in (1 << 20, 4096):
            while True:
                try:
                    file.write(bytes(size))
                except OSError:
                    break
