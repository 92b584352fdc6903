"""The engine: it takes the data folder alone, puts right what a dead process left, and leaves it in order."""

import asyncio
import errno
import os
import shutil
import sqlite3
from datetime import timedelta
from pathlib import Path

import pytest
from structlog.typing import EventDict

from ctsftp.app.clock import utc_now
from ctsftp.app.engine import Engine, one_fault
from ctsftp.app.lock import data_lock
from ctsftp.clients.config import ClientConfig
from ctsftp.clients.folder import Clients
from ctsftp.contract.states import State
from ctsftp.errors import DataFolderBusyError, DiskError, RefusedError, SettingsError, StoreError, UsageError
from ctsftp.ingest.settings import IngestSettings
from ctsftp.settings import Settings
from ctsftp.spool.disk import LocalDisk
from ctsftp.spool.paths import HomePath

from .bench import NAME, NEXT, PATIENCE_S, Door, load, members, put, rows


async def test_what_a_dead_process_left_is_put_right(settings: Settings) -> None:
    async with Engine.open(settings) as engine:
        upload = put(engine.spool, NAME, rows([1, 2]))
        engine.spool.stage(
            "acme", HomePath((NEXT,)), truncate=True, create=True, exclusive=False, append=False, max_size_bytes=9
        )
        await load(engine, NEXT, rows([1]))  # its load dies in the middle:
        with sqlite3.connect(settings.data_dir / "ctsftp.db") as database:
            database.execute("UPDATE uploads SET state = 'loading'")
            database.execute("DELETE FROM segments")
            database.execute("UPDATE snapshots SET segment_id = NULL, number = NULL")
        database.close()
    staging = settings.data_dir / "clients" / "acme" / "staging"
    assert len(list(staging.iterdir())) == 1
    at_once = settings.model_copy(update={"ingest": IngestSettings(retry_after_death_s=1e-9)})
    async with Engine.open(at_once) as engine:
        assert list(staging.iterdir()) == []
        [row] = await engine.store.ledger.uploads()
        assert (row.state, row.deaths) == (State.RECEIVED, 1)
        swept = await engine.sweeper.sweep()
        assert upload.id in swept.queued
        assert row.id in swept.queued
        await engine.queue.wait_for()
        assert await members(engine) == [1]
    with sqlite3.connect(settings.data_dir / "ctsftp.db") as database:
        assert database.execute("SELECT count(*) FROM snapshots WHERE segment_id IS NULL").fetchone() == (0,)
    database.close()


async def test_an_upload_waits_while_nobody_can_tell_what_holds_for_its_client(settings: Settings) -> None:
    """It is not judged by the defaults: what a broken client.toml forbids would be loaded."""
    Clients(settings.keys_dir).add("acme")
    config = settings.keys_dir / "clients" / "acme" / "client.toml"
    async with Engine.open(settings) as engine:
        config.write_text("[guards]\nshrunk_ratoi = 0.9\n")
        row = await load(engine, NAME, rows([1]))
        assert (row.state, row.code) == (State.FAILED, "disk")
        assert row.retry_at
        assert f"{config}: guards.shrunk_ratoi: there is no such setting" in (row.reason or "")
        config.write_text("")
        await engine.store.ledger.retry(row.id)
        await engine.sweeper.sweep()
        await engine.queue.wait_for()
        assert await members(engine) == [1]


