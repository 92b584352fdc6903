"""What readers of a segment had, and since when: the steps of its timeline, and the words for one list's part in it."""

from collections.abc import Iterable, Sequence
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


def lists_before(steps: Iterable[tuple[StepKind, str]]) -> list[str]:
    """Return the lists that readers had before the current one came, the latest first; the steps are old to new.

    A load lays its list upon the one that readers had. A rollback takes away what lies upon its list; one to a list
    that was taken away before lays it upon the others, as a load does. After lists 1, 2, 3, a rollback to 2 and list 4,
    that is 2, then 1.
    """
    pile: list[str] = []
    for kind, upload_id in steps:
        if kind is StepKind.ROLLED_BACK and upload_id in pile:
            del pile[pile.index(upload_id) + 1 :]
        elif kind in {StepKind.LOADED, StepKind.ROLLED_BACK}:
            pile.append(upload_id)
    return pile[-2::-1]


_ENDED = {
    StepKind.LOADED: "another list was loaded",
    StepKind.ROLLED_BACK: "an admin made another list current",
    StepKind.RETIRED: "the segment was retired",
}


def is_current(periods: Sequence[Period]) -> bool:
    """Tell whether readers have a list now; its periods are old to new."""
    return bool(periods) and periods[-1].until is None


def say_end(periods: Sequence[Period]) -> str:
    """Say when a list that was loaded stopped being what readers have, and why; "" where it is, or nobody knows."""
    if not periods or (last := periods[-1]).until is None or last.ended_by is None:
        return ""
    return f"until {_minute(last.until)}: {_ENDED[last.ended_by]}"


def say_when_current(periods: Sequence[Period]) -> str:
    """Say in a sentence or two whether a list that was loaded is what readers have; its periods are old to new.

    They go with their segment: a list without any is of one that was deleted.
    """
    if not periods:
        return "It was loaded, and the segment was deleted since then."
    end = say_end(periods)
    return (
        f"The segment had these members {end}."
        if end
        else f"The segment has these members, since {_minute(periods[-1].since)}."
    )


def _minute(iso: str) -> str:
    return f"{iso[:10]} {iso[11:16]} UTC"
