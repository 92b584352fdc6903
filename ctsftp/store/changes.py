"""Who entered and who left between two lists of members, found as both stream by."""

from collections.abc import AsyncIterator

import numpy as np

from ctsftp.contract.rows import NO_IDS, Ids

COMPARED_AT_ONCE = 100_000  # ids: about 5 ms of the event loop's time


async def pages(ids: Ids) -> AsyncIterator[Ids]:
    """Cut a list into pages that can be compared without holding up the event loop."""
    for start in range(0, len(ids), COMPARED_AT_ONCE):
        yield ids[start : start + COMPARED_AT_ONCE]


async def compare(old: AsyncIterator[Ids], new: AsyncIterator[Ids]) -> AsyncIterator[tuple[Ids, Ids]]:
    """Yield pieces of (entered, left), ascending; `old` and `new` are ascending pages without repetitions.

    It keeps one page of each: both are cut at the lower of their last ids, and what lies below is compared.
    """
    before, after = await anext(old, NO_IDS), await anext(new, NO_IDS)
    while before.size and after.size:
        bound = min(before[-1], after[-1])
        old_cut, new_cut = np.searchsorted(before, bound, "right"), np.searchsorted(after, bound, "right")
        known, seen = before[:old_cut], after[:new_cut]
        yield np.setdiff1d(seen, known, assume_unique=True), np.setdiff1d(known, seen, assume_unique=True)
        before, after = before[old_cut:], after[new_cut:]
        before = before if before.size else await anext(old, NO_IDS)
        after = after if after.size else await anext(new, NO_IDS)
    while after.size:
        yield after, NO_IDS
        after = await anext(new, NO_IDS)
    while before.size:
        yield NO_IDS, before
        before = await anext(old, NO_IDS)
