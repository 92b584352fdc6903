"""Gates: who may see what."""

import json

import httpx
import pytest

from .conftest import Desk, problem


@pytest.fixture
async def admin(desk: Desk) -> httpx.AsyncClient:
    await desk.load("VIP", [1, 2])
    await desk.load("Gold", [2, 3])
    await desk.load("VIP", [1], client="other")
    return await desk.admin()


async def test_a_gate_is_set_shown_listed_and_removed(admin: httpx.AsyncClient) -> None:
    gate = (await admin.put("/v1/gates/acme/Reward/4711", json={"segments": ["gold", "VIP"]})).json()
    assert gate.pop("set_at").endswith("Z")
    assert gate == {"client": "acme", "kind": "reward", "item": "4711", "segments": ["Gold", "VIP"]}
    assert (await admin.get("/v1/gates/acme/REWARD/4711")).json()["segments"] == ["Gold", "VIP"]
    await admin.put("/v1/gates/acme/reward/4711", json={"segments": ["VIP"]})
    assert [row["segments"] for row in (await admin.get("/v1/gates?kind=reward")).json()["items"]] == [["VIP"]]
    assert (await admin.get("/v1/gates?kind=activity")).json()["items"] == []
    answer = await admin.delete("/v1/gates/acme/reward/4711")
    assert (answer.status_code, answer.content) == (204, b"")
    problem(await admin.get("/v1/gates/acme/reward/4711"), 404, "not-found")
    problem(await admin.delete("/v1/gates/acme/reward/4711"), 404, "not-found")


async def test_a_member_of_any_of_its_segments_may_see_an_item(desk: Desk, admin: httpx.AsyncClient) -> None:
    await admin.put("/v1/gates/acme/reward/Gift & card", json={"segments": ["Gold", "VIP"]})
    await admin.put("/v1/gates/other/reward/theirs", json={"segments": ["VIP"]})
    for ct_user_id, may in ((1, True), (3, True), (4, False)):
        answer = await admin.get(f"/v1/gates/acme/reward/Gift & card/members/{ct_user_id}")
        assert answer.json() == {"ct_user_id": ct_user_id, "open": may}
    name = {"client": "acme", "kind": "reward", "item": "Gift & card"}
    assert (await admin.get("/v1/members/3/gates")).json() == {"items": [name]}
    assert len((await admin.get("/v1/members/1/gates")).json()["items"]) == 2
    bound = await desk.reader("acme")
    assert (await bound.get("/v1/members/1/gates")).json() == {"items": [name]}
    assert (await bound.get("/v1/members/1/gates?kind=activity")).json() == {"items": []}
    assert [row["client"] for row in (await bound.get("/v1/gates")).json()["items"]] == ["acme"]
    for place in ("/v1/gates/other/reward/theirs", "/v1/gates/other/reward/theirs/members/1"):
        problem(await bound.get(place), 404, "not-found")


@pytest.mark.parametrize("kind", [None, "application/x-www-form-urlencoded", "text/plain"])
async def test_a_body_that_no_header_calls_json_is_told_which_header_is_missing(
    admin: httpx.AsyncClient, kind: str | None
) -> None:
    headers = {"Content-Type": kind} if kind else {}
    body = json.dumps({"segments": ["VIP"]}).encode()
    said = problem(await admin.put("/v1/gates/acme/reward/1", content=body, headers=headers), 422, "invalid")
    assert said.endswith("body is to be sent as JSON, with the header Content-Type: application/json.")
    said = problem(await admin.put("/v1/gates/acme/reward/1", json=["VIP"]), 422, "invalid")
    assert "must be a JSON object" in said
    said = problem(await admin.put("/v1/gates/acme/reward/1"), 422, "invalid")
    assert "is missing" in said


async def test_a_gate_needs_segments_of_its_client(desk: Desk, admin: httpx.AsyncClient) -> None:
    problem(await admin.put("/v1/gates/other/reward/1", json={"segments": ["VIP", "Gold"]}), 404, "not-found")
    problem(await admin.put("/v1/gates/acme/reward/1", json={"segments": []}), 422, "invalid")
    for half in (["\ud800"], ["VIP", "\ud800"]):
        body, headers = json.dumps({"segments": half}), {"Content-Type": "application/json"}
        problem(await admin.put("/v1/gates/acme/reward/1", content=body, headers=headers), 404, "not-found")
    problem(await (await desk.reader()).put("/v1/gates/acme/reward/1", json={"segments": ["VIP"]}), 403, "scope")
    bound = await desk.admin("other")
    problem(await bound.put("/v1/gates/acme/reward/1", json={"segments": ["VIP"]}), 404, "not-found")
    problem(await bound.delete("/v1/gates/acme/reward/1"), 404, "not-found")
    assert (await admin.get("/v1/gates")).json()["items"] == []


async def test_an_item_that_cannot_be_named_is_refused(admin: httpx.AsyncClient, subtests: pytest.Subtests) -> None:
    for word in ("%20", "a%0Ab", "x" * 100 + "y", "%E2%80%AE"):
        for kind, item in (("reward", word), (word, "4711")):
            with subtests.test(kind=kind, item=item):
                answer = await admin.put(f"/v1/gates/acme/{kind}/{item}", json={"segments": ["VIP"]})
                assert answer.status_code in {404, 422}
                problem(answer, answer.status_code, "not-found" if answer.status_code == 404 else "invalid")
    assert (await admin.get("/v1/gates")).json()["items"] == []
