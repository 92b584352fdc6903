"""Tells how long something has done nothing, from a count that grows when it does something.

So that the path of every packet carries an addition and no look at a clock: whoever keeps watch looks now and then.
"""

from weakref import WeakKeyDictionary


class Watch:
    """What was seen at earlier looks; what is no more is forgotten by itself."""

    def __init__(self) -> None:
        self._seen: WeakKeyDictionary[object, tuple[int, float]] = WeakKeyDictionary()

    def quiet_s(self, what: object, count: int, now_s: float) -> float:
        """Tell for how many seconds `count` has been the same; 0 at the first look."""
        seen = self._seen.get(what)
        if seen is None or seen[0] != count:
            self._seen[what] = (count, now_s)
            return 0.0
        return now_s - seen[1]
