"""Deliberate mistakes, each of which the oracle or the forgetful disk must find, by its name.

A test of crashes that can find nothing would look just like one that finds nothing.
"""

import asyncio
import contextlib
import os
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ctsftp.app.engine import Engine
from ctsftp.settings import Settings
from ctsftp.spool.disk import Disk
from ctsftp.spool.landing import Landing
from ctsftp.spool.paths import HomePath
from ctsftp.spool.spool import Spool
from ctsftp.store import publishing
from ctsftp.store.ledger import Ledger
from ctsftp.store.rows import RowSets
from ctsftp.store.snapshots import Snapshots

from .oracle import AT_ONCE, Journal, Sent, examine
from .power import World, as_it_is, steps
from .simdisk import ForgetfulDisk, PowerCutError

pytestmark = pytest.mark.slow

MOST_SEEDS = 40
NAME = "Gold_20240101_0001.csv"


def without(call: str) -> Callable[[ForgetfulDisk], Disk]:
    """Leave a call to the disk out."""

    def wrap(disk: ForgetfulDisk) -> Disk:
        setattr(disk, call, lambda _: None)
        return disk

    return wrap


def found_on_the_disk(folder: Path, wrap: Callable[[ForgetfulDisk], Disk] = as_it_is) -> set[str]:
    """Name what power cuts at every change of two uploads show, over some ways to forget."""
    names: set[str] = set()
    for seed in range(MOST_SEEDS):
        for cut_before in (None, *range(14, 24)):
            with tempfile.TemporaryDirectory(dir=folder) as place:
                world = World(Path(place) / "w", seed, wrap=wrap, cut_before=cut_before)
                names |= {fault.name for fault in steps(world, [("put", "a.csv"), ("put", "a.csv")])}
        if names:
            break
    return names


def test_no_file_fsync_shows_as_wrong_bytes(tmp_path: Path) -> None:
    assert "wrong_bytes" in found_on_the_disk(tmp_path, without("fsync"))


def test_no_directory_fsync_shows_as_lost(tmp_path: Path) -> None:
    assert "lost" in found_on_the_disk(tmp_path, without("fsync_folder"))


class Life:
    """One engine's life in this process; a kill is a crash that no `except` of the product's catches up with."""

    def __init__(self, folder: Path) -> None:
        (folder / "data").mkdir()
        self.settings = Settings(data_dir=folder / "data", keys_dir=folder / "keys", ingest=AT_ONCE)
        self.journal = Journal()

    def upload(self, attempt: int = 1, *, ok_first: bool = False) -> None:
        """Take a file past the network, acknowledge it, and let the engine load it, if it lives so long."""
        sent = self.journal.begin("acme", "Gold", NAME, range(1000 * attempt + 1, 1000 * attempt + 21))
        with contextlib.suppress(PowerCutError):
            asyncio.run(self._upload(sent, ok_first=ok_first))

    async def _upload(self, sent: Sent, *, ok_first: bool) -> None:
        async with Engine.open(self.settings) as engine:
            if ok_first:
                self.journal.acknowledge(sent)
            landed = await asyncio.to_thread(self._land, engine.spool, sent)
            self.journal.acknowledge(sent)
            engine.landed(landed)
            await engine.queue.wait_for([landed.id])

    @staticmethod
    def _land(spool: Spool, sent: Sent) -> Any:
        staged = spool.stage(
            "acme",
            HomePath((sent.name,)),
            truncate=True,
            create=True,
            exclusive=False,
            append=False,
            max_size_bytes=1 << 20,
        )
        staged.write(0, sent.data)
        return spool.publish("acme", staged)

    def restart(self) -> set[str]:
        """Recover and sweep with a sound engine; name what the oracle then finds."""

        async def work() -> None:
            async with Engine.open(self.settings) as engine:
                await engine.queue.wait_for((await engine.sweeper.sweep()).queued)

        asyncio.run(work())
        return {fault.name for fault in examine(self.settings.data_dir, self.journal)}


