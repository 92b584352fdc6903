"""The lock on the data folder: its holder does the work, and there is one."""

import asyncio
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import structlog

from ctsftp.datafolder import DataFolder
from ctsftp.errors import DataFolderBusyError, SettingsError
from ctsftp.spool.disk import Disk, LocalDisk, make_folders

LOCAL_DISK = LocalDisk()
FREE_INTERVAL_S = 0.2

log = structlog.get_logger()


@contextmanager
def data_lock(data_dir: Path, *, disk: Disk = LOCAL_DISK) -> Iterator[None]:
    """Hold `data_dir/lock`; the operating system lets go of it however the process ends.

    The folder is made, durably, if it is not there.
    """
    place = DataFolder(data_dir).lock
    try:
        make_folders(disk, data_dir)
        fd = os.open(place, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    except OSError as exc:
        raise SettingsError(_unusable(data_dir, exc)) from exc
    try:
        _take(fd, place)
        yield
    finally:
        os.close(fd)


def _unusable(data_dir: Path, exc: OSError) -> str:
    """Say why the data folder cannot be used, by whose it is and what is in the way."""
    told = f"The data folder {data_dir} cannot be used ({exc.strerror})"
    try:
        lock, folder = DataFolder(data_dir).lock.stat(), data_dir.stat()
    except OSError:
        return (
            f"{told}: make it, for the account that the server runs as, or set CTSFTP_DATA_DIR for the server to one"
            " that it owns, and start it again."
        )
    if lock.st_uid not in {folder.st_uid, os.geteuid()}:
        return f"{told}: files in it are another account's. As root: chown -R --reference={data_dir} {data_dir}"
    return (
        f"{told}: use root or the account that owns it, or set CTSFTP_DATA_DIR to another one, for the server and for"
        " commands, and start it again."
    )


def _take(fd: int, place: Path) -> None:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(fd, 32, 0).decode("ascii", errors="replace").strip()
        raise DataFolderBusyError(f"{place} is held by another ctsftp (process {holder}): stop it first.") from None
    except OSError as exc:
        raise SettingsError(
            f"{place} cannot be locked ({exc.strerror}): set CTSFTP_DATA_DIR for the server to a folder on a local"
            " disk, and start it again."
        ) from exc
    with suppress(OSError):  # only the line above reads it: a full disk must not keep the server from starting
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)


async def until_free(data_dir: Path) -> None:
    """Wait until nobody holds the data folder: another node may be finishing what this one left there."""
    told = False
    while True:
        try:
            with data_lock(data_dir):
                return
        except DataFolderBusyError as exc:
            if not told:
                log.warning("waiting for the data folder", why=str(exc))
            told = True
        await asyncio.sleep(FREE_INTERVAL_S)
