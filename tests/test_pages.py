"""The pages: each is found, in a checkout and in an installed package, and its links lead to pages."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from ctsftp import pages
from ctsftp.contract.codes import PAGES
from ctsftp.errors import NotFoundError

TOP = Path(__file__).parent.parent


@pytest.mark.parametrize("name", pages.NAMES)
def test_a_page_begins_with_its_title(name: str) -> None:
    assert pages.text(name).startswith(f"# {pages.title(name)}\n\n")
    assert len(pages.title(name)) < 30


def test_a_page_that_is_not_there_is_named_by_what_was_meant() -> None:
    with pytest.raises(NotFoundError, match=r"no page 'instal'\. Did you mean install\?"):
        pages.text("instal")
    with pytest.raises(NotFoundError, match=r"no page '\.\./README'"):
        pages.text("../README")


@pytest.mark.parametrize("name", ["none.png", "../x.png", "install.md", ""])
def test_only_pictures_of_the_pages_are_given_out(name: str) -> None:
    with pytest.raises(NotFoundError):
        pages.picture(name)


def test_every_kind_of_code_has_a_page_that_says_what_to_do() -> None:
    assert {page.kind for page in PAGES.values()} == pages.OF_KIND.keys()
    assert set(pages.OF_KIND.values()) <= set(pages.NAMES)


def test_links_are_written_anew_and_pictures_are_not() -> None:
    text = "See [a page](codes.md#held), ![a picture](x.png) and [here](#there)."
    assert pages.replace_links(text, lambda *link: "|".join(link)) == (
        "See a page|codes.md|#held, ![a picture](x.png) and here||#there."
    )


@pytest.mark.slow
def test_a_wheel_has_every_page_and_picture(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(tmp_path), str(TOP)],
        check=True,
        capture_output=True,
        timeout=100,
    )
    [wheel] = tmp_path.glob("*.whl")
    packed = {name.removeprefix("ctsftp/docs/") for name in zipfile.ZipFile(wheel).namelist() if "/docs/" in name}
    assert packed == {page.name for page in (TOP / "deploy" / "docs").iterdir()}
    site = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(site)
    done = subprocess.run(
        [sys.executable, "-c", "from ctsftp import pages; print(pages.__file__, pages.title('held'))"],
        cwd=site,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split(maxsplit=1) == [str(site / "ctsftp" / "pages.py"), "When a list is held\n"]
