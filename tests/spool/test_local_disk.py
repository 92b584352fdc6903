"""The real disk follows no link, waits for no FIFO and overwrites nothing by accident."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from ctsftp.spool.disk import LocalDisk

DISK = LocalDisk()


@pytest.mark.parametrize(
    "call",
    [
        DISK.names,
        DISK.fsync_folder,
        DISK.open_read,
        DISK.open_write,
        DISK.create,
        DISK.make_folder,
        DISK.remove_folder,
    ],
    ids=lambda call: call.__name__,
)
@pytest.mark.parametrize("there", ["folder", "file", "none"])
def test_a_link_is_not_followed(tmp_path: Path, call: Callable[[Path], object], there: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_bytes(b"secret")
    link = tmp_path / "link"
    link.symlink_to(tmp_path / there)
    with pytest.raises(OSError, match="link"):
        call(link)
    assert not (tmp_path / "none").exists()


def test_a_second_name_of_a_link_is_a_link(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/etc/passwd")
    DISK.link(tmp_path / "link", tmp_path / "second")
    assert (tmp_path / "second").is_symlink()
    DISK.set_times(tmp_path / "link", 1, 2)
    assert DISK.lstat(tmp_path / "link").st_mtime == 2


def test_a_fifo_or_a_folder_is_no_file_and_nobody_waits_for_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "folder").mkdir()
    before = os.listdir("/proc/self/fd")  # noqa: PTH208  only their number
    for name in ("fifo", "folder"):
        with pytest.raises(OSError, match="symbolic links"):  # ELOOP, as for a link
            DISK.open_read(tmp_path / name)
    assert len(os.listdir("/proc/self/fd")) == len(before)  # noqa: PTH208


def test_a_new_file_never_replaces_one(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    with pytest.raises(FileExistsError):
        DISK.create(tmp_path / "a")
    with pytest.raises(FileExistsError):
        DISK.link(tmp_path / "a", tmp_path / "a")
