"""An open page whose server, network or session is gone: it says so within 5 s, loses nothing, and goes on after it."""

import asyncio
import re
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from ctsftp.web import console
from tests.e2e.conftest import Box, box, host_keys
from tests.e2e.test_main_job import rows

from .browser import DESKTOP, PHONE, chromium, is_cut

__all__ = ["box", "host_keys"]


BLIND_MS = 5_000  # in which a page says so, on a machine that does nothing else
PATIENCE_MS = 20_000
AWAY, ENDED = "The server has not answered", "You are no longer signed in"


@pytest_asyncio.fixture
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as opened:
        yield opened


class Window:
    """A browser window of an admin on the console of a real server, which has one segment."""

    def __init__(self, box: Box, page: Page, secret: str, port: int) -> None:
        self.box = box
        self.page = page
        self.secret = secret
        self.url = f"http://127.0.0.1:{port}"

    def send(self, number: int) -> None:
        assert self.box.serve is not None
        self.box.serve.process.send_signal(number)

    async def sign_in(self, page: Page) -> None:
        await page.get_by_label("Token").fill(self.secret)
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("button", name="Sign out")).to_be_visible()

    async def fill_a_gate(self) -> None:
        await self.page.goto(f"{self.url}/gates")
        await self.page.get_by_label("Kind").fill("reward")
        await self.page.get_by_label("Item").fill("Free coffee")
        await self.page.get_by_label("VIP").check()

    async def sees(self, text: str) -> None:
        await expect(self.page.get_by_role("alert").filter(has_text=text)).to_be_visible(timeout=PATIENCE_MS)

    async def sees_nothing_wrong(self) -> None:
        for text in (AWAY, ENDED):
            await expect(self.page.get_by_role("alert").filter(has_text=text)).to_be_hidden(timeout=30_000)

    async def press(self) -> None:
        await self.page.get_by_role("button", name="Set the gate").click()

    async def has_what_was_typed(self) -> None:
        assert await self.page.get_by_label("Item").input_value() == "Free coffee"
        assert await self.page.get_by_label("VIP").is_checked()

    async def the_gate_is_set(self) -> None:
        await expect(self.page.get_by_role("row", name="Free coffee")).to_contain_text("VIP")


@pytest_asyncio.fixture
async def window(box: Box, browser: Browser) -> AsyncIterator[Window]:
    box.env["CTSFTP_HTTP__ENABLED"] = "true"
    box.add_client("acme")
    serve = box.start()
    box.put("acme", "VIP_20261120_0900.csv", rows(1, 2))
    port = serve.wait_for("serving http")["port"]
    box.env["CTSFTP_HTTP__PORT"] = str(port)
    secret = box.json("token", "add", "maria", "--admin")["token"]
    context = await browser.new_context(viewport=DESKTOP)  # type: ignore[arg-type]
    made = Window(box, await context.new_page(), secret, port)
    await made.page.goto(made.url)
    await made.sign_in(made.page)
    yield made
    await context.close()


@pytest.mark.alone
async def test_a_page_survives_a_server_that_is_killed_and_started_again(window: Window) -> None:
    await window.fill_a_gate()
    window.send(signal.SIGKILL)
    await window.sees(AWAY)
    await window.press()
    await window.sees("What you pressed was not done")
    await window.page.get_by_role("link", name="Uploads").click()  # it stays where it is
    await window.page.set_viewport_size(PHONE)  # type: ignore[arg-type]
    assert not await is_cut(window.page)
    await window.has_what_was_typed()
    assert window.box.serve is not None
    window.box.serve.stop()
    await asyncio.to_thread(window.box.start)
    await window.sees_nothing_wrong()
    await window.has_what_was_typed()
    await window.press()
    await window.the_gate_is_set()


