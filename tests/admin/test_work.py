"""How a command gets its work done: by the server that runs, else by itself."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from ctsftp.admin.administration import open_service
from ctsftp.admin.query import query
from ctsftp.admin.work import perform, perform_live, run
from ctsftp.app.engine import Engine
from ctsftp.app.lock import data_lock
from ctsftp.errors import DataFolderBusyError, NotFoundError, RefusedError, StoreError
from ctsftp.model.commands import RecheckSessions, RetryUpload, Sweep
from ctsftp.settings import Settings
from ctsftp.store import Store
from tests.app.bench import NAME, members, put, rows


async def test_a_running_server_does_the_work(settings: Settings) -> None:
    async with open_service(settings) as service:
        await asyncio.to_thread(perform, settings, Sweep())  # after the server's own first one
        upload = put(service.engine.spool, NAME, rows([1, 2]))
        swept = await asyncio.to_thread(perform, settings, Sweep())
        assert swept["queued"] == [upload.id]
        assert (await service.engine.store.ledger.upload(upload.id)).state == "loaded"
        with pytest.raises(RefusedError, match="is loaded"):
            await asyncio.to_thread(perform, settings, RetryUpload(upload_id=upload.id))
        assert await asyncio.to_thread(perform_live, settings, RecheckSessions()) == 0


async def test_where_no_server_runs_the_command_works_under_the_lock(settings: Settings) -> None:
    async with Engine.open(settings) as engine:
        upload = put(engine.spool, NAME, rows([1, 2]))
    swept = await asyncio.to_thread(perform, settings, Sweep())
    assert swept["queued"] == [upload.id]
    async with Engine.open(settings) as engine:
        assert await members(engine) == [1, 2]


def test_a_server_that_holds_the_data_but_does_not_answer_is_named(settings: Settings) -> None:
    with data_lock(settings.data_dir), pytest.raises(DataFolderBusyError):
        perform(settings, Sweep())


def test_what_only_concerns_a_running_server_is_nothing_without_one(settings: Settings, tmp_path: Path) -> None:
    nowhere = settings.model_copy(update={"data_dir": tmp_path / "nowhere"})
    assert perform_live(settings, RecheckSessions()) is None
    assert perform_live(nowhere, RecheckSessions()) is None
    assert not nowhere.data_dir.exists()


def test_in_the_wrong_folder_nothing_is_done_and_nothing_is_made(settings: Settings, tmp_path: Path) -> None:
    nowhere = settings.model_copy(update={"data_dir": tmp_path / "nowhere"})
    with pytest.raises(NotFoundError, match=f"no data folder {nowhere.data_dir}.*CTSFTP_DATA_DIR"):
        perform(nowhere, Sweep())
    assert not nowhere.data_dir.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can work on another account's data")
def test_root_does_not_do_another_accounts_work(settings: Settings) -> None:
    """The server could not read what was made."""
    perform(settings, Sweep())
    os.chown(settings.data_dir / "lock", 12345, 12345)
    with pytest.raises(RefusedError, match="sudo -u '#12345'"):
        perform(settings, Sweep())
    assert perform_live(settings, RecheckSessions()) is None


def test_ctrl_c_ends_the_work_in_good_order() -> None:
    ended = []

    async def work() -> None:
        try:
            signal.raise_signal(signal.SIGINT)
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.append(True)

    with pytest.raises(KeyboardInterrupt):
        run(work())
    assert ended == [True]


async def count_segments(store: Store) -> int:
    return len(await store.segments.segments())


def test_a_query_reads_the_database_and_answers_itself_where_there_is_none(settings: Settings) -> None:
    assert query(settings, count_segments, missing=lambda: -1) == 0
    (settings.data_dir / "ctsftp.db").unlink()
    assert query(settings, count_segments, missing=lambda: -1) == -1
    assert not (settings.data_dir / "ctsftp.db").exists()


def test_a_database_that_was_named_must_be_there(settings: Settings, tmp_path: Path) -> None:
    named = settings.model_copy(update={"database_url": f"sqlite+aiosqlite:///{tmp_path / 'other.db'}"})
    with pytest.raises(StoreError, match=r"There is no database .*other\.db"):
        query(named, count_segments, missing=lambda: -1)
    wrong = settings.model_copy(update={"database_url": "nonsense"})
    with pytest.raises(StoreError, match="nonsense"):
        query(wrong, count_segments, missing=lambda: -1)
