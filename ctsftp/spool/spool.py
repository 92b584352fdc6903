"""The spool: takes a file from staging to an upload, and finds again what is there after a restart.

Below the data folder, a folder a client::

    clients/<client>/staging/<token>                     being written; thrown away at a restart
    clients/<client>/partials/<path>                     cut off; can be resumed
    clients/<client>/uploads/<upload id>/<file name>     complete and immutable; its path says all that recovery needs
    clients/<client>/home/<path>                         what the client sees: hard links to uploads

An upload exists from the moment its file is renamed into `uploads/`; it is acknowledged only after
every folder on its way was made durable too (`Landing`). All calls block: run them in a thread.
"""

import contextlib
import os
import secrets
import stat
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import structlog

from ctsftp.contract.ids import is_upload_id
from ctsftp.errors import CtsftpError, DiskError, LimitError, NoSuchPathError, PathTakenError, PeerError
from ctsftp.spool.disk import Disk, translated
from ctsftp.spool.home import Home
from ctsftp.spool.landing import Landing
from ctsftp.spool.paths import HomePath
from ctsftp.spool.quota import Account, Share
from ctsftp.spool.staging import StagedFile

COPY_BLOCK_BYTES = 1 << 20
PLACE_LOCKS = 64
SECONDS_A_DAY = 86_400
RECENT_UPLOADS = 500  # of a client, whose ids are remembered: as many as `receipts_shown` may be
FOLDERS = ("staging", "partials", "uploads", "home")

T = TypeVar("T")

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class StoredUpload:
    """One complete file: its id, its client, its own name, and where it stands."""

    id: str
    client: str
    filename: str
    path: Path


