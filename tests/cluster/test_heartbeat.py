"""Who may take a node for dead, and what one does that was taken for dead and is not."""

import asyncio
import os
from pathlib import Path

import pytest

from ctsftp.app import takeover
from ctsftp.app.engine import Engine
from ctsftp.app.lock import ALIVE, Pulse, TakenOverError, data_lock, until_free
from ctsftp.app.takeover import Silence
from ctsftp.ingest.settings import IngestSettings
from ctsftp.settings import Settings

from .bench import NAME, put, rows

LEASE_S = 60.0
PATIENCE_S = 20.0


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    own, other = tmp_path / "own", tmp_path / "other"
    for folder in (own, other):
        folder.mkdir()
        Pulse(folder, folder.name).begin()
    return own, other


def test_a_node_is_silent_only_when_its_sign_stayed_the_same_for_the_lease(
    folders: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, other = folders
    now = 1000.0
    monkeypatch.setattr("ctsftp.app.takeover.time.monotonic", lambda: now)
    silence = Silence(f"{tmp_path}/*", own)
    assert silence.longer_than(LEASE_S) == []
    now += LEASE_S
    os.utime(other / ALIVE, (1, 1))  # a sign, whatever the other's clock says
    assert silence.longer_than(LEASE_S) == []
    now += LEASE_S
    assert silence.longer_than(LEASE_S) == [other]
    (other / ALIVE).unlink()  # finished
    assert silence.longer_than(LEASE_S) == []


async def test_a_node_that_was_taken_for_dead_ends(folders: tuple[Path, Path]) -> None:
    _, other = folders
    first = Pulse(other, "other")
    first.begin()
    async with asyncio.timeout(PATIENCE_S):
        Pulse(other, "taker").begin()
        with pytest.raises(TakenOverError, match="took this one for dead"):
            await first.beat(0)


async def test_a_node_waits_until_its_folder_is_free(tmp_path: Path) -> None:
    with data_lock(tmp_path):
        waiting = asyncio.create_task(until_free(tmp_path))
        done, _ = await asyncio.wait([waiting], timeout=0)
        assert not done
    async with asyncio.timeout(PATIENCE_S):
        await waiting


async def test_a_folder_in_which_something_always_fails_is_let_go_after_a_time(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings.model_copy(update={"ingest": IngestSettings(retry_first_s=60)})
    dead = settings.model_copy(update={"data_dir": tmp_path / "dead"})
    async with Engine.open(dead) as engine:
        put(engine.spool, NAME, rows([1]))
    config = settings.keys_dir / "clients" / "acme" / "client.toml"
    config.parent.mkdir(parents=True)
    config.write_text("broken")
    monkeypatch.setattr(takeover, "FINISH_S", 0)
    async with Engine.open(settings) as engine, asyncio.timeout(PATIENCE_S):
        await takeover._finish(engine, dead.data_dir)
    with data_lock(dead.data_dir):
        pass
    async with Engine.open(dead) as engine:
        [row] = await engine.store.ledger.uploads()
        assert (row.state, row.code) == ("failed", "disk")
