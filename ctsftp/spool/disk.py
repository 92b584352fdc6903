"""The disk as an argument: the few calls that the spool makes, and the real disk behind them.

Paths are absolute. Nothing here follows a symbolic link in the last component of a path. An OSError
passes through as it is; the spool says what it was doing and raises `DiskError` (`translated`).
"""

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from ctsftp.errors import DiskError

FILE_MODE = 0o640
FOLDER_MODE = 0o750
MAX_OFFSET = 1 << 62
# Who may not read a folder did not make what is in it; some read-only file systems know no fsync of a folder.
MADE_BY_OTHERS = frozenset({errno.EACCES, errno.EPERM, errno.EROFS, errno.EINVAL})


class Disk(Protocol):
    """What the spool asks of a disk; each method is one system call, or nearly so."""

    def create(self, path: Path) -> int:
        """Make a new, empty file and return its descriptor, open for reading and writing."""
        ...

    def open_write(self, path: Path) -> int:
        """Open a file that exists for reading and writing."""
        ...

    def open_read(self, path: Path) -> int:
        """Open a regular file for reading; ELOOP if a link or a special file stands there."""
        ...

    def close(self, fd: int) -> None:
        """Close a descriptor."""
        ...

    def read(self, fd: int, size: int, offset: int) -> bytes:
        """Read up to `size` bytes at `offset`."""
        ...

    def write(self, fd: int, data: bytes, offset: int) -> int:
        """Write at `offset` and return how many bytes were taken."""
        ...

    def truncate(self, fd: int, size: int) -> None:
        """Cut or extend the file to `size` bytes."""
        ...

    def fstat(self, fd: int) -> os.stat_result:
        """Describe an open file."""
        ...

    def fsync(self, fd: int) -> None:
        """Return when the file's bytes are durable."""
        ...

    def fsync_folder(self, path: Path) -> None:
        """Return when the folder's entries are durable."""
        ...

    def lstat(self, path: Path) -> os.stat_result:
        """Describe what stands at a path, without following a link."""
        ...

    def names(self, path: Path) -> list[str]:
        """List a folder."""
        ...

    def make_folder(self, path: Path) -> None:
        """Make one folder."""
        ...

    def remove_folder(self, path: Path) -> None:
        """Remove an empty folder."""
        ...

    def rename(self, old: Path, new: Path) -> None:
        """Move a file or a folder, replacing a file at `new`."""
        ...

    def link(self, old: Path, new: Path) -> None:
        """Give a file a second name."""
        ...

    def unlink(self, path: Path) -> None:
        """Take a name away from a file."""
        ...

    def set_times(self, path: Path, accessed_s: float, modified_s: float) -> None:
        """Set a file's times, in seconds since 1970."""
        ...

    def room(self, path: Path) -> os.statvfs_result:
        """Tell how much room the file system of `path` has."""
        ...


class LocalDisk:
    """The real disk."""

    def create(self, path: Path) -> int:
        """Make a new, empty file and return its descriptor."""
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, FILE_MODE)

    def open_write(self, path: Path) -> int:
        """Open a file that exists for reading and writing."""
        return os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)

    def open_read(self, path: Path) -> int:
        """Open a regular file for reading; never wait for a FIFO's other end."""
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        if stat.S_ISREG(os.fstat(fd).st_mode):
            return fd
        os.close(fd)
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))

    def close(self, fd: int) -> None:
        """Close a descriptor."""
        os.close(fd)

    def read(self, fd: int, size: int, offset: int) -> bytes:
        """Read up to `size` bytes at `offset`; an SFTP client may ask beyond what the system can count to."""
        return os.pread(fd, size, offset) if offset < MAX_OFFSET else b""

    def write(self, fd: int, data: bytes, offset: int) -> int:
        """Write at `offset`."""
        return os.pwrite(fd, data, offset)

    def truncate(self, fd: int, size: int) -> None:
        """Cut or extend the file."""
        os.ftruncate(fd, size)

    def fstat(self, fd: int) -> os.stat_result:
        """Describe an open file."""
        return os.fstat(fd)

    def fsync(self, fd: int) -> None:
        """Make the file's bytes durable."""
        os.fsync(fd)

    def fsync_folder(self, path: Path) -> None:
        """Make the folder's entries durable."""
        fd = _open_folder(path)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def lstat(self, path: Path) -> os.stat_result:
        """Describe what stands at a path."""
        return os.lstat(path)

    def names(self, path: Path) -> list[str]:
        """List a folder."""
        fd = _open_folder(path)
        try:
            return os.listdir(fd)
        finally:
            os.close(fd)

    def make_folder(self, path: Path) -> None:
        """Make one folder."""
        os.mkdir(path, FOLDER_MODE)

    def remove_folder(self, path: Path) -> None:
        """Remove an empty folder."""
        os.rmdir(path)

    def rename(self, old: Path, new: Path) -> None:
        """Move a file or a folder."""
        os.rename(old, new)

    def link(self, old: Path, new: Path) -> None:
        """Give a file a second name."""
        os.link(old, new, follow_symlinks=False)

    def unlink(self, path: Path) -> None:
        """Take a name away from a file."""
        os.unlink(path)

    def set_times(self, path: Path, accessed_s: float, modified_s: float) -> None:
        """Set a file's times."""
        os.utime(path, (accessed_s, modified_s), follow_symlinks=False)

    def room(self, path: Path) -> os.statvfs_result:
        """Tell how much room there is."""
        return os.statvfs(path)


def make_folders(disk: Disk, path: Path) -> None:
    """Make a folder, and those above it that are missing, each durable before the next is made."""
    path = Path(os.path.realpath(path))
    missing = []
    while not _is_there(disk, path):
        missing.append(path)
        path = path.parent
    try:
        disk.fsync_folder(path.parent)  # it may be what an earlier process made last before it died
    except OSError as exc:
        if exc.errno not in MADE_BY_OTHERS:
            raise
    for folder in reversed(missing):
        with contextlib.suppress(FileExistsError):
            disk.make_folder(folder)
        disk.fsync_folder(folder.parent)


def _is_there(disk: Disk, path: Path) -> bool:
    try:
        disk.lstat(path)
    except FileNotFoundError:
        return False
    return True


def _open_folder(path: Path) -> int:
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)


@contextlib.contextmanager
def translated(what: str) -> Iterator[None]:
    """Raise the disk's fault as a `DiskError` that says what could not be done."""
    try:
        yield
    except OSError as exc:
        hint = ": the disk is full" if exc.errno in {errno.ENOSPC, errno.EDQUOT} else ""
        raise DiskError(f"{what}{hint} ({os.strerror(exc.errno or 0)}).") from exc
