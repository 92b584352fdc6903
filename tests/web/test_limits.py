"""Every error is a problem document, bodies have a limit, and nothing of a failure reaches the peer."""

import asyncio
import json
import socket
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from typing import Any

import httpx
import pytest

from ctsftp.errors import StoreError
from ctsftp.store import export
from ctsftp.store.numbers import Numbers
from ctsftp.store.segments import Segments

from .conftest import Desk, problem

DATABASE_KINDS = ("sqlite",)  # what is limited is HTTP


@pytest.fixture
async def admin(desk: Desk) -> httpx.AsyncClient:
    return await desk.admin()


async def test_an_address_that_is_none_is_a_problem(admin: httpx.AsyncClient) -> None:
    for place in ("/v1", "/v1/segments/acme", "/v1/segments/", "/v1/docs"):
        problem(await admin.get(place), 404, "not-found")
    for place in ("/nothing", "/docs", "/redoc", "/openapi.json"):  # the console's, whose answers are pages
        assert (await admin.get(place)).status_code == 404


@pytest.mark.slow
async def test_a_method_that_is_not_taken_names_those_that_are(
    admin: httpx.AsyncClient, subtests: pytest.Subtests
) -> None:
    for method, place, allowed in (
        ("DELETE", "/v1/segments", "GET, HEAD"),
        ("POST", "/v1/gates/acme/reward/4711", "DELETE, GET, HEAD, PUT"),
        ("GET", "/v1/batch", "POST"),
        ("PUT", "/healthz", "GET, HEAD"),
    ):
        with subtests.test(method=method, place=place):
            answer = await admin.request(method, place)
            problem(answer, 405, "method")
            assert sorted(answer.headers["allow"].split(", ")) == allowed.split(", ")


async def test_a_body_that_is_too_large_is_refused_whether_it_says_so_or_not(admin: httpx.AsyncClient) -> None:
    large = json.dumps({"ct_user_ids": list(range(1, 200_000))}).encode()
    headers = {"Content-Type": "application/json"}
    assert "1048576 bytes" in problem(await admin.post("/v1/batch", content=large, headers=headers), 413, "too-large")

    async def chunks() -> Any:
        for start in range(0, len(large), 100_000):
            yield large[start : start + 100_000]

    problem(await admin.post("/v1/batch", content=chunks(), headers=headers), 413, "too-large")


@pytest.mark.parametrize(
    ("body", "hint"),
    [
        ('{"ct_user_ids":[' + ",".join(['""'] * 300_000) + "]}", "body.ct_user_ids.0"),
        ('{"ct_user_ids":[1],' + ",".join(f'"{n}":1' for n in range(70_000)) + "}", "at most 20 fields"),
    ],
    ids=["ids", "fields"],
)
async def test_a_body_with_very_many_mistakes_has_one_problem(desk: Desk, body: str, hint: str) -> None:
    """Before, one such megabyte stopped the whole server for seconds, and took hundreds of megabytes."""
    await desk.load("VIP", [1])
    reader = await desk.reader("acme")
    for place in ("/v1/batch", "/v1/segments/acme/VIP/batch"):
        answer = await reader.post(place, content=body, headers={"Content-Type": "application/json"})
        assert hint in problem(answer, 422, "invalid")
        assert len(answer.json()["faults"]) == 1


async def test_what_is_wrong_is_named(admin: httpx.AsyncClient) -> None:
    answer = await admin.get("/v1/segments?limit=0")
    assert "query.limit" in problem(answer, 422, "invalid")
    assert answer.json()["faults"][0]["where"] == "query.limit"


async def test_a_database_that_does_not_answer_is_told_without_a_path(
    desk: Desk, admin: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_args: Any, **_kwargs: Any) -> None:
        raise StoreError("The database /srv/secret.db is locked.")

    monkeypatch.setattr(Segments, "segments", fail)
    monkeypatch.setattr(Numbers, "answers", fail)
    assert "secret" not in problem(await admin.get("/v1/segments"), 503, "unavailable")
    assert "/srv/secret.db" in str(desk.events)
    assert "secret" not in problem(await admin.get("/readyz"), 503, "unready")


