"""Who gets in, for how long, and what other sites and lesser tokens cannot do."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from markupsafe import escape

from ctsftp.errors import StoreError
from ctsftp.model.commands import RevokeToken, SetGate
from ctsftp.settings import Settings
from ctsftp.web.console.app import ROUTES
from ctsftp.web.console.attempts import Attempts
from ctsftp.web.console.signing import NOT_DONE, REMEMBERED_S
from ctsftp.web.console.visitor import own_path
from ctsftp.web.server import WebServer
from tests.web.conftest import Desk

from .desk import Person, actions, forms, text_of

DATABASE_KINDS = ("sqlite",)  # tests/store has the sessions, on both
PAGES = ["/", "/uploads", "/clients", "/clients/acme", "/gates", "/segment?client=acme&name=vip"]
NOW = datetime(2026, 3, 10, 9, tzinfo=UTC)


async def test_whoever_is_not_signed_in_is_asked_to_and_then_goes_on(desk: Desk) -> None:
    stranger = Person(desk)
    for page in PAGES:
        assert (await stranger.get(page)).headers["location"].startswith("/sign-in")
    await desk.load("VIP", [1])
    answer = await stranger.get("/segment?client=acme&name=vip")
    form = await stranger.page(answer.headers["location"])
    assert 'name="next" value="/segment?client=acme&amp;name=vip"' in form
    answer = await stranger.sign_in(await desk.token("t"), wanted="/segment?client=acme&name=vip")
    assert answer.headers["location"] == "/segment?client=acme&name=vip"
    assert (await stranger.get("/sign-in?next=/gates")).headers["location"] == "/gates"


async def test_a_restart_signs_nobody_out(settings: Settings, desk: Desk, admin: Person) -> None:
    csrf = await admin.csrf()
    await desk.service.web.stop()
    first = desk.service.web
    again = WebServer(first._parts, first._console, tasks=desk.engine.tasks)  # nothing of the first one is left
    await again.start()
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{again.port}", cookies=admin.http.cookies) as browser:
        assert csrf in (await browser.get("/")).text
    await again.stop()


async def test_somebody_whose_session_ended_is_told_so(desk: Desk, admin: Person) -> None:
    assert "no longer signed in" not in await Person(desk).text("/sign-in")
    assert "Sign in to go on" in await Person(desk).text("/sign-in?next=/uploads")
    await desk.service.perform(RevokeToken(name="maria"))
    answer = await admin.get("/uploads")
    assert "You are no longer signed in" in await admin.text(answer.headers["location"])


async def test_a_form_of_somebody_whose_session_ended_is_not_lost_in_silence(desk: Desk, admin: Person) -> None:
    await desk.load("VIP", [1])
    place = "/segment?client=acme&name=vip"
    fields = {"csrf": await admin.csrf(), "client": "acme", "name": "vip"}
    await desk.service.perform(RevokeToken(name="maria"))
    answer = await admin.post("/segment/retire", fields, Referer=desk.url + place)
    assert answer.status_code == 303
    asked = await admin.page(answer.headers["location"])
    assert "The segment was not retired: you are no longer signed in." in text_of(asked)
    assert f'name="next" value="{escape(place)}"' in asked
    assert not (await desk.store.segments.segment("acme", "vip")).retired_at


async def test_what_was_typed_survives_a_session_that_ended(desk: Desk, admin: Person) -> None:
    await desk.load("VIP", [1])
    fields = {"csrf": await admin.csrf(), "client": "acme", "kind": "reward", "item": "Tea & cake", "segment": "vip"}
    await desk.service.perform(RevokeToken(name="maria"))
    answer = await admin.post("/gates/set", fields)
    [(_, form)] = forms(await admin.page(answer.headers["location"]))
    answer = await admin.sign_in(await desk.token("t", admin=True), wanted=form["next"])
    page = await admin.page(answer.headers["location"])
    assert 'name="item" required maxlength="255" value="Tea &amp; cake"' in page
    assert 'value="vip" checked' in page
    assert await desk.store.gates.gates() == []


def test_every_form_of_an_admin_has_a_word_for_what_was_not_done() -> None:
    addresses = [route.path for route in ROUTES if "POST" in (route.methods or ())]
    assert {one.rpartition("/")[2] for one in addresses} - {"sign-in", "sign-out"} == set(NOT_DONE)


@pytest.mark.parametrize(
    "address",
    [
        "//evil.example",
        "https://evil.example/x",
        "\\\\evil.example",
        "/\\evil.example",
        "///evil",
        "http:evil",
        "[",
        "",
    ],
)
def test_sign_in_never_leads_to_another_site(address: str) -> None:
    path = own_path(address)
    assert path.startswith("/")
    assert not path.startswith(("//", "/\\"))


async def test_the_cookie_is_for_this_site_and_no_script(desk: Desk) -> None:
    answer = await Person(desk).sign_in(await desk.token("t"))
    cookie = answer.headers["set-cookie"]
    for part in ("ctsftp=", "HttpOnly", "SameSite=strict", "Path=/", f"Max-Age={43_200 + REMEMBERED_S}"):
        assert part in cookie
    assert "Secure" not in cookie
    assert "Domain" not in cookie


class TestFewSessions:
    @pytest.fixture
    def http_settings(self) -> dict[str, Any]:
        return {"max_sessions": 5}

    async def test_one_tokens_sign_ins_end_no_others_session(self, desk: Desk, admin: Person) -> None:
        secret = await desk.token("reporting", client="acme")
        for _ in range(9):
            assert (await Person(desk).sign_in(secret)).status_code == 303
        assert (await admin.get("/")).status_code == 200


class TestBehindHttps:
    @pytest.fixture
    def http_settings(self) -> dict[str, Any]:
        return {"behind_https": True}

    async def test_the_cookie_is_for_https_only(self, desk: Desk) -> None:
        cookie = (await Person(desk).sign_in(await desk.token("t"))).headers["set-cookie"]
        assert cookie.startswith("__Host-ctsftp=")
        assert "Secure" in cookie


async def test_a_wrong_token_is_refused_too_many_have_to_wait_and_the_right_one_is_let_in(desk: Desk) -> None:
    person = Person(desk)
    secret = await desk.token("t")
    for _ in range(10):
        answer = await person.sign_in(f"{secret}x")
        assert answer.status_code == 403
        assert "set-cookie" not in answer.headers
    assert (await person.sign_in(f"{secret}x")).status_code == 429
    assert (await person.sign_in(secret)).status_code == 303
    assert secret not in str(desk.events)


async def test_a_revoked_token_ends_its_sessions_at_once(desk: Desk, admin: Person) -> None:
    assert (await admin.get("/")).status_code == 200
    await desk.service.perform(RevokeToken(name="maria"))
    assert (await admin.get("/")).status_code == 303


async def test_an_expired_token_ends_its_sessions(desk: Desk) -> None:
    person = Person(desk)
    expires = datetime.now(UTC) + timedelta(days=1)
    secret = await desk.token("t", expires=expires.isoformat())
    assert (await person.sign_in(secret)).status_code == 303
    assert (await person.get("/")).status_code == 200
    desk.store.tokens._clock = desk.store.sessions._clock = lambda: expires
    assert (await person.get("/")).status_code == 303
    assert (await person.sign_in(secret)).status_code == 403


async def test_signing_out_ends_the_session_on_the_server(desk: Desk, admin: Person) -> None:
    cookie = dict(admin.http.cookies)
    csrf = await admin.csrf()
    assert (await admin.post("/sign-out", {"csrf": "guess"})).status_code == 403
    answer = await admin.post("/sign-out", {"csrf": csrf})
    assert answer.headers["location"] == "/sign-in"
    stale = Person(desk)
    stale.http.cookies.update(cookie)
    assert (await stale.get("/")).status_code == 303


async def test_signing_in_again_ends_the_session_before(desk: Desk, admin: Person) -> None:
    cookie = dict(admin.http.cookies)
    await admin.sign_in(await desk.token("t"))
    stale = Person(desk)
    stale.http.cookies.update(cookie)
    assert (await stale.get("/")).status_code == 303


async def test_forms_of_other_sites_are_refused(desk: Desk, admin: Person) -> None:
    await desk.load("VIP", [1])
    fields = {"csrf": await admin.csrf(), "client": "acme", "name": "vip"}
    strange = [{"Origin": origin} for origin in ("https://evil.example", "null", "", desk.url + "0")]
    strange += [{"Sec-Fetch-Site": site} for site in ("cross-site", "same-site", "none")]
    secret = await desk.token("t")
    for headers in strange:
        assert (await admin.post("/segment/retire", fields, **headers)).status_code == 403
        answer = await admin.post("/sign-in", {"token": secret, "next": "/"}, **headers)
        assert answer.status_code == 403
        assert "set-cookie" not in answer.headers
    assert not (await desk.store.segments.segment("acme", "vip")).retired_at


async def test_a_form_without_the_sessions_secret_is_refused(desk: Desk, admin: Person, reader: Person) -> None:
    await desk.load("VIP", [1])
    fields = {"client": "acme", "name": "vip"}
    assert (await admin.post("/segment/retire", fields)).status_code == 422
    for csrf in ("", "guess", await reader.csrf()):
        assert (await admin.post("/segment/retire", fields | {"csrf": csrf})).status_code == 403
    typed = {"Content-Type": "text/plain"}
    assert (await admin.post("/segment/retire", fields | {"csrf": await admin.csrf()}, **typed)).status_code == 415
    assert not (await desk.store.segments.segment("acme", "vip")).retired_at


async def test_a_reader_sees_no_forms_and_cannot_send_them(desk: Desk, admin: Person, reader: Person) -> None:
    await desk.load("VIP", range(1, 201))
    await desk.load("VIP", range(1, 202))
    upload = await desk.load("VIP", [1])
    await desk.service.perform(SetGate(kind="reward", item="cake", segments=("VIP",), client="acme"))
    seen = set()
    for page in [*PAGES, f"/uploads/{upload.id}"]:
        assert actions(await reader.page(page)) <= {"/sign-out", "/segment"}
        seen |= actions(await admin.page(page))
    seen -= {"/sign-out", "/segment"}
    assert len(seen) == 6
    csrf = await reader.csrf()
    everything = {"csrf": csrf, "client": "acme", "name": "vip", "number": "1", "kind": "reward", "item": "cake"}
    for action in seen | {"/segment/restore", f"/uploads/{upload.id}/retry"}:
        assert (await reader.post(action, everything)).status_code == 403
    assert (await desk.store.ledger.upload(upload.id)).state == "held"


async def test_a_token_that_is_bound_to_a_client_sees_nothing_else(desk: Desk, other: Person) -> None:
    await desk.load("Secret list", range(1, 201))
    held = await desk.load("Secret list", [1])
    await desk.load("Own list", [1], client="other")
    await desk.service.perform(SetGate(kind="reward", item="cake", segments=("Secret list",), client="acme"))
    for page in ("/", "/uploads", "/clients", "/gates"):
        text = await other.text(page)
        assert "Secret" not in text
        assert "acme" not in text
        assert "1 waits" not in text
    hidden = ["/segment?client=acme&name=secret+list", f"/uploads/{held.id}", "/clients/acme", "/gates?client=acme"]
    for page in [*hidden, "/uploads?client=acme", "/segment/changes?client=acme&name=secret+list&old=1&new=1"]:
        assert (await other.get(page)).status_code == 404
    fields = {"csrf": await other.csrf(), "client": "acme", "name": "secret list", "kind": "reward", "item": "cake"}
    for action in ("/segment/retire", "/gates/remove", f"/uploads/{held.id}/approve", f"/uploads/{held.id}/discard"):
        assert (await other.post(action, fields)).status_code == 404
    assert (await desk.store.ledger.upload(held.id)).state == "held"
    assert (await other.post("/segment/retire", fields | {"client": "other", "name": "own list"})).status_code == 303


async def test_every_answer_has_a_strict_policy(desk: Desk, admin: Person) -> None:
    await desk.load("VIP", [1])
    sheet = (await admin.page("/")).partition('rel="stylesheet" href="')[2].partition('"')[0]
    for page in [*PAGES, "/nothing", "/sign-in", "/live", sheet]:
        async with admin.http.stream("GET", page) as answer:
            policy = answer.headers["content-security-policy"]
            assert policy.startswith("default-src 'none'; style-src 'self'; script-src 'self'")
            assert "unsafe" not in policy
            assert "frame-ancestors 'none'" in policy
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["referrer-policy"] == "same-origin"
            assert ("no-store" in answer.headers["cache-control"]) == (page != sheet)


async def test_a_failure_is_a_page_that_tells_nothing_of_this_machine(
    desk: Desk, admin: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    for error in (StoreError("The database /srv/secret is locked."), RuntimeError("/srv/secret")):

        async def fail(*_: object, error: Exception = error, **__: object) -> None:
            raise error

        for what, name in ((desk.store.sessions, "find"), (desk.store.timeline, "trends")):
            await desk.load("VIP", [1])
            with monkeypatch.context() as broken:
                broken.setattr(what, name, fail)
                answer = await admin.get("/")
            assert answer.status_code in {500, 503}
            assert "<h1>" in answer.text
            assert "secret" not in answer.text
            assert answer.headers["content-security-policy"]


async def test_pages_hold_no_inline_script_or_style(desk: Desk, admin: Person) -> None:
    await desk.load("VIP", [1])
    for page in PAGES:
        text = await admin.page(page)
        assert "style=" not in text
        assert "<style" not in text
        assert not re.search(r"<[^>]* on[a-z]+=", text)
        assert text.count("<script") == 1
        assert "http://" not in text.replace('xmlns="http://www.w3.org/', "")


async def test_a_request_by_an_unknown_name_is_refused(desk: Desk) -> None:
    for host in ("evil.example", "localhost.evil.example", "127.0.0.1.nip.io"):
        answer = await desk.http().get("/sign-in", headers={"Host": host})
        assert answer.status_code == 400
        assert "CTSFTP_HTTP__ALLOWED_HOSTS" in answer.text
        assert answer.headers["content-security-policy"]
    for no_name in ("", "[", "localhost,evil.example"):
        assert (await desk.http().get("/sign-in", headers={"Host": no_name})).status_code == 400
    for host in ("localhost", "127.0.0.1:1", "[::1]:8022", "LOCALHOST:80"):
        assert (await desk.http().get("/sign-in", headers={"Host": host})).status_code == 200


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


def test_failures_are_forgotten_after_a_minute_and_each_address_has_its_own() -> None:
    clock = Clock()
    attempts = Attempts(most=2, now=clock)
    attempts.note_failure("a")
    attempts.note_failure("a")
    assert attempts.are_used_up("a")
    assert not attempts.are_used_up("b")
    clock.now += timedelta(minutes=1)
    assert not attempts.are_used_up("a")