@pytest.fixture
def life(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Life:
    for name in [name for name in os.environ if name.startswith("CTSFTP_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return Life(tmp_path)


def dies(*_: object, **__: object) -> None:
    raise PowerCutError


async def dies_soon(*_: object, **__: object) -> None:
    raise PowerCutError


async def does_nothing(*_: object, **__: object) -> int:
    return 0


@contextlib.contextmanager
def changed(*changes: tuple[Any, str, Any]) -> Iterator[None]:
    """Put mistakes into the product for the time of the block."""
    with pytest.MonkeyPatch.context() as patch:
        for owner, name, mistake in changes:
            patch.setattr(owner, name, mistake)
        yield


def test_without_a_mistake_nothing_is_found_wherever_it_dies(life: Life) -> None:
    life.upload(1)
    assert life.restart() == set()
    for attempt, (owner, name, death) in enumerate(
        [
            (Landing, "take", dies),
            (Landing, "show", dies),
            (Snapshots, "write", dies_soon),
            (Snapshots, "publish", dies_soon),
            (RowSets, "publish", dies_soon),
        ],
        start=2,
    ):
        with changed((owner, name, death)):
            life.upload(attempt)
        assert life.restart() == set()


def test_an_early_ok_shows_as_lost(life: Life) -> None:
    with changed((Landing, "take", dies)):
        life.upload(ok_first=True)
    assert "lost" in life.restart()


def test_publishing_before_the_last_rows_shows_as_half_loaded(life: Life) -> None:
    write, publish = Snapshots.write, Snapshots.publish

    async def some(self: Snapshots, upload_id: str, ids: Any) -> int:
        return await write(self, upload_id, ids[:10])

    async def publish_and_die(*args: Any, **kwargs: Any) -> None:
        await publish(*args, **kwargs)
        raise PowerCutError

    with changed(
        (Snapshots, "write", some),
        (Snapshots, "publish", publish_and_die),
        (publishing, "_require_complete", lambda *_: None),
    ):
        life.upload()
    assert {"half_loaded", "wrong_members"} <= life.restart()


def test_the_ledger_before_the_rename_shows_as_unfinished(life: Life) -> None:
    def enter_and_die(landing: Landing, _: Path) -> None:
        with contextlib.closing(sqlite3.connect(life.settings.data_dir / "ctsftp.db")) as db:
            db.execute(
                "INSERT INTO uploads (id, client, filename, state, warnings, size, received_at, approved, attempts,"
                " deaths) VALUES (?, 'acme', ?, 'received', '[]', 1, '2024', 0, 0, 0)",
                (landing._place.parent.name, NAME),
            )
            db.commit()
        raise PowerCutError

    with changed((Landing, "take", enter_and_die)):
        life.upload()
    assert "unfinished" in life.restart()


def test_publishing_without_the_ledgers_move_shows_as_twice(life: Life) -> None:
    publish = Snapshots.publish

    async def publish_and_die(*args: Any, **kwargs: Any) -> None:
        await publish(*args, **kwargs)
        raise PowerCutError

    with changed((publishing, "move", lambda *_, **__: True), (Snapshots, "publish", publish_and_die)):
        life.upload()
    assert "twice" in life.restart()


def test_a_restart_and_a_sweep_that_forget_what_was_loading_show_as_unfinished(life: Life) -> None:
    async def nothing_is_due(*_: object) -> list[str]:
        return []

    with changed((Snapshots, "publish", dies_soon)):
        life.upload()
    with changed((Ledger, "recover", does_nothing), (Ledger, "due", nothing_is_due)):
        assert "unfinished" in life.restart()


def test_a_restart_that_leaves_dead_snapshots_shows_as_orphan(life: Life) -> None:
    with changed((Snapshots, "publish", dies_soon)):
        life.upload()
    with changed((Snapshots, "delete_abandoned", does_nothing)):
        assert "orphan" in life.restart()


def test_a_restart_that_leaves_staging_shows_as_staging(life: Life) -> None:
    with changed((Landing, "take", dies), (Spool, "_forget", lambda *_: None)):
        life.upload()
    with changed((Spool, "clear_staging", lambda _: 0)):
        assert "staging" in life.restart()
