"""A person at the console without a browser: a cookie jar, pages, and forms as a browser would send them."""

import re
from html import unescape
from html.parser import HTMLParser
from typing import Any

import httpx

from tests.web.conftest import Desk


class FormReader(HTMLParser):
    """Collects the forms of a page: address and fields."""

    def __init__(self) -> None:
        super().__init__()
        self.forms: list[tuple[str, dict[str, str]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.forms.append((given.get("action", ""), {}))
        elif tag == "input" and self.forms and "name" in given:
            self.forms[-1][1][given["name"]] = given.get("value", "")


class Person:
    """Somebody at the console."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.http = desk.http()
        self.origin = {"Origin": desk.url}

    async def sign_in(self, secret: str, *, wanted: str = "/") -> httpx.Response:
        return await self.post("/sign-in", {"token": secret, "next": wanted})

    async def get(self, path: str) -> httpx.Response:
        return await self.http.get(path)

    async def page(self, path: str) -> str:
        """Load a page that must be there."""
        return await self.page_of(path, 200)

    async def page_of(self, path: str, status: int) -> str:
        """Load a page that answers so."""
        answer = await self.get(path)
        assert answer.status_code == status, answer.text
        return answer.text

    async def text(self, path: str) -> str:
        """Load a page, and give what a person reads."""
        return text_of(await self.page(path))

    async def post(self, path: str, fields: dict[str, Any], **headers: str) -> httpx.Response:
        return await self.http.post(path, data=fields, headers=self.origin | headers)

    async def press(self, path: str, action: str, **changes: Any) -> str:
        """Load a page, send its form of that address as it stands but for some fields, and read what comes."""
        reader = FormReader()
        reader.feed(await self.page(path))
        fields = next(fields for address, fields in reader.forms if address == action)
        answer = await self.post(action, fields | changes, Referer=self.desk.url + path)
        assert answer.status_code == 303, text_of(answer.text)
        return await self.text(answer.headers["location"])

    async def csrf(self) -> str:
        [csrf, *_] = re.findall(r'name="csrf" value="([^"]+)"', await self.page("/"))
        return str(csrf)


def text_of(page: str) -> str:
    """Give what stands on a page, white space folded."""
    main = page[page.index("<main") :]
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", main.replace("<wbr>", ""))).split())


def forms(page: str) -> list[tuple[str, dict[str, str]]]:
    """List the forms of a page: address and fields."""
    reader = FormReader()
    reader.feed(page)
    return reader.forms


def actions(page: str) -> set[str]:
    """List the addresses that a page's forms are sent to."""
    return {address for address, _ in forms(page) if address.startswith("/") and "#" not in address}
