"""What readers of a segment had, and since when: the steps of its timeline, and the words for one list's part in it."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from typing_extensions import TypedDict  # pydantic takes that of `typing` from Python 3.12 on

from ctsftp.model.writing import Says, write


class StepKind(StrEnum):
    """What changed that readers have."""

    LOADED = "loaded"
    ROLLED_BACK = "rolled_back"
    RETIRED = "retired"
    RESTORED = "restored"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """From `at` on, readers had this list, or nothing where the segment was retired. Times are text (`iso`)."""

    at: str
    kind: StepKind
    upload_id: str
    number: int | None
    members: int


class PeriodOut(TypedDict):
    """A time in which readers had a list."""

    since: str
    until: Annotated[str | None, Says("null while they have it")]
    began_by: StepKind
    ended_by: StepKind | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """When readers had a list: `until` is None while they have it, and `ended_by` what ended it."""

    since: str
    until: str | None
    began_by: StepKind
    ended_by: StepKind | None

    def as_json(self) -> PeriodOut:
        """Give the fields of `periods`."""
        return write(PeriodOut, self)


_ENDED = {
    StepKind.LOADED: "a newer list was loaded",
    StepKind.ROLLED_BACK: "an admin made another list current",
    StepKind.RETIRED: "the segment was retired",
}


def say_when_current(periods: Sequence[Period]) -> str:
    """Say in a sentence or two whether a list that was loaded is what readers have; its periods are old to new."""
    if not periods:
        return "It was loaded."
    last = periods[-1]
    if last.until is None or last.ended_by is None:
        return f"Its members are the segment's, since {_minute(last.since)}."
    return f"Its members were the segment's until {_minute(last.until)}: {_ENDED[last.ended_by]}."


def _minute(iso: str) -> str:
    return f"{iso[:10]} {iso[11:16]} UTC"
