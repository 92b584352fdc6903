"""One client's corner of a spool on a real disk, with what a session or a sweep would call."""

from collections.abc import Callable
from pathlib import Path

from ctsftp.spool.disk import Disk, LocalDisk
from ctsftp.spool.home import Home
from ctsftp.spool.ids import UploadIds
from ctsftp.spool.paths import HomePath, read_path
from ctsftp.spool.spool import Spool
from ctsftp.spool.staging import StagedFile
from ctsftp.spool.stored import StoredUpload

LIMIT_BYTES = 10_000


class Client:
    """A client called acme, and what it may do; paths are written as SFTP writes them."""

    def __init__(self, root: Path, disk: Disk, **spool_options: object) -> None:
        self.spool = Spool(root, **{"disk": disk, "next_id": UploadIds().next, **spool_options})
        self.folder = root / "acme"

    @property
    def home(self) -> Home:
        return self.spool.home("acme")

    def open(
        self,
        path: str,
        *,
        truncate: bool = True,
        create: bool = True,
        exclusive: bool = False,
        append: bool = False,
        limit: int = LIMIT_BYTES,
    ) -> StagedFile:
        return self.spool.stage(
            "acme",
            read_path(path.encode()),
            truncate=truncate,
            create=create,
            exclusive=exclusive,
            append=append,
            max_size_bytes=limit,
        )

    def resume(self, path: str, *, append: bool = False) -> StagedFile:
        return self.open(path, truncate=False, append=append)

    def publish(self, staged: StagedFile) -> StoredUpload:
        upload = self.spool.publish("acme", staged)
        self.spool.settle(upload)
        return upload

    def cut_off(self, staged: StagedFile) -> int:
        return self.spool.cut_off("acme", staged)

    def put(self, path: str, data: bytes) -> StoredUpload:
        staged = self.open(path)
        staged.write(0, data)
        return self.publish(staged)

    def break_off(self, path: str, data: bytes) -> int:
        staged = self.open(path)
        staged.write(0, data)
        return self.cut_off(staged)

    def publish_renamed(self, old: str, new: str, *, replace: bool = False) -> StoredUpload:
        self.home.check_target(at(old), at(new), replace=replace)
        return self.spool.publish_again("acme", at(old), at(new))

    def rename(self, old: str, new: str, *, replace: bool = False) -> None:
        self.home.rename(at(old), at(new), replace=replace)

    def adopt(self, path: str, limit: int = LIMIT_BYTES) -> StoredUpload | None:
        return self.spool.adopt("acme", at(path), max_size_bytes=limit)

    def strangers(self, quiet_s: int = 0) -> list[str]:
        return [str(path) for path in self.spool.strangers("acme", quiet_s=quiet_s)]

    def see(self, path: str) -> bytes:
        """Read what the client sees."""
        opened = self.home.open(at(path))
        try:
            return opened.read(0, 1_000_000)
        finally:
            opened.close()

    def names(self, path: str = "/") -> list[str]:
        return [entry.name for entry in self.home.entries(at(path))]

    def by_hand(self, path: str) -> Path:
        """Say where a local user finds a path of the home."""
        return self.home.file(at(path))

    def staging(self) -> list[str]:
        return sorted(place.name for place in (self.folder / "staging").iterdir())

    def uploads(self) -> dict[str, bytes]:
        """Give the bytes of each upload by its id, with a look at everything that lies in uploads/."""
        found = sorted((self.folder / "uploads").iterdir())
        return {
            folder.name: b"".join(file.read_bytes() for file in folder.rglob("*") if file.is_file()) for folder in found
        }


def uploads_of(spool: Spool) -> list[StoredUpload]:
    """Give every upload on the disk, of all clients."""
    found = (spool.upload(client, upload_id) for client in spool.clients() for upload_id in spool.upload_ids(client))
    return [upload for upload in found if upload]


def at(path: str) -> HomePath:
    return read_path(path.encode())


class Watcher(LocalDisk):
    """Calls `watch` whenever something is made durable."""

    def __init__(self, watch: Callable[[], object] = lambda: None) -> None:
        self.watched = 0
        self.watch = watch

    def fsync_folder(self, path: Path) -> None:
        super().fsync_folder(path)
        self.watched += 1
        self.watch()
