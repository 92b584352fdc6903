"""The segments: lists, history, and what an admin does to one."""

import httpx
import pytest

from ctsftp.model.commands import ExpectSegment

from .conftest import Desk, problem


@pytest.fixture
async def admin(desk: Desk) -> httpx.AsyncClient:
    return await desk.admin()


async def test_the_list_comes_in_pages_and_survives_what_comes_and_goes(desk: Desk, admin: httpx.AsyncClient) -> None:
    for title in ("C", "a", "B"):
        await desk.load(title, [1])
    await desk.load("A", [1], client="other")
    first = (await admin.get("/v1/segments?limit=2")).json()
    assert [(row["client"], row["segment"]) for row in first["items"]] == [("acme", "B"), ("acme", "C")]
    await desk.load("0", [1])
    rest = (await admin.get("/v1/segments", params={"limit": 2, "cursor": first["next"]})).json()
    assert [(row["client"], row["segment"]) for row in rest["items"]] == [("acme", "a"), ("other", "A")]
    assert rest["next"] is None


async def test_an_unknown_cursor_is_a_clear_problem(
    desk: Desk, admin: httpx.AsyncClient, subtests: pytest.Subtests
) -> None:
    await desk.load("VIP", [1])
    for place in ("/v1/segments", "/v1/uploads", "/v1/gates", "/v1/segments/acme/VIP/changes"):
        for cursor in ("x", "!", "é", "e30", "WzFd", "", "bnVsbA"):
            with subtests.test(place=place, cursor=cursor):
                answer = await admin.get(place, params={"cursor": cursor})
                assert "begin without one" in problem(answer, 404, "cursor")


async def test_the_history_and_a_rollback(desk: Desk, admin: httpx.AsyncClient) -> None:
    for ids in ([1], [1, 2], [1, 2, 3]):
        await desk.load("VIP", ids)
    history = (await admin.get("/v1/segments/acme/VIP/history")).json()["items"]
    assert [(row["number"], row["members"], row["current"]) for row in history] == [
        (3, 3, True),
        (2, 2, False),
        (1, 1, False),
    ]
    assert (await admin.post("/v1/segments/acme/VIP/rollback", json={"number": 1})).json()["members"] == 1
    problem(await admin.post("/v1/segments/acme/VIP/rollback", json={"number": 1}), 409, "refused")
    problem(await admin.post("/v1/segments/acme/VIP/rollback", json={"number": 0}), 422, "invalid")
    problem(await admin.post("/v1/segments/acme/VIP/rollback", json={}), 409, "refused")


async def test_a_rollback_without_a_number_goes_where_the_history_says(desk: Desk, admin: httpx.AsyncClient) -> None:
    for ids in ([1], [1, 2], [1, 2, 3]):
        await desk.load("VIP", ids)
    await admin.post("/v1/segments/acme/VIP/rollback", json={})
    held = await desk.load("VIP", [4])
    assert (await admin.post(f"/v1/uploads/{held.id}/approve")).json()["state"] == "loaded"
    history = (await admin.get("/v1/segments/acme/VIP/history")).json()["items"]
    assert [row["number"] for row in history if row["previous"]] == [2]
    assert [row["counted_from"] for row in history] == [2, 2, 1, None]
    assert (await admin.post("/v1/segments/acme/VIP/rollback", json={})).json()["number"] == 2


async def test_a_rollback_to_a_snapshot_that_was_pruned_names_those_that_are_kept(
    desk: Desk, admin: httpx.AsyncClient
) -> None:
    for ids in ([1], [1, 2], [1, 2, 3]):
        await desk.load("VIP", ids)
    await desk.store.snapshots.prune(keep_last=1, keep_days=0)
    answer = await admin.post("/v1/segments/acme/VIP/rollback", json={"number": 1})
    assert "the kept ones are 3" in problem(answer, 404, "not-found")


async def test_a_segment_is_retired_and_restored(desk: Desk, admin: httpx.AsyncClient) -> None:
    await desk.load("VIP", [1])
    assert (await admin.post("/v1/segments/acme/vip/retire")).json()["retired"]
    problem(await admin.post("/v1/segments/acme/vip/retire"), 409, "refused")
    assert not (await admin.post("/v1/segments/acme/vip/restore")).json()["retired"]
    bound = await desk.admin("other")
    for what in ("retire", "restore", "approve"):
        problem(await bound.post(f"/v1/segments/acme/vip/{what}"), 404, "not-found")
    problem(await bound.post("/v1/segments/acme/vip/rollback", json={}), 404, "not-found")


async def test_a_segment_of_any_name_has_an_address(
    desk: Desk, admin: httpx.AsyncClient, subtests: pytest.Subtests
) -> None:
    for title in ('Ünï "code" <b>', "100% & more", "a?b#c", "奖励", "a.b.csv"):
        with subtests.test(title=title):
            await desk.load(title, [1])
            url = httpx.URL(desk.url).copy_with(raw_path=b"/v1/segments/acme/" + _quoted(title))
            assert (await admin.get(url)).json()["segment"] == title


def _quoted(title: str) -> bytes:
    return "".join(f"%{byte:02X}" for byte in title.encode()).encode()


async def test_a_segment_is_told_as_the_command_line_tells_it(desk: Desk, admin: httpx.AsyncClient) -> None:
    await desk.load("VIP", [1])
    await desk.service.perform(ExpectSegment(name="VIP", client="acme", every_s=86_400, grace_s=7_200))
    segment = (await desk.store.segments.segments())[0].as_json()
    assert segment["overdue_at"]
    assert (await admin.get("/v1/segments")).json()["items"] == [segment]
    assert (await admin.get("/v1/segments/acme/VIP")).json() == segment
