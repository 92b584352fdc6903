"""The real disk follows no link, waits for no FIFO and overwrites nothing by accident."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from ctsftp.spool.disk import LocalDisk, make_folders

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


class Watched(LocalDisk):
    """Notes what it does, and may be told to fail."""

    def __init__(self, fault: OSError | None = None) -> None:
        self.done: list[tuple[str, str]] = []
        self.fault = fault

    def make_folder(self, path: Path) -> None:
        super().make_folder(path)
        self.done.append(("make", path.name))

    def fsync_folder(self, path: Path) -> None:
        if self.fault:
            raise self.fault
        super().fsync_folder(path)
        self.done.append(("fsync", path.name))


def test_folders_are_durable_one_by_one_from_the_top(tmp_path: Path) -> None:
    disk = Watched()
    make_folders(disk, tmp_path / "a" / "b" / "c")
    assert disk.done == [
        ("fsync", tmp_path.parent.name),  # whoever made this one may have died before it was durable
        ("make", "a"),
        ("fsync", tmp_path.name),
        ("make", "b"),
        ("fsync", "a"),
        ("make", "c"),
        ("fsync", "b"),
    ]


def test_a_folder_that_is_there_is_made_durable_by_whoever_may(tmp_path: Path) -> None:
    disk = Watched()
    (tmp_path / "link").symlink_to(tmp_path / "folder")
    (tmp_path / "folder" / "data").mkdir(parents=True)
    make_folders(disk, tmp_path / "link" / "data")
    assert disk.done == [("fsync", "folder")]
    make_folders(Watched(PermissionError(errno.EACCES, "no")), tmp_path / "folder")


def test_a_folder_that_cannot_be_made_durable_is_told(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="broken"):
        make_folders(Watched(OSError(errno.EIO, "broken")), tmp_path)
    with pytest.raises(PermissionError):
        make_folders(Watched(PermissionError(errno.EACCES, "no")), tmp_path / "new" / "data")
