"""What a node does for another that is dead, and a node that finds its folder taken."""

import asyncio
from pathlib import Path

import pytest

from ctsftp.app import finishing
from ctsftp.app.engine import Engine
from ctsftp.app.lock import data_lock, until_free
from ctsftp.ingest.settings import IngestSettings
from ctsftp.settings import Settings

from .bench import NAME, PATIENCE_S, put, rows


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
    monkeypatch.setattr(finishing, "FINISH_S", 0)
    async with Engine.open(settings) as engine, asyncio.timeout(PATIENCE_S):
        await finishing.finish(engine, dead.data_dir)
    with data_lock(dead.data_dir):
        pass
    async with Engine.open(dead) as engine:
        [row] = await engine.store.ledger.uploads()
        assert (row.state, row.code) == ("failed", "disk")
