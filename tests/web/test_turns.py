"""Of one token's requests a few are answered at a time; the others wait in a line that has an end."""

import asyncio
from typing import Any

import httpx
import pytest

from ctsftp.store.segments import Segments
from ctsftp.web import turns
from ctsftp.web.problems import Problem
from ctsftp.web.turns import AT_ONCE, CROWD, Turns

from .conftest import Desk, problem

DATABASE_KINDS = ("sqlite",)  # what is limited is HTTP
PATIENCE_S = 20


class Blocked:
    """Lists of segments that wait until they are let on; how many there are at once."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.open, self.running = asyncio.Event(), 0
        self._came = asyncio.Event()
        real = Segments.segments

        async def segments(store: Segments, **narrowed: Any) -> Any:
            self.running += 1
            self._came.set()
            await self.open.wait()
            self.running -= 1
            return await real(store, **narrowed)

        monkeypatch.setattr(Segments, "segments", segments)

    async def reached_by(self, count: int) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while self.running < count:
                self._came.clear()
                await self._came.wait()


@pytest.fixture
def http_settings() -> dict[str, Any]:
    return {"max_requests_per_token": 2 * AT_ONCE}


async def answered(task: asyncio.Task[httpx.Response]) -> httpx.Response:
    async with asyncio.timeout(PATIENCE_S):
        return await task


async def first_of(tasks: list[asyncio.Task[httpx.Response]], count: int) -> list[asyncio.Task[httpx.Response]]:
    """Wait for so many to end."""
    async with asyncio.timeout(PATIENCE_S):
        while len(ended := [task for task in tasks if task.done()]) < count:
            await asyncio.wait([task for task in tasks if not task.done()], return_when=asyncio.FIRST_COMPLETED)
    return ended


@pytest.mark.slow
async def test_a_token_that_asks_much_at_once_waits_for_itself_and_nobody_else_does(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    greedy, other = await desk.reader("acme"), await desk.reader("acme")
    for client in (greedy, other):
        assert (await client.get("/v1/segments")).status_code == 200
    blocked = Blocked(monkeypatch)
    asked = [asyncio.create_task(greedy.get("/v1/segments")) for _ in range(2 * AT_ONCE + 3)]
    refused = [await answered(one) for one in await first_of(asked, 3)]
    for answer in refused:
        assert f"{2 * AT_ONCE} may be open" in problem(answer, 429, "too-many")
        assert int(answer.headers["retry-after"]) > 0
    assert blocked.running == AT_ONCE
    assert (await other.get("/v1/uploads")).status_code == 200
    assert (await desk.http().get("/healthz")).status_code == 200
    assert (await desk.http().get("/readyz")).status_code == 200
    blocked.open.set()
    statuses = sorted([(await answered(task)).status_code for task in asked])
    assert statuses == [200] * 2 * AT_ONCE + [429] * 3


async def test_a_request_that_goes_on_for_long_after_its_answer_began_keeps_no_turn() -> None:
    line = Turns(1)
    first = await line.wait("shop")
    with pytest.raises(Problem):
        await line.wait("shop")
    first.leave()
    first.leave()
    (await line.wait("shop")).leave()
    assert not line._lines


async def test_who_waits_too_long_is_told_so_and_who_goes_away_leaves_the_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "LONGEST_WAIT_S", 0.01)
    line = Turns(100)
    running = [await line.wait("shop") for _ in range(AT_ONCE)]
    with pytest.raises(Problem, match="Too many requests at once"):
        await line.wait("shop")
    monkeypatch.setattr(turns, "LONGEST_WAIT_S", PATIENCE_S)
    waiting = [asyncio.create_task(line.wait("shop")) for _ in range(2)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    running.pop().leave()
    running.append(await waiting[1])
    await line.wait("other")
    for turn in running:
        turn.leave()
    assert list(line._lines) == ["other"]


async def test_a_crowd_is_answered_with_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "LONGEST_PAUSE_S", 0.01)
    line = Turns(10 * CROWD)
    running = [await line.wait("shop") for _ in range(AT_ONCE)]
    waiting = [asyncio.create_task(line.wait("shop")) for _ in range(CROWD)]
    await asyncio.sleep(0)
    for turn in running:
        turn._began_at = 0.0  # long ago
        turn.leave()
    for _ in range(5):
        await asyncio.sleep(0)
    assert not any(task.done() for task in waiting)
    for task in waiting:
        (await task).leave()
    assert not line._lines


async def test_strangers_share_a_line_of_their_address(desk: Desk) -> None:
    parts = desk.service.web._parts
    secret = await desk.token("shop")

    def asker(secret: str, address: str = "192.0.2.1") -> Any:
        return parts.asker({"headers": [(b"authorization", f"Bearer {secret}".encode())], "client": (address, 1)})

    assert asker("ctsftp_a") == asker("ctsftp_b") == asker(secret)
    assert (await desk.http(secret).get("/v1/segments")).status_code == 200
    assert asker(secret) == asker(secret, "192.0.2.2") != asker("ctsftp_a")
    assert asker("ctsftp_a") != asker("ctsftp_a", "192.0.2.2")
