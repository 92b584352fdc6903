"""Who entered and who left between two lists whose parts are cut at different ids.

Both are walked side by side, and from each part what overlaps it in the other list is taken away:

    old   [1 ......... 100]            [101 ... 180]
    new   [1 ... 50] [51 ......... 130]        [131 .. 190]

One part of each is in memory. The parts that are the same in both are not even read.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from pyroaring import BitMap64

from ctsftp.lists.parts import NO_IDS, Ids, MemberList, Part, to_ids


@dataclass(frozen=True, slots=True)
class Change:
    """Who entered and who left, ascending: all above the `until` of the one before, up to and with `until`."""

    entered: Ids
    left: Ids
    until: int


def changes(old: MemberList, new: MemberList, *, above: int = 0) -> Iterator[Change]:
    """Give the changes from the ids greater than `above` on, in their order, some parts' worth at a time."""
    before, after = _Side(old, above), _Side(new, above)
    while before.part and after.part:
        if before.part.is_like(after.part):
            until = before.part.last
            before.next()
            after.next()
            yield Change(NO_IDS, NO_IDS, until)
            continue
        until = min(before.part.last, after.part.last)
        if max(before.part.first, after.part.first) <= until:
            before.take_away(after.bitmap)
            after.take_away(before.bitmap)
        yield Change(after.up_to(until), before.up_to(until), until)
    while after.part:
        until = after.part.last
        yield Change(after.up_to(until), NO_IDS, until)
    while before.part:
        until = before.part.last
        yield Change(NO_IDS, before.up_to(until), until)


class _Side:
    """One of the two lists: the part that it is at, and what of that the other list has not, so far as is known."""

    def __init__(self, members: MemberList, above: int) -> None:
        self._members = members
        self._coming = iter([part for part in members.parts if part.last > above])
        self._told = above  # up to here everything was given
        self._bitmap: BitMap64 | None = None
        self._rest: BitMap64 | None = None
        self.part: Part | None = next(self._coming, None)

    @property
    def bitmap(self) -> BitMap64:
        """The part, whole."""
        if self._bitmap is None:
            assert self.part is not None
            self._bitmap = self._members.load(self.part)
        return self._bitmap

    def take_away(self, others: BitMap64) -> None:
        """Take away what the other list has, too."""
        self._rest = (self.bitmap if self._rest is None else self._rest) - others

    def up_to(self, until: int) -> Ids:
        """Give what is left up to an id, from which on the other list may still take something away."""
        assert self.part is not None
        if self.part.first > until:
            return NO_IDS
        ids = to_ids(self.bitmap if self._rest is None else self._rest)
        start, end = np.searchsorted(ids, (self._told, until), "right")
        self._told = until
        if self.part.last <= until:
            self.next()
        return ids[start:end]

    def next(self) -> None:
        """Go on to the next part."""
        assert self.part is not None
        self._told = max(self._told, self.part.last)
        self._bitmap = self._rest = None
        self.part = next(self._coming, None)
