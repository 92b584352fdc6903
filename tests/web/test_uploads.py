"""Uploads: what became of each file, and what an admin decides."""

from typing import Any

import httpx
import pytest

from .conftest import Desk, problem


@pytest.fixture
async def admin(desk: Desk) -> httpx.AsyncClient:
    return await desk.admin("acme")


async def test_the_ledger_is_listed_newest_first_page_by_page(desk: Desk, admin: httpx.AsyncClient) -> None:
    for number in range(5):
        await desk.load("VIP", [number + 1])
    await desk.load("VIP", [1], client="other")
    names: list[str] = []
    place, cursor = "/v1/uploads?limit=2", ""
    while cursor is not None:
        found = (await admin.get(place + cursor)).json()
        assert len(found["items"]) <= 2
        names += [row["filename"] for row in found["items"]]
        cursor = found["next"] and f"&cursor={found['next']}"
    assert names == [f"VIP_20260301_000{number}.csv" for number in (5, 4, 3, 2, 1)]


async def test_an_upload_is_shown_with_its_rejected_rows(desk: Desk, admin: httpx.AsyncClient) -> None:
    upload = await desk.load("VIP", ["1", "2", "x", *range(10, 30)])  # type: ignore[list-item]
    shown = (await admin.get(f"/v1/uploads/{upload.id}")).json()
    [period] = shown["periods"]
    assert (period["until"], period["began_by"], period["ended_by"]) == (None, "loaded", None)
    more = {"current": True, "periods": [period], "if_approved": None, "duplicate_of": None}
    assert shown == upload.as_json() | more
    assert (shown["state"], shown["rejected"], shown["members"]) == ("loaded", 1, 22)
    [row] = (await admin.get(f"/v1/uploads/{upload.id}/rejected")).json()["items"]
    assert (row["line"], row["value"]) == (4, "x")


async def test_an_upload_says_whether_it_is_current_and_what_it_would_change_now(
    desk: Desk, admin: httpx.AsyncClient
) -> None:
    first = await desk.load("VIP", range(1, 301))
    held = await desk.load("VIP", range(2, 21))

    async def shown(upload_id: str) -> dict[str, Any]:
        found: dict[str, Any] = (await admin.get(f"/v1/uploads/{upload_id}")).json()
        return found

    assert (await shown(first.id))["current"]
    assert (await shown(held.id))["if_approved"] == {"members_now": 300, "enter": 0, "leave": 281, "retired": False}
    other = await desk.load("VIP", range(1, 21))
    await admin.post(f"/v1/uploads/{held.id}/approve")
    assert (await shown(held.id))["if_approved"] is None
    assert (await shown(other.id))["if_approved"] == {"members_now": 19, "enter": 1, "leave": 0, "retired": False}
    replaced = await shown(first.id)
    assert not replaced["current"]
    assert replaced["periods"][0]["ended_by"] == "loaded"
    await admin.post("/v1/segments/acme/VIP/rollback", json={})
    assert [one["began_by"] for one in (await shown(first.id))["periods"]] == ["loaded", "rolled_back"]
    history = (await admin.get("/v1/segments/acme/VIP/history")).json()["items"]
    assert history[-1]["periods"] == (await shown(first.id))["periods"]


async def test_another_clients_upload_is_as_little_there_as_one_that_never_was(
    desk: Desk, admin: httpx.AsyncClient
) -> None:
    theirs = await desk.load("VIP", [1], client="other")
    never = theirs.id[:-1] + ("0" if theirs.id[-1] != "0" else "1")
    for what in ("", "/rejected"):
        told = {
            problem(await admin.get(f"/v1/uploads/{one}{what}"), 404, "not-found").replace(one, "")
            for one in (theirs.id, never)
        }
        assert len(told) == 1
    for what in ("approve", "discard", "retry"):
        problem(await admin.post(f"/v1/uploads/{theirs.id}/{what}"), 404, "not-found")


async def test_a_held_upload_is_approved_or_discarded(desk: Desk, admin: httpx.AsyncClient) -> None:
    await desk.load("VIP", range(1, 200))
    first = await desk.load("VIP", [1])
    held = (await admin.get("/v1/uploads?state=held")).json()["items"]
    assert [row["id"] for row in held] == [first.id]
    assert (await admin.post(f"/v1/uploads/{first.id}/discard")).json()["state"] == "discarded"
    problem(await admin.post(f"/v1/uploads/{first.id}/discard"), 409, "refused")
    problem(await admin.post("/v1/segments/acme/VIP/approve"), 409, "refused")
    await desk.load("VIP", [2])
    newest = await desk.load("VIP", [2, 3])
    assert (await admin.post("/v1/segments/acme/VIP/approve")).json()["id"] == newest.id
    assert (await admin.get("/v1/segments/acme/VIP")).json()["members"] == 2


async def test_a_duplicate_names_the_upload_that_it_is_the_same_as(desk: Desk, admin: httpx.AsyncClient) -> None:
    first, again = [await desk.load_text("VIP_20260310_0900.csv", "CTUserID\n1\n") for _ in range(2)]
    assert (await admin.get(f"/v1/uploads/{again.id}")).json()["duplicate_of"] == first.id
    assert (await admin.get(f"/v1/uploads/{first.id}")).json()["duplicate_of"] is None


async def test_only_an_upload_that_failed_is_tried_again(desk: Desk, admin: httpx.AsyncClient) -> None:
    upload = await desk.load("VIP", [1])
    assert "Only rejected and failed" in problem(await admin.post(f"/v1/uploads/{upload.id}/retry"), 409, "refused")
    broken = await desk.load("VIP", ["x", "y"])  # type: ignore[list-item]
    assert (await admin.post(f"/v1/uploads/{broken.id}/retry")).json()["state"] == "rejected"


async def test_a_reader_decides_nothing(desk: Desk) -> None:
    await desk.load("VIP", range(1, 200))
    held = await desk.load("VIP", [1])
    reader = await desk.reader("acme")
    for what in ("approve", "discard", "retry"):
        problem(await reader.post(f"/v1/uploads/{held.id}/{what}"), 403, "scope")
    problem(await reader.post("/v1/segments/acme/VIP/approve"), 403, "scope")
    assert (await reader.get(f"/v1/uploads/{held.id}")).json()["state"] == "held"
