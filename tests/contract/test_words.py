"""The words that an admin gives to things."""

import pytest

from ctsftp.contract.words import fold_kind, fold_word, is_plain_word


@pytest.mark.parametrize("text", ["reward", "4711", "Früh & spät", "a b", "x" * 100, "奖励", '"quoted" <b>'])
def test_any_short_printable_text_is_a_word(text: str) -> None:
    assert is_plain_word(text)


@pytest.mark.parametrize("text", ["", " ", " a", "a\n", "a/b", ".", "..", "x" * 101, "a\0b", "a\u202eb", "\ud800"])
def test_what_would_break_a_table_a_log_or_a_url_is_none(text: str) -> None:
    assert not is_plain_word(text)


def test_a_word_is_kept_in_one_form_and_a_kind_in_one_case() -> None:
    assert fold_word(" Fru\u0308h ") == "Fr\u00fch"
    assert fold_kind(" Reward") == "reward"
