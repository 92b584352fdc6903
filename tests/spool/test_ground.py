"""The data folder's file system: whether it has hard links, and whether it is this machine's own."""

import errno
from pathlib import Path

import pytest

from ctsftp.contract.finding import Finding, Level
from ctsftp.spool.disk import LocalDisk
from ctsftp.spool.ground import NETWORK_KINDS, check_ground, file_system


class LinklessDisk(LocalDisk):
    """A disk that answers link(2) with an error, as vfat and many network file systems do."""

    def __init__(self, number: int) -> None:
        self._number = number

    def link(self, old: Path, new: Path) -> None:
        raise OSError(self._number, "no", str(old), None, str(new))


class FullDisk(LocalDisk):
    def create(self, path: Path) -> int:
        raise OSError(errno.ENOSPC, "no", str(path))


def ground(data_dir: Path, *, shared: bool = False, disk: LocalDisk | None = None) -> list[Finding]:
    return list(check_ground(data_dir, shared=shared, disk=disk or LocalDisk()))


def test_a_local_disk_with_hard_links_is_sound_and_nothing_is_left_on_it(tmp_path: Path) -> None:
    assert ground(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL])
def test_a_disk_without_hard_links_cannot_be_used(tmp_path: Path, number: int) -> None:
    [fault] = ground(tmp_path, disk=LinklessDisk(number))
    assert fault.level is Level.BAD
    assert fault.text.startswith(f"Hard links cannot be made in {tmp_path} (")
    assert "CTSFTP_DATA_DIR" in fault.do
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("disk", [FullDisk(), LinklessDisk(errno.ENOSPC), LinklessDisk(errno.EDQUOT)])
def test_a_full_disk_is_no_reason_to_stay_down(tmp_path: Path, disk: LocalDisk) -> None:
    assert ground(tmp_path, disk=disk) == []
    assert list(tmp_path.iterdir()) == []


def test_the_trial_is_made_where_the_clients_files_lie(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    data_dir = tmp_path / "data"
    data_dir.mkdir()
    (data_dir / "clients").symlink_to(elsewhere)
    [fault] = ground(data_dir, disk=LinklessDisk(errno.EPERM))
    assert str(data_dir / "clients") in fault.text


@pytest.mark.parametrize(
    ("number", "kind"),
    [(0x6969, "NFS"), (0xFF534D42, "SMB"), (0xFE534D42, "SMB"), (0x65735546, "FUSE")],
)
def test_a_disk_in_the_net_is_warned_of_unless_it_is_meant_to_be_shared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, kind: str
) -> None:
    assert NETWORK_KINDS[number] == kind
    monkeypatch.setattr("ctsftp.spool.ground.file_system", lambda _: number)
    (tmp_path / "clients").mkdir()
    [warning] = ground(tmp_path)
    assert warning.level is Level.WARN
    assert warning.text.startswith(f"{tmp_path} lies on {kind},")
    assert ground(tmp_path, shared=True) == []


def test_the_kind_of_a_file_system_is_asked_of_the_system(tmp_path: Path) -> None:
    assert file_system(Path("/proc")) == 0x9FA0
    assert file_system(tmp_path) not in {0, *NETWORK_KINDS}
    assert file_system(tmp_path / "not there") == 0
