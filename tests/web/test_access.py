"""Tokens: who is let in, what a token may know of, and how soon a revoked one is refused."""

import asyncio
from collections.abc import Mapping

import pytest

from ctsftp.app.clock import utc_now
from ctsftp.model.commands import RevokeToken
from ctsftp.settings import Settings
from ctsftp.web.usage import TokenUsage

from .conftest import Desk, problem


@pytest.mark.slow
async def test_without_a_known_token_nothing_is_told(desk: Desk, subtests: pytest.Subtests) -> None:
    for header in (None, "", "Bearer", "Basic YTpi", "Bearer ctsftp_", "Bearer x y", "Bearer \udcff"):
        with subtests.test(header=header):
            headers = {} if header is None else {"Authorization": header.encode("utf-8", "surrogateescape")}
            answer = await desk.http().get("/v1/segments", headers=headers)
            assert "ctsftp token add" in problem(answer, 401, "token")
            assert answer.headers["www-authenticate"].startswith("Bearer")


async def test_a_revoked_token_is_refused_from_that_moment_on(desk: Desk) -> None:
    shop = desk.http(await desk.token("shop"))
    assert (await shop.get("/v1/segments")).status_code == 200
    await desk.service.perform(RevokeToken(name="shop"))
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


async def test_a_use_that_was_not_written_down_when_its_writer_was_stopped_is_written_by_the_next(desk: Desk) -> None:
    await desk.token("shop")
    [shop] = await desk.store.tokens.tokens()
    usage = TokenUsage(desk.store.tokens, utc_now)
    usage.note(shop)
    begun, asked = asyncio.Event(), desk.store.tokens.note_used

    async def wait_for_ever(_moments: Mapping[int, str]) -> None:
        begun.set()
        await asyncio.Event().wait()

    desk.store.tokens.note_used = wait_for_ever  # type: ignore[method-assign]
    writer = asyncio.create_task(usage.run())
    await begun.wait()
    writer.cancel()
    await asyncio.wait([writer])
    desk.store.tokens.note_used = asked  # type: ignore[method-assign]
    await usage.flush()
    assert (await desk.store.tokens.tokens())[0].last_used_at