async def test_a_failure_of_ours_shows_no_traceback(
    desk: Desk, admin: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_args: Any, **_kwargs: Any) -> None:
        raise ZeroDivisionError("inside")

    monkeypatch.setattr(Segments, "segments", fail)
    answer = await admin.get("/v1/segments")
    assert "inside" not in problem(answer, 500, "failed") + answer.text
    [event] = [event for event in desk.events if event["event"] == "a request failed"]
    assert isinstance(event["exc_info"], ZeroDivisionError)


async def test_a_monitor_asks_without_a_token(desk: Desk) -> None:
    stranger = desk.http()
    for place, text in (("/healthz", "ok\n"), ("/readyz", "ready\n")):
        answer = await stranger.get(place)
        assert (answer.status_code, answer.text) == (200, text)
        answer = await stranger.head(place)
        assert (answer.status_code, answer.text) == (200, "")
    assert (await stranger.get("/metrics")).status_code == 200


async def test_every_answer_forbids_guessing_its_type_and_keeping_it(admin: httpx.AsyncClient) -> None:
    for place in ("/v1/segments", "/nothing", "/healthz"):
        headers = (await admin.get(place)).headers
        assert (headers["x-content-type-options"], headers["cache-control"]) == ("nosniff", "no-store")
        assert "server" not in headers


async def test_nonsense_is_answered_and_hurts_nobody(desk: Desk, admin: httpx.AsyncClient) -> None:
    for nonsense in (b"\x16\x03\x01\x02\x00\n\n", b"GET\r\n\r\n", b"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n"):
        reader, writer = await asyncio.open_connection("127.0.0.1", desk.service.web.port)
        writer.write(nonsense)
        writer.write_eof()
        await reader.read()
        writer.close()
    assert (await admin.get("/v1/segments")).status_code == 200


async def test_a_page_larger_than_the_server_gives_is_refused(desk: Desk, admin: httpx.AsyncClient) -> None:
    """It was cut without a word, and looked like all there is."""
    await desk.load("VIP", [1])
    for place, most in (
        ("segments", 1_000),
        ("uploads", 1_000),
        ("gates", 1_000),
        ("segments/acme/VIP/changes", 100_000),
    ):
        assert (await admin.get(f"/v1/{place}?limit={most}")).status_code == 200
        answer = await admin.get(f"/v1/{place}?limit={most + 1}")
        assert f"query.limit is at most {most}" in problem(answer, 422, "invalid")
        assert answer.json()["faults"][0]["where"] == "query.limit"


async def test_a_parameter_that_nobody_knows_is_refused(admin: httpx.AsyncClient, subtests: pytest.Subtests) -> None:
    for place, told in (
        ("segments?limt=2", "query.limt is not known here: did you mean limit?"),
        ("segments?Limit=2", "query.Limit is not known here: did you mean limit?"),
        ("gates?x=", "query.x is not known here: there is client, cursor, kind, limit."),
        ("uploads/x?limit=2", "query.limit is not known here: there are none."),
        ("segments?limit=1&limit=2", "query.limit is in the query twice."),
        ("members/1/segments?a=1&b=2", "And 1 more."),
    ):
        with subtests.test(place=place):
            said = problem(await admin.get(f"/v1/{place}"), 422, "invalid")
            assert told in said
            assert "?." not in said
    assert (await admin.get("/healthz?x=1")).status_code == 200


