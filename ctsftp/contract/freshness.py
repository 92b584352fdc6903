"""How often a segment's file is expected, in words that people type, and when it is overdue."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from ctsftp.errors import UsageError

MIN_S = 60
MAX_S = 366 * 86_400

_UNITS = {"w": 7 * 86_400, "d": 86_400, "h": 3_600, "m": 60}
_SPAN = re.compile(r"(?:([0-9]{1,6})w)?(?:([0-9]{1,6})d)?(?:([0-9]{1,6})h)?(?:([0-9]{1,6})m)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Expectation:
    """A file every `every_s` seconds; `grace_s` more may pass before it counts as overdue."""

    every_s: int
    grace_s: int

    def overdue_at(self, heard_at: datetime) -> datetime:
        """Tell from when on a segment is overdue that was last heard of at that moment."""
        return heard_at + timedelta(seconds=self.every_s + self.grace_s)


def read_span(text: str) -> int:
    """Read a length of time such as `1d`, `90m` or `1d12h`, in seconds; `UsageError` for anything else."""
    found = _SPAN.fullmatch(text.strip().lower())
    counts = found.groups(default="0") if found else ()
    seconds = sum(int(count) * unit for count, unit in zip(counts, _UNITS.values(), strict=False))
    if not MIN_S <= seconds <= MAX_S:
        raise UsageError(f"{text!r} is not a length of time: write 1d, 3h, 90m or 1d12h, from 1m to 366d.")
    return seconds


def write_span(seconds: int) -> str:
    """Write a length of time as `read_span` reads it, in days, hours and minutes."""
    parts = []
    for unit in "dhm":
        count, seconds = divmod(seconds, _UNITS[unit])
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0m"
