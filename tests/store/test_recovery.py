"""What a process that was killed left behind."""

import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import sqlalchemy as sa

from ctsftp.contract.codes import Code
from ctsftp.contract.states import State
from ctsftp.store import Store
from ctsftp.store.tables import events

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


async def rejected_quietly(store: Store, feed: Feed, **name: str) -> str:
    """Reject a list without a byte whose session goes on."""
    upload_id = await feed.receive(**name)
    await store.ledger.finish(upload_id, State.REJECTED, quietly=True, code=Code.EMPTY_FILE, reason="It is empty.")
    return upload_id


async def told(store: Store) -> list[str]:
    rows = await store.ledger._database.read(lambda conn: conn.execute(sa.select(events.c.upload_id)).scalars().all())
    return [upload_id for upload_id in rows if upload_id]


async def test_an_empty_list_whose_session_died_with_the_server_is_told_of_once(
    store: Store, feed: Feed, clock: StandingClock
) -> None:
    upload_id = await rejected_quietly(store, feed)
    assert await told(store) == []
    clock.advance(hours=1)
    await store.recover()
    await store.recover()
    assert await told(store) == [upload_id]


async def test_an_empty_list_that_was_followed_or_told_of_is_not_told_of_again(
    store: Store, feed: Feed, clock: StandingClock
) -> None:
    await rejected_quietly(store, feed, stamp="20260310_0900")
    followed = await feed.receive(stamp="20260310_0900")
    known = await rejected_quietly(store, feed, stamp="20260310_1000")
    await store.ledger.tell_of_refusal(known)
    await rejected_quietly(store, feed, stamp="20260310_1100")
    clock.advance(days=8)  # as long ago as nobody asks any more
    await store.recover()
    assert followed not in await told(store)
    assert await told(store) == [known]


async def test_what_was_refused_lately_and_nothing_followed_is_known(
    store: Store, feed: Feed, clock: StandingClock
) -> None:
    old = await rejected_quietly(store, feed, stamp="20260310_0800")
    clock.advance(hours=1, seconds=1)
    await rejected_quietly(store, feed, stamp="20260310_0900")
    await feed.receive(stamp="20260310_0900")
    late = await rejected_quietly(store, feed, stamp="20260310_1000")
    since = clock() - timedelta(hours=1)
    assert [one.id for one in await store.ledger.refused(since)] == [late]
    assert [one.id for one in await store.ledger.refused(since - timedelta(hours=1))] == [old, late]


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
