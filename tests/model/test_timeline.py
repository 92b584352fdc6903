"""The words for when a list was what readers had."""

import pytest

from ctsftp.model.timeline import Period, StepKind, lists_before, say_when_current

LOADED, ROLLED_BACK, RETIRED, RESTORED = StepKind
MORNING, NOON = "2026-03-10T09:00:02.117Z", "2026-03-10T12:00:00.000Z"


def period(until: str | None, ended_by: StepKind | None) -> Period:
    return Period(since=MORNING, until=until, began_by=LOADED, ended_by=ended_by)


def test_a_list_is_the_segments_only_while_readers_have_it() -> None:
    assert say_when_current([]) == "It was loaded, and the segment was deleted since then."
    assert say_when_current([period(None, None)]) == "The segment has these members, since 2026-03-10 09:00 UTC."
    for kind, words in (
        (LOADED, "another list was loaded"),
        (ROLLED_BACK, "an admin made another list current"),
        (RETIRED, "the segment was retired"),
    ):
        ended = period(NOON, kind)
        assert say_when_current([ended]) == f"The segment had these members until 2026-03-10 12:00 UTC: {words}."
    assert "has these members" in say_when_current([period(NOON, ROLLED_BACK), period(None, None)])


def test_a_period_has_a_json() -> None:
    assert period(NOON, RETIRED).as_json() == {
        "since": MORNING,
        "until": NOON,
        "began_by": "loaded",
        "ended_by": "retired",
    }
    assert period(None, None).as_json()["ended_by"] is None


@pytest.mark.parametrize(
    ("steps", "before"),
    [
        ([], ""),
        ([(LOADED, "1")], ""),
        ([(LOADED, "1"), (LOADED, "2"), (LOADED, "3")], "21"),
        ([(LOADED, "1"), (LOADED, "2"), (LOADED, "3"), (ROLLED_BACK, "2")], "1"),
        ([(LOADED, "1"), (LOADED, "2"), (LOADED, "3"), (ROLLED_BACK, "2"), (LOADED, "4")], "21"),
        ([(LOADED, "1"), (LOADED, "2"), (LOADED, "3"), (ROLLED_BACK, "1"), (ROLLED_BACK, "3")], "1"),
        ([(LOADED, "1"), (LOADED, "2"), (RETIRED, "2"), (RESTORED, "2")], "1"),
    ],
)
def test_before_a_list_readers_had_what_it_was_laid_upon(steps: list[tuple[StepKind, str]], before: str) -> None:
    assert lists_before(steps) == list(before)
