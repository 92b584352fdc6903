"""The lock on the data folder: its holder does the work, and there is one."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ctsftp.errors import SettingsError, UsageError
from ctsftp.spool.disk import Disk, LocalDisk, make_folders


class DataFolderBusyError(UsageError):
    """Another process holds the data folder."""


LOCAL_DISK = LocalDisk()


@contextmanager
def data_lock(data_dir: Path, *, disk: Disk = LOCAL_DISK) -> Iterator[None]:
    """Hold `data_dir/lock`; the operating system lets go of it however the process ends.

    The folder is made, durably, if it is not there.
    """
    place = data_dir / "lock"
    try:
        make_folders(disk, data_dir)
        fd = os.open(place, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    except OSError as exc:
        raise SettingsError(
            f"The data folder {data_dir} cannot be used ({exc.strerror}): set CTSFTP_DATA_DIR to a folder you own."
        ) from exc
    try:
        _take(fd, place)
        yield
    finally:
        os.close(fd)


def _take(fd: int, place: Path) -> None:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(fd, 32, 0).decode("ascii", errors="replace").strip()
        raise DataFolderBusyError(f"{place} is held by another ctsftp (process {holder}): stop it first.") from None
    except OSError as exc:
        raise SettingsError(f"{place} cannot be locked ({exc.strerror}): set CTSFTP_DATA_DIR to a local disk.") from exc
    with suppress(OSError):  # only the line above reads it: a full disk must not keep the server from starting
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
