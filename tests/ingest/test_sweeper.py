"""The sweep: what it finds, what it takes in, and what it deletes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from structlog.typing import EventDict

from ctsftp.contract.states import State
from ctsftp.errors import DiskError, StoreError
from ctsftp.ingest.holdings import Holdings
from ctsftp.ingest.queue import UploadQueue
from ctsftp.ingest.settings import SweepSettings
from ctsftp.ingest.sweeper import Sweeper
from ctsftp.spool.paths import HomePath, read_path
from ctsftp.spool.removal import Removal
from ctsftp.spool.settings import SpoolSettings
from ctsftp.spool.stored import StoredUpload

from .bench import MAX_SIZE_BYTES, Bench, rows

NAME = "VIP_20260310_0900.csv"
NEXT = "VIP_20260310_0901.csv"
PATIENCE_S = 20.0


class Broom:
    """A sweeper with its queue, whose workers load for real."""

    def __init__(self, bench: Bench, *, size: int = 100, **settings: float) -> None:
        self.bench = bench
        self.done: list[str] = []
        self._more = asyncio.Event()
        self.queue = UploadQueue(
            self._load,
            lane_of=lambda upload: (upload.client, upload.filename),
            workers=1,
            size=size,
            is_large=lambda _: False,
        )
        self.sweeper = Sweeper(
            spool=bench.spool,
            store=bench.store,
            queue=self.queue,
            settings=SweepSettings.model_validate({"interval_s": 3600} | settings),
            retention=SpoolSettings(),
            max_file_size_bytes=MAX_SIZE_BYTES,
            now=bench.clock,
            count=Holdings(bench.store).count,
        )

    async def _load(self, upload: StoredUpload) -> None:
        await self.bench.loader.load(upload)
        self.done.append(upload.id)
        self._more.set()

    async def has_done(self, count: int) -> None:
        while len(self.done) < count:
            self._more.clear()
            await self._more.wait()

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.queue.run())
        try:
            async with asyncio.timeout(PATIENCE_S):
                yield
        finally:
            task.cancel()
            await asyncio.wait([task])

    async def sweep_and_load(self) -> int:
        swept = await self.sweeper.sweep()
        await self.queue.wait_for(swept.queued)
        return len(swept.queued)


@pytest.fixture
def broom(bench: Bench) -> Broom:
    return Broom(bench)


def bring(bench: Bench, name: str, text: str, *, client: str = "acme") -> Path:
    """Put a file into a home as a local user does, past the server."""
    place = bench.spool.home(client).file(read_path(name.encode()))
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text)
    return place


async def test_uploads_on_disk_that_the_ledger_does_not_know_are_found_and_loaded(bench: Bench, broom: Broom) -> None:
    first, second = bench.put(NAME, rows([1])), bench.put(NEXT, rows([2]), client="zeta")
    async with broom.working():
        assert await broom.sweep_and_load() == 2
        assert await broom.sweep_and_load() == 0
    assert [(await bench.row(one)).state for one in (first, second)] == [State.LOADED, State.LOADED]


async def test_uploads_are_found_by_their_path_alone(bench: Bench, broom: Broom) -> None:
    """The client, the id and the name stand in it, so the ledger can be made anew."""
    upload = bench.put("VIP Members_20260310_0900.csv", rows([1]))
    bench.spool.home("acme").remove(HomePath((upload.filename,)))
    async with broom.working():
        await broom.sweep_and_load()
    assert await bench.members("vip members") == [1]
    assert (await bench.row(upload)).received_at == "2026-03-10T12:00:00.000Z"


async def test_what_a_dead_process_left_received_is_loaded_in_the_order_of_the_closes(
    bench: Bench, broom: Broom
) -> None:
    uploads = [bench.put(NAME, rows([number])) for number in (1, 2, 3)]
    for upload in reversed(uploads):
        bench.snapshots.fail("write", StoreError("The process is dead."))
        await bench.loader.load(upload)
        await bench.store.ledger.move(upload.id, State.RECEIVED)
    async with broom.working():
        swept = await broom.sweeper.sweep()
        assert swept.queued == [upload.id for upload in uploads]
        await broom.queue.wait_for()
    assert await bench.members() == [3]


async def test_a_load_whose_failure_could_not_be_written_down_is_found(bench: Bench, broom: Broom) -> None:
    bench.snapshots.fail("write", StoreError("locked"))
    upload = bench.put(NAME, rows([1]))
    move = bench.ledger.move

    async def refusing(upload_id: str, to: State, **facts: Any) -> bool:
        if to is State.FAILED:
            raise StoreError("locked")
        moved: bool = await move(upload_id, to, **facts)
        return moved

    bench.ledger.move = refusing
    await bench.loader.load(upload)
    assert (await bench.row(upload)).state is State.LOADING
    async with broom.working():
        assert await broom.sweep_and_load() == 1
    assert (await bench.row(upload)).state is State.LOADED


async def test_a_load_that_failed_is_due_again_when_its_time_has_come(bench: Bench, broom: Broom) -> None:
    bench.snapshots.fail("write", StoreError("locked"))
    upload = bench.put(NAME, rows([1]))
    await bench.loader.load(upload)
    async with broom.working():
        assert await broom.sweep_and_load() == 0
        bench.clock.advance(seconds=1)
        assert await broom.sweep_and_load() == 1
    assert (await bench.row(upload)).state is State.LOADED


async def test_a_file_that_came_by_other_means_is_adopted_once_it_is_quiet(bench: Bench, broom: Broom) -> None:
    place = bring(bench, NAME, rows([1, 2]))
    async with broom.working():
        assert (await broom.sweeper.sweep()).adopted == 0
        bench.passed_s = 61
        swept = await broom.sweeper.sweep()
        assert (swept.adopted, len(swept.queued)) == (1, 1)
        await broom.queue.wait_for()
        assert (await broom.sweeper.sweep()).adopted == 0
    assert await bench.members() == [1, 2]
    assert place.stat().st_nlink == 2


async def test_a_file_that_cannot_be_adopted_is_logged_and_keeps_no_other_back(
    bench: Bench, broom: Broom, events: list[EventDict]
) -> None:
    bring(bench, NAME, rows([1]))
    bring(bench, NEXT, rows([2]))
    bench.passed_s = 61
    adopt = bench.spool.adopt

    def refuse_the_first(client: str, path: HomePath, *, max_size_bytes: int) -> StoredUpload | None:
        if path.name == NAME:
            raise DiskError("the disk is full")
        return adopt(client, path, max_size_bytes=max_size_bytes)

    bench.spool.adopt = refuse_the_first  # type: ignore[method-assign]
    async with broom.working():
        assert (await broom.sweeper.sweep()).adopted == 1
        await broom.queue.wait_for()
    assert await bench.members() == [2]
    [warning] = [event for event in events if event["log_level"] == "warning"]
    assert (warning["event"], warning["path"]) == ("file not adopted", f"/{NAME}")


async def test_a_client_whose_folder_is_out_of_order_is_left_out_and_keeps_no_other_back(
    bench: Bench, broom: Broom, events: list[EventDict]
) -> None:
    unknown = bench.put(NAME, rows([1]), client="zeta")
    bring(bench, NEXT, rows([2]), client="zeta")
    bench.passed_s = 61
    for name in ("home", "uploads"):
        (bench.spool.root / "acme" / name).mkdir(parents=True)
    (bench.spool.root / "acme" / "partials").write_text("")
    async with broom.working():
        swept = await broom.sweeper.sweep()
        await broom.queue.wait_for()
    assert (swept.adopted, len(swept.queued)) == (1, 2)
    assert (await bench.row(unknown)).state is State.LOADED
    left_out = [event["client"] for event in events if event["event"] == "client left out"]
    assert set(left_out) == {"acme"}


async def test_old_files_are_deleted_but_none_that_may_still_be_needed(bench: Bench, broom: Broom) -> None:
    replaced = bench.put(NAME, rows(range(100)))
    await bench.loader.load(replaced)
    current = bench.put(NEXT, rows(range(1, 101)))
    await bench.loader.load(current)
    rejected = bench.put("VIP.csv", rows([1]))
    await bench.loader.load(rejected)
    held = bench.put("VIP_20260310_0902.csv", rows([1]))
    await bench.loader.load(held)
    failed = bench.put("VIP_20260310_0903.csv", rows([1]))
    bench.ledger.fail("twin", StoreError("locked"))
    await bench.loader.load(failed)
    unknown = bench.put("VIP_20260310_0904.csv", rows([1]))
    all_six = [replaced, current, rejected, held, failed, unknown]

    bench.clock.advance(days=14)
    assert (await broom.sweeper.sweep()).uploads_deleted == 0
    bench.clock.advance(seconds=1)
    assert (await broom.sweeper.sweep()).uploads_deleted == 2
    assert [one.path.exists() for one in all_six] == [False, True, False, True, True, True]
    assert (await bench.row(replaced)).state is State.LOADED, "the ledger's rows stay"
    names = {entry.name for entry in bench.spool.home("acme").entries(HomePath(()))}
    assert names == {one.filename for one in (current, held, failed, unknown)}


async def test_one_file_that_cannot_be_deleted_keeps_no_other_from_it(
    bench: Bench, broom: Broom, events: list[EventDict]
) -> None:
    stuck = bench.put("A.csv", "x")
    await bench.loader.load(stuck)
    await bench.load("B.csv", "x")
    bench.clock.advance(days=15)
    (stuck.path.parent / "put here by hand").mkdir()
    assert (await broom.sweeper.sweep()).uploads_deleted == 1
    assert "upload not deleted" in [event["event"] for event in events]


async def test_an_admin_has_a_turn_between_two_batches_of_deletions(
    bench: Bench, broom: Broom, monkeypatch: pytest.MonkeyPatch
) -> None:
    uploads = [bench.put(f"{number}.txt", "x") for number in range(20)]
    for upload in uploads:
        await bench.loader.load(upload)
    bench.clock.advance(days=15)
    monkeypatch.setattr("ctsftp.ingest.sweeper.DELETE_FOR_S", 0)  # one at a time
    sweeping = asyncio.create_task(broom.sweeper.sweep())
    left = []
    while not sweeping.done():
        async with broom.sweeper.deleting:
            left.append(len(await asyncio.to_thread(bench.spool.upload_ids, "acme")))
    assert (await sweeping).uploads_deleted == 20
    assert len(set(left)) > 10, "it came in between again and again"


async def test_what_an_admin_sends_back_while_files_are_deleted_stays(
    bench: Bench, broom: Broom, monkeypatch: pytest.MonkeyPatch
) -> None:
    uploads = [bench.put("VIP.csv", "x") for _ in range(3)]
    for upload in uploads:
        await bench.loader.load(upload)
    bench.clock.advance(days=15)
    removal = bench.spool.removal

    def retry_after_the_look(client: str, upload_ids: list[str]) -> Removal:
        looked = removal(client, upload_ids)
        asyncio.run_coroutine_threadsafe(bench.store.ledger.retry(uploads[1].id), loop).result()
        return looked

    loop = asyncio.get_running_loop()
    monkeypatch.setattr(bench.spool, "removal", retry_after_the_look)
    assert (await broom.sweeper.sweep()).uploads_deleted == 2
    assert [upload.path.exists() for upload in uploads] == [False, True, False]


async def test_partials_that_nobody_resumed_are_deleted(bench: Bench, broom: Broom) -> None:
    staged = bench.spool.stage(
        "acme",
        HomePath((NAME,)),
        truncate=True,
        create=True,
        exclusive=False,
        append=False,
        max_size_bytes=MAX_SIZE_BYTES,
    )
    staged.write(0, b"CTUserID\n1")
    assert bench.spool.cut_off("acme", staged) == 10
    bench.passed_s = timedelta(days=2.9).total_seconds()
    assert (await broom.sweeper.sweep()).partials_deleted == 0
    bench.passed_s = timedelta(days=3.1).total_seconds()
    assert (await broom.sweeper.sweep()).partials_deleted == 1
    assert await bench.store.ledger.uploads() == [], "a partial is never loaded"


async def test_old_snapshots_are_deleted_as_the_settings_say(bench: Bench) -> None:
    broom = Broom(bench, keep_snapshots=2, keep_snapshot_days=0)
    for number in range(4):
        await bench.load(NAME, rows([number + 1]))
    assert (await broom.sweeper.sweep()).snapshots_deleted == 2
    assert [one.number for one in await bench.store.segments.history("acme", "vip")] == [4, 3]


async def test_what_does_not_fit_into_the_queue_is_found_as_soon_as_there_is_room(bench: Bench) -> None:
    broom = Broom(bench, size=2)
    uploads = [bench.put(f"S{number}_20260310_0900.csv", rows([number + 1])) for number in range(7)]
    sweeping = asyncio.create_task(broom.sweeper.run())
    async with broom.working():
        await broom.has_done(len(uploads))
    sweeping.cancel()
    await asyncio.wait([sweeping])
    assert len(await bench.store.ledger.uploads(state=State.LOADED)) == 7


@pytest.mark.parametrize("fault", [StoreError("locked"), OSError("the disk failed"), ZeroDivisionError()])
async def test_a_sweep_that_fails_is_logged_and_the_next_one_comes(
    bench: Bench, events: list[EventDict], fault: Exception
) -> None:
    broom = Broom(bench, interval_s=0.001)
    bench.ledger.fail("known_ids", fault)
    bench.put(NAME, rows([1]))
    sweeping = asyncio.create_task(broom.sweeper.run())
    async with broom.working():
        await broom.has_done(1)
    sweeping.cancel()
    await asyncio.wait([sweeping])
    assert await bench.members() == [1]
    assert "sweep failed, the next one will come" in [event["event"] for event in events]


async def test_two_sweeps_at_once_find_each_upload_once(bench: Bench, broom: Broom) -> None:
    bring(bench, NAME, rows([1]))
    bench.passed_s = 61
    first, second = await asyncio.gather(broom.sweeper.sweep(), broom.sweeper.sweep())
    assert sorted([first.adopted, second.adopted]) == [0, 1]
    async with broom.working():
        await broom.queue.wait_for()
    assert len(await bench.store.ledger.uploads()) == 1


async def test_a_file_that_a_local_user_brings_obeys_the_rule_for_folders(bench: Bench, broom: Broom) -> None:
    bench.passed_s = 61
    for path in (f"test/{NAME}", f"tmp/{NEXT}", f"tmp.{NEXT}"):
        bring(bench, path, rows([1]))
    async with broom.working():
        assert await broom.sweep_and_load() == 3
    told = {(row.directory, row.filename): row.state for row in await bench.store.ledger.uploads()}
    assert told == {
        ("/test", NAME): State.REJECTED,
        ("/tmp", NEXT): State.IGNORED,
        ("/", f"tmp.{NEXT}"): State.IGNORED,
    }


@pytest.mark.parametrize("temporary", [f"tmp.{NAME}", f"tmp/{NAME}", f".{NAME}", f"{NAME}.part"])
async def test_one_that_is_renamed_by_hand_after_it_was_adopted_is_found(
    bench: Bench, broom: Broom, temporary: str
) -> None:
    bench.passed_s = 61
    place = bring(bench, temporary, rows([1, 2]))
    async with broom.working():
        await broom.sweep_and_load()
        place.rename(bench.spool.home("acme").files / NAME)
        assert await broom.sweep_and_load() == 1
        assert await broom.sweep_and_load() == 0
    assert await bench.members() == [1, 2]
    newest, first = await bench.store.ledger.uploads()
    assert (newest.state, newest.directory, first.state) == (State.LOADED, "/", State.IGNORED)
