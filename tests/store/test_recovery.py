"""What a process that was killed left behind."""

import sqlite3
from contextlib import closing
from pathlib import Path

from ctsftp.contract.codes import Code
from ctsftp.contract.states import State
from ctsftp.store import Store

from .conftest import Feed, StandingClock


async def test_what_was_being_loaded_is_received_again_in_the_order_of_its_close(store: Store, feed: Feed) -> None:
    loading = await feed.loading()
    received = await feed.receive()
    again = await feed.loading()
    await feed.held()
    await feed.load([1])
    assert await store.recover() == [loading, received, again]
    upload = await store.ledger.upload(loading)
    assert (upload.state, upload.deaths) == (State.RECEIVED, 1)
    assert (await store.ledger.upload(received)).deaths == 0


async def test_half_written_snapshots_are_deleted_and_published_ones_stay(store: Store, feed: Feed, path: Path) -> None:
    await feed.load([1])
    await feed.written(await feed.loading(), range(2, 60_000))
    await store.recover()
    with closing(sqlite3.connect(path)) as conn:
        assert conn.execute("SELECT ct_user_id FROM member_rows").fetchall() == [(1,)]
        assert conn.execute("SELECT count(*) FROM snapshots").fetchone() == (1,)


async def test_an_upload_that_dies_three_times_waits_for_an_admin(store: Store, feed: Feed) -> None:
    upload_id = await feed.loading()
    for _ in range(2):
        assert await store.recover() == [upload_id]
        await store.ledger.move(upload_id, State.LOADING)
    assert await store.recover() == []
    upload = await store.ledger.upload(upload_id)
    assert (upload.state, upload.code, upload.deaths, upload.retry_at) == (State.FAILED, Code.LOADER_DIED, 3, None)
    assert "died" in (upload.reason or "")
    assert "upload retry" in (upload.reason or "")
    assert await store.recover() == []
    await store.ledger.retry(upload_id)
    assert await store.recover() == [upload_id]


async def test_what_was_being_loaded_waits_until_a_server_has_lived_for_some_time(
    store: Store, feed: Feed, clock: StandingClock
) -> None:
    upload_id = await feed.loading()
    for deaths, wait_s in ((1, 10), (2, 20)):
        for _ in range(3):  # servers that live for less do not try it
            assert await store.recover(wait_s=10) == []
            upload = await store.ledger.upload(upload_id)
            assert (upload.state, upload.code, upload.deaths) == (State.FAILED, Code.LOADER_DIED, deaths)
            assert await store.ledger.due(clock.advance(seconds=wait_s - 1)) == []
        assert await store.ledger.due(clock.advance(seconds=1)) == [upload_id]
        await store.ledger.move(upload_id, State.LOADING)


async def test_a_start_makes_nothing_else_wait_longer_or_wait_again(
    store: Store, feed: Feed, clock: StandingClock
) -> None:
    given_up, failed = await feed.loading(), await feed.loading()
    await store.ledger.move(failed, State.FAILED, code=Code.DISK, retry_at=clock.advance(seconds=60))
    for _ in range(2):
        await store.recover()
        await store.ledger.move(given_up, State.LOADING)
    for _ in range(2):
        await store.recover(wait_s=3600)
    assert (await store.ledger.upload(given_up)).retry_at is None
    assert await store.ledger.due(clock.advance(seconds=60)) == [failed]


async def test_a_transaction_that_was_cut_off_leaves_no_trace(
    store: Store, feed: Feed, path: Path, url: str, clock: StandingClock
) -> None:
    """The files of a killed process are those of a live one, copied in the middle of a transaction."""
    await feed.load([1])
    upload_id = await feed.loading()
    copies: dict[str, bytes] = {}

    def kill(conn: object) -> None:
        copies.update({name: path.with_name(name).read_bytes() for name in (path.name, f"{path.name}-wal")})

    await store._database.write(kill)
    await feed.store.ledger.move(upload_id, State.RECEIVED)
    await store.close()
    killed = path.parent / "killed"
    restore(killed, copies)
    revived = await Store.open(f"sqlite+aiosqlite:///{killed / path.name}", clock=clock, migrate=True)
    assert await revived.recover() == [upload_id]
    assert [one.members for one in await revived.segments.segments()] == [1]
    await revived.close()


def restore(folder: Path, files: dict[str, bytes]) -> None:
    folder.mkdir()
    for name, data in files.items():
        (folder / name).write_bytes(data)
