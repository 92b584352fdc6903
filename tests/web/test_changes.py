"""The change feed: whatever happens to a segment, a consumer that follows it holds what readers see."""

import random
from typing import Any

import httpx
import pytest

from ctsftp.model.commands import ApproveUpload, DeleteSegment, RestoreSegment, RetireSegment, RollBackSegment
from ctsftp.store import export
from tests.app.bench import members

from .conftest import Desk, problem

PLACE = "/v1/segments/acme/VIP/changes"


class Consumer:
    """Holds a set and a cursor, and does with each page what its document says."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self.http = http
        self.held: set[int] = set()
        self.cursor: str | None = None
        self.pages = 0

    async def page(self, **query: Any) -> httpx.Response:
        if self.cursor is not None:
            query["cursor"] = self.cursor
        return await self.http.get(PLACE, params=query)

    async def take(self, **query: Any) -> dict[str, Any]:
        """Apply one page, whose entries and exits must be news."""
        answer = await self.page(**query)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        self.held -= set(found["left"])
        self.held |= set(found["entered"])
        self.cursor = found["cursor"]
        self.pages += 1
        return found

    async def follow(self, **query: Any) -> None:
        """Take pages until there are no more now."""
        while (await self.take(**query))["more"]:
            pass

    async def start_from_members(self) -> None:
        answer = await self.http.get("/v1/segments/acme/VIP/members")
        self.held = {int(line) for line in answer.text.splitlines()[1:]}
        self.cursor = answer.headers["ctsftp-cursor"]


@pytest.mark.slow
async def test_a_consumer_that_follows_loads_rollbacks_and_retirements_ends_with_the_members(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, database_kind: str
) -> None:
    monkeypatch.setattr(export, "PAGE_IDS", 7)
    monkeypatch.setattr(export, "PARTS_COMPARED", 3)
    chance = random.Random(database_kind)  # noqa: S311  to each its own history
    keen, lazy = Consumer(await desk.reader()), Consumer(await desk.reader())
    await desk.load("VIP", range(1, 30))
    done = dict.fromkeys(("load", "rollback", "retire", "restore", "prune"), 0)
    for _ in range(50):
        done[await _something(desk, chance)] += 1
        if chance.random() < 0.7:
            await _catch_up(keen, limit=chance.randint(1, 9), pages=chance.randint(1, 4))
        if chance.random() < 0.1:
            await _catch_up(lazy, limit=100, pages=99)
    assert min(done.values()) > 0, done
    segment = await desk.store.segments.segment("acme", "vip")
    now = set() if segment.retired_at else set(await members(desk.engine))
    for consumer in (keen, lazy):
        await _catch_up(consumer, limit=5, pages=10_000)
        assert consumer.held == now
        last = await consumer.take()
        assert (last["entered"], last["left"], last["more"]) == ([], [], False)


async def _something(desk: Desk, chance: random.Random) -> str:
    """Do to the segment one of the things that happen to one."""
    segment = await desk.store.segments.segment("acme", "vip")
    if segment.retired_at:
        await desk.service.perform(RestoreSegment("VIP", "acme"))
        return "restore"
    what = chance.choices(["load", "rollback", "retire", "prune"], [6, 2, 1, 1])[0]
    history = await desk.store.segments.history("acme", "vip")
    if what == "rollback" and len(history) > 1:
        target = chance.choice([one for one in history if not one.current])
        await desk.service.perform(RollBackSegment("VIP", "acme", target.number))
        return what
    if what == "retire":
        await desk.service.perform(RetireSegment("VIP", "acme"))
        return what
    if what == "prune":
        await desk.store.snapshots.prune(keep_last=4, keep_days=0)
        return what
    upload = await desk.load("VIP", sorted(chance.sample(range(1, 60), 30)))
    if upload.state == "held":
        await desk.service.perform(ApproveUpload(upload_id=upload.id))
    return "load"


async def _catch_up(consumer: Consumer, *, limit: int, pages: int) -> None:
    """Take some pages; begin again with the members where the list that is held is not kept any more."""
    for _ in range(pages):
        answer = await consumer.page(limit=limit)
        if answer.status_code == 410:
            problem(answer, 410, "gone")
            await consumer.start_from_members()
        elif not (await consumer.take(limit=limit))["more"]:
            return


async def test_without_a_cursor_the_feed_begins_with_nobody(desk: Desk) -> None:
    await desk.load("VIP", [1, 2, 3])
    consumer = Consumer(await desk.reader())
    first = await consumer.take(limit=2)
    assert (first["old"], first["new"], first["entered"], first["left"], first["more"]) == (None, 1, [1, 2], [], True)
    await consumer.follow()
    assert consumer.held == {1, 2, 3}
    await desk.load("VIP", [2, 3, 4])
    second = await consumer.take()
    assert (second["old"], second["new"], second["entered"], second["left"]) == (1, 2, [4], [1])


async def test_a_load_between_two_pages_waits_for_the_pages_to_arrive(desk: Desk) -> None:
    await desk.load("VIP", [1, 2, 3])
    consumer = Consumer(await desk.reader())
    await consumer.take(limit=1)
    await desk.load("VIP", [2, 3, 4])
    await consumer.take(limit=1)
    arrived = await consumer.take(limit=1)
    assert (consumer.held, arrived["new"], arrived["more"]) == ({1, 2, 3}, 1, True)
    await consumer.follow(limit=1)
    assert consumer.held == {2, 3, 4}


async def test_two_snapshots_of_the_history_are_compared(desk: Desk) -> None:
    for ids in ([1, 2], [2, 3], [3, 4]):
        await desk.load("VIP", ids)
    reader = await desk.reader()
    found = (await reader.get(f"{PLACE}?from=1&to=2")).json()
    assert (found["old"], found["new"], found["entered"], found["left"]) == (1, 2, [3], [1])
    found = (await reader.get(f"{PLACE}?from=3&to=1&limit=2")).json()
    assert (found["entered"], found["left"], found["more"]) == ([1, 2], [], True)
    found = (await reader.get(PLACE, params={"cursor": found["cursor"]})).json()
    assert (found["entered"], found["left"], found["more"]) == ([], [3, 4], False)
    found = (await reader.get(f"{PLACE}?from=2&to=2")).json()
    assert (found["old"], found["new"], found["entered"], found["left"]) == (2, 2, [], [])
    assert "kept ones are 1, 2, 3" in problem(await reader.get(f"{PLACE}?from=4"), 404, "not-found")


async def test_a_cursor_of_a_deleted_segment_does_not_go_on_in_its_successor(desk: Desk) -> None:
    await desk.load("VIP", [1, 2])
    consumer = Consumer(await desk.reader())
    await consumer.follow()
    for kind in (RetireSegment, DeleteSegment):
        await desk.service.perform(kind("VIP", "acme"))
    await desk.load("VIP", [3])
    assert "begin again with the members" in problem(await consumer.page(), 410, "gone")


async def test_a_cursor_of_another_segment_is_refused(desk: Desk) -> None:
    await desk.load("VIP", [1, 2])
    await desk.load("Gold", [1])
    reader = await desk.reader()
    cursor = (await reader.get("/v1/segments/acme/Gold/changes")).json()["cursor"]
    problem(await reader.get(PLACE, params={"cursor": cursor}), 410, "gone")


# What going back to a backup does to the ids of snapshots.
BEGIN_ANEW = {
    "sqlite": "UPDATE sqlite_sequence SET seq = 0 WHERE name = 'snapshots'",
    "postgresql": "ALTER SEQUENCE snapshots_id_seq RESTART",
}


async def test_a_cursor_from_before_a_restore_does_not_go_on_in_a_list_that_got_its_id(
    desk: Desk, database_kind: str
) -> None:
    await desk.load("VIP", [1, 2])
    consumer = Consumer(await desk.reader())
    await consumer.start_from_members()
    before = (await desk.store.segments.segment("acme", "vip")).snapshot_id
    for kind in (RetireSegment, DeleteSegment):
        await desk.service.perform(kind("VIP", "acme"))
    await desk.store._database.write(lambda conn: conn.exec_driver_sql(BEGIN_ANEW[database_kind]))
    await desk.load("VIP", [3])
    assert (await desk.store.segments.segment("acme", "vip")).snapshot_id == before
    problem(await consumer.page(), 410, "gone")


async def test_who_left_is_told_by_the_name_of_before_too(desk: Desk) -> None:
    reader = await desk.reader()
    for ids in ([1, 2], [2]):
        await desk.load("VIP", ids)
    found = (await reader.get("/v1/segments/acme/VIP/changes?from=1&to=2")).json()
    assert found["left"] == found["exited"] == [1]
