"""The catalogue of a spool: which uploads are on disk, found by their ids, by their bytes and by their names.

An upload's path says all of it, so nothing else is asked; of those that landed lately, some are remembered. All calls
block.
"""

import contextlib
import itertools
import os
import stat
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from ctsftp.contract.ids import is_upload_id
from ctsftp.contract.names import SegmentFile, read_name
from ctsftp.contract.places import Places
from ctsftp.errors import DiskError
from ctsftp.spool.disk import Disk, translated
from ctsftp.spool.home import Home
from ctsftp.spool.paths import HomePath
from ctsftp.spool.removal import LINKS_OF_ONE_UPLOAD
from ctsftp.spool.stored import StoredUpload

RECENT_UPLOADS = 1_000  # of all clients that are remembered, and of one client that are looked through
RECENT_IDS = 500  # of a client that are remembered: as many as `receipts_shown` may be


class Catalogue:
    """The uploads of all clients below `root`; what takes long ends when `goes_on` says no."""

    def __init__(self, disk: Disk, root: Path, goes_on: Callable[[], bool]) -> None:
        self._disk = disk
        self._root = root
        self._goes_on = goes_on
        self._landing_ids: set[str] = set()
        self._recent_uploads: dict[tuple[str, int], StoredUpload] = {}
        self._recent_ids: dict[str, deque[str]] = {}
        self._recent_lock = threading.Lock()

    @contextlib.contextmanager
    def landing(self, client: str, upload_id: str) -> Iterator[None]:
        """Let no sweep find an upload before it has landed."""
        self._landing_ids.add(upload_id)
        try:
            yield
        finally:
            self._landing_ids.discard(upload_id)
        with self._recent_lock:
            if client in self._recent_ids:
                self._recent_ids[client].append(upload_id)

    def ids(self, client: str) -> list[str]:
        """List the ids of a client's uploads on disk, in the order of their CLOSE; not those that are on their way."""
        names = self.names(self._root / client / "uploads")  # first: what begins to land later is not among them
        return [name for name in names if is_upload_id(name) and name not in self._landing_ids]

    def recent_ids(self, client: str) -> list[str]:
        """List the ids of a client's newest uploads, `RECENT_IDS` at most, in the order of their CLOSE.

        The folder is listed once; what landed since is remembered. The files of some may have been deleted.
        """
        with self._recent_lock:
            if client not in self._recent_ids:
                self._recent_ids[client] = deque(self.ids(client)[-RECENT_IDS:], maxlen=RECENT_IDS)
            return sorted(set(self._recent_ids[client]))

    def find(self, client: str, upload_id: str) -> StoredUpload | None:
        """Find one upload's file; None if it is not on disk (any more)."""
        folder, path = self._root / client / "uploads" / upload_id, HomePath(())
        while entry := self.entry(folder.joinpath(*path.parts)):
            name, found = entry
            path = path.child(name)
            if stat.S_ISREG(found.st_mode):
                return StoredUpload(upload_id, client, name, folder.joinpath(*path.parts), str(path.parent))
        return None

    def measure(self, client: str, home: Home) -> tuple[int, int]:
        """Tell how many bytes, and how many files, a client's uploads and partials are.

        Of bytes that several uploads share, each list counts: the database holds it again.
        """
        sizes: dict[int, int] = {}
        lists: Counter[int] = Counter()
        files = 0
        for upload_id in self.ids(client):
            upload = self.find(client, upload_id)
            if upload and (found := self.lstat(upload.path)):
                sizes[found.st_ino] = found.st_size
                lists[found.st_ino] += is_list(upload.filename)
                files += 1
        for _, found in home.walk(home.partials):
            sizes[found.st_ino] = found.st_size
            files += 1
        return sum(size * max(1, lists[inode]) for inode, size in sizes.items()), files

    def clear_dead(self, client: str) -> None:
        """Remove the folders of uploads that died before their files were in them."""
        ids = self.ids(client)
        for upload_id in ids:
            with contextlib.suppress(OSError):  # its file, or a folder, is in it
                self._disk.remove_folder(self._root / client / "uploads" / upload_id)
        for upload_id in ids[-RECENT_UPLOADS:]:
            self._clear_folder(self._root / client / "uploads" / upload_id)

    def _clear_folder(self, folder: Path) -> None:
        folders = [folder]
        while (entry := self.entry(folders[-1])) and stat.S_ISDIR(entry[1].st_mode):
            folders.append(folders[-1] / entry[0])
        for one in reversed(folders[1:] and folders):
            with contextlib.suppress(OSError):  # its file is in it
                self._disk.remove_folder(one)

    def sharers(self, client: str, inodes: frozenset[int]) -> dict[int, set[str]]:
        """Tell which uploads have these bytes on the disk, be they on their way still."""
        found: dict[int, set[str]] = {}
        for upload_id in self.names(self._root / client / "uploads"):
            upload = self.find(client, upload_id)
            place = self.lstat(upload.path) if upload else None
            if place and place.st_nlink > LINKS_OF_ONE_UPLOAD and place.st_ino in inodes:
                found.setdefault(place.st_ino, set()).add(upload_id)
        return found

    def entry(self, folder: Path) -> tuple[str, os.stat_result] | None:
        """Find the file in a folder of an upload, else the folder in it that leads to the file."""
        found = [(name, there) for name in self.names(folder) if (there := self.lstat(folder / name))]
        for test in (stat.S_ISREG, stat.S_ISDIR):
            for name, there in found:
                if test(there.st_mode):
                    return name, there
        return None

    def remember(self, upload: StoredUpload) -> None:
        """Remember an upload that just landed: it is the one that is renamed most often."""
        with contextlib.suppress(DiskError), self._recent_lock:
            if found := self.lstat(upload.path):
                self._recent_uploads[upload.client, found.st_ino] = upload
                if len(self._recent_uploads) > RECENT_UPLOADS:
                    del self._recent_uploads[next(iter(self._recent_uploads))]

    def is_upload(self, client: str, found: os.stat_result) -> bool:
        """Whether a file in a home is an upload of late; of an older one, False costs a copy of it."""
        if found.st_nlink == 1:
            return False
        recent = self._recent_uploads.get((client, found.st_ino))
        return self._is_one_of([recent] if recent else [], found) or self._is_one_of(self._newest(client), found)

    def _is_one_of(self, uploads: Iterable[StoredUpload], found: os.stat_result) -> bool:
        places = (self.lstat(upload.path) for upload in uploads)
        return any(place and os.path.samestat(place, found) for place in places)

    def _newest(self, client: str) -> Iterator[StoredUpload]:
        names = self.names(self._root / client / "uploads")
        return filter(None, (self.find(client, name) for name in names[: -RECENT_UPLOADS - 1 : -1]))

    def names_of_inodes(self, client: str) -> dict[int, frozenset[str]]:
        """Tell the names of a client's uploads by their inodes, also of those that are on their way.

        Not those that they had in a temporary folder. If the spool stops, of some uploads.
        """
        found: dict[int, frozenset[str]] = {}
        for upload_id in itertools.takewhile(lambda _: self._goes_on(), self.names(self._root / client / "uploads")):
            upload = self.find(client, upload_id)
            if upload and (place := self.lstat(upload.path)):
                name = {upload.filename} if Places().read(upload.place) is not None else set[str]()
                found[place.st_ino] = found.get(place.st_ino, frozenset()) | name
        return found

    def names(self, folder: Path) -> list[str]:
        """List what stands in a folder; nothing where there is none."""
        with translated(f"{folder} could not be listed"), contextlib.suppress(FileNotFoundError, NotADirectoryError):
            return sorted(self._disk.names(folder))
        return []

    def lstat(self, place: Path) -> os.stat_result | None:
        """Describe what stands at a place, None if nothing does."""
        with (
            translated(f"{place} could not be looked at"),
            contextlib.suppress(FileNotFoundError, NotADirectoryError),
        ):
            return self._disk.lstat(place)
        return None

    def is_folder(self, place: Path) -> bool:
        """Whether a folder stands there; a link is none."""
        found = self.lstat(place)
        return found is not None and stat.S_ISDIR(found.st_mode)


def is_strange(path: HomePath, names: frozenset[str] | None) -> bool:
    """Tell whether a file is no upload's (`names` is None), or has the name of a list that no upload of it has."""
    return names is None or (is_list(path.name) and Places().read(str(path)) is not None and path.name not in names)


def is_list(filename: str) -> bool:
    """Whether this is the name of a list."""
    return isinstance(read_name(filename), SegmentFile)
