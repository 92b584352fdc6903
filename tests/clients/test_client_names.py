import pytest

from ctsftp.clients.names import check_client_name, is_client_name
from ctsftp.errors import UsageError


@pytest.mark.parametrize("name", ["a", "0", "acme", "acme-eu_2", "a" * 32, "a-", "a_"])
def test_a_name_of_lower_case_letters_digits_and_marks_is_a_clients(name: str) -> None:
    assert check_client_name(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        "A",
        "Acme",
        "a" * 33,
        "-a",
        "_a",
        ".",
        "..",
        ".a",
        "a.b",
        "a/b",
        "../a",
        "a b",
        "a\n",
        "a\0",
        "é",
        "١",
        "a\u202e",
    ],
)
def test_any_other_name_is_refused_with_the_rule(name: str) -> None:
    assert not is_client_name(name)
    with pytest.raises(UsageError, match="lower-case letters") as caught:
        check_client_name(name)
    assert str(caught.value).isprintable()


def test_a_refusal_does_not_repeat_an_endless_name() -> None:
    with pytest.raises(UsageError) as caught:
        check_client_name("x" * 1_000_000)
    assert len(str(caught.value)) < 300
