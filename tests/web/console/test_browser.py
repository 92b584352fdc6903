"""The console in a real browser: the way of an admin from sign-in to sign-out, the keyboard, and what axe finds."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Page, expect

from ctsftp.demo.connect import ExportFile
from ctsftp.model.commands import AddToken, ExpectSegment, SetGate
from tests.e2e.inprocess import Sender, Server, ids, running, stamp

from .browser import DESKTOP, PHONE, Complaints, chromium, fetch_axe, is_cut, serious_faults

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow]

HOSTILE = '<b>bold & "quoted" <img src=x onerror=alert(1)>'


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    async with running(tmp_path_factory.mktemp("console"), http={"enabled": True, "port": 0}) as opened:
        yield opened


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as opened:
        yield opened


@pytest_asyncio.fixture(loop_scope="module")
async def sender(server: Server) -> AsyncIterator[Sender]:
    made = server.add_sender()
    yield made
    await made.close()


class Visit:
    """One browser window on the console."""

    def __init__(self, server: Server, context: BrowserContext, page: Page) -> None:
        self.server = server
        self.page = page
        self.complaints = Complaints(context)

    async def go(self, path: str) -> None:
        await self.page.goto(f"http://127.0.0.1:{self.server.service.web.port}{path}")

    async def sign_in(self, secret: str) -> None:
        await self.go("/")
        await self.page.get_by_label("Token").fill(secret)
        await self.page.keyboard.press("Enter")
        await expect(self.page.get_by_role("button", name="Sign out")).to_be_visible()

    async def press(self, name: str) -> None:
        await self.page.get_by_role("button", name=name).first.click()


async def token(server: Server, name: str, *, client: str, admin: bool = True) -> str:
    return await server.service.perform(AddToken(name, client, admin))


@pytest_asyncio.fixture(loop_scope="module")
async def visit(server: Server, browser: Browser, sender: Sender) -> AsyncIterator[Visit]:
    """An admin of the sender's client, signed in; whatever the page complained of fails the test."""
    context = await browser.new_context(viewport=DESKTOP, reduced_motion="reduce")
    made = Visit(server, context, await context.new_page())
    await made.sign_in(await token(server, sender.name, client=sender.name))
    yield made
    assert made.complaints.heard == []
    await context.close()


async def push(sender: Sender, title: str, members: range, *, day: int = 1) -> None:
    """Push a list by stock sftp, and wait until the server is done with it."""
    await sender.push(ExportFile(f"{title}_{stamp(day)}.csv", ids(*members)))


async def test_an_admin_does_a_days_work(visit: Visit, sender: Sender) -> None:
    page = visit.page
    await expect(page.get_by_role("heading", name="No segments yet")).to_be_visible()
    await push(sender, "VIP_Members", range(1, 201))
    row = page.get_by_role("row", name="VIP Members")  # without a reload
    await expect(row).to_contain_text("200")
    await push(sender, "VIP_Members", range(1, 221), day=2)
    await expect(row).to_contain_text("+20")

    await page.get_by_role("link", name="VIP Members").click()
    await page.get_by_label("CTUserID").fill("220")
    await visit.press("Look up")
    await expect(page.get_by_text("220 is a member.")).to_be_visible()
    await page.get_by_label("CTUserID").fill("221")
    await visit.press("Look up")
    await expect(page.get_by_text("221 is not a member.")).to_be_visible()
    await page.get_by_role("link", name="+20 entered").click()
    await expect(page.get_by_role("listitem").filter(has_text="220")).to_be_visible()

    await push(sender, "VIP_Members", range(1, 11), day=3)
    await expect(page.get_by_role("link", name="Uploads 1 waiting")).to_be_visible()
    await page.get_by_role("link", name="Uploads").click()
    await expect(page.get_by_text("−210 members (−95 %)")).to_be_visible()
    await visit.press("Approve")
    await expect(page.get_by_text(f"VIP_Members_{stamp(3)}.csv is loaded.")).to_be_visible()

    await page.get_by_role("link", name="VIP Members", exact=True).click()
    await expect(page.get_by_text("10 members").or_(page.locator("dd.large"))).to_have_text("10")
    await page.get_by_text("Roll back…").first.click()
    await visit.press("Roll back to 2")
    await expect(page.get_by_text("is at snapshot 2 again, with 220 members.")).to_be_visible()

    await page.get_by_role("link", name="Gates", exact=True).click()
    await page.get_by_label("Kind").fill("reward")
    await page.get_by_label("Item").fill("Free coffee")
    await page.get_by_label("VIP Members").check()
    await visit.press("Set the gate")
    await expect(page.get_by_role("row", name="Free coffee")).to_contain_text("VIP Members")

    await visit.press("Sign out")
    await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    await page.go_back()
    await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