async def test_ids_go_on_behind_all_that_ever_were_even_if_their_files_are_gone_and_the_clock_is_set_back(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Engine.open(settings) as engine:
        row = await load(engine, NAME, rows([1]))
        engine.spool.remove_upload(await engine.find_file(row.id))
    monkeypatch.setattr("ctsftp.spool.ids.time.time_ns", lambda: 0)
    async with Engine.open(settings) as engine:
        assert put(engine.spool, NAME, rows([2])).id > row.id


async def test_a_load_that_the_stop_interrupts_is_taken_up_by_the_next_engine(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    door = Door()
    async with Engine.open(settings) as engine:
        monkeypatch.setattr(engine.loader, "_config_of", door.config_of)
        upload = put(engine.spool, NAME, rows([1, 2]))
        engine.landed(upload)
        await door.reached()
    door.open()
    async with Engine.open(settings) as engine:
        row = await engine.store.ledger.upload(upload.id)
        assert (row.state, row.deaths) == (State.RECEIVED, 0)
        await engine.sweeper.sweep()
        await engine.queue.wait_for()
        assert await members(engine) == [1, 2]


async def test_a_load_that_failed_is_tried_again_by_itself(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    tries = asyncio.Queue[int]()
    loop = asyncio.get_running_loop()
    faults = [DiskError("full"), DiskError("full")]

    def config_of(_engine: Engine, _client: str) -> ClientConfig:
        loop.call_soon_threadsafe(tries.put_nowait, len(faults))
        if faults:
            raise faults.pop()
        return ClientConfig()

    monkeypatch.setattr(Engine, "config_of", config_of)
    async with Engine.open(settings) as engine, asyncio.timeout(PATIENCE_S):
        upload = put(engine.spool, NAME, rows([1, 2]))
        engine.landed(upload)
        assert [await tries.get() for _ in range(3)] == [2, 1, 0]
        await engine.queue.wait_for()
        assert await members(engine) == [1, 2]


async def test_a_second_engine_on_the_same_data_is_refused_in_one_line(settings: Settings) -> None:
    async with Engine.open(settings):
        with pytest.raises(DataFolderBusyError) as refusal:
            async with Engine.open(settings):
                pass
    assert isinstance(refusal.value, UsageError)
    text = str(refusal.value)
    assert "\n" not in text
    assert str(settings.data_dir / "lock") in text
    assert f"(process {os.getpid()})" in text
    async with Engine.open(settings) as engine:
        assert (await load(engine, NAME, rows([1]))).state is State.LOADED


def test_the_lock_is_let_go_of_whatever_happens(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), data_lock(tmp_path / "data"):
        _ = 1 / 0
    with data_lock(tmp_path / "data"):
        pass


async def test_what_an_earlier_process_was_to_try_again_is_tried_at_its_time(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_engine: Engine, _client: str) -> ClientConfig:
        raise DiskError("no")

    late = settings.model_copy(update={"ingest": IngestSettings(retry_first_s=3600, retry_most_s=3600)})
    with monkeypatch.context() as patched:
        patched.setattr(Engine, "config_of", fails)
        async with Engine.open(late) as engine:
            row = await load(engine, NAME, rows([1, 2]))
            assert row.state is State.FAILED
    waits: dict[str, float] = {}
    monkeypatch.setattr(Engine, "_try_again", lambda _, upload, delay_s: waits.update({upload.id: delay_s}))
    async with Engine.open(settings) as engine:
        await engine.wait_on()
    assert 0 < waits.pop(row.id) <= 3600
    assert not waits


async def test_a_clock_that_was_put_back_makes_nobody_wait_until_the_wrong_time_comes(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Engine.open(settings) as engine:
        row = await load(engine, NAME, rows(["x"]))  # type: ignore[list-item]
        await engine.store.ledger.retry(row.id)
        await engine.store.ledger.move(row.id, State.LOADING)
        await engine.store.ledger.move(row.id, State.FAILED, retry_at=utc_now() + timedelta(days=30))
    waits: dict[str, float] = {}
    monkeypatch.setattr(Engine, "_try_again", lambda _, upload, delay_s: waits.update({upload.id: delay_s}))
    async with Engine.open(settings) as engine:
        await engine.wait_on()
    assert waits == {row.id: settings.ingest.retry_most_s}


def test_a_full_disk_does_not_keep_the_lock_from_being_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("ctsftp.app.lock.os.pwrite", full)
    with data_lock(tmp_path):
        pass


@pytest.mark.parametrize("place", ["file/data", "x" * 300])
def test_a_data_folder_that_cannot_be_made_is_a_wrong_setting(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match="CTSFTP_DATA_DIR"), data_lock(tmp_path / place):
        pass


async def test_a_damaged_database_refuses_the_start_in_one_line_and_is_left_as_it_is(settings: Settings) -> None:
    database = settings.data_dir / "ctsftp.db"
    database.write_bytes(b"This is no database. " * 1000)
    before = database.read_bytes()
    with pytest.raises(StoreError) as refusal:
        async with Engine.open(settings):
            pass
    assert "\n" not in str(refusal.value)
    assert str(database) in str(refusal.value)
    assert database.read_bytes() == before
    with data_lock(settings.data_dir):
        pass


async def test_a_fault_in_the_block_comes_out_as_itself(settings: Settings) -> None:
    with pytest.raises(RefusedError, match=r"^no$"):
        async with Engine.open(settings):
            raise RefusedError("no")


async def test_a_task_that_fails_ends_the_engine_with_its_own_error(settings: Settings) -> None:
    async def fail() -> None:
        raise StoreError("gone")

    async def work() -> None:
        async with Engine.open(settings) as engine:
            engine.tasks.create_task(fail())
            await asyncio.Event().wait()

    with pytest.raises(StoreError, match=r"^gone$"):
        await work()


async def test_of_several_faults_the_one_that_was_meant_for_a_person_is_told(events: list[EventDict]) -> None:
    async def fail(fault: Exception) -> None:
        raise fault

    async def work() -> None:
        async with asyncio.TaskGroup() as tasks:
            for fault in (ZeroDivisionError(), SettingsError("the port"), StoreError("too")):
                tasks.create_task(fail(fault))

    with pytest.raises(SettingsError, match="the port"), one_fault():
        await work()
    assert [repr(event["exc_info"]) for event in events] == ["ZeroDivisionError()", "StoreError('too')"]
    with pytest.raises(ZeroDivisionError), one_fault():
        raise BaseExceptionGroup("outer", [BaseExceptionGroup("inner", [ZeroDivisionError(), ValueError()])])


async def test_a_client_whose_folder_is_gone_has_the_defaults(settings: Settings) -> None:
    async with Engine.open(settings) as engine:
        assert engine.config_of("nobody") == ClientConfig()


@pytest.mark.parametrize("name", ["uploads", "staging", "home", ""])
async def test_a_start_leaves_out_a_client_whose_folder_cannot_be_read_and_serves_the_others(
    settings: Settings, name: str
) -> None:
    async with Engine.open(settings) as engine:
        for client in ("acme", "other"):
            await load(engine, "VIP_20260310_0900.csv", rows([1]), client=client)
        place = engine.spool.root / "other" / name
    shutil.rmtree(place)
    place.symlink_to(place)
    async with Engine.open(settings) as engine:
        assert (await load(engine, "VIP_20260310_0901.csv", rows([1, 2]))).state is State.LOADED
        assert (await engine.sweeper.sweep()).uploads_deleted == 0


async def test_a_client_folder_that_may_not_be_read_is_a_fault_of_the_disk(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(*_: object) -> None:
        raise RefusedError("cannot read it: Permission denied")

    async with Engine.open(settings) as engine:
        monkeypatch.setattr(engine.clients, "config", forbidden)
        with pytest.raises(DiskError, match="Permission denied"):
            engine.config_of("acme")


@pytest.mark.parametrize(
    ("free_gib", "spare_gib"), [(12, 7), (5, 0), (4, -1)], ids=["room", "at the floor", "every upload is refused"]
)
async def test_the_room_that_is_watched_is_what_uploads_may_take_not_what_they_leave_free(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, free_gib: int, spare_gib: int
) -> None:
    gib = 1 << 30
    room = os.statvfs_result((gib, gib, 100, free_gib, free_gib, 0, 0, 0, 0, 255))
    async with Engine.open(settings) as engine:
        monkeypatch.setattr(LocalDisk, "room", lambda *_: room)
        assert engine.room().spare_bytes == spare_gib * gib
