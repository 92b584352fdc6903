"""Who may take a node for dead, and what one does that was taken for dead and is not."""

import asyncio
import os
from pathlib import Path

import pytest

from ctsftp.cluster.heartbeat import Heartbeat
from ctsftp.cluster.takeover import Silence
from ctsftp.datafolder import DataFolder
from ctsftp.errors import TakenOverError

pytestmark = pytest.mark.slow

LEASE_S = 60.0
PATIENCE_S = 20.0


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    own, other = tmp_path / "own", tmp_path / "other"
    for folder in (own, other):
        folder.mkdir()
        Heartbeat(folder, folder.name).begin()
    return own, other


def test_a_node_is_silent_only_when_its_sign_stayed_the_same_for_the_lease(
    folders: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, other = folders
    now = 1000.0
    monkeypatch.setattr("ctsftp.cluster.takeover.time.monotonic", lambda: now)
    silence = Silence(f"{tmp_path}/*", own)
    assert silence.longer_than(LEASE_S) == []
    now += LEASE_S
    os.utime(DataFolder(other).alive, (1, 1))  # a sign, whatever the other's clock says
    assert silence.longer_than(LEASE_S) == []
    now += LEASE_S
    assert silence.longer_than(LEASE_S) == [other]
    DataFolder(other).alive.unlink()  # finished
    assert silence.longer_than(LEASE_S) == []


async def test_a_node_that_was_taken_for_dead_ends(folders: tuple[Path, Path]) -> None:
    _, other = folders
    first = Heartbeat(other, "other")
    first.begin()
    async with asyncio.timeout(PATIENCE_S):
        Heartbeat(other, "taker").begin()
        with pytest.raises(TakenOverError, match="took this one for dead"):
            await first.beat(0)
