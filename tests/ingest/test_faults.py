"""Faults of ours: the disk, the database, the memory, and a server that stops or dies."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from ctsftp.clients.config import ClientConfig
from ctsftp.contract.codes import Code
from ctsftp.contract.states import State
from ctsftp.errors import DiskError, NotFoundError, StoreError
from ctsftp.spool.stored import StoredUpload

from .bench import Bench, rows

NAME = "VIP_20260310_0900.csv"
LOCKED = "The database is locked."
PATIENCE_S = 20.0


@contextmanager
def a_disk_that_fails(upload: StoredUpload) -> Iterator[None]:
    """Let the file be there, and every read of it fail."""
    content = upload.path.read_bytes()
    upload.path.unlink()
    upload.path.mkdir()
    yield
    upload.path.rmdir()
    upload.path.write_bytes(content)


class Door:
    """Where loads wait, in their thread, for the test to let them on: they ask for the client's settings there."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._reached = asyncio.Event()
        self._open = threading.Event()

    def config(self, _client: str) -> ClientConfig:
        self._loop.call_soon_threadsafe(self._reached.set)
        assert self._open.wait(PATIENCE_S)
        return ClientConfig()

    async def reached(self) -> None:
        async with asyncio.timeout(PATIENCE_S):
            await self._reached.wait()

    def open(self) -> None:
        self._open.set()


async def test_a_disk_that_fails_is_our_fault_and_the_file_loads_once_it_is_well_again(bench: Bench) -> None:
    upload = bench.put(NAME, rows([1, 2]))
    with a_disk_that_fails(upload):
        await bench.loader.load(upload)
    row = await bench.row(upload)
    assert (row.state, row.code, row.attempts) == (State.FAILED, Code.DISK, 1)
    assert row.reason == "The file could not be read: Is a directory."
    assert row.retry_at == "2026-03-10T12:00:01.000Z"
    assert bench.tried_again == [(upload.id, 1)]
    await bench.loader.load(upload)
    assert (await bench.row(upload)).state is State.LOADED
    assert await bench.members() == [1, 2]


async def test_the_wait_doubles_with_each_try_up_to_a_limit(bench: Bench) -> None:
    bench.loader = bench.new_loader(retry_first_s=1, retry_most_s=300)
    upload = bench.put(NAME, rows([1, 2]))
    with a_disk_that_fails(upload):
        for _ in range(11):
            await bench.loader.load(upload)
    assert [delay_s for _, delay_s in bench.tried_again] == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]
    assert (await bench.row(upload)).attempts == 11


async def test_the_wait_begins_anew_for_an_upload_that_came_to_its_end_in_between(bench: Bench) -> None:
    upload = bench.put(NAME, rows([1, 2]))
    for _ in range(2):
        with a_disk_that_fails(upload):
            await bench.loader.load(upload)
    await bench.loader.load(upload)
    with a_disk_that_fails(other := bench.put("VIP_20260310_0901.csv", rows([1]))):
        await bench.loader.load(other)
    assert [delay_s for _, delay_s in bench.tried_again] == [1, 2, 1]


@pytest.mark.parametrize("method", ["write", "publish"])
async def test_a_database_that_fails_is_our_fault_and_the_file_loads_afterwards(bench: Bench, method: str) -> None:
    bench.snapshots.fail(method, StoreError(LOCKED))
    upload = bench.put(NAME, rows([1, 2]))
    await bench.loader.load(upload)
    row = await bench.row(upload)
    assert (row.state, row.code, row.reason) == (State.FAILED, Code.DATABASE, LOCKED)
    with pytest.raises(NotFoundError):
        await bench.members()
    await bench.loader.load(upload)
    assert await bench.members() == [1, 2]
    assert await bench.store.snapshots.delete_abandoned() == (0 if method == "write" else 1)


@pytest.mark.parametrize("method", ["receive", "upload", "move"])
async def test_a_database_that_cannot_be_written_at_all_is_tried_again_too(bench: Bench, method: str) -> None:
    upload = bench.put(NAME, rows([1, 2]))
    bench.ledger.fail(method, *[StoreError(LOCKED)] * 2)
    await bench.loader.load(upload)
    assert bench.tried_again == [(upload.id, 1)]
    await bench.loader.load(upload)
    await bench.loader.load(upload)
    assert (await bench.row(upload)).state is State.LOADED


