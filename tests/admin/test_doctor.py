"""What the doctor says of things that the command line's own tests cannot bring about."""

import asyncio
import errno
from pathlib import Path

import pytest

from ctsftp.admin.doctor import examine
from ctsftp.app.engine import Engine
from ctsftp.contract.finding import Finding, Level
from ctsftp.settings import Settings
from ctsftp.spool.disk import LocalDisk
from ctsftp.spool.ground import NETWORK_KINDS, file_system
from tests.app.bench import NAME, load, rows


def found(settings: Settings, part: str) -> list[Finding]:
    """What needs attention in a part."""
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


def test_a_data_folder_that_is_a_file_is_none(settings: Settings, tmp_path: Path) -> None:
    place = tmp_path / "file"
    place.touch()
    [finding] = found(settings.model_copy(update={"data_dir": place}), "data")
    assert finding.level is Level.BAD
    assert finding.text == f"{place} is no folder."


def test_a_wrong_folder_of_keys_is_told_as_such_and_not_as_lost_host_keys(settings: Settings, tmp_path: Path) -> None:
    elsewhere = settings.model_copy(update={"keys_dir": tmp_path / "nowhere"})
    assert found(elsewhere, "keys") == [], "nothing was served yet"
    (settings.data_dir / "clients").mkdir()
    [finding] = found(elsewhere, "keys")
    assert finding.level is Level.BAD
    assert "CTSFTP_KEYS_DIR for this command" in finding.do
    assert found(elsewhere, "host keys") == []


async def test_a_database_that_is_gone_though_uploads_are_kept_is_told(settings: Settings) -> None:
    async with Engine.open(settings) as engine:
        await load(engine, NAME, rows([1]))
    (settings.data_dir / "ctsftp.db").unlink()
    [finding] = await asyncio.to_thread(found, settings, "database")
    assert finding.level is Level.BAD
    assert "its file is gone" in finding.text
    assert "backup" in finding.do
