"""The words for what a duplicate is the same as."""

import pytest

from ctsftp.contract.states import State
from ctsftp.model.timeline import Period, StepKind
from ctsftp.model.twins import Twin, say_twin

LOADED, ROLLED_BACK, _, _ = StepKind
ID = "019ab8f0-5c1e-7a52-9a3b-0f2d4c6e8a10"
MORNING, NOON = "2026-03-10T09:00:02.117Z", "2026-03-10T12:00:00.000Z"
NOW = Period(since=MORNING, until=None, began_by=LOADED, ended_by=None)
OVER = Period(since=MORNING, until=NOON, began_by=LOADED, ended_by=ROLLED_BACK)


@pytest.mark.parametrize(
    ("twin", "words"),
    [
        (None, "The same file came before."),
        (
            Twin(id=ID, state=State.HELD, code="shrunk"),
            (
                "The same file came before. It is held, and waits for the server's admin to approve it (ctsftp upload"
                f" approve {ID}) or to discard it."
            ),
        ),
        (
            Twin(id=ID, state=State.LOADED, periods=[NOW]),
            "The same file was applied before. The segment has these members, since 2026-03-10 09:00 UTC.",
        ),
        (
            Twin(id=ID, state=State.LOADED, periods=[OVER]),
            (
                "The same file was applied before. The segment had these members until 2026-03-10 12:00 UTC: an admin"
                " made another list current."
            ),
        ),
        (
            Twin(id=ID, state=State.DISCARDED),
            "The same file came before. It was held, and the server's admin discarded it.",
        ),
        (Twin(id=ID, state=State.LOADING), "The same file came before. It is loading now."),
    ],
)
def test_the_words_are_of_what_became_of_the_same_file(twin: Twin | None, words: str) -> None:
    assert say_twin(twin) == words


def test_what_is_the_same_as_the_current_list_is_told_from_all_else() -> None:
    assert Twin(id=ID, state=State.LOADED, periods=[OVER, NOW]).is_current
    assert not Twin(id=ID, state=State.LOADED, periods=[OVER]).is_current
    assert not Twin(id=ID, state=State.HELD).is_current
