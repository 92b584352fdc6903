"""One upload on its way into `uploads/` and the home: step by step, each durable, or all taken back.

The order is what the promise rests on: the file, already durable, gets its name in `uploads/`; its
folders are made durable; only then does it show in the home, whose folder is made durable last.
"""

import contextlib
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from ctsftp.errors import IncompleteError
from ctsftp.spool.disk import Disk
from ctsftp.spool.home import Home
from ctsftp.spool.paths import HomePath


class Landing:
    """The steps of one upload into its `folder`, put to `path`; leaving the `with` block by an error takes them back.

    Below its folder the file stands as it was put into the home: `<upload id>/in/VIP_20261123_0900.csv`.

    What the disk does not let go of is found by the sweep and loaded: the file is complete, and the
    sender, which was told of a failure, sends it again: a duplicate. An OSError passes as it is.
    """

    def __init__(self, disk: Disk, home: Home, folder: Path, path: HomePath) -> None:
        self._disk = disk
        self._home = home
        self._place = folder.joinpath(*path.parts)
        self._folders = [folder.joinpath(*path.parts[:depth]) for depth in range(len(path.parts))]
        self._made: list[Path] = []
        self._shown: Path | None = None
        self._target: HomePath | None = None
        self._covered: Path | None = None

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End well, or take every step back."""
        if kind:
            self._undo()

    def take(self, staged: Path) -> None:
        """Move a durable file out of staging."""
        self._make_folder()
        self._disk.rename(staged, self._place)
        self._sync()

    def share(self, file: Path, found: os.stat_result) -> None:
        """Give the bytes of an upload that stands in the home as `file` to this one too."""
        self._make_folder()
        self._disk.link(file, self._place)
        if not os.path.samestat(self._disk.lstat(self._place), found):  # a local user was quicker
            raise IncompleteError(f"{file.name} was replaced while it was being renamed: try again.")
        self._sync()

    def show(
        self,
        target: HomePath,
        staged: Path,
        *,
        instead_of: os.stat_result | None = None,
        keep_covered: bool = False,
    ) -> Path | None:
        """Link the upload into the home in one step, so that a reader sees the old file or the new one.

        `staged` is a free name in staging. `instead_of` says what must stand at `target` still, byte
        for byte; else `IncompleteError`. Gives where the file that it replaced is kept, if that is asked for.
        """
        shown = self._home.file(target)
        with self._home.lock:
            covered = self._home.find_writable(target)
            if instead_of and not (covered and is_unchanged(covered, instead_of)):
                raise IncompleteError(f"{target} is still being written.")
            self._disk.link(self._place, staged)
            if covered:
                self._keep_covered(shown, staged.with_suffix(".covered"))
            self._shown, self._target = shown, target
            self._disk.rename(staged, shown)
        self._home.sync(target.parent)
        self._home.drop_partial(target)
        if self._covered and not keep_covered:
            with contextlib.suppress(OSError):  # the next start clears staging
                self._disk.unlink(self._covered)
        return self._covered if keep_covered else None

    def _make_folder(self) -> None:
        """Make the upload's folder and those in it; one that is there belongs to another upload, which must stay."""
        for folder in self._folders:
            self._disk.make_folder(folder)
            self._made.append(folder)

    def _sync(self) -> None:
        """Make durable the file's name, then each folder's, the innermost first."""
        for folder in reversed(self._folders):
            self._disk.fsync_folder(folder)
        self._disk.fsync_folder(self._folders[0].parent)

    def _keep_covered(self, shown: Path, aside: Path) -> None:
        """Keep a name for the file that the upload replaces in the home, until nothing can fail any more."""
        # Linux lets nobody link a file that he does not own and may not write (fs.protected_hardlinks):
        # a file that a local user put there has to go without.
        with contextlib.suppress(PermissionError):
            self._disk.link(shown, aside)
            self._covered = aside

    def _undo(self) -> None:
        with contextlib.suppress(OSError), self._home.lock:
            if self._shown and os.path.samestat(self._disk.lstat(self._shown), self._disk.lstat(self._place)):
                if self._covered:
                    self._disk.rename(self._covered, self._shown)
                    if self._target:
                        self._home.note_moved(self._target)
                else:
                    self._disk.unlink(self._shown)
        for name in (self._covered, self._place if self._folders == self._made else None):
            with contextlib.suppress(OSError):
                if name:
                    self._disk.unlink(name)
        for folder in reversed(self._made):
            with contextlib.suppress(OSError):
                self._disk.remove_folder(folder)


def is_unchanged(now: os.stat_result, before: os.stat_result) -> bool:
    """Whether a file is the same one, and nobody has written to it."""
    return os.path.samestat(now, before) and (now.st_size, now.st_mtime_ns) == (before.st_size, before.st_mtime_ns)
