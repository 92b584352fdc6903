"""What a check-up found: each part offers its own checks, and `ctsftp doctor` gathers them."""

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How much a finding matters: all is well, somebody should act soon, or something does not work."""

    OK = "ok"
    WARN = "warn"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found in a part, in a sentence, and what to do about it ("" where nothing is to be done)."""

    part: str
    level: Level
    text: str
    do: str = ""
