"""Tokens: who is let in, what a token may know of, and how soon a revoked one is refused."""

import pytest

from ctsftp.settings import Settings

from .conftest import Desk, problem


@pytest.mark.parametrize("header", [None, "", "Bearer", "Basic YTpi", "Bearer ctsftp_", "Bearer x y", "Bearer \udcff"])
async def test_without_a_known_token_nothing_is_told(desk: Desk, header: str | None) -> None:
    headers = {} if header is None else {"Authorization": header.encode("utf-8", "surrogateescape")}
    answer = await desk.http().get("/v1/segments", headers=headers)
    assert "ctsftp token add" in problem(answer, 401, "token")
    assert answer.headers["www-authenticate"].startswith("Bearer")


async def test_a_revoked_token_is_refused_from_that_moment_on(desk: Desk) -> None:
    shop = desk.http(await desk.token("shop"))
    assert (await shop.get("/v1/segments")).status_code == 200
    await desk.service.perform("token.revoke", {"name": "shop"})
    problem(await shop.get("/v1/segments"), 401, "token")


async def test_a_token_that_has_expired_says_so(desk: Desk) -> None:
    old = desk.http(await desk.token("old", expires="2020-01-01T00:00:00+00:00"))
    assert "expired at 2020-01-01T00:00:00.000Z" in problem(await old.get("/v1/segments"), 401, "token")
    young = desk.http(await desk.token("young", expires="2100-01-01T00:00:00+00:00"))
    assert (await young.get("/v1/segments")).status_code == 200


async def test_another_clients_segment_does_not_exist(desk: Desk) -> None:
    await desk.load("VIP", [1], client="other")
    bound = await desk.reader("acme")
    for place in ("/v1/segments/other/VIP", "/v1/segments/nobody/VIP", "/v1/segments?client=other"):
        problem(await bound.get(place), 404, "not-found")
    assert (await bound.get("/v1/segments")).json() == {"items": [], "next": None}
    everyone = await desk.reader()
    assert (await everyone.get("/v1/segments/other/VIP")).json()["members"] == 1


async def test_a_reader_changes_nothing(desk: Desk) -> None:
    await desk.load("VIP", [1])
    reader = await desk.reader()
    assert "--admin" in problem(await reader.post("/v1/segments/acme/VIP/retire"), 403, "scope")
    admin = await desk.admin("acme")
    assert (await admin.post("/v1/segments/acme/VIP/retire")).json()["retired"]


async def test_the_secret_is_in_no_file_and_no_log(desk: Desk, settings: Settings) -> None:
    secret = await desk.token("shop")
    assert (await desk.http(secret).get("/v1/segments")).status_code == 200
    assert secret.startswith("ctsftp_")
    assert len(secret) > 40
    kept = b"".join(path.read_bytes() for path in settings.data_dir.glob("ctsftp.db*"))
    assert secret.encode() not in kept
    assert secret not in str(desk.events)


async def test_the_last_use_is_written_down(desk: Desk) -> None:
    shop = desk.http(await desk.token("shop"))
    await shop.get("/v1/segments")
    await desk.service.web.stop()
    [token] = await desk.store.tokens.tokens()
    assert (token.last_used_at or "").endswith("Z")