async def test_a_failure_that_could_not_be_written_down_does_not_keep_the_file_from_loading(bench: Bench) -> None:
    upload = bench.put(NAME, rows([1, 2]))
    bench.snapshots.fail("write", StoreError(LOCKED))
    real = bench.store.ledger.move

    async def move(upload_id: str, to: State, **facts: object) -> bool:
        if to is State.FAILED:
            raise StoreError(LOCKED)
        return bool(await real(upload_id, to, **facts))

    bench.ledger.move = move
    await bench.loader.load(upload)
    assert (await bench.row(upload)).state is State.LOADING
    assert bench.tried_again == [(upload.id, 1)]
    await bench.loader.load(upload)
    assert (await bench.row(upload)).state is State.LOADED


async def test_a_client_folder_that_cannot_be_read_is_the_disks_fault(bench: Bench) -> None:
    def config(_client: str) -> ClientConfig:
        raise DiskError("cannot read /keys/clients")

    bench.config = config
    upload = bench.put(NAME, rows([1]))
    await bench.loader.load(upload)
    assert ((await bench.row(upload)).code, bench.tried_again) == (Code.DISK, [(upload.id, 1)])


async def test_too_little_memory_is_tried_three_times_and_then_waits_for_an_admin(bench: Bench) -> None:
    def config(_client: str) -> ClientConfig:
        raise MemoryError

    bench.config = config
    upload = bench.put(NAME, rows([1, 2]))
    for _ in range(3):
        await bench.loader.load(upload)
    row = await bench.row(upload)
    assert (row.state, row.code, row.retry_at) == (State.FAILED, Code.INTERNAL, None)
    assert "MemoryError()" in (row.reason or "")
    assert [delay_s for _, delay_s in bench.tried_again] == [1, 2]
    await bench.loader.load(upload)  # whoever offers it: it waits
    assert (await bench.row(upload)).state is State.FAILED
    bench.clock.advance(days=30)
    assert await bench.store.ledger.due(bench.clock()) == []

    await bench.store.ledger.retry(upload.id)
    await bench.loader.load(upload)
    assert len(bench.tried_again) == 3, "after `upload retry` it has three tries again"
    bench.config = lambda _: ClientConfig()
    await bench.loader.load(upload)
    assert await bench.members() == [1, 2]


async def test_faults_of_the_disk_do_not_use_up_the_tries_of_a_fault_inside(bench: Bench) -> None:
    faults: list[BaseException] = [*[DiskError("full")] * 5, MemoryError(), DiskError("full"), MemoryError()]

    def config(_client: str) -> ClientConfig:
        if faults:
            raise faults.pop(0)
        return ClientConfig()

    bench.config = config
    upload = bench.put(NAME, rows([1, 2]))
    for _ in range(9):
        await bench.loader.load(upload)
    assert len(bench.tried_again) == 8
    assert (await bench.row(upload)).state is State.LOADED


async def test_what_an_unexpected_fault_says_is_kept_short_and_printable(bench: Bench) -> None:
    def config(_client: str) -> ClientConfig:
        raise ValueError("\x1b[2J" * 1000)

    bench.config = config
    upload = bench.put(NAME, rows([1]))
    await bench.loader.load(upload)
    reason = (await bench.row(upload)).reason or ""
    assert reason.isprintable()
    assert len(reason) < 300


async def test_a_load_that_is_interrupted_goes_back_to_received_and_is_no_death(bench: Bench) -> None:
    door = Door()
    bench.config = door.config
    upload = bench.put(NAME, rows([1, 2]))
    loading = asyncio.create_task(bench.loader.load(upload))
    await door.reached()
    assert (await bench.row(upload)).state is State.LOADING
    loading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await loading
    door.open()
    row = await bench.row(upload)
    assert (row.state, row.deaths, bench.tried_again) == (State.RECEIVED, 0, [])
    await bench.loader.load(upload)
    assert await bench.members() == [1, 2]


