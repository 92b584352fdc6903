"""The clock of everything that runs."""

from datetime import UTC, datetime


def utc_now() -> datetime:
    """Tell the time, in UTC."""
    return datetime.now(UTC)
