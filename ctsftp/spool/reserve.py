"""The reserve: a file that holds some of the disk, and gives it back when the disk is full.

A database that cannot write cannot delete either. With what the reserve held, a full server starts, its admin deletes
and retires segments, a sweep deletes files, and `doctor` reads. Uploads and lists stay refused: they leave the floor.
"""

import os
from pathlib import Path

import structlog

from ctsftp.datafolder import DataFolder
from ctsftp.spool.disk import FILE_MODE, LocalDisk
from ctsftp.spool.room import Floor, Room

# Of its size: with less than this free, the disk counts as full.
FULL_RATIO = 1 / 4

log = structlog.get_logger()


class Reserve:
    """The file `reserve` in the data folder, of `size_bytes`; 0: there is none. All calls block."""

    def __init__(self, data_dir: Path, size_bytes: int) -> None:
        self.place = DataFolder(data_dir).reserve
        self._size_bytes = size_bytes
        self._disk = LocalDisk()

    def keep(self, floor: Floor) -> None:
        """Give the room back if the disk is full, or take it if there is plenty; never raises an OSError."""
        try:
            room = Room.of(self._disk.room(self.place.parent), floor)
            if not self._release_if_full(room.free_bytes) and room.spare_bytes >= self._size_bytes:
                self._make()
        except OSError as exc:
            log.warning("reserve not kept", file=str(self.place), error=str(exc))

    def release_if_full(self) -> None:
        """Give the room back if the disk is full; never raises an OSError."""
        try:
            found = self._disk.room(self.place.parent)
            self._release_if_full(found.f_bavail * found.f_frsize)
        except OSError as exc:
            log.warning("reserve not released", file=str(self.place), error=str(exc))

    def _release_if_full(self, free_bytes: int) -> bool:
        if free_bytes >= self._size_bytes * FULL_RATIO:
            return False
        if self.place.exists():
            self._disk.unlink(self.place)
            log.warning("the disk is full: the reserve was released", file=str(self.place), bytes=self._size_bytes)
        return True

    def _make(self) -> None:
        if self._held_bytes() == self._size_bytes:
            return
        self.place.unlink(missing_ok=True)
        if not self._size_bytes:
            return
        fd = os.open(self.place, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, FILE_MODE)
        try:
            os.posix_fallocate(fd, 0, self._size_bytes)  # blocks, not a hole
            self._disk.fsync(fd)
        except OSError:
            self._disk.unlink(self.place)
            raise
        finally:
            self._disk.close(fd)

    def _held_bytes(self) -> int:
        try:
            return self._disk.lstat(self.place).st_size
        except FileNotFoundError:
            return 0
