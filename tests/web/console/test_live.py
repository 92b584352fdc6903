"""News reach open pages: by a beat, for whom it concerns, never more streams than allowed, none left at the end."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from ctsftp.web.console import live as module
from ctsftp.web.console.live import BEAT, COMMENT, Live
from tests.web.conftest import Desk

from .conftest import person
from .desk import Person

DATABASE_KINDS = ("sqlite",)  # a page is told by this process, not by the database


async def yes() -> bool:
    return True


async def no() -> bool:
    return False


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAUSE_S", 0)


async def opened(live: Live, client: str | None = None, heard: int = 0) -> AsyncIterator[str]:
    stream = live.stream(client, heard, yes)
    assert await anext(stream) == COMMENT
    return stream


async def test_a_beat_wakes_the_pages_that_it_concerns() -> None:
    live = Live(9)
    everybodys, acmes, others = [await opened(live, client) for client in (None, "acme", "other")]
    waiting = asyncio.ensure_future(anext(others))
    live.beat("acme")
    assert [await anext(everybodys), await anext(acmes)] == [BEAT, BEAT]
    assert not waiting.done()
    live.beat()
    assert await waiting == BEAT


async def test_a_page_that_was_made_before_the_last_beat_hears_at_once() -> None:
    live = Live(9)
    live.beat("acme")
    assert await anext(await opened(live, "acme", heard=0)) == BEAT
    assert await anext(await opened(live, None, heard=0)) == BEAT
    assert live.count("acme") == live.count(None) == 1
    assert live.count("other") == 0


async def test_a_silent_stream_sends_comments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "QUIET_S", 0.01)
    assert await anext(await opened(Live(9))) == COMMENT


async def test_a_stream_ends_with_its_session_and_with_the_server() -> None:
    live = Live(1)
    stream = live.stream(None, 0, no)
    await anext(stream)
    assert live.is_full
    live.beat()
    assert [text async for text in stream] == []
    assert not live.is_full
    stream = await opened(live, heard=live.count(None))
    live.close()
    assert [text async for text in stream] == []
    assert live.is_full


async def test_a_beat_that_falls_into_the_check_of_a_session_is_not_lost() -> None:
    live = Live(1)
    answers = iter([True, False])

    async def revoked_meanwhile() -> bool:
        live.beat()
        return next(answers)

    stream = live.stream(None, 1, revoked_meanwhile)
    assert [await anext(stream), await anext(stream)] == [COMMENT, BEAT]
    async with asyncio.timeout(10):
        assert [text async for text in stream] == []


class TestAtTheServer:
    @pytest.fixture
    def http_settings(self) -> dict[str, Any]:
        return {"max_live_pages": 1, "drain_timeout_s": 3_600}

    async def test_a_loaded_upload_and_a_decision_are_news(self, desk: Desk, admin: Person) -> None:
        async with admin.http.stream("GET", "/live?beat=0") as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            lines = answer.aiter_lines()
            await desk.load("VIP", [1])
            assert "event: change" in [await anext(lines) for _ in range(4)]
            assert (await admin.get("/live")).status_code == 204  # no more places
            await desk.service.perform("segment.retire", {"name": "VIP", "client": "acme"})
            assert "event: change" in [await anext(lines) for _ in range(3)]

    async def test_a_stream_ends_when_its_token_is_revoked(self, desk: Desk) -> None:
        somebody = await person(desk, "soon gone")
        async with somebody.http.stream("GET", "/live?beat=0") as answer:
            await desk.service.perform("token.revoke", {"name": "soon gone"})
            async with asyncio.timeout(10):
                await answer.aread()

    async def test_a_server_that_stops_does_not_wait_for_open_pages(self, desk: Desk, admin: Person) -> None:
        async with admin.http.stream("GET", "/live") as answer:
            lines = answer.aiter_lines()
            assert await anext(lines) == ":"
            await desk.service.web.stop()  # else it would take the hour that answers get to end

    async def test_nobody_hears_who_is_not_signed_in(self, desk: Desk) -> None:
        assert (await Person(desk).get("/live")).status_code == 204
