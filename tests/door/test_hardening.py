"""Each claim of deploy/docs/hardening.md has a test that holds it, and each setting on the page exists."""

import re
from pathlib import Path

import pytest

from ctsftp.sftp.settings import PenaltySettings, SftpSettings

from .claims import CLAIMS

TOP = Path(__file__).parents[2]
PAGE = (TOP / "deploy" / "docs" / "hardening.md").read_text("utf-8")
TABLES = PAGE.partition("## The algorithms")[0]
ROWS = [line.split(" | ")[1].removesuffix(" |") for line in TABLES.splitlines() if line.startswith("| ")]
TESTS = sorted({test for tests in CLAIMS.values() for test in tests})


def test_each_claim_of_the_page_has_its_tests() -> None:
    held = {row: max(filter(row.startswith, CLAIMS), key=len, default=None) for row in ROWS if row != "here"}
    assert [row for row, claim in held.items() if claim is None] == []
    assert set(held.values()) == CLAIMS.keys()
    assert all(CLAIMS.values())


@pytest.mark.parametrize("test", TESTS)
def test_a_test_that_holds_a_claim_exists(test: str) -> None:
    file, _, name = test.partition("::")
    assert re.search(rf"^(async )?def {name}\(", (TOP / file).read_text("utf-8"), re.MULTILINE)


def test_no_page_names_a_test() -> None:
    for page in [TOP / "README.md", *(TOP / "deploy" / "docs").glob("*.md")]:
        assert not re.search(r"tests/\S+\.py|::test_", page.read_text("utf-8")), page


def test_every_setting_of_the_page_exists_and_every_limit_stands_on_it() -> None:
    words = set(re.findall(r"`(?:penalties\.)?([a-z_]+)`", PAGE))
    settings = set(SftpSettings.model_fields) | set(PenaltySettings.model_fields)
    shaped_like_one = {word for word in words if re.search(r"_(s|bytes|max|files|depth|percent|start|full)$", word)}
    assert shaped_like_one <= settings
    assert set(SftpSettings.model_fields) - words <= {"host", "port", "public_host", "penalties"}
    assert set(PenaltySettings.model_fields) <= words
