"""What the doctor says of things that the command line's own tests cannot bring about."""

import errno

import pytest

from ctsftp.app.doctor import examine
from ctsftp.contract.finding import Finding, Level
from ctsftp.settings import Settings
from ctsftp.spool.disk import LocalDisk
from ctsftp.spool.ground import NETWORK_KINDS, file_system


def found(settings: Settings, part: str) -> list[Finding]:
    """What needs a hand in a part."""
    return [one for one in examine(settings) if one.part == part and one.level is not Level.OK]


@pytest.fixture(autouse=True)
def _closed_folder(settings: Settings) -> None:
    settings.data_dir.chmod(0o750)


def test_a_data_folder_without_hard_links_is_broken(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def link(*_: object) -> None:
        raise OSError(errno.EPERM, "no")

    monkeypatch.setattr(LocalDisk, "link", link)
    [finding] = found(settings, "data")
    assert finding.level is Level.BAD
    assert "Hard links cannot be made" in finding.text


def test_a_data_folder_in_the_net_is_warned_of(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(NETWORK_KINDS, file_system(settings.data_dir), "SMB")
    [finding] = found(settings, "data")
    assert finding.level is Level.WARN
    assert "lies on SMB" in finding.text
