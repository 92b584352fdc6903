"""Who is in what: one at a time, all segments of one, by the thousand."""

import httpx
import pytest

from ctsftp.contract.rows import MAX_ID
from ctsftp.model.commands import RetireSegment
from ctsftp.web import members

from .conftest import Desk, problem


@pytest.fixture
async def reader(desk: Desk) -> httpx.AsyncClient:
    await desk.load("VIP_Members", [1, 2, MAX_ID])
    await desk.load("Gold", [2])
    await desk.load("VIP_Members", [2], client="other")
    return await desk.reader()


async def test_a_member_is_in_a_segment_by_any_form_of_its_name(reader: httpx.AsyncClient) -> None:
    for name in ("VIP Members", "VIP_Members", "vip_members"):
        for ct_user_id, member in ((1, True), (3, False), (MAX_ID, True)):
            answer = await reader.get(f"/v1/segments/acme/{name}/members/{ct_user_id}")
            assert answer.json() == {"ct_user_id": ct_user_id, "member": member}


async def test_what_is_no_id_is_refused_and_never_repaired(
    reader: httpx.AsyncClient, subtests: pytest.Subtests
) -> None:
    for ct_user_id in ("0", "-1", "+1", "1.0", "1_0", "%201", "x", "1e3", "%EF%BC%91", str(MAX_ID + 1)):
        for place in ("/v1/segments/acme/Gold/members/{}", "/v1/members/{}/segments", "/v1/members/{}/gates"):
            with subtests.test(ct_user_id=ct_user_id, place=place):
                assert "ct_user_id" in problem(await reader.get(place.format(ct_user_id)), 422, "invalid")


async def test_the_segments_of_a_member_are_those_that_the_token_may_know_of(
    desk: Desk, reader: httpx.AsyncClient
) -> None:
    def name(client: str, segment: str) -> dict[str, str]:
        return {"client": client, "segment": segment}

    own = [name("acme", "Gold"), name("acme", "VIP Members")]
    everything = [*own, name("other", "VIP Members")]
    assert (await reader.get("/v1/members/2/segments")).json() == {"items": everything}
    assert (await reader.get("/v1/members/2/segments?client=acme")).json() == {"items": own}
    bound = await desk.reader("acme")
    assert (await bound.get("/v1/members/2/segments")).json() == {"items": own}
    problem(await bound.get("/v1/members/2/segments?client=other"), 404, "not-found")
    assert (await bound.get("/v1/members/9/segments")).json() == {"items": []}


async def test_a_batch_is_asked_of_one_segment(reader: httpx.AsyncClient) -> None:
    place = "/v1/segments/acme/vip_members/batch"
    answer = await reader.post(place, json={"ct_user_ids": [MAX_ID, 7, 2, 2]})
    assert answer.json() == {"members": [2, MAX_ID]}
    assert (await reader.post(place, json={"ct_user_ids": []})).json() == {"members": []}
    problem(await reader.post("/v1/segments/acme/none/batch", json={"ct_user_ids": [1]}), 404, "not-found")


async def test_a_batch_is_asked_of_all_segments(desk: Desk, reader: httpx.AsyncClient) -> None:
    def found(client: str, segment: str, members: list[int]) -> dict[str, object]:
        return {"client": client, "segment": segment, "members": members}

    body = {"ct_user_ids": [1, 2]}
    own = [found("acme", "Gold", [2]), found("acme", "VIP Members", [1, 2])]
    assert (await reader.post("/v1/batch", json=body)).json() == {"items": [*own, found("other", "VIP Members", [2])]}
    bound = await desk.reader("acme")
    assert (await bound.post("/v1/batch", json=body)).json() == {"items": own}
    assert (await bound.post("/v1/batch", json={"ct_user_ids": [9]})).json() == {"items": []}


async def test_a_batch_asks_every_page_of_the_segments(
    desk: Desk, reader: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(members, "SEGMENTS_AT_ONCE", 1)
    answer = (await reader.post("/v1/batch", json={"ct_user_ids": [1, 2]})).json()
    listed = (await reader.get("/v1/segments")).json()["items"]
    assert [(one["client"], one["segment"]) for one in answer["items"]] == [
        (one["client"], one["segment"]) for one in listed
    ]


async def test_a_batch_that_is_too_long_is_refused(reader: httpx.AsyncClient) -> None:
    for place in ("/v1/batch", "/v1/segments/acme/Gold/batch"):
        assert (await reader.post(place, json={"ct_user_ids": list(range(1, 10_001))})).status_code == 200
        detail = problem(await reader.post(place, json={"ct_user_ids": list(range(1, 10_002))}), 413, "too-large")
        assert "at most 10000" in detail


async def test_a_body_that_is_wrong_is_a_clear_problem(reader: httpx.AsyncClient, subtests: pytest.Subtests) -> None:
    for body in (
        b"",
        b"[]",
        b"{}",
        b"{",
        b"\xff",
        b'{"ct_user_ids": 1}',
        b'{"ct_user_ids": [0]}',
        b'{"ct_user_ids": ["1"]}',
        b'{"ct_user_ids": [1.0]}',
        b'{"ct_user_ids": [true]}',
        b'{"ct_user_ids": [9223372036854775808]}',
        b'{"ct_user_ids": [1], "segments": []}',
    ):
        with subtests.test(body=body):
            answer = await reader.post("/v1/batch", content=body, headers={"Content-Type": "application/json"})
            assert answer.status_code in {400, 422}
            word = "invalid" if answer.status_code == 422 else "malformed"
            assert "body" in problem(answer, answer.status_code, word)


async def test_nobody_is_in_a_retired_segment(desk: Desk, reader: httpx.AsyncClient) -> None:
    await desk.service.perform(RetireSegment(name="Gold", client="acme"))
    assert (await reader.get("/v1/segments/acme/Gold/members/2")).json()["member"] is False
    body = {"ct_user_ids": [2]}
    assert (await reader.post("/v1/segments/acme/Gold/batch", json=body)).json() == {"members": []}
    named = [row["segment"] for row in (await reader.get("/v1/members/2/segments?client=acme")).json()["items"]]
    assert named == ["VIP Members"]
