"""All members of a segment in one answer: its forms, and that half a list never looks like a whole one."""

import asyncio
import gzip
import socket
from typing import Any

import httpx
import pytest

from ctsftp.model.commands import DeleteSegment, RetireSegment
from ctsftp.store import export
from ctsftp.store.export import Export

from .conftest import Desk, problem

PLACE = "/v1/segments/acme/VIP/members"
PATIENCE_S = 20


@pytest.fixture
async def reader(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> httpx.AsyncClient:
    monkeypatch.setattr(export, "PAGE_IDS", 10)
    await desk.load("VIP", range(1, 96))
    return await desk.reader()


CSV = "CTUserID\n" + "".join(f"{one}\n" for one in range(1, 96))
NDJSON = "".join(f'{{"ct_user_id":{one}}}\n' for one in range(1, 96))


async def test_the_form_is_what_is_asked_for(reader: httpx.AsyncClient, subtests: pytest.Subtests) -> None:
    for query, text in (("", CSV), ("?format=csv", CSV), ("?format=ndjson", NDJSON)):
        with subtests.test(query=query):
            answer = await reader.get(PLACE + query)
            assert answer.text == text
            assert answer.headers["content-type"].startswith("text/csv" if text == CSV else "application/x-ndjson")
            assert answer.headers["ctsftp-members"] == "95"


async def test_another_form_is_refused(reader: httpx.AsyncClient) -> None:
    problem(await reader.get(f"{PLACE}?format=xml"), 422, "invalid")


async def test_the_list_is_packed_for_whom_asks_for_it(reader: httpx.AsyncClient, subtests: pytest.Subtests) -> None:
    for accepted, packed in (("gzip", True), ("br, GZIP;q=0.5", True), ("identity", False)):
        with subtests.test(accepted=accepted):
            async with reader.stream("GET", PLACE, headers={"Accept-Encoding": accepted}) as answer:
                assert (answer.headers.get("content-encoding") == "gzip") is packed
                raw = b"".join([chunk async for chunk in answer.aiter_raw()])
            assert (gzip.decompress(raw) if packed else raw).decode() == CSV


async def test_a_retired_segment_has_no_members_to_list(desk: Desk, reader: httpx.AsyncClient) -> None:
    await desk.service.perform(RetireSegment(name="VIP", client="acme"))
    answer = await reader.get(PLACE)
    assert (answer.text, answer.headers["ctsftp-members"]) == ("CTUserID\n", "0")


async def test_the_list_is_of_one_moment(
    desk: Desk, reader: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    door = Door(monkeypatch)
    listing = asyncio.create_task(reader.get(PLACE))
    await door.reached.wait()
    await desk.load("VIP", range(50, 200))
    door.open.set()
    assert (await listing).text == CSV


async def test_a_list_whose_snapshot_is_deleted_meanwhile_breaks_off(
    desk: Desk, reader: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    door = Door(monkeypatch)
    listing = asyncio.create_task(reader.get(PLACE))
    await door.reached.wait()
    for kind in (RetireSegment, DeleteSegment):
        await desk.service.perform(kind("VIP", "acme"))
    door.open.set()
    with pytest.raises(httpx.RemoteProtocolError):
        await listing
    assert "an answer was broken off" in [event["event"] for event in desk.events]


async def test_a_list_is_not_for_http_without_chunks(desk: Desk, reader: httpx.AsyncClient) -> None:
    opened = await asyncio.open_connection("127.0.0.1", desk.service.web.port)
    head = f"GET {PLACE} HTTP/1.0\r\nAuthorization: {reader.headers['Authorization']}\r\n\r\n"
    opened[1].write(head.encode())
    answer = await opened[0].read()
    assert answer.startswith(b"HTTP/1.1 505")
    assert b"urn:ctsftp:problem:http-version" in answer
    opened[1].close()


class TestFewPlaces:
    @pytest.fixture
    def http_settings(self) -> dict[str, Any]:
        return {"max_streams": 1, "stalled_s": 0.05}

    async def test_there_are_so_many_lists_at_the_same_time_and_a_place_is_given_back(
        self, reader: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        door = Door(monkeypatch)
        listing = asyncio.create_task(reader.get(PLACE))
        await door.reached.wait()
        answer = await reader.get(PLACE)
        problem(answer, 503, "busy")
        assert answer.headers["retry-after"]
        door.open.set()
        assert (await listing).text == CSV
        assert (await reader.get(PLACE)).text == CSV

    async def test_a_batch_for_all_segments_takes_a_place_too(
        self, reader: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        door = Door(monkeypatch)
        listing = asyncio.create_task(reader.get(PLACE))
        await door.reached.wait()
        answer = await reader.post("/v1/batch", json={"ct_user_ids": [1]})
        problem(answer, 503, "busy")
        assert answer.headers["retry-after"]
        door.open.set()
        assert (await listing).text == CSV
        for _ in range(2):
            assert (await reader.post("/v1/batch", json={"ct_user_ids": [1]})).json()["items"][0]["members"] == [1]

    async def test_a_reader_that_takes_nothing_loses_its_place(
        self, desk: Desk, reader: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(export, "PAGE_IDS", 100_000)
        await desk.load("VIP", range(1, 1_000_000))
        with socket.socket() as slow:
            slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            slow.connect(("127.0.0.1", desk.service.web.port))
            head = f"GET {PLACE} HTTP/1.1\r\nHost: x\r\nAuthorization: {reader.headers['Authorization']}\r\n\r\n"
            slow.sendall(head.encode())
            async with asyncio.timeout(PATIENCE_S):
                while "an answer was broken off" not in [event["event"] for event in desk.events]:
                    assert (await reader.get("/healthz")).status_code == 200
        assert (await reader.get("/v1/segments")).status_code == 200

    @pytest.mark.slow
    async def test_a_reader_that_has_gone_gives_its_place_back(
        self, reader: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        door = Door(monkeypatch)
        listing = asyncio.create_task(reader.get(PLACE))
        await door.reached.wait()
        listing.cancel()
        await asyncio.wait([listing])
        door.open.set()
        async with asyncio.timeout(PATIENCE_S):
            while (answer := await reader.get(PLACE)).status_code == 503:
                pass
        assert answer.text == CSV


class TestPlacesForAll:
    @pytest.fixture
    def http_settings(self) -> dict[str, Any]:
        return {"max_streams": 4}

    async def test_one_token_leaves_half_of_the_places_to_others(
        self, desk: Desk, reader: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        door = Door(monkeypatch)
        listings = [asyncio.create_task(reader.get(PLACE)) for _ in range(2)]
        await door.reached_by(2)
        problem(await reader.get(PLACE), 503, "busy")
        listings.append(asyncio.create_task((await desk.reader("acme")).get(PLACE)))
        await door.reached_by(3)
        door.open.set()
        assert [(await listing).text for listing in listings] == [CSV] * 3


class Door:
    """Where a list waits after its first page until the test lets it on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reached, self.open = asyncio.Event(), asyncio.Event()
        self._waiting = 0
        pages = Export.pages

        async def watched(store: Export, snapshot_id: int, form: export.PageForm) -> Any:
            async for page in pages(store, snapshot_id, form):
                yield page
                self._waiting += 1
                self.reached.set()
                await self.open.wait()

        monkeypatch.setattr(Export, "pages", watched)

    async def reached_by(self, count: int) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while self._waiting < count:
                self.reached.clear()
                await self.reached.wait()
