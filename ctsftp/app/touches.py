"""Lists that were closed without a byte: they are rejected at once, and people hear of one when its session ends.

Programs make a file's name first and write to it later, and the list then follows within the session. If the server
dies in between, the next start tells (`Ledger.recover`).
"""

from collections.abc import Callable

from ctsftp.spool.stored import StoredUpload


class Touches:
    """The empty lists of the sessions that go on, and whether each was rejected already."""

    def __init__(self, tell: Callable[[StoredUpload], None]) -> None:
        self._tell = tell
        self._begun: set[str] = set()  # the ids of those that are not rejected yet
        self._rejected: set[str] = set()  # of those that were rejected quietly
        self._filled: set[str] = set()  # of those that are not rejected yet, whose list has come

    def begins(self, upload: StoredUpload) -> None:
        """Let this upload be rejected quietly."""
        self._begun.add(upload.id)

    def filled(self, upload: StoredUpload) -> None:
        """Note that its list has come: nobody need be told."""
        if upload.id in self._begun:
            self._filled.add(upload.id)
        self._rejected.discard(upload.id)

    def stayed(self, upload: StoredUpload) -> None:
        """Have people told: now, if it was rejected quietly; else its verdict tells them."""
        self._begun.discard(upload.id)
        if upload.id in self._rejected:
            self._rejected.remove(upload.id)
            self._tell(upload)

    def ends_quietly(self, upload: StoredUpload) -> bool:
        """Whether nobody is to be told of this verdict, which is about to be written down."""
        if upload.id not in self._begun:
            return False
        self._begun.remove(upload.id)
        if upload.id in self._filled:
            self._filled.remove(upload.id)
        else:
            self._rejected.add(upload.id)
        return True