class Spool:
    """Everything below `data/clients`."""

    def __init__(
        self, root: Path, *, disk: Disk, next_id: Callable[[], str], clock_s: Callable[[], float] = time.time
    ) -> None:
        self.root = root.resolve()  # an admin may keep it on another disk and leave a link
        self._disk = disk
        self._next_id = next_id
        self._clock_s = clock_s
        # Ids and the home's entries at one path change in the same order, so the last CLOSE wins in both.
        self._place_locks = [threading.Lock() for _ in range(PLACE_LOCKS)]
        self._homes: dict[str, Home] = {}
        self._homes_lock = threading.Lock()
        self._accounts: dict[str, Account] = {}
        self._landing_ids: set[str] = set()
        self._recent: dict[str, deque[str]] = {}
        self._recent_lock = threading.Lock()

    def clients(self) -> list[str]:
        """Name the clients that have a home here."""
        return [name for name in self._names(self.root) if self._has_home(name)]

    def of_each_client(self, what: str, work: Callable[[str], T]) -> Iterator[T]:
        """Do something for each client; a folder that is out of order is no reason to leave out the others."""
        for client in self.clients():
            try:
                yield work(client)
            except (CtsftpError, OSError) as exc:
                log.warning("client left out", client=client, at=what, error=str(exc))

    def home(self, client: str) -> Home:
        """Give a client's home, made and made durable at its first use; all who ask share one."""
        folder = self.root / client
        with self._homes_lock, translated(f"The folders of {client} could not be made"):
            home = self._homes.get(client)
            if home is None or not self._is_folder(home.files):
                for place in (self.root, folder, *(folder / name for name in FOLDERS)):
                    self._make_folder(place)
                # Also where they are there already: the process that made them may have died before this.
                for place in (folder, self.root):
                    self._disk.fsync_folder(place)
                with contextlib.suppress(PermissionError):  # who may not read it did not make the root in it
                    self._disk.fsync_folder(self.root.parent)
                home = self._homes.setdefault(client, Home(self._disk, folder))
        return home

    def account(self, client: str) -> Account:
        """Give what is known of how much a client has here; all who ask share one."""
        home = self.home(client)
        with self._homes_lock:
            if client not in self._accounts:
                self._accounts[client] = Account(lambda: self.measure(client), home.room)
            return self._accounts[client]

    def measure(self, client: str) -> tuple[int, int]:
        """Tell how many bytes, and how many files and folders, a client has: uploads, partials, folders in its home.

        Bytes that several uploads share count once. Files that are being written are not counted.
        """
        home = self.home(client)
        sizes, files = {}, home.count_folders()
        for upload_id in self.upload_ids(client):
            upload = self.upload(client, upload_id)
            if upload and (found := self._lstat(upload.path)):
                sizes[found.st_ino] = found.st_size
                files += 1
        for _, found in home.walk(home.partials):
            sizes[found.st_ino] = found.st_size
            files += 1
        return sum(sizes.values()), files

    def stage(
        self,
        client: str,
        path: HomePath,
        *,
        truncate: bool,
        create: bool,
        exclusive: bool,
        append: bool,
        max_size_bytes: int,
        share: Share | None = None,
    ) -> StagedFile:
        """Open a file for writing, as the flags of SSH_FXP_OPEN ask (draft-ietf-secsh-filexfer-02, section 6.3).

        Without `truncate` the file begins with what was cut off at this path, which is then claimed
        by this handle, else with a copy of the complete file there.
        """
        home = self.home(client)
        place, seed_bytes = self._staging_place(client), 0
        with home.lock, translated(f"{path} could not be opened"):
            found, partial = home.find_writable(path), home.find_partial(path)
            if exclusive and (found or partial):
                raise PathTakenError(f"{path} is there already.")
            if not create and not found and not partial:
                raise NoSuchPathError(f"{path} is not there.")
            if partial and not truncate:
                fd, seed_bytes = home.claim_partial(path, place), partial.st_size
            else:
                fd = self._disk.create(place)
        staged = StagedFile(
            self._disk,
            fd,
            place,
            path,
            max_size_bytes=max_size_bytes,
            seed_bytes=seed_bytes,
            shown=found is None,
            share=share,
        )
        if seed_bytes and share:
            share.resume(seed_bytes)
        if seed_bytes:
            self._settle_claim(client, home, staged)
        elif found and not partial and not truncate:
            self._copy(home, staged)
        if append and (shown := found or partial):
            staged.begin_append(shown.st_size)
        return staged

    def publish(self, client: str, staged: StagedFile) -> StoredUpload:
        """Turn a file that its client closed into an upload; when this returns it is durable.

        Raises what makes the CLOSE fail. A file that is incomplete is then a partial, if its bytes
        can be trusted; one that could not be stored is gone, and what stood at its path is there still.
        """
        try:
            staged.seal()
        except CtsftpError:
            self.cut_off(client, staged)
            raise
        upload = self._land(client, staged, staged.target.name)
        staged.settle(staged.size_bytes)
        return upload

    def publish_renamed(self, client: str, old: HomePath, new: HomePath, *, replace: bool) -> StoredUpload:
        """Make a complete file that gets a segment file's name an upload of the same bytes, without moving it yet."""
        home = self.home(client)
        home.check_target(old, new, replace=replace)
        found = home.require_file(old)
        if is_stranger(found):  # its bytes may not be durable, and a local user may go on writing them
            return self._land(client, self._copied(client, home, old, found), new.name, instead_of=found)
        with self._landing(client, home, new.name) as (upload, landing):
            landing.share(home.file(old), found)
        return upload

    def cut_off(self, client: str, staged: StagedFile) -> int:
        """Keep what a broken connection left as a partial, and return its bytes; never raises."""
        kept_bytes = 0
        with contextlib.suppress(CtsftpError, OSError):
            prefix_bytes = staged.keep_prefix()
            if prefix_bytes:
                self.home(client).keep_partial(staged.path, staged.target)
                kept_bytes = prefix_bytes
        staged.settle(kept_bytes or None)
        self._forget(staged)
        return kept_bytes

    def adopt(self, client: str, path: HomePath, *, max_size_bytes: int) -> StoredUpload | None:
        """Make a file that came into a home by other means an upload of a copy; None if it changed meanwhile.

        The upload then stands in the home in the file's place.
        """
        home = self.home(client)
        found = home.find(path)
        if found is None or not is_stranger(found):
            return None
        if found.st_size > max_size_bytes:
            raise LimitError(f"{path} is larger than the limit of {max_size_bytes} bytes.")
        try:
            return self._land(client, self._copied(client, home, path, found), path.name, instead_of=found)
        except PeerError:  # written, moved or removed in the meantime: the next sweep looks again
            return None

    def strangers(self, client: str, *, quiet_s: int) -> list[HomePath]:
        """List the files in a home that are no upload's link and were quiet for `quiet_s` seconds.

        Only the time of the last change counts: a file that was copied with its times may be as old
        as it likes, or from the future, while it is still being written.
        """
        home = self.home(client)
        latest = self._clock_s() - quiet_s
        return [path for path, found in home.walk(home.files) if is_stranger(found) and found.st_ctime <= latest]

    def upload_ids(self, client: str) -> list[str]:
        """List the ids of a client's uploads on disk, in the order of their CLOSE; not those that are on their way."""
        names = self._names(self.root / client / "uploads")  # first: what begins to land later is not among them
        return [name for name in names if is_upload_id(name) and name not in self._landing_ids]

    def recent_ids(self, client: str) -> list[str]:
        """List the ids of a client's newest uploads, `RECENT_UPLOADS` at most, in the order of their CLOSE.

        The folder is listed once; what landed since is remembered. The files of some may have been deleted.
        """
        with self._recent_lock:
            if client not in self._recent:
                self._recent[client] = deque(self.upload_ids(client)[-RECENT_UPLOADS:], maxlen=RECENT_UPLOADS)
            return sorted(set(self._recent[client]))

    def upload(self, client: str, upload_id: str) -> StoredUpload | None:
        """Find one upload's file; None if it is not on disk (any more)."""
        folder = self.root / client / "uploads" / upload_id
        for name in self._names(folder):
            stored = StoredUpload(upload_id, client, name, folder / name)
            if (found := self._lstat(stored.path)) and stat.S_ISREG(found.st_mode):
                return stored
        return None

    def clear_staging(self) -> int:
        """Throw away what a dead process was writing; nobody was told that it arrived. Return how many files."""
        return sum(self.of_each_client("clear staging", self._clear_staging))

    def drop_old_partials(self, client: str, *, keep_days: int) -> int:
        """Delete a client's partials that nobody resumed for `keep_days`; return how many.

        A client may set the other times of a file as it likes, also to a day that never comes.
        """
        dropped = 0
        latest = self._clock_s() - keep_days * SECONDS_A_DAY
        home = self.home(client)
        with home.lock, translated("A partial could not be deleted"):
            for path, found in list(home.walk(home.partials)):
                if found.st_ctime < latest:
                    home.drop_partial(path)
                    dropped += 1
        return dropped

    def remove_upload(self, upload: StoredUpload) -> None:
        """Delete an upload's file; its names in the home go first, so that none is ever adopted as new."""
        home = self.home(upload.client)
        with translated(f"Upload {upload.id} could not be deleted"):
            with home.lock:
                found = self._lstat(upload.path)
                if found is None:
                    return
                shown = [path for path, there in home.walk(home.files) if os.path.samestat(there, found)]
                if found.st_nlink > len(shown) + 1 and self._is_shared(upload, found):
                    shown = []  # they belong to an upload that was made by a rename
                for path in shown:
                    self._disk.unlink(home.file(path))
            for folder in {path.parent for path in shown}:
                home.sync(folder)
            self._disk.unlink(upload.path)
            self._disk.remove_folder(upload.path.parent)

    def _clear_staging(self, client: str) -> int:
        cleared, staging = 0, self.root / client / "staging"
        for name in self._names(staging):
            with translated(f"{staging / name} could not be deleted"), contextlib.suppress(IsADirectoryError):
                self._disk.unlink(staging / name)
                cleared += 1
        for upload_id in self.upload_ids(client):
            with contextlib.suppress(OSError):  # an upload's folder without its file: it died in between
                self._disk.remove_folder(self.root / client / "uploads" / upload_id)
        return cleared

    def _land(
        self, client: str, staged: StagedFile, filename: str, *, instead_of: os.stat_result | None = None
    ) -> StoredUpload:
        """Make a sealed file an upload called `filename` that stands in the home where the file was meant for."""
        try:
            home = self.home(client)
            with (
                self._place_lock(client, staged.target),
                self._landing(client, home, filename) as (upload, landing),
            ):
                landing.take(staged.path)
                landing.show(staged.target, staged.path, instead_of=instead_of)
        except BaseException:
            self._forget(staged)
            raise
        return upload

    @contextlib.contextmanager
    def _landing(self, client: str, home: Home, filename: str) -> Iterator[tuple[StoredUpload, Landing]]:
        """Begin an upload that ends well or leaves no trace; until then no sweep finds it."""
        upload_id = self._next_id()
        upload = StoredUpload(upload_id, client, filename, self.root / client / "uploads" / upload_id / filename)
        self._landing_ids.add(upload_id)
        try:
            with translated(f"{filename} could not be stored"), Landing(self._disk, home, upload.path) as landing:
                yield upload, landing
        finally:
            self._landing_ids.discard(upload_id)
        with self._recent_lock:
            if client in self._recent:
                self._recent[client].append(upload_id)

    def _settle_claim(self, client: str, home: Home, staged: StagedFile) -> None:
        """Make it durable that what was cut off is no longer at its place; else it is put back.

        A power cut might otherwise leave it there with some of this handle's bytes behind it, and holes
        between them, for a client to resume.
        """
        try:
            home.sync_partials(staged.target.parent)
        except DiskError:
            self.cut_off(client, staged)
            raise

    def _copied(self, client: str, home: Home, path: HomePath, found: os.stat_result) -> StagedFile:
        """Give a sealed copy of a file that came into the home by other means."""
        place = self._staging_place(client)
        with translated(f"{path} could not be copied"):
            fd = self._disk.create(place)
        staged = StagedFile(self._disk, fd, place, path, max_size_bytes=found.st_size)
        self._copy(home, staged)
        try:
            staged.seal()
        except CtsftpError:
            self._forget(staged)
            raise
        return staged

    def _copy(self, home: Home, staged: StagedFile) -> None:
        """Fill a new staged file with what stands at its path, as large as it is now; if that fails, forget it."""
        try:
            with contextlib.closing(home.open(staged.target)) as source:
                size, offset = source.stat().st_size, 0
                while block := source.read(offset, min(COPY_BLOCK_BYTES, size - offset)):
                    staged.write(offset, block)
                    offset += len(block)
        except BaseException:
            self._forget(staged)
            raise

    def _is_shared(self, upload: StoredUpload, found: os.stat_result) -> bool:
        """Whether another upload has the same bytes on the disk, be it on its way still."""
        names = self._names(upload.path.parent.parent)
        others = (self.upload(upload.client, name) for name in names if name != upload.id)
        places = (self._lstat(other.path) for other in others if other)
        return any(place and os.path.samestat(place, found) for place in places)

    def _forget(self, staged: StagedFile) -> None:
        staged.settle(None)
        staged.close()
        with contextlib.suppress(OSError):
            self._disk.unlink(staged.path)

    def _staging_place(self, client: str) -> Path:
        return self.root / client / "staging" / secrets.token_hex(8)

    def _place_lock(self, client: str, path: HomePath) -> threading.Lock:
        return self._place_locks[hash((client, path)) % PLACE_LOCKS]

    def _names(self, folder: Path) -> list[str]:
        with translated(f"{folder} could not be listed"), contextlib.suppress(FileNotFoundError, NotADirectoryError):
            return sorted(self._disk.names(folder))
        return []

    def _lstat(self, place: Path) -> os.stat_result | None:
        with (
            translated(f"{place} could not be looked at"),
            contextlib.suppress(FileNotFoundError, NotADirectoryError),
        ):
            return self._disk.lstat(place)
        return None

    def _has_home(self, name: str) -> bool:
        try:
            return self._is_folder(self.root / name / "home")
        except DiskError as exc:  # a disk's own lost+found, say, that none but root may look into
            log.warning("folder left out", folder=str(self.root / name), error=str(exc))
            return False

    def _is_folder(self, place: Path) -> bool:
        found = self._lstat(place)
        return found is not None and stat.S_ISDIR(found.st_mode)

    def _make_folder(self, place: Path) -> None:
        try:
            self._disk.make_folder(place)
        except FileExistsError:
            if not self._is_folder(place):
                raise


def is_stranger(found: os.stat_result) -> bool:
    """Whether what was found is a file that is no upload's second name."""
    return stat.S_ISREG(found.st_mode) and found.st_nlink == 1
