"""The spool: takes a file from staging to an upload, and finds again what is there after a restart.

Below the data folder, a folder a client::

    clients/<client>/staging/<token>                     being written; thrown away at a restart
    clients/<client>/partials/<path>                     cut off; can be resumed
    clients/<client>/uploads/<upload id>/<path>          complete and immutable; its path says all that recovery needs
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
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

import structlog

from ctsftp.errors import (
    CtsftpError,
    DiskError,
    IncompleteError,
    LimitError,
    NoSuchPathError,
    PathTakenError,
    PeerError,
)
from ctsftp.spool.catalogue import Catalogue, is_list, is_strange
from ctsftp.spool.disk import Disk, translated
from ctsftp.spool.home import Home
from ctsftp.spool.landing import Landing
from ctsftp.spool.paths import HomePath
from ctsftp.spool.quota import Account, Share
from ctsftp.spool.removal import LINKS_OF_ONE_UPLOAD, Removal
from ctsftp.spool.staging import StagedFile
from ctsftp.spool.stored import StoredUpload
from ctsftp.spool.unjudged import Unjudged

COPY_BLOCK_BYTES = 1 << 20
PLACE_LOCKS = 64
SECONDS_A_DAY = 86_400
FOLDERS = ("staging", "partials", "uploads", "home")

T = TypeVar("T")

log = structlog.get_logger()


class Spool:
    """Everything below `data/clients`."""

    def __init__(
        self,
        root: Path,
        *,
        disk: Disk,
        next_id: Callable[[], str],
        clock_s: Callable[[], float] = time.time,
        listed_bytes: Callable[[str], int] = lambda _client: 0,
    ) -> None:
        self.root = root.resolve()  # an admin may keep it on another disk and leave a link
        self._disk = disk
        self._next_id = next_id
        self._clock_s = clock_s
        self._listed_bytes = listed_bytes  # what the database holds of a client
        # Ids and the home's entries at one path change in the same order, so the last CLOSE wins in both.
        self._place_locks = [threading.Lock() for _ in range(PLACE_LOCKS)]
        self._homes: dict[str, Home] = {}
        self._homes_lock = threading.Lock()
        self._accounts: dict[str, Account] = {}
        self._unjudged = Unjudged(disk)
        self._stopping = threading.Event()
        self._catalogue = Catalogue(disk, self.root, self._goes_on)

    def stop(self) -> None:
        """Let what takes long end at its next file or folder: the server is stopping."""
        self._stopping.set()

    def clients(self) -> list[str]:
        """Name the clients that have a home here."""
        return [name for name in self._catalogue.names(self.root) if self._has_home(name)]

    def of_each_client(self, what: str, work: Callable[[str], T]) -> Iterator[T]:
        """Do something for each client; a folder that is out of order is no reason to leave out the others."""
        for client in self.clients():
            if not self._goes_on():
                return
            try:
                yield work(client)
            except (CtsftpError, OSError) as exc:
                log.warning("client left out", client=client, at=what, error=str(exc))

    def home(self, client: str) -> Home:
        """Give a client's home, made and made durable at its first use; all who ask share one."""
        folder = self.root / client
        with self._homes_lock, translated(f"The folders of {client} could not be made"):
            home = self._homes.get(client)
            if home is None or not self._catalogue.is_folder(home.files):
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

        Of bytes that several uploads share, each list counts: the database holds it again. With what the database
        holds of the client's lists; without files that are being written.
        """
        home = self.home(client)
        on_disk, files = self._catalogue.measure(client, home)
        return on_disk + self._listed_bytes(client), files + home.count_folders()

    def bytes_of_rename(self, client: str, old: HomePath) -> int:
        """Tell what a new upload of the bytes at a path adds to what `measure` counts.

        Nothing, where they are no list yet: a file that is put under a temporary name and renamed counts once.
        """
        found = self.home(client).require_file(old)
        return found.st_size if found.st_nlink > LINKS_OF_ONE_UPLOAD or is_list(old.name) else 0

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
            stands=found is not None and not truncate,
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

        What it replaced in the home is kept until `settle` or `hide` is told its verdict.
        Raises what makes the CLOSE fail. A file that is incomplete is then a partial, if its bytes
        can be trusted; one that could not be stored is gone, and what stood at its path is there still.
        """
        try:
            staged.seal()
        except CtsftpError:
            self.cut_off(client, staged)
            raise
        upload = self._land(client, staged, staged.target, keep_covered=True)
        staged.settle(staged.size_bytes)
        return upload

    def settle(self, upload: StoredUpload) -> None:
        """Let an upload stand where it shows: it was not refused."""
        self._unjudged.settle((upload.client, upload.id))

    def hide(self, upload: StoredUpload) -> bool:
        """Take a refused upload out of the home; a file that it replaced there stands there again.

        Tells whether it showed there.
        """
        return self._unjudged.hide((upload.client, upload.id), upload, self.home(upload.client))

    def put_back(self, client: str, staged: StagedFile) -> None:
        """Forget a file that was opened and not changed; what was cut off at its place is there again."""
        if staged.seed_bytes:
            self.cut_off(client, staged)
        else:
            self._forget(staged)

    def publish_again(self, client: str, old: HomePath, new: HomePath) -> StoredUpload:
        """Make a complete file that is to be moved to `new` an upload of the same bytes, without moving it yet."""
        home = self.home(client)
        found = home.require_file(old)
        if not self._catalogue.is_upload(client, found):
            # Its bytes may not be durable, and a local user may go on writing them.
            return self._land(client, self._copied(client, home, old, found), new, instead_of=found)
        with self._landing(client, home, new) as (upload, landing):
            landing.share(home.file(old), found)
            home.note_shared(found.st_ino, upload.id)
        self._catalogue.remember(upload)
        self._unjudged.note((client, upload.id), new)
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
        if found is None or not stat.S_ISREG(found.st_mode):
            return None
        if self._catalogue.is_upload(client, found):
            is_new = is_strange(path, self._catalogue.names_of_inodes(client).get(found.st_ino))
            return self.publish_again(client, path, path) if is_new else None
        if found.st_nlink > 1:
            log.warning("file was linked into a home by hand: its copy is taken", client=client, path=str(path))
        if found.st_size > max_size_bytes:
            raise LimitError(f"{path} is larger than the limit of {max_size_bytes} bytes.")
        try:
            upload = self._land(client, self._copied(client, home, path, found), path, instead_of=found)
        except PeerError:  # written, moved or removed in the meantime: the next sweep looks again
            return None
        self._unjudged.note((client, upload.id), path)
        return upload

    def strangers(self, client: str, *, quiet_s: int) -> list[HomePath]:
        """List the files in a home that are no upload's and were quiet for `quiet_s` seconds.

        Also one with a second link, if that is elsewhere (`ln`, `cp -l`): who may write to it there may change it. And
        an upload's that a local user gave the name of a list: it may have been adopted under a temporary one.

        Only the time of the last change counts: a file that was copied with its times may be as old
        as it likes, or from the future, while it is still being written.
        """
        home = self.home(client)
        latest = self._clock_s() - quiet_s
        quiet = [one for one in home.walk(home.files, self._goes_on) if one[1].st_ctime <= latest]
        # After the walk: what stands in the home as an upload's was one before.
        names = self._catalogue.names_of_inodes(client) if any(found.st_nlink > 1 for _, found in quiet) else {}
        strangers = [path for path, found in quiet if found.st_nlink == 1 or is_strange(path, names.get(found.st_ino))]
        return strangers if self._goes_on() else []

    def upload_ids(self, client: str) -> list[str]:
        """List the ids of a client's uploads on disk, in the order of their CLOSE; not those that are on their way."""
        return self._catalogue.ids(client)

    def recent_ids(self, client: str) -> list[str]:
        """List the ids of a client's newest uploads; the files of some may have been deleted."""
        return self._catalogue.recent_ids(client)

    def upload(self, client: str, upload_id: str) -> StoredUpload | None:
        """Find one upload's file; None if it is not on disk (any more)."""
        return self._catalogue.find(client, upload_id)

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
        with translated("A partial could not be deleted"):
            for path, found in home.walk(home.partials, self._goes_on):
                if found.st_ctime < latest and self._goes_on():
                    with home.lock:  # it may have been resumed, and cut off again, since the look
                        if (left := home.find_partial(path)) and left.st_ctime < latest:
                            home.drop_partial(path)
                            dropped += 1
        return dropped

    def removal(self, client: str, upload_ids: Iterable[str]) -> Removal:
        """Look at a client's home once, in order to delete these uploads."""
        inodes: set[int] = set()
        for upload_id in upload_ids:
            if not self._goes_on():
                break
            if (upload := self.upload(client, upload_id)) and (found := self._catalogue.lstat(upload.path)):
                inodes.add(found.st_ino)
        return Removal(
            self._disk,
            self.home(client),
            inodes,
            find=lambda upload_id: self.upload(client, upload_id),
            sharers=lambda wanted: self._catalogue.sharers(client, wanted),
            go_on=self._goes_on,
        )

    def remove_upload(self, upload: StoredUpload) -> None:
        """Delete one upload's file, if it is there; `removal` is for many."""
        if self._catalogue.lstat(upload.path):
            with self.removal(upload.client, [upload.id]) as removal:
                removal.remove_one(upload)

    def _clear_staging(self, client: str) -> int:
        cleared, staging = 0, self.root / client / "staging"
        for name in self._catalogue.names(staging):
            with translated(f"{staging / name} could not be deleted"), contextlib.suppress(IsADirectoryError):
                self._disk.unlink(staging / name)
                cleared += 1
        self._catalogue.clear_dead(client)
        return cleared

    def _land(
        self,
        client: str,
        staged: StagedFile,
        path: HomePath,
        *,
        instead_of: os.stat_result | None = None,
        keep_covered: bool = False,
    ) -> StoredUpload:
        """Make a sealed file an upload to `path` that stands in the home where the file was meant for."""
        try:
            home = self.home(client)
            with (
                self._place_lock(client, staged.target),
                self._landing(client, home, path) as (upload, landing),
            ):
                landing.take(staged.path)
                covered = landing.show(staged.target, staged.path, instead_of=instead_of, keep_covered=keep_covered)
        except BaseException:
            self._forget(staged)
            raise
        self._catalogue.remember(upload)
        if keep_covered:
            self._unjudged.note((client, upload.id), staged.target, covered)
        return upload

    @contextlib.contextmanager
    def _landing(self, client: str, home: Home, path: HomePath) -> Iterator[tuple[StoredUpload, Landing]]:
        """Begin an upload that ends well or leaves no trace; until then no sweep finds it."""
        upload_id = self._next_id()
        folder = self.root / client / "uploads" / upload_id
        upload = StoredUpload(upload_id, client, path.name, folder.joinpath(*path.parts), str(path.parent))
        with (
            self._catalogue.landing(client, upload_id),
            translated(f"{path.name} could not be stored"),
            Landing(self._disk, home, folder, path) as landing,
        ):
            yield upload, landing

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
                    self._require_time(staged)
                    staged.write(offset, block)
                    offset += len(block)
        except BaseException:
            self._forget(staged)
            raise
        staged.changed = False

    def _goes_on(self) -> bool:
        return not self._stopping.is_set()

    def _require_time(self, staged: StagedFile) -> None:
        if not self._goes_on():
            raise IncompleteError(f"{staged.target} was not copied: the server is stopping.")

    def _forget(self, staged: StagedFile) -> None:
        staged.settle(None)
        staged.close()
        with contextlib.suppress(OSError):
            self._disk.unlink(staged.path)

    def _staging_place(self, client: str) -> Path:
        return self.root / client / "staging" / secrets.token_hex(8)

    def _place_lock(self, client: str, path: HomePath) -> threading.Lock:
        return self._place_locks[hash((client, path)) % PLACE_LOCKS]

    def _has_home(self, name: str) -> bool:
        try:
            return self._catalogue.is_folder(self.root / name / "home")
        except DiskError as exc:  # a disk's own lost+found, say, that none but root may look into
            log.warning("folder left out", folder=str(self.root / name), error=str(exc))
            return False

    def _make_folder(self, place: Path) -> None:
        try:
            self._disk.make_folder(place)
        except FileExistsError:
            if not self._catalogue.is_folder(place):
                raise
