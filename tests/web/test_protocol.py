"""What a connection may be, and a head that could be read in two ways."""

import asyncio
from contextlib import suppress
from typing import Any

import orjson
import pytest

from ctsftp.web.protocol import HEALTH_PLACES

from .conftest import Desk
from .test_turns import Blocked

DATABASE_KINDS = ("sqlite",)  # what is limited is HTTP
PATIENCE_S = 20
PLACES = 4

Opened = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Strangers:
    """Raw connections to a server."""

    def __init__(self, desk: Desk) -> None:
        self._port = desk.service.web.port
        self._opened: list[Opened] = []

    async def open(self, sent: bytes = b"") -> Opened:
        opened = await asyncio.open_connection("127.0.0.1", self._port)
        self._opened.append(opened)
        opened[1].write(sent)
        await opened[1].drain()
        return opened

    async def ask(self, sent: bytes) -> bytes:
        """Send something, and give all that comes until the server ends the connection."""
        reader, writer = await self.open(sent)
        try:
            async with asyncio.timeout(PATIENCE_S):
                return await reader.read()
        except ConnectionError:
            return b""
        finally:
            writer.close()

    async def health(self) -> bytes:
        return await self.ask(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")

    def close(self) -> None:
        for _, writer in self._opened:
            writer.close()


@pytest.fixture
async def strangers(desk: Desk) -> Any:
    made = Strangers(desk)
    yield made
    made.close()


async def is_cut_off(reader: asyncio.StreamReader) -> bool:
    with suppress(ConnectionError):
        async with asyncio.timeout(PATIENCE_S):
            return await reader.read() == b""
    return True


class TestFewPlaces:
    @pytest.fixture
    def http_settings(self) -> dict[str, Any]:
        return {"max_connections": PLACES}

    async def test_the_oldest_head_that_does_not_end_makes_room(self, strangers: Strangers) -> None:
        slow = [await strangers.open(b"GET / HTTP/1.1\r\nX: ") for _ in range(PLACES)]
        assert b"200 OK" in await strangers.health()
        assert await is_cut_off(slow[0][0])
        for _ in range(3 * PLACES):
            await strangers.open(b"GET / HTTP/1.1\r\nX: ")
            assert b"200 OK" in await strangers.health()

    async def test_who_never_asked_goes_before_who_waits_between_two_requests(
        self, desk: Desk, strangers: Strangers
    ) -> None:
        reader = await desk.reader()
        assert (await reader.get("/healthz")).status_code == 200
        [kept] = reader._transport._pool.connections  # type: ignore[attr-defined]
        silent = [await strangers.open() for _ in range(PLACES - 1)]
        for _ in range(PLACES - 1):
            assert b"200 OK" in await strangers.health()
        assert await is_cut_off(silent[0][0])
        assert (await reader.get("/v1/segments")).status_code == 200
        assert reader._transport._pool.connections == [kept]  # type: ignore[attr-defined]

    async def test_one_that_waits_between_two_requests_makes_room_at_last(self, desk: Desk) -> None:
        clients = [await desk.reader() for _ in range(PLACES + 1)]
        for client in clients:
            assert (await client.get("/v1/segments")).status_code == 200

    async def test_a_body_that_does_not_come_and_an_answer_that_is_not_taken_make_room(
        self, desk: Desk, strangers: Strangers
    ) -> None:
        await desk.load("VIP", range(10**9, 10**9 + 100_000))
        ask = (
            "GET /v1/segments/acme/VIP/changes?limit=100000 HTTP/1.1\r\nHost: x\r\n"
            f"Authorization: Bearer {await desk.token('x')}\r\n\r\n"
        ).encode()
        slow = [
            await strangers.open(b"POST /v1/batch HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{")
            for _ in range(PLACES - 2)
        ]
        not_taking = [await strangers.open(ask * 20) for _ in range(2)]
        while await asyncio.wait_for(strangers.health(), PATIENCE_S) == b"":
            pass
        for _ in range(2 * PLACES):
            assert b"200 OK" in await strangers.health()
        assert await is_cut_off(slow[0][0])
        assert len(not_taking) == 2

    async def test_while_all_are_asking_something_health_has_places_of_its_own(
        self, desk: Desk, strangers: Strangers, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        readers = [await desk.reader() for _ in range(PLACES)]
        blocked = Blocked(monkeypatch)
        asked = [asyncio.create_task(reader.get("/v1/segments")) for reader in readers]
        await blocked.reached_by(PLACES)
        assert b"200 OK" in await strangers.health()
        ready = await strangers.ask(b"GET /readyz?x=1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert b"200 OK" in ready
        refused = await strangers.ask(b"GET /v1/segments HTTP/1.1\r\nHost: x\r\n\r\n")
        assert refused.startswith(b"HTTP/1.1 503")
        assert b"retry-after: 10" in refused
        assert b"urn:ctsftp:problem:busy" in refused
        slow = [await strangers.open(b"GET /healthz HTTP/1.1\r\nX: ") for _ in range(2 * HEALTH_PLACES)]
        assert b"200 OK" in await strangers.health()
        assert await is_cut_off(slow[0][0])
        blocked.open.set()
        assert [(await task).status_code for task in asked] == [200] * PLACES


async def test_a_head_that_others_may_read_otherwise_is_refused(
    desk: Desk, strangers: Strangers, subtests: pytest.Subtests
) -> None:
    secret = await desk.token("shop")
    for fields in (
        "Host: localhost\r\nHost: localhost",
        "Host: localhost\r\nhost: site.example",
        "X: y",
        "Host: a b",
        "Host: a, b",
        "Host: user@localhost",
        "Host: localhost:80:80",
        "Host: localhost/",
        f"Host: x\r\nAuthorization: Bearer {secret}\r\nAuthorization: Bearer y",
        "Host: x\r\nContent-Length: 2\r\nContent-Length: 2",
        "Host: x\r\nContent-Length: 2, 2",
        "Host: x\r\nContent-Length: +2",
        "Host: x\r\nContent-Length: 2\r\nTransfer-Encoding: chunked",
        "Host: x\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Host: x\r\nTransfer-Encoding: chunked, identity",
        "Host: x\r\nTransfer-Encoding: gzip",
        "Host: x\r\nTransfer-Encoding: gzip, chunked",
        "Host: x\r\nTransfer-Encoding: xchunked",
        "Host: x\r\nContent-Type: application/json\r\nContent-Type: text/plain",
        "Host: x\r\nX: a\r\n b",
        "Host : x",
    ):
        with subtests.test(fields=fields):
            answer = await strangers.ask(f"POST /v1/batch HTTP/1.1\r\n{fields}\r\n\r\n{{}}".encode())
            assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n")
            assert answer.count(b"HTTP/1.1 400") == 1
            head, _, body = answer.partition(b"\r\n\r\n")
            assert b"content-type: application/problem+json" in head
            assert b"x-content-type-options: nosniff" in head
            assert orjson.loads(body)["type"] == "urn:ctsftp:problem:malformed"


async def test_a_head_that_can_be_read_in_one_way_is_not(
    desk: Desk, strangers: Strangers, subtests: pytest.Subtests
) -> None:
    for host in ("localhost", "LOCALHOST:8022", "127.0.0.1:", "[::1]:8022", "", "a_b.example", "x%20y"):
        with subtests.test(host=host):
            sent = f"GET /healthz HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
            assert (await strangers.ask(sent.encode())).startswith(b"HTTP/1.1 200 OK")
    assert (await strangers.ask(b"GET /healthz HTTP/1.0\r\n\r\n")).startswith(b"HTTP/1.1 200 OK")


async def test_nothing_comes_between_two_answers(desk: Desk, strangers: Strangers) -> None:
    first = b"GET /v1/segments HTTP/1.1\r\nHost: x\r\n\r\n"
    answer = await strangers.ask(first + b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n")
    assert answer.count(b"HTTP/1.1") <= 1
