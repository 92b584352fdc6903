"""The page of the codes in deploy/: printed from the code's own table, and what `upload show` says stands on it."""

from pathlib import Path

from ctsftp.contract.codes import PAGES, Code, render_codes_page

from .inprocess import FIXTURES, Sender, ids, in_process, stamp

pytest_plugins = FIXTURES

PAGE = Path(__file__).parents[2] / "deploy" / "docs" / "codes.md"


def test_the_page_of_the_codes_is_the_one_that_the_table_prints() -> None:
    assert PAGE.read_text("utf-8") == render_codes_page(), (
        "write it anew: python -c"
        " 'from ctsftp.contract import codes; print(codes.render_codes_page(), end=\"\")' > deploy/docs/codes.md"
    )


@in_process
async def test_an_upload_is_shown_with_the_words_of_its_codes_page(sender: Sender) -> None:
    await sender.put(f"VIP_{stamp(1)}.csv", ids(1))
    row = await sender.put(f"VIP_{stamp(2)}.csv", ids())
    shown = await sender.server.cli("upload", "show", row["id"])
    page = PAGES[Code.EMPTY]
    for words in (row["reason"], page.meaning, page.sender, page.admin, "ctsftp explain empty"):
        assert words in shown
