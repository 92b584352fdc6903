import pytest

from ctsftp.clients.likeness import MAX_FOUND, close_names

NAMES = {"acme", "globex", "initech-2"}


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("acmee", "acme"),
        ("acm", "acme"),
        ("amce", "acme"),
        ("acne", "acme"),
        ("cme", "acme"),
        ("ACME", "acme"),
        (" acme ", "acme"),
        ("acme@sftp.example", "acme"),
        ("EXAMPLE\\Acme", "acme"),
        ("initech_2", "initech-2"),
        ("initech 2", "initech-2"),
    ],
)
def test_a_name_with_one_mistake_is_close(typed: str, meant: str) -> None:
    assert close_names(typed, NAMES) == [meant]


@pytest.mark.parametrize(
    "typed", ["", " ", "@acme", "root", "ac", "acmeee", "x" * 10_000, "acme/", "\udcff", "gløbex1"]
)
def test_any_other_name_is_not(typed: str) -> None:
    assert close_names(typed, NAMES) == []


def test_no_more_than_a_few_are_found() -> None:
    assert len(close_names("acm", {f"acm{letter}" for letter in "abcdefgh"})) == MAX_FOUND
