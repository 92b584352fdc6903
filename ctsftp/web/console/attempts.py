"""Failed sign-ins, which are remembered for a minute."""

from collections import OrderedDict
from datetime import datetime, timedelta

from ctsftp.model.records import Clock

MAX_ADDRESSES = 10_000  # whose failures are remembered
MINUTE = timedelta(minutes=1)


class Attempts:
    """Failed sign-ins: an address gets so many a minute, whatever it tries next."""

    def __init__(self, *, most: int, now: Clock) -> None:
        self._most = most
        self._now = now
        self._failures: OrderedDict[str, list[datetime]] = OrderedDict()

    def are_used_up(self, address: str) -> bool:
        """Tell whether an address has to wait."""
        return len(self._recent(address)) >= self._most

    def note_failure(self, address: str) -> None:
        """Remember a failure; of the addresses, the one that failed longest ago is forgotten first."""
        self._failures[address] = [*self._recent(address), self._now()]
        self._failures.move_to_end(address)
        while len(self._failures) > MAX_ADDRESSES:
            self._failures.popitem(last=False)

    def _recent(self, address: str) -> list[datetime]:
        since = self._now() - MINUTE
        return [moment for moment in self._failures.get(address, ()) if moment > since]
