"""Remembers which names of a client were refused lately, and why, for programs that swallow the error of CLOSE.

paramiko's `put`, say, looks at the file after it closed it. The answer is NO_SUCH_FILE, with the reason as its text: a
program that checks after a put fails, and one that looks before it puts the corrected file goes on.
"""

import unicodedata
from collections import OrderedDict
from collections.abc import Callable

from ctsftp.spool.paths import HomePath

REMEMBERED_S = 3600
MOST_REMEMBERED = 1_000  # names of one client; of more, the newest


class Refusals:
    """The refused names of one client, shared by its sessions; a restart finds them in the ledger."""

    def __init__(self, clock_s: Callable[[], float]) -> None:
        self._clock_s = clock_s
        self._refused: OrderedDict[str, tuple[float, str]] = OrderedDict()  # the oldest first

    def note(self, path: HomePath, reason: str, *, ago_s: float = 0) -> None:
        """Remember that the file at `path` was refused, be it some time ago."""
        self.forget(path)
        self._refused[_key(path)] = (self._clock_s() + REMEMBERED_S - ago_s, reason)
        if len(self._refused) > MOST_REMEMBERED:
            self._refused.popitem(last=False)

    def forget(self, path: HomePath) -> None:
        """Forget it: something new comes to this name."""
        self._refused.pop(_key(path), None)

    def reason(self, path: HomePath) -> str | None:
        """Tell why the file at `path` was refused, if one was within the last hour."""
        until_s, reason = self._refused.get(_key(path), (0.0, ""))
        if self._clock_s() < until_s:
            return reason
        self.forget(path)
        return None


def _key(path: HomePath) -> str:
    """Write a path so that its accents are the same however a sender's system writes them."""
    return unicodedata.normalize("NFC", str(path))
