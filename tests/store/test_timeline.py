"""What readers of a segment had, and since when, as loads, rollbacks, retirements and restorings left it."""

from pathlib import Path

import pytest
import sqlalchemy as sa

from ctsftp.errors import RefusedError
from ctsftp.model.timeline import StepKind
from ctsftp.store import Store
from ctsftp.store.timeline import TREND_STEPS

from .conftest import Feed, StandingClock
from .test_migrations import upgraded

LOADED, ROLLED_BACK, RETIRED, RESTORED = StepKind


async def steps(store: Store) -> list[tuple[StepKind, int | None, int]]:
    return [(one.kind, one.number, one.members) for one in await store.timeline.steps("acme", "vip")]


async def test_each_change_of_what_readers_have_is_a_step(store: Store, feed: Feed) -> None:
    await feed.load([1, 2, 3])
    await feed.load([1], stamp="20260311_0900")
    await store.segments.rollback("acme", "vip")
    await store.segments.retire("acme", "vip")
    await store.segments.restore("acme", "vip")
    await feed.load([1, 2], stamp="20260312_0900")
    await feed.load([9], title="Gold")
    assert await steps(store) == [
        (LOADED, 1, 3),
        (LOADED, 2, 1),
        (ROLLED_BACK, 1, 3),
        (RETIRED, 1, 0),
        (RESTORED, 1, 3),
        (LOADED, 3, 2),
    ]


async def test_the_history_says_when_each_list_was_current(store: Store, feed: Feed, clock: StandingClock) -> None:
    def moment() -> str:
        return f"{clock():%H:%M}"

    first = moment()
    await feed.load([1, 2, 3])
    clock.advance(hours=1)
    second = moment()
    await feed.load([1], stamp="20260311_0900")
    clock.advance(hours=1)
    third = moment()
    await store.segments.rollback("acme", "vip")
    newer, older = await store.segments.history("acme", "vip")
    assert [(one.since[11:16], one.until and one.until[11:16]) for one in older.periods] == [
        (first, second),
        (third, None),
    ]
    [only] = newer.periods
    assert (only.since[11:16], only.until and only.until[11:16], only.ended_by) == (second, third, ROLLED_BACK)
    assert await store.timeline.periods_of(older.upload_id) == older.periods
    await store.segments.retire("acme", "vip")
    assert (await store.timeline.periods_of(older.upload_id))[-1].ended_by is RETIRED
    assert await store.timeline.periods_of("none") == []


@pytest.mark.parametrize("number", [None, 1])
async def test_no_rollback_gives_a_list_to_the_readers_of_a_retired_segment(
    store: Store, feed: Feed, number: int | None
) -> None:
    await feed.load([1, 2, 3])
    await feed.load([1], stamp="20260311_0900")
    await store.segments.retire("acme", "vip")
    with pytest.raises(RefusedError, match="is retired: first ctsftp segment restore"):
        await store.segments.rollback("acme", "vip", number)
    await store.segments.restore("acme", "vip")
    assert await steps(store) == [(LOADED, 1, 3), (LOADED, 2, 1), (RETIRED, 2, 0), (RESTORED, 2, 1)]


async def test_the_steps_outlive_the_snapshots_and_go_with_their_segment(store: Store, feed: Feed) -> None:
    for day in range(10, 20):
        await feed.load(range(1, day), stamp=f"202603{day}_0900")
    await store.snapshots.prune(keep_last=1, keep_days=1)
    assert len(await steps(store)) == 10
    await store.segments.retire("acme", "vip")
    await store.segments.delete("acme", "vip")
    assert await steps(store) == []
    await feed.load([1], stamp="20260320_0900")
    assert await steps(store) == [(LOADED, 1, 1)]


async def test_a_trend_is_the_last_sizes_old_to_new_rollbacks_too(store: Store, feed: Feed) -> None:
    for count in range(1, TREND_STEPS + 4):
        await feed.load(range(1, count + 1), stamp=f"20260310_{count:04}")
    await feed.load([1], client="other")
    await store.segments.rollback("acme", "vip", 20)
    current = {one.client: one.snapshot_id for one in await store.segments.segments()}

    async def trends(*ids: int) -> dict[int, list[int]]:
        found = await store.timeline.trends(ids)
        return {current_id: [step.members for step in steps] for current_id, steps in found.items()}

    assert await trends(*current.values()) == {current["acme"]: [*range(5, TREND_STEPS + 4), 20], current["other"]: [1]}
    assert await trends(current["other"]) == {current["other"]: [1]}
    assert await trends() == {}


OLD = """
INSERT INTO uploads (id, client, filename, segment_key, state, members, warnings, size, received_at, finished_at,
                     approved, attempts, deaths)
VALUES ('0', 'acme', 'z', 'vip', 'loaded', 9, '[]', 1, '', '2026-03-09T09:00:00.000Z', 0, 0, 0),
       ('1', 'acme', 'a', 'vip', 'loaded', 3, '[]', 1, '', '2026-03-10T09:00:00.000Z', 0, 0, 0),
       ('2', 'acme', 'b', 'vip', 'loaded', 1, '[]', 1, '', '2026-03-11T09:00:00.000Z', 0, 0, 0),
       ('3', 'acme', 'c', 'vip', 'held', 1, '[]', 1, '', NULL, 0, 0, 0),
       ('4', 'acme', 'd', 'gold', 'loaded', 5, '[]', 1, '', '2026-03-11T09:00:00.000Z', 0, 0, 0);
INSERT INTO segments
(id, client, "key", title, current_snapshot_id, newest_stamp, newest_upload_id, rolled_back, retired_at, created_at)
VALUES (1, 'acme', 'vip', 'VIP', 1, '20260310_0900', '1', 1, NULL, '2026-03-10T09:00:00.000Z'),
       (2, 'acme', 'gold', 'Gold', 2, '20260310_0900', '4', 0, '2026-03-12T09:00:00.000Z', '2026-03-10T09:00:00.000Z');
INSERT INTO snapshots (id, segment_id, number, upload_id, members)
VALUES (1, 1, 1, '1', 3), (2, 2, 1, '4', 5)
"""


def test_the_steps_of_an_old_database_are_what_its_ledger_knows(tmp_path: Path) -> None:
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'old.db'}")
    with engine.begin() as conn:
        before = str(upgraded(conn, "0001").get_revision("0009").down_revision)
        upgraded(conn, before)
        for statement in OLD.split(";"):
            conn.exec_driver_sql(statement)
        upgraded(conn, "0009")
        query = "SELECT segment_id, substr(at, 1, 10), kind, upload_id, number, members FROM timeline ORDER BY id"
        found = [tuple(row) for row in conn.exec_driver_sql(query)]
    engine.dispose()
    [rolled_back] = [row for row in found if row[2] == "rolled_back"]
    found.remove(rolled_back)
    assert found == [
        (1, "2026-03-10", "loaded", "1", 1, 3),
        (1, "2026-03-11", "loaded", "2", None, 1),
        (2, "2026-03-11", "loaded", "4", 1, 5),
        (2, "2026-03-12", "retired", "4", 1, 0),
    ]
    assert rolled_back[3:] == ("1", 1, 3)
    assert rolled_back[1] > "2026-03-11"