@pytest.mark.alone
async def test_a_page_that_shows_news_shows_those_it_missed(window: Window) -> None:
    window.send(signal.SIGKILL)
    await window.sees(AWAY)
    assert window.box.serve is not None
    window.box.serve.stop()
    await asyncio.to_thread(window.box.start)
    await window.sees_nothing_wrong()
    await asyncio.to_thread(window.box.put, "acme", "Gold_20261121_0900.csv", rows(1, 2, 3))
    await expect(window.page.get_by_role("row", name="Gold")).to_contain_text("3", timeout=PATIENCE_MS)


def test_a_page_waits_for_no_longer_than_it_may_before_it_says_that_it_is_blind() -> None:
    script = (Path(console.__file__).parent / "assets" / "console.js").read_text()
    waits_ms = dict(re.findall(r"^const (\w+_MS) = (\d+);", script, re.MULTILINE))
    assert sum(int(waits_ms[name]) for name in ("QUIET_MS", "ANSWER_MS", "LOOK_MS")) < BLIND_MS


@pytest.mark.alone
async def test_a_page_knows_when_nothing_answers_though_nothing_was_closed(window: Window) -> None:
    await window.fill_a_gate()
    window.send(signal.SIGSTOP)
    await window.press()  # before the page knows
    await window.sees(AWAY)
    await window.has_what_was_typed()
    window.send(signal.SIGCONT)
    await window.sees_nothing_wrong()
    await window.press()
    await window.the_gate_is_set()


@pytest.mark.alone
async def test_a_page_whose_session_ended_says_so_and_goes_on_after_a_new_sign_in(window: Window) -> None:
    await window.fill_a_gate()
    await asyncio.to_thread(window.box.run, "token", "revoke", "maria")
    await window.sees(ENDED)
    await window.press()
    await window.sees("What you pressed was not done")
    window.secret = window.box.json("token", "add", "maria", "--admin")["token"]
    async with window.page.expect_popup() as opened:
        await window.page.get_by_role("link", name="Sign in again").click()
    other = await opened.value
    await window.sign_in(other)
    assert other.url == f"{window.url}/gates"
    await other.close()
    await window.sees_nothing_wrong()
    await window.has_what_was_typed()
    await window.press()
    await window.the_gate_is_set()


@pytest.mark.alone
async def test_a_click_right_after_a_new_sign_in_is_sent_by_the_new_session(window: Window) -> None:
    """Before the page has fetched itself anew: it may have to wait for that."""
    await window.fill_a_gate()
    await window.page.route(
        "**/gates", lambda route: route.abort() if route.request.method == "GET" else route.fallback()
    )
    await asyncio.to_thread(window.box.run, "token", "revoke", "maria")
    await window.sees(ENDED)
    window.secret = window.box.json("token", "add", "maria", "--admin")["token"]
    async with window.page.expect_popup() as opened:
        await window.page.get_by_role("link", name="Sign in again").click()
    await window.sign_in(await opened.value)
    await (await opened.value).close()
    await window.sees_nothing_wrong()
    async with window.page.expect_request(lambda request: request.method == "POST") as sent:
        await window.press()
    answer = await (await sent.value).response()
    assert answer is not None
    assert answer.status == 303


@pytest.mark.alone
async def test_without_a_script_a_click_of_an_ended_session_is_told_and_nothing_typed_is_lost(
    window: Window, browser: Browser
) -> None:
    context = await browser.new_context(viewport=DESKTOP, java_script_enabled=False)  # type: ignore[arg-type]
    window.page = await context.new_page()
    await window.page.goto(window.url)
    await window.sign_in(window.page)
    await window.fill_a_gate()
    await asyncio.to_thread(window.box.run, "token", "revoke", "maria")
    await window.press()
    await expect(window.page.get_by_text("The gate was not set: you are no longer signed in.")).to_be_visible()
    window.secret = window.box.json("token", "add", "maria", "--admin")["token"]
    await window.sign_in(window.page)
    await window.has_what_was_typed()
    await window.press()
    await window.the_gate_is_set()
    await context.close()
