"""Deleting the files of uploads that have had their time: one look at a home, for however many they are.

Of 100,000 uploads of one client, each has its name somewhere in the home. The home is walked once, and from then on it
notes down which names were moved and which uploads were made of the same bytes (`Home.begin_notes`), so that the look
stays true. The names go first, and durably: a file without its upload would be adopted as a new one.
"""

import contextlib
import os
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Self

import structlog

from ctsftp.errors import CtsftpError, NoSuchPathError, PeerError
from ctsftp.spool.disk import Disk, translated
from ctsftp.spool.home import Home
from ctsftp.spool.paths import HomePath
from ctsftp.spool.stored import StoredUpload

# To take the names away is a fifth of the work: what follows of a batch takes four times as long.
NAMES_SHARE = 0.2
# A batch ends after so many folders of a home, each of which costs an fsync.
FOLDERS_AT_ONCE = 16
# The names of an upload that was renamed to nothing else: its own, and the one in the home.
LINKS_OF_ONE_UPLOAD = 2

log = structlog.get_logger()


class Removal:
    """The uploads of one client that are to be deleted. `inodes` are those of their files; use it as a context."""

    def __init__(
        self,
        disk: Disk,
        home: Home,
        inodes: Iterable[int],
        *,
        find: Callable[[str], StoredUpload | None],
        sharers: Callable[[frozenset[int]], dict[int, set[str]]],
        go_on: Callable[[], bool] = lambda: True,
    ) -> None:
        self._disk = disk
        self._home = home
        self._inodes = frozenset(inodes)
        self._go_on = go_on
        self._find = find
        self._find_sharers = sharers
        self._sharers: dict[int, set[str]] | None = None  # which uploads share the bytes; found out when it matters
        self._names: dict[int, set[HomePath]] = defaultdict(set)
        self._notes = home.begin_notes()
        for path, found in home.walk(home.files, go_on):
            self._take(path, found)

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let the home note nothing more."""
        self._home.end_notes(self._notes)

    def remove(self, upload_ids: list[str], *, for_s: float) -> tuple[int, list[str]]:
        """Delete uploads for about so long; give how many were deleted, and the ids of those that are left.

        One that cannot be deleted is logged: it is no reason to keep all others. Once the spool stops, none is deleted:
        the look may be half of one.
        """
        if not self._go_on():
            return 0, []
        until_s = time.monotonic() + for_s * NAMES_SHARE
        nameless: list[StoredUpload] = []
        folders: set[HomePath] = set()
        done = 0
        for upload_id in upload_ids:
            if done and (time.monotonic() >= until_s or len(folders) >= FOLDERS_AT_ONCE):
                break
            done += 1
            with _logged(upload_id):
                if upload := self._find(upload_id):
                    folders |= self._take_names(upload)
                    nameless.append(upload)
        deleted = self._unlink(nameless, folders)
        return deleted, upload_ids[done:]

    def remove_one(self, upload: StoredUpload) -> None:
        """Delete one upload, or raise what is in the way."""
        folders = self._take_names(upload)
        self._sync(folders)
        self._unlink_file(upload)

    def _take_names(self, upload: StoredUpload) -> set[HomePath]:
        """Take an upload's names out of the home, unless another upload has them too; give their folders."""
        with translated(f"Upload {upload.id} could not be deleted"), self._home.lock:
            self._take_notes()
            found = self._disk.lstat(upload.path)
            shown = [path for path in self._names.get(found.st_ino, ()) if self._is_still(path, found)]
            if found.st_nlink > len(shown) + 1 and self._is_shared(upload.id, found.st_ino):
                return set()
            for path in shown:
                self._disk.unlink(self._home.file(path))
            self._names.pop(found.st_ino, None)
            return {path.parent for path in shown}

    def _is_shared(self, upload_id: str, inode: int) -> bool:
        """Whether another upload has the same bytes on the disk; links from elsewhere, as a backup's, do not count."""
        if self._sharers is None:
            self._sharers = self._find_sharers(self._inodes)
        sharers = self._sharers.get(inode, set())
        sharers.discard(upload_id)
        return bool(sharers)

    def _is_still(self, path: HomePath, found: os.stat_result) -> bool:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            return os.path.samestat(self._disk.lstat(self._home.file(path)), found)
        return False

    def _take_notes(self) -> None:
        """Follow what was renamed in the home since the last look; of a folder, all that is in it."""
        while self._notes.moved:
            path = self._notes.moved.pop()
            with contextlib.suppress(PeerError):  # moved on, or gone
                if found := self._home.find(path):
                    self._take(path, found)
                    for inside, there in self._home.walk(self._home.files, below=path):
                        self._take(inside, there)
        while self._notes.shared:
            inode, upload_id = self._notes.shared.pop()
            if self._sharers is not None:
                self._sharers.setdefault(inode, set()).add(upload_id)

    def _take(self, path: HomePath, found: os.stat_result) -> None:
        if found.st_ino in self._inodes:
            self._names[found.st_ino].add(path)

    def _unlink(self, uploads: list[StoredUpload], folders: set[HomePath]) -> int:
        deleted = 0
        try:
            self._sync(folders)
        except CtsftpError as exc:
            log.warning("uploads not deleted", count=len(uploads), error=str(exc))
            return 0
        for upload in uploads:
            with _logged(upload.id):
                self._unlink_file(upload)
                deleted += 1
        return deleted

    def _unlink_file(self, upload: StoredUpload) -> None:
        with translated(f"Upload {upload.id} could not be deleted"):
            self._disk.unlink(upload.path)
            for folder in upload.folders:
                self._disk.remove_folder(folder)

    def _sync(self, folders: set[HomePath]) -> None:
        """Make it durable that the names are gone; of a folder that its client removed meanwhile, the one above."""
        for folder in folders:
            place = folder
            while True:
                try:
                    self._home.sync(place)
                    break
                except NoSuchPathError:
                    if not place.parts:
                        raise
                    place = place.parent


@contextlib.contextmanager
def _logged(upload_id: str) -> Iterator[None]:
    try:
        yield
    except (CtsftpError, OSError) as exc:
        log.warning("upload not deleted", upload=upload_id, error=str(exc))
