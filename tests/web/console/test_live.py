"""News reach open pages: by a beat, for whom it concerns, never more streams than allowed, none left at the end."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from ctsftp.model.commands import RetireSegment, RevokeToken
from ctsftp.model.records import Token
from ctsftp.web.console import live as module
from ctsftp.web.console.live import ALIVE, BEAT, Live
from tests.web.conftest import Desk

from .conftest import person
from .desk import Person

DATABASE_KINDS = ("sqlite",)  # a page is told by this process, not by the database


def token(client: str | None = None, number: int = 1) -> Token:
    return Token(id=number, name="t", client=client, admin=False, created_at="", expires_at=None, last_used_at=None)


async def yes() -> bool:
    return True


async def no() -> bool:
    return False


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAUSE_S", 0)
    monkeypatch.setattr(module, "QUIET_S", 60)


async def opened(
    live: Live, client: str | None = None, heard: str | None = None, number: int = 1
) -> AsyncIterator[str]:
    stream = live.stream(token(client, number), live.mark(client) if heard is None else heard, yes)
    assert await anext(stream) == ALIVE
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
    marks = {client: live.mark(client) for client in ("acme", None, "other")}
    live.beat("acme")
    assert await anext(await opened(live, "acme", marks["acme"])) == BEAT
    assert await anext(await opened(live, None, marks[None])) == BEAT
    assert live.mark("other") == marks["other"]
    assert live.mark("acme") != marks["acme"]


async def test_a_page_of_another_process_or_of_none_hears_at_once() -> None:
    for heard in ("", "0", "9" * 5_000, Live(1).mark(None)):
        assert await anext(await opened(Live(9), None, heard)) == BEAT


async def test_a_silent_stream_says_that_it_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "QUIET_S", 0.01)
    assert await anext(await opened(Live(9))) == ALIVE


async def test_a_stream_ends_with_its_session_and_with_the_server() -> None:
    live = Live(1)
    stream = live.stream(token(), "", no)
    await anext(stream)
    assert not live.has_room(token())
    live.beat()
    assert [text async for text in stream] == []
    assert live.has_room(token())
    stream = await opened(live)
    live.close()
    assert [text async for text in stream] == []
    assert not live.has_room(token())
    assert [text async for text in live.stream(token(), "", yes)] == []


async def test_one_tokens_pages_take_no_others_place() -> None:
    live = Live(3)
    greedy = [await opened(live, number=1) for _ in range(3)]
    assert not live.has_room(token(number=1))
    hers = await opened(live, number=2)
    assert [text async for text in greedy[0]] == []  # the first of the token that had most
    assert not live.has_room(token(number=2))  # no more than a share
    live.beat()
    for stream in (hers, *greedy[1:]):
        assert await anext(stream) == BEAT


async def test_a_beat_that_falls_into_the_check_of_a_session_is_not_lost() -> None:
    live = Live(1)
    answers = iter([True, False])

    async def revoked_meanwhile() -> bool:
        live.beat()
        return next(answers)

    stream = live.stream(token(), "", revoked_meanwhile)
    assert [await anext(stream), await anext(stream)] == [ALIVE, BEAT]
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
            assert (await admin.get("/live")).status_code == 503  # no more places
            await desk.service.perform(RetireSegment(name="VIP", client="acme"))
            assert "event: change" in [await anext(lines) for _ in range(3)]

    async def test_a_stream_ends_when_its_token_is_revoked(self, desk: Desk) -> None:
        somebody = await person(desk, "soon gone")
        async with somebody.http.stream("GET", "/live?beat=0") as answer:
            await desk.service.perform(RevokeToken(name="soon gone"))
            async with asyncio.timeout(10):
                await answer.aread()

    async def test_a_server_that_stops_does_not_wait_for_open_pages(self, desk: Desk, admin: Person) -> None:
        async with admin.http.stream("GET", "/live") as answer:
            lines = answer.aiter_lines()
            assert await anext(lines) == "event: alive"
            await desk.service.web.stop()  # else it would take the hour that answers get to end

    async def test_nobody_hears_who_is_not_signed_in(self, desk: Desk) -> None:
        for path in ("/live", "/session"):
            assert (await Person(desk).get(path)).status_code == 401

    async def test_a_page_without_a_stream_can_ask_whether_it_is_still_true(self, desk: Desk, admin: Person) -> None:
        async def beat() -> str:
            answer = await admin.get("/session")
            assert answer.status_code == 204
            return str(answer.headers["ctsftp-beat"])

        before = await beat()
        assert f'data-beat="{before}"' in await admin.page("/")
        await desk.load("VIP", [1])
        assert await beat() != before
        assert (await admin.get("/session")).headers["ctsftp-csrf"] == await admin.csrf()
        await desk.service.perform(RevokeToken(name="maria"))
        assert (await admin.get("/session")).status_code == 401

    async def test_a_beat_of_very_many_digits_is_no_fault(self, admin: Person) -> None:
        async with admin.http.stream("GET", f"/live?beat={'9' * 5_000}") as answer:
            assert answer.status_code == 200
