"""How often a file is expected, as people write it."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctsftp.contract.freshness import MAX_S, MIN_S, Expectation, read_span, write_span
from ctsftp.errors import UsageError


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1d", 86_400), ("3h", 10_800), ("90m", 5_400), (" 1D12H ", 129_600), ("2w1d1h1m", 1_299_660), ("366d", MAX_S)],
)
def test_a_length_of_time_is_read_as_people_write_it(text: str, seconds: int) -> None:
    assert read_span(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "d", "1", "1s", "1.5h", "-1d", "1h1d", "0m", "367d", "٣h", "1 d", "9999999d", "daily"]
)
def test_anything_else_is_refused_with_examples(text: str) -> None:
    with pytest.raises(UsageError, match="write 1d, 3h"):
        read_span(text)


@given(st.integers(MIN_S // 60, MAX_S // 60))
def test_what_is_written_is_read_as_the_same(minutes: int) -> None:
    assert read_span(write_span(minutes * 60)) == minutes * 60


def test_less_than_a_minute_is_written_as_none() -> None:
    assert write_span(59) == "0m"


def test_a_segment_is_overdue_after_the_time_and_the_grace() -> None:
    heard = datetime(2026, 3, 10, 12, tzinfo=UTC)
    assert Expectation(86_400, 3_600).overdue_at(heard) == datetime(2026, 3, 11, 13, tzinfo=UTC)
