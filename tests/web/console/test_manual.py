"""The manual in the console: every page, with links that lead to pages and nothing that a browser would run."""

import re

import pytest

from ctsftp import pages
from ctsftp.web.console.manual import anchor, as_html
from tests.web.conftest import Desk

from .desk import Person

DATABASE_KINDS = ("sqlite",)


async def test_every_page_of_the_console_leads_to_the_manual_and_that_to_every_page(reader: Person) -> None:
    for path in ("/", "/uploads", "/clients", "/gates", "/help", "/help/held"):
        assert '<a href="/help"' in await reader.page(path)
    index = await reader.page("/help")
    for name in pages.NAMES:
        assert f'<a href="/help/{name}">{pages.title(name)}</a>' in index


async def test_only_somebody_who_is_signed_in_reads_it(desk: Desk) -> None:
    answer = await Person(desk).get("/help/hardening")
    assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in?next=%2Fhelp%2Fhardening")


async def test_a_page_its_pictures_and_what_is_not_there(reader: Person) -> None:
    page = await reader.page("/help/held")
    [picture] = re.findall(r'<img src="(/help/[^"]+)" alt="[^"]+"', page)
    answer = await reader.get(picture)
    assert answer.headers["content-type"] == "image/png"
    assert answer.content.startswith(b"\x89PNG")
    for path in ("/help/helt", "/help/none.png", "/help/..%2fREADME", "/help/held.md"):
        assert (await reader.get(path)).status_code == 404


@pytest.mark.parametrize("name", pages.NAMES)
def test_every_link_of_a_page_leads_to_a_heading_that_is_there(name: str) -> None:
    html = as_html(pages.text(name))
    links = re.findall(r'<a href="([^"]*)"', html)
    for link in links:
        path, _, at = link.partition("#")
        assert path.startswith(("/help/", "https://")) or not path, link
        target = path.removeprefix("/help/") or name
        if not path.startswith("https:"):
            assert not at or f'id="{at}"' in as_html(pages.text(target)), link


def test_what_looks_like_html_is_shown_as_text() -> None:
    html = as_html("# <b>x</b>\n\n<script>alert(1)</script> [a](javascript:alert(1)) [b](../x.toml) `<i>`\n")
    assert "<script" not in html
    assert "javascript" not in re.sub(r">[^<]*<", "", html)
    assert 'id="bxb"' in html
    assert "<a" not in html


def test_headings_are_linked_to_as_github_does() -> None:
    assert anchor("Back up, and restore `x`") == "back-up-and-restore-x"