async def test_news_leave_alone_what_somebody_is_doing(visit: Visit, sender: Sender) -> None:
    page = visit.page
    await push(sender, "Gold", range(1, 201))
    await page.get_by_role("link", name="Gold").click()
    await page.get_by_label("CTUserID").fill("12")
    await push(sender, "Gold", range(1, 211), day=2)
    offer = page.get_by_role("button", name="Something changed: show it")
    await expect(offer).to_be_visible()
    assert await page.get_by_label("CTUserID").input_value() == "12"
    await offer.click()
    await expect(page.locator("dd.large")).to_have_text("210")


async def test_the_console_is_worked_by_keyboard_alone(visit: Visit, sender: Sender) -> None:
    page = visit.page
    await push(sender, "Keys", range(1, 201))
    await push(sender, "Keys", range(1, 211), day=2)
    await expect(page.get_by_role("link", name="Keys")).to_be_visible()
    await page.keyboard.press("Tab")
    assert await page.evaluate("document.activeElement.textContent") == "Skip to the content"
    await tab_to(page, "Keys")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="Keys")).to_be_visible()
    await tab_to(page, "Roll back…")
    await page.keyboard.press("Enter")
    await tab_to(page, "Roll back to 1")
    await page.keyboard.press("Enter")
    await expect(page.get_by_text("is at snapshot 1 again")).to_be_visible()


async def tab_to(page: Page, text: str) -> None:
    for _ in range(60):
        await page.keyboard.press("Tab")
        if await page.evaluate("document.activeElement.textContent.trim()") == text:
            shown = await page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
            assert shown != "none", f"nobody sees that {text!r} has the focus"
            return
    pytest.fail(f"the keyboard does not reach {text!r}")


async def test_every_page_is_whole_and_fit_for_everybody(
    visit: Visit, sender: Sender, server: Server, tmp_path_factory: pytest.TempPathFactory
) -> None:
    axe = fetch_axe(tmp_path_factory.mktemp("axe"))
    page = visit.page
    pages = await fill(sender, server)
    faults: list[str] = []
    for scheme in ("light", "dark"):
        await page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        for path in pages:
            await page.set_viewport_size(DESKTOP)  # type: ignore[arg-type]
            await visit.go(path)
            faults += await serious_faults(page, axe)
            assert not await is_cut(page), path
            await page.set_viewport_size(PHONE)  # type: ignore[arg-type]
            assert not await is_cut(page), f"{path} on a phone"
            faults += await serious_faults(page, axe)
    visit.complaints.heard = [one for one in visit.complaints.heard if "404" not in one]
    assert faults == []


async def fill(sender: Sender, server: Server) -> list[str]:
    """Have something of everything, and list the pages that show it."""
    await sender.put(f"{HOSTILE}_{stamp(1)}.csv", ids(*range(1, 201)))
    await sender.put(f"{'A' * 200}_{stamp(1)}.csv", ids(*range(1, 201)))
    await sender.put(f"{'A' * 200}_{stamp(2)}.csv", ids(*range(1, 301)))
    held = await sender.put(f"{'A' * 200}_{stamp(3)}.csv", ids(1))
    rejected = await sender.put("wrong.csv.gz", b"\x1f\x8b")
    rows = await sender.put(f"Rows_{stamp(1)}.csv", ids(*range(1, 100), "1.23E+10", "<b>"))
    await server.service.perform(ExpectSegment("A" * 200, sender.name, every_s=60, grace_s=0))
    await server.change("UPDATE segments SET heard_at = '2024-01-01T09:00:00.000Z' WHERE length(title) = 200")
    await server.service.perform(SetGate("reward", "cake", ("A" * 200, "Rows"), sender.name))
    segment = f"client={sender.name}&name={'a' * 200}"
    details = [f"/uploads/{row['id']}" for row in (held, rejected, rows)]
    pages = ["/", "/?q=zzz", f"/segment?{segment}&member=7", f"/segment/changes?{segment}&old=1&new=2", "/uploads"]
    return [*pages, *details, "/clients", f"/clients/{sender.name}", "/gates", "/nothing"]
