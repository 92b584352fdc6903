"""The reserve: taken while there is plenty of room, given back on a full disk, and never in the way of a start."""

import os
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from ctsftp.spool.disk import LocalDisk
from ctsftp.spool.reserve import Reserve
from ctsftp.spool.room import Floor

SIZE = 1 << 20
FLOOR = Floor(percent=10, bytes=10 * SIZE, files=0)


class Disk:
    """Has a hundred blocks of the reserve's size, of which so many bytes are free."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.free = 50 * SIZE
        monkeypatch.setattr(LocalDisk, "room", lambda *_: self.room())

    def room(self) -> os.statvfs_result:
        return os.statvfs_result((1, 1, 100 * SIZE, self.free, self.free, 0, 0, 0, 0, 255))


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


def test_it_holds_blocks_of_the_disk_and_no_hole(disk: Disk, tmp_path: Path) -> None:
    reserve = Reserve(tmp_path, SIZE)
    for _ in range(2):
        reserve.keep(FLOOR)
        found = reserve.place.stat()
        assert (found.st_size, found.st_mode & 0o777) == (SIZE, 0o640)
        assert found.st_blocks * 512 >= SIZE


@pytest.mark.parametrize(("spare", "there"), [(SIZE - 1, False), (SIZE, True)])
def test_it_is_taken_only_from_what_uploads_may_have(disk: Disk, tmp_path: Path, spare: int, there: bool) -> None:  # noqa: FBT001
    disk.free = 10 * SIZE + spare
    reserve = Reserve(tmp_path, SIZE)
    reserve.keep(FLOOR)
    assert reserve.place.exists() is there


def test_it_is_given_back_when_the_disk_is_full_and_taken_again_when_there_is_plenty(
    disk: Disk, tmp_path: Path
) -> None:
    reserve = Reserve(tmp_path, SIZE)
    reserve.keep(FLOOR)
    disk.free = SIZE // 4
    reserve.release_if_full()
    assert reserve.place.exists(), "nearly full is not full"
    disk.free -= 1
    with capture_logs() as events:
        reserve.keep(FLOOR)
        reserve.release_if_full()
    assert not reserve.place.exists()
    assert [(event["log_level"], event["bytes"]) for event in events] == [("warning", SIZE)]
    disk.free = 50 * SIZE
    reserve.keep(FLOOR)
    assert reserve.place.stat().st_size == SIZE


def test_it_follows_its_setting(disk: Disk, tmp_path: Path) -> None:
    for size in (SIZE, 2 * SIZE):
        Reserve(tmp_path, size).keep(FLOOR)
        assert (tmp_path / "reserve").stat().st_size == size
    Reserve(tmp_path, 0).keep(FLOOR)
    assert not (tmp_path / "reserve").exists()


def test_a_disk_that_refuses_it_is_logged_and_holds_up_nothing(
    disk: Disk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with capture_logs() as events:
        Reserve(tmp_path, SIZE).keep(FLOOR)
    assert [event["event"] for event in events] == ["reserve not kept"]
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr(LocalDisk, "room", full)
    Reserve(tmp_path, SIZE).release_if_full()
