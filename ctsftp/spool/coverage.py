"""Which bytes of a file have been written: a file with holes is not complete."""

from bisect import bisect_left, bisect_right
from operator import itemgetter

MAX_RANGES = 512


class Coverage:
    """The written byte ranges of one file: sorted, disjoint, not touching.

    Senders write from front to back, perhaps a little out of order, so there are few ranges; more
    than `MAX_RANGES` at once is an attack or a broken client, and `add` says so by returning False.
    """

    def __init__(self, prefix_bytes: int = 0) -> None:
        self._ranges: list[tuple[int, int]] = [(0, prefix_bytes)] if prefix_bytes else []

    def add(self, start: int, end: int) -> bool:
        """Note that the bytes from `start` up to `end` were written; False if there are too many ranges."""
        ranges = self._ranges
        if start == end:
            return True
        if ranges and ranges[-1][0] <= start <= ranges[-1][1]:  # the common case: the file grows at its end
            ranges[-1] = (ranges[-1][0], max(end, ranges[-1][1]))
            return True
        first = bisect_left(ranges, start, key=itemgetter(1))  # the first range that touches the new one,
        last = bisect_right(ranges, end, key=itemgetter(0))  # and the first behind it that does not
        if first < last:
            start, end = min(start, ranges[first][0]), max(end, ranges[last - 1][1])
        ranges[first:last] = [(start, end)]
        return len(ranges) <= MAX_RANGES

    def cut(self, size: int) -> None:
        """Forget what was written at and behind `size`."""
        self._ranges = [(start, min(end, size)) for start, end in self._ranges if start < size]

    @property
    def prefix_bytes(self) -> int:
        """How many bytes from the first on are written without a hole."""
        return self._ranges[0][1] if self._ranges and self._ranges[0][0] == 0 else 0

    def is_whole(self, size: int) -> bool:
        """Whether all of a file of `size` bytes was written."""
        return self.prefix_bytes == size
