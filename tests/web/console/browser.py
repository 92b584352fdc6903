"""A browser on a console, and axe, which says what somebody could not see, hear or reach on a page."""

import io
import subprocess
import tarfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, BrowserContext, Page, async_playwright

from tests.e2e.conftest import require_program

AXE = "axe-core@4.14.1"
DESKTOP, PHONE = {"width": 1280, "height": 860}, {"width": 390, "height": 844}


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """Start Debian's Chromium."""
    program = require_program("chromium")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--headless"])
        yield browser
        await browser.close()


def fetch_axe(folder: Path) -> str:
    """Give axe's script, which npm fetches into a folder."""
    npm = require_program("npm")
    command = [npm, "pack", AXE, "--silent", "--cache", str(folder / "cache")]
    packed = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True, timeout=100)
    with tarfile.open(folder / packed.stdout.split()[-1]) as tar:
        script = tar.extractfile("package/axe.min.js")
        assert script is not None
        return io.TextIOWrapper(script, "utf-8").read()


async def serious_faults(page: Page, axe: str) -> list[str]:
    """Have axe look at a page as it is shown, and list what is serious or worse."""
    await page.evaluate(axe)
    found: dict[str, Any] = await page.evaluate("axe.run({resultTypes: ['violations']})")
    return [
        f"{page.url}: {fault['id']}: {fault['help']}: {node['html'][:200]} {node['any'][:1]}"
        for fault in found["violations"]
        if fault["impact"] in {"serious", "critical"}
        for node in fault["nodes"][:3]
    ]


async def is_cut(page: Page) -> bool:
    """Tell whether the page is wider than its window."""
    return bool(await page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"))


class Complaints:
    """What a context's pages complained of: scripts that failed, answers that a policy refused."""

    def __init__(self, context: BrowserContext) -> None:
        self.heard: list[str] = []
        context.on("console", lambda message: self._hear(message.type, message.text))
        context.on("weberror", lambda fault: self.heard.append(str(fault.error)))

    def _hear(self, kind: str, text: str) -> None:
        if kind in {"error", "warning"}:
            self.heard.append(text)