async def test_what_is_wrong_is_said_in_our_words(admin: httpx.AsyncClient, subtests: pytest.Subtests) -> None:
    for method, place, body, told in (
        ("GET", "members/+1/segments", None, "path.ct_user_id is not an id: an id is 1 to 19 digits."),
        ("GET", "members/0/segments", None, "path.ct_user_id must be at least 1."),
        ("GET", "segments?limit=x", None, "query.limit must be a whole number."),
        ("GET", "uploads?state=gone", None, "query.state must be one of 'received', 'loading'"),
        ("POST", "batch", b"[]", "body must be a JSON object."),
        ("POST", "batch", b"{}", "body.ct_user_ids is missing."),
        ("POST", "batch", b'{"ct_user_ids":["1"]}', "body.ct_user_ids.0 must be a whole number."),
        ("POST", "batch", b'{"ct_user_ids":[1],"a":1}', "body.a is not known here."),
        ("POST", "batch", b"{", "is not JSON: "),
        ("PUT", "gates/acme/reward/1", b'{"segments":[]}', "body.segments holds 0 items, and needs at least 1."),
        ("PUT", "gates/acme/reward/1", b'{"segments":[1]}', "body.segments.0 must be a string."),
    ):
        with subtests.test(place=place, body=body):
            headers = {"Content-Type": "application/json"} if body else {}
            answer = await admin.request(method, f"/v1/{place}", content=body, headers=headers)
            detail = problem(answer, 422, "invalid")
            assert told in detail
            assert not any(word in detail for word in ("Value error", "Input should", "dictionary"))


async def test_a_head_is_that_of_the_answer_to_a_get(
    desk: Desk, admin: httpx.AsyncClient, subtests: pytest.Subtests
) -> None:
    upload = await desk.load("VIP", range(1, 1_000))
    for place in (
        "segments",
        "segments/acme/VIP",
        "segments/acme/VIP/members",
        "segments/acme/VIP/history",
        "segments/acme/VIP/changes",
        "members/1/gates",
        f"uploads/{upload.id}",
        "gates",
        "openapi.json",
        "nothing",
        "segments?limt=1",
    ):
        with subtests.test(place=place):
            full, head = [await admin.request(method, f"/v1/{place}") for method in ("GET", "HEAD")]
            assert (head.status_code, head.content) == (full.status_code, b"")
            left_out = {"date", "transfer-encoding"}  # of a body that is not sent
            told = [
                {name: value for name, value in one.headers.items() if name not in left_out} for one in (full, head)
            ]
            assert told[0] == told[1]
    assert (await desk.http().head("/v1/segments")).status_code == 401
    assert (await admin.head("/v1/batch")).status_code == 405
    assert "a request failed" not in [event["event"] for event in desk.events]


