"""The id of an upload: a UUIDv7 (RFC 9562), so that ids sort in the order in which uploads were closed.

An id is made of a *tick* and random bits. A tick is a time in 60 bits: 48 bits of Unix milliseconds, then
12 bits of the millisecond's fraction (RFC 9562, section 6.2, method 3). Clock and randomness are given by
the caller, who keeps the last tick: `next_tick` never gives the same one twice, nor goes back with a clock.
"""

import re

TICK_BITS = 60
RANDOM_BITS = 62
SHORT_ID = 18  # of an id, what no other upload is likely to share: the millisecond of its CLOSE and a counter

_FRACTION_BITS = 12
_NS_PER_MS = 1_000_000
_FORM = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


def next_tick(previous: int, now_ns: int) -> int:
    """Return the tick of a time in Unix nanoseconds, or the one after `previous` if that is later."""
    unix_ms, rest_ns = divmod(now_ns, _NS_PER_MS)
    now = unix_ms << _FRACTION_BITS | (rest_ns << _FRACTION_BITS) // _NS_PER_MS
    return max(now, previous + 1)


def upload_id(tick: int, random_bits: int) -> str:
    """Return the id of a tick and 62 random bits; raise ValueError if either is out of its range."""
    if tick >> TICK_BITS or random_bits >> RANDOM_BITS:
        raise ValueError(f"An upload id needs a tick of {TICK_BITS} bits and {RANDOM_BITS} random bits.")
    unix_ms, fraction = divmod(tick, 1 << _FRACTION_BITS)
    # RFC 9562, section 5.7: unix_ts_ms, version 7, rand_a, variant 0b10, rand_b.
    bits = unix_ms << 80 | 0x7 << 76 | fraction << 64 | 0b10 << 62 | random_bits
    digits = f"{bits:032x}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def is_upload_id(text: str) -> bool:
    """Tell whether a text is an upload id in its one spelling: safe as the name of a folder."""
    return _FORM.fullmatch(text) is not None


def unix_ms_of(upload_id: str) -> int:
    """Return the Unix milliseconds in an upload id."""
    return int(upload_id[:8] + upload_id[9:13], 16)