@pytest.mark.parametrize("to", [State.LOADING, State.FAILED])
async def test_a_load_that_is_interrupted_while_it_is_moved_goes_back_to_received(bench: Bench, to: State) -> None:
    """A write that is cancelled is done all the same."""
    if to is State.FAILED:
        bench.snapshots.fail("write", StoreError(LOCKED))
    upload = bench.put(NAME, rows([1, 2]))
    real = bench.store.ledger.move

    async def move(upload_id: str, state: State, **facts: object) -> bool:
        moved = bool(await real(upload_id, state, **facts))
        if state is State.LOADING and to is State.LOADING:
            raise asyncio.CancelledError
        return moved

    async def cancelled(upload_id: str, state: State, **facts: object) -> bool:
        if state is State.FAILED:
            raise asyncio.CancelledError
        return bool(await real(upload_id, state, **facts))

    bench.ledger.move = move if to is State.LOADING else cancelled
    with pytest.raises(asyncio.CancelledError):
        await bench.loader.load(upload)
    assert (await bench.row(upload)).state is State.RECEIVED


async def test_a_database_that_fails_at_the_stop_does_not_hide_that_the_server_stops(bench: Bench) -> None:
    """A worker that went on would never let the server end."""
    door = Door()
    bench.config = door.config
    upload = bench.put(NAME, rows([1, 2]))
    loading = asyncio.create_task(bench.loader.load(upload))
    await door.reached()
    bench.ledger.fail("move", StoreError(LOCKED))
    loading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await loading
    door.open()


async def test_a_load_that_died_three_times_waits_for_an_admin(bench: Bench) -> None:
    upload = bench.put(NAME, rows([1, 2]))
    door = Door()
    bench.config = door.config
    deaths = []
    for _ in range(3):
        dying = asyncio.create_task(bench.loader.load(upload))
        await door.reached()
        bench.ledger.fail("move", StoreError("The process is dead."))
        dying.cancel()
        await asyncio.wait([dying])
        await bench.store.recover()
        deaths.append((await bench.row(upload)).deaths)
        door.open()
        door = Door()
        bench.config = door.config
        bench.loader = bench.new_loader()
    row = await bench.row(upload)
    assert (deaths, row.state, row.code) == ([1, 2, 3], State.FAILED, Code.LOADER_DIED)
    await bench.loader.load(upload)
    assert (await bench.row(upload)).state is State.FAILED
    await bench.store.ledger.retry(upload.id)
    door.open()
    await bench.loader.load(upload)
    assert await bench.members() == [1, 2]


async def test_of_what_may_have_killed_a_server_one_is_loaded_at_a_time(bench: Bench) -> None:
    uploads = [bench.put(f"{name}_20260310_0900.csv", rows([1, 2])) for name in ("A", "B")]
    door, both_load = Door(), threading.Barrier(3)

    def wait_together(client: str) -> ClientConfig:
        both_load.wait(PATIENCE_S)
        return door.config(client)

    bench.config = wait_together
    first_life = [asyncio.create_task(bench.loader.load(upload)) for upload in uploads]
    await asyncio.to_thread(both_load.wait, PATIENCE_S)
    bench.ledger.fail("move", *[StoreError("The process is dead.")] * 2)
    for dying in first_life:
        dying.cancel()
    await asyncio.wait(first_life)
    door.open()
    await bench.store.recover()
    assert [(await bench.row(upload)).deaths for upload in uploads] == [1, 1]
    loading: list[list[State]] = []

    def config(_client: str) -> ClientConfig:
        seen = asyncio.run_coroutine_threadsafe(states(), loop)
        loading.append(seen.result(PATIENCE_S))
        return ClientConfig()

    async def states() -> list[State]:
        return sorted([(await bench.row(upload)).state for upload in uploads])

    loop = asyncio.get_running_loop()
    bench.config = config
    bench.loader = bench.new_loader()
    await asyncio.gather(*(bench.loader.load(upload) for upload in uploads))
    assert loading == [[State.LOADING, State.RECEIVED], [State.LOADED, State.LOADING]]


async def test_an_upload_that_another_sent_back_in_the_meantime_is_left_to_it(bench: Bench) -> None:
    """The sweep and the wait of this process can come at the same moment."""
    upload = bench.put(NAME, rows([1, 2]))
    bench.snapshots.fail("write", StoreError(LOCKED))
    await bench.loader.load(upload)
    real = bench.store.ledger.upload

    async def read_then_lose(upload_id: str) -> object:
        row = await real(upload_id)
        del bench.ledger.upload
        bench.clock.advance(minutes=10)
        assert await bench.store.ledger.due(bench.clock()) == [upload_id]
        return row

    bench.ledger.upload = read_then_lose
    await bench.loader.load(upload)
    assert (await bench.row(upload)).state is State.RECEIVED
    assert len(bench.tried_again) == 1
