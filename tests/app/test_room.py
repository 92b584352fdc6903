"""`/readyz`, the quota and `doctor` say the same of a disk, whatever its size, its floor and a client's quota."""

import os
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

from hypothesis import given
from hypothesis import strategies as st

from ctsftp.app.service import Service
from ctsftp.contract.finding import Level
from ctsftp.errors import LimitError
from ctsftp.sftp.settings import SftpSettings
from ctsftp.spool.checks import check_room
from ctsftp.spool.quota import Account, Allowance
from ctsftp.spool.room import Room

BLOCK = 1024


@given(
    total=st.integers(1, 1 << 20),
    free_part=st.floats(0, 1),
    files=st.sampled_from([0, 3000, 1 << 20]),
    free_files_part=st.floats(0, 1),
    percent=st.floats(0, 99),
    floor_bytes=st.integers(0, 1 << 30),
    floor_files=st.integers(0, 1 << 20),
    largest=st.integers(1, 1 << 30),
    quota=st.integers(1, 1 << 31),
    kept=st.integers(0, 1 << 31),
)
def test_all_say_the_same(
    *,
    total: int,
    free_part: float,
    files: int,
    free_files_part: float,
    percent: float,
    floor_bytes: int,
    floor_files: int,
    largest: int,
    quota: int,
    kept: int,
) -> None:
    free, free_files = int(total * free_part), int(files * free_files_part)
    found = os.statvfs_result((BLOCK, BLOCK, total, free, free, files, free_files, free_files, 0, 255))
    sftp = SftpSettings(
        free_floor_percent=percent,
        free_floor_bytes=floor_bytes,
        free_floor_files=floor_files,
        max_file_size_bytes=largest,
    )
    room = Room.of(found, sftp.floor)

    asked = SimpleNamespace(engine=SimpleNamespace(room=lambda: room, settings=SimpleNamespace(sftp=sftp)))
    reasons = Service._room_reasons(asked)  # type: ignore[arg-type]
    with patch("os.statvfs", return_value=found):
        doctor = next(check_room(Path("data"), floor=sftp.floor, free_ratio=0, largest_bytes=largest))
    refusal = None
    try:
        Account(lambda: (kept, 1), lambda: found).open(Allowance(bytes=quota, files=10, floor=sftp.floor))
    except LimitError as exc:
        refusal = str(exc)

    assert ("uploads are refused" in " ".join(reasons)) == ("Every upload is refused" in doctor.text)
    assert bool(reasons) == (doctor.level is Level.BAD)
    if kept >= quota:
        assert "quota_bytes" in str(refusal)
    else:
        assert (refusal is not None) == ("Every upload is refused" in doctor.text)
