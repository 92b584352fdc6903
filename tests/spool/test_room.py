"""Free space has one definition: whoever asks is told the same, at any size, floor and number of files."""

import os
from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctsftp.contract.finding import Level
from ctsftp.errors import LimitError
from ctsftp.spool.checks import check_room
from ctsftp.spool.quota import Account, Allowance
from ctsftp.spool.room import Floor, Room

BLOCK = 1024


@st.composite
def disks(draw: st.DrawFn) -> os.statvfs_result:
    total, files = draw(st.integers(1, 1 << 20)), draw(st.sampled_from([0, 1, 1000, 1 << 20]))
    free, free_files = draw(st.integers(0, total)), draw(st.integers(0, files))
    return os.statvfs_result((BLOCK, BLOCK, total, free, free, files, free_files, free_files, 0, 255))


floors = st.builds(
    Floor,
    percent=st.floats(0, 99),
    bytes=st.integers(0, 1 << 31),
    files=st.integers(0, 1 << 20),
)


@given(found=disks(), floor=floors, largest=st.integers(1, 1 << 30))
def test_the_quota_and_doctor_say_the_same_as_the_room(found: os.statvfs_result, floor: Floor, largest: int) -> None:
    room = Room.of(found, floor)
    account = Account(lambda: (0, 0), lambda: found)
    allowance = Allowance(bytes=1 << 60, files=10, floor=floor)
    refused = room.refusal() is not None
    for ask in (lambda: account.open(allowance).settle(None), lambda: account.add_file(allowance)):
        if refused:
            with pytest.raises(LimitError, match="free_floor"):
                ask()
        else:
            ask()
    with patch("os.statvfs", return_value=found):
        first = next(check_room(Path("data"), floor=floor, free_ratio=0, largest_bytes=largest))
    assert ("Every upload is refused" in first.text) is refused
    assert (first.level is Level.BAD) is (room.refusal(largest) is not None)


@given(found=disks(), floor=floors)
def test_a_file_that_fits_to_the_byte_is_taken_and_one_byte_more_is_not(found: os.statvfs_result, floor: Floor) -> None:
    room = Room.of(found, floor)
    account = Account(lambda: (0, 0), lambda: found)
    allowance = Allowance(bytes=1 << 60, files=10, floor=floor)
    if room.refusal() is None:
        assert account.open(allowance).reach(room.spare_bytes) == room.spare_bytes
        with pytest.raises(LimitError, match="free_floor_bytes"):
            account.open(allowance).reach(room.spare_bytes + 1)


def test_a_disk_that_counts_no_files_has_no_limit_to_them() -> None:
    found = os.statvfs_result((BLOCK, BLOCK, 1000, 500, 500, 0, 0, 0, 0, 255))
    assert Room.of(found, Floor(percent=10, bytes=0, files=10_000)).refusal() is None


def test_the_floor_of_files_is_the_smaller_of_a_percentage_and_a_number() -> None:
    found = os.statvfs_result((BLOCK, BLOCK, 1000, 500, 500, 3000, 300, 300, 0, 255))
    assert "free_floor_files" in str(Room.of(found, Floor(percent=10, bytes=0, files=10_000)).refusal())
    assert Room.of(found, Floor(percent=10, bytes=0, files=299)).refusal() is None
