"""A database from before parts: its lists get them from their rows, none of which is copied."""

from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa

from ctsftp.errors import StoreError
from ctsftp.store import Store, upgrading

from .conftest import Feed, StandingClock
from .test_migrations import upgraded
from .test_rows import registry, seen

AT = "2026-03-10T09:00:00.000Z"
LISTS = {1: [1, 2, 3], 2: [], 3: list(range(1, 1_000, 7)), 4: [5], 5: [2**63 - 1]}
# Number 4 is an abandoned one; 1 to 3 are a segment's, of which 3 is current, and 5 is another's.
UPLOADS = """
INSERT INTO uploads
(id, client, filename, segment_title, segment_key, stamp, state, warnings, size, received_at, approved, attempts,
 deaths)
VALUES (:id, 'acme', :file, :title, :key, '20260310_0900', :state, '[]', 1, :at, :no, 0, 0)
"""
SNAPSHOTS = """
INSERT INTO snapshots (id, segment_id, number, upload_id, members, entered, "left", published_at)
VALUES (:id, :segment, :number, :upload, :members, 0, 0, :at)
"""
SEGMENTS = """
INSERT INTO segments
(id, client, "key", title, current_snapshot_id, newest_stamp, newest_upload_id, rolled_back, created_at)
VALUES (:id, 'acme', :key, :title, :current, '20260310_0900', :upload, :no, :at)
"""


@pytest.fixture
def engine(url: str) -> Iterator[sa.Engine]:
    """A database of the version before, that holds `LISTS`."""
    made = sa.create_engine(url.replace("+aiosqlite", ""))
    with made.begin() as conn:
        upgraded(conn, "0012")
        _fill(conn)
    yield made
    made.dispose()


def _fill(conn: sa.Connection) -> None:
    def put(sql: str, **values: Any) -> None:
        conn.execute(sa.text(sql), {"at": AT, "no": False} | values)

    if conn.dialect.name == "postgresql":  # segments and snapshots point at each other
        conn.execute(sa.text("ALTER TABLE segments DROP CONSTRAINT segments_current_snapshot"))
    for number in LISTS:
        title = "Other" if number == 5 else "VIP"
        state = "failed" if number == 4 else "loaded"
        put(UPLOADS, id=str(number), file=f"{number}.csv", title=title, key=title.casefold(), state=state)
    put(SEGMENTS, id=1, key="vip", title="VIP", current=3, upload="3")
    put(SEGMENTS, id=2, key="other", title="Other", current=5, upload="5")
    for number, ids in LISTS.items():
        segment = {4: None, 5: 2}.get(number, 1)
        shown = None if number == 4 else 1 if number == 5 else number
        put(SNAPSHOTS, id=number, segment=segment, number=shown, upload=str(number), members=len(ids))
        for one in ids:
            put("INSERT INTO snapshot_members VALUES (:snapshot, :one)", snapshot=number, one=one)


async def lists(store: Store) -> dict[int, list[int]]:
    ids = [one.id for key in ("vip", "other") for one in await store.segments.history("acme", key)]
    return {one: [i async for page in store.snapshots.stream_members(one) for i in page.tolist()] for one in ids}


PUBLISHED = {number: ids for number, ids in LISTS.items() if number != 4}


async def test_every_list_has_its_members_after_the_upgrade_and_readers_see_the_same(
    engine: sa.Engine, url: str, clock: StandingClock
) -> None:
    with engine.connect() as conn:
        before = conn.execute(sa.text("SELECT * FROM segment_members ORDER BY 1, 2, 3")).all()
    store = await Store.open(url, clock=clock, migrate=True)
    assert await lists(store) == PUBLISHED
    with engine.connect() as conn:
        assert conn.execute(sa.text("SELECT * FROM segment_members ORDER BY 1, 2, 3")).all() == before
    await store.recover()
    # The rows of old lists are gone, but for a spare.
    assert len(await registry(store)) == 3
    assert await lists(store) == PUBLISHED
    feed = Feed(store, clock)
    feed._count = 100
    await feed.load([*LISTS[3], 4])
    assert (await store.segments.segment("acme", "vip")).entered == 1
    assert await seen(store) == sorted([*LISTS[3], 4, *LISTS[5]])
    assert (await store.segments.rollback("acme", "vip", 1)).members == 3
    assert await seen(store) == [*LISTS[1], *LISTS[5]]
    await store.close()


@pytest.mark.parametrize("done", [0, 1, 2])
async def test_an_upgrade_that_is_killed_goes_on_at_the_next_start(
    engine: sa.Engine, url: str, clock: StandingClock, done: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    put, calls = upgrading._put, iter(range(done))

    def dies(*args: Any, **named: Any) -> None:
        if next(calls, None) is None:
            raise StoreError("The power went.")
        put(*args, **named)

    with monkeypatch.context() as patched:
        patched.setattr(upgrading, "_put", dies)
        with pytest.raises(StoreError, match="The power went"):
            await Store.open(url, clock=clock, migrate=True)
    made = []
    make = upgrading._build
    monkeypatch.setattr(upgrading, "_build", lambda ids: made.append(len(ids)) or make(ids))
    store = await Store.open(url, clock=clock, migrate=True)
    assert len(made) == 3 - done
    assert await lists(store) == PUBLISHED
    await store.close()


async def test_rows_that_are_not_all_there_are_told(engine: sa.Engine, url: str, clock: StandingClock) -> None:
    with engine.begin() as conn:
        conn.execute(sa.text("DELETE FROM snapshot_members WHERE snapshot_id = 3 AND ct_user_id = 8"))
    with pytest.raises(StoreError, match=r"snapshot 3 are damaged: they are 142, and should be 143\. Restore a backup"):
        await Store.open(url, clock=clock, migrate=True)