class TestSmallLimits:
    @pytest.fixture
    def http_settings(self) -> dict[str, Any]:
        return {"max_head_bytes": 1024, "head_timeout_s": 0.2, "body_timeout_s": 0.2}

    @pytest.fixture(autouse=True)
    def _sockets(self) -> Iterator[None]:
        self._open: list[socket.socket] = []
        yield
        for one in self._open:
            one.close()

    async def _is_cut_off(self, desk: Desk, sent: bytes) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", desk.service.web.port)
        writer.write(sent)
        try:
            async with asyncio.timeout(20):
                return await reader.read()
        except ConnectionError:
            return b""
        finally:
            writer.close()

    async def test_a_head_that_does_not_end_is_cut_off(self, desk: Desk, subtests: pytest.Subtests) -> None:
        for sent in (b"", b"GET /healthz HTTP/1.1\r\nX: ", b"GET /" + b"x" * 2000, b"GET /" + b"x" * 1_000_000):
            with subtests.test(sent=sent[:40]):
                assert await self._is_cut_off(desk, sent) == b""
                async with desk.http() as http:
                    assert (await http.get("/healthz")).status_code == 200

    async def test_fields_behind_a_body_have_the_limits_of_a_head(self, desk: Desk) -> None:
        head = b"POST /v1/batch HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n"
        for fields in (b"a: b\r\n" * 100_000, b"a: " + b"x" * 1_000_000):
            answer = await self._is_cut_off(desk, head + fields)
            assert answer.count(b"HTTP/1.1") <= 1
        whole = await self._is_cut_off(desk, head + b"a: b\r\n\r\nGET /healthz HTTP/1.0\r\n\r\n")
        assert whole.count(b"HTTP/1.1 ") == 2

    async def test_bytes_that_begin_no_request_do_not_keep_a_connection(
        self, desk: Desk, subtests: pytest.Subtests
    ) -> None:
        for body in (b"", b"Content-Length: 10\r\n"):
            with subtests.test(body=body):
                reader, writer = await asyncio.open_connection("127.0.0.1", desk.service.web.port)
                writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n" + body + b"\r\n")
                assert await reader.readuntil(b"ok\n")
                writer.write(b"\r\n" if not body else b"1")
                async with asyncio.timeout(15):  # a silent one is kept for 30
                    with suppress(ConnectionError):
                        assert await reader.read() == b""
                writer.close()

    async def test_a_second_head_on_one_connection_has_the_same_limits(self, desk: Desk) -> None:
        whole = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
        answers = await self._is_cut_off(desk, whole * 40 + b"GET /" + b"x" * 2000)
        assert answers.count(b"HTTP/1.1 200 OK") <= 40
        assert b"HTTP/1.1 200 OK" in await self._is_cut_off(desk, b"GET /healthz HTTP/1.0\r\n\r\n")

    async def test_whoever_takes_nothing_of_his_answers_loses_his_connection(self, desk: Desk) -> None:
        await desk.load("VIP", range(10**9, 10**9 + 100_000))
        ask = (
            "GET /v1/segments/acme/VIP/changes?limit=100000 HTTP/1.1\r\nHost: x\r\n"
            f"Authorization: Bearer {await desk.token('x')}"
        )
        for _ in range(2):
            slow = socket.socket()
            self._open.append(slow)
            slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            slow.connect(("127.0.0.1", desk.service.web.port))
            slow.sendall(f"{ask}\r\n\r\n".encode() * 20)
        async with asyncio.timeout(20):
            while await self._is_cut_off(desk, b"GET /healthz HTTP/1.0\r\n\r\n") == b"":
                pass

    async def test_a_body_may_be_larger_than_a_head(self, desk: Desk) -> None:
        client = desk.http(await desk.token("shop"))
        for _ in range(3):
            answer = await client.post("/v1/batch", json={"ct_user_ids": list(range(1, 5_000))})
            assert answer.json() == {"items": []}

    async def test_a_body_that_does_not_come_whole_ends_its_connection(
        self, desk: Desk, subtests: pytest.Subtests
    ) -> None:
        secret = await desk.token("shop")
        head = f"POST /v1/batch HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {secret}\r\n"
        for body in ("Content-Length: 50\r\n\r\n{", "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n"):
            with subtests.test(body=body):
                assert await self._is_cut_off(desk, f"{head}{body}".encode()) == b""


class TestSlowTaker:
    @pytest.fixture
    def http_settings(self) -> dict[str, Any]:
        return {"stalled_s": 1}

    @pytest.mark.slow
    async def test_whoever_takes_his_answer_slowly_gets_all_of_it(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(export, "PAGE_IDS", 600_000)  # which take longer than a peer may take nothing
        await desk.load("VIP", range(10**9, 10**9 + 600_000))
        secret = await desk.token("x")
        ask = f"GET /v1/segments/acme/VIP/members HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {secret}"
        slow = socket.socket()
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 262_144)
        slow.connect(("127.0.0.1", desk.service.web.port))
        slow.sendall(f"{ask}\r\nConnection: close\r\n\r\n".encode())
        taken = b""

        def take() -> bytes:
            time.sleep(0.008)  # a link of some 2 MB/s
            return slow.recv(16_384)

        with closing(slow):
            while some := await asyncio.to_thread(take):
                taken += some
        assert taken.endswith(b"0\r\n\r\n")
        assert taken.count(b"100") >= 600_000


async def test_figures_are_not_for_a_page_of_a_site_whose_name_leads_here(desk: Desk) -> None:
    assert (await desk.http().get("/metrics")).status_code == 200
    problem(await desk.http().get("/metrics", headers={"Host": "site.example"}), 401, "token")
    assert (await desk.http().get("/metrics", headers={"Host": "localhost:8022"})).status_code == 200


class TestExposed:
    @pytest.fixture
    def http_settings(self) -> dict[str, Any]:
        return {"behind_https": True}

    async def test_figures_of_all_clients_need_a_token_for_all_where_others_may_ask(self, desk: Desk) -> None:
        problem(await desk.http().get("/metrics"), 401, "token")
        problem(await (await desk.reader("acme")).get("/metrics"), 403, "scope")
        assert (await (await desk.reader()).get("/metrics")).status_code == 200
