"""Uploads whose verdict is not known yet: where they show in a home, and what they replaced there.

An upload shows in the home before it is judged. If it is refused, its name goes, and the file that it replaced stands
there again: until then that one has a link in staging, which the next start clears. All calls block.
"""

import contextlib
import os
import threading
from dataclasses import dataclass
from pathlib import Path

from ctsftp.spool.disk import Disk, translated
from ctsftp.spool.home import Home
from ctsftp.spool.paths import HomePath
from ctsftp.spool.stored import StoredUpload

MOST_REMEMBERED = 10_000

Key = tuple[str, str]  # a client and the id of its upload


@dataclass(slots=True)
class Shown:
    """Where an upload shows in the home, and where the file that it replaced there is kept, if there was one."""

    target: HomePath
    covered: Path | None = None


class Unjudged:
    """All such uploads of a spool; of too many, the oldest are forgotten."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self._shown: dict[Key, Shown] = {}  # the oldest first
        self._lock = threading.Lock()

    def note(self, key: Key, target: HomePath, covered: Path | None = None) -> None:
        """Remember where an upload shows until its verdict is known."""
        with self._lock:
            self._shown[key] = Shown(target, covered)
            many = len(self._shown) > MOST_REMEMBERED
            oldest = self._shown.pop(next(iter(self._shown))) if many else None
        if oldest:
            self._drop_covered(oldest)

    def settle(self, key: Key) -> None:
        """Let an upload stand where it shows."""
        if shown := self._shown.pop(key, None):
            self._drop_covered(shown)

    def hide(self, key: Key, upload: StoredUpload, home: Home) -> bool:
        """Take a refused upload out of the home, if it shows where it was put; what it replaced is there again.

        After a restart nothing is known of that: it is then looked for where its path says. Tells whether it showed.
        """
        with home.lock, translated(f"{upload.filename} could not be taken out of the home"):
            shown = self._shown.pop(key, None) or Shown(HomePath.of(upload.place))
            self._pass_on(key[0], upload.path, shown)
            place = home.file(shown.target)
            if not self._is_same_file(place, upload.path):
                self._drop_covered(shown)
                return False
            if shown.covered:
                self._disk.rename(shown.covered, place)
                home.note_moved(shown.target)
            else:
                self._disk.unlink(place)
        home.sync(shown.target.parent)
        return True

    def _pass_on(self, client: str, file: Path, shown: Shown) -> None:
        """Let a later upload that replaced this one in the home have replaced what was there before it."""
        for (owner, _), later in list(self._shown.items()):
            if owner == client and later.covered and self._is_same_file(later.covered, file):
                self._disk.unlink(later.covered)
                later.covered, shown.covered = shown.covered, None

    def _drop_covered(self, shown: Shown) -> None:
        if shown.covered:
            with contextlib.suppress(OSError):  # the next start clears staging
                self._disk.unlink(shown.covered)

    def _is_same_file(self, one: Path, other: Path) -> bool:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            return os.path.samestat(self._disk.lstat(one), self._disk.lstat(other))
        return False
