"""deploy/docs/hardening.md names tests and settings that exist."""

import re
from pathlib import Path

import pytest

from ctsftp.sftp.settings import PenaltySettings, SftpSettings

TOP = Path(__file__).parents[2]
PAGE = (TOP / "deploy" / "docs" / "hardening.md").read_text("utf-8")
TABLES = PAGE.partition("## The algorithms")[0]
TESTS = sorted(set(re.findall(r"`(tests/[^`:]+)::(test_\w+)`", PAGE)))
ROWS = [line for line in TABLES.splitlines() if line.startswith("| ") and "`tests/" not in line]


def test_the_page_names_tests() -> None:
    assert len(TESTS) > 40


@pytest.mark.parametrize(("file", "name"), TESTS)
def test_a_test_that_the_page_names_exists(file: str, name: str) -> None:
    assert re.search(rf"^(async )?def {name}\(", (TOP / file).read_text("utf-8"), re.MULTILINE)


def test_every_row_names_a_test() -> None:
    assert [row for row in ROWS if "OpenSSH" not in row] == []


def test_every_setting_of_the_page_exists_and_every_limit_stands_on_it() -> None:
    words = set(re.findall(r"`(?:penalties\.)?([a-z_]+)`", PAGE))
    settings = set(SftpSettings.model_fields) | set(PenaltySettings.model_fields)
    shaped_like_one = {word for word in words if re.search(r"_(s|bytes|max|files|depth|percent|start|full)$", word)}
    assert shaped_like_one <= settings
    assert set(SftpSettings.model_fields) - words <= {"host", "port", "public_host", "penalties"}
    assert set(PenaltySettings.model_fields) <= words
