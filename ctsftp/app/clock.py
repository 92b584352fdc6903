"""The clock of the machine."""

import ctypes
from datetime import UTC, datetime

TIMEX_BYTES = 512  # more than adjtimex(2) takes on any machine; all zero, it asks and changes nothing
TIME_ERROR = 5


def utc_now() -> datetime:
    """Return the time in UTC."""
    return datetime.now(UTC)


def is_synchronised() -> bool:
    """Tell whether the kernel's clock is kept by NTP, as far as the kernel knows."""
    try:
        state: int = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(TIMEX_BYTES))
    except AttributeError:  # another system
        return False
    return 0 <= state < TIME_ERROR
