"""The lock on the data folder: its holder does the work, and there is one.

Where other machines see the folder, the holder also gives a sign of life: a lock on a disk in the net outlives its
holder, or is lost without the holder's knowledge.
"""

import asyncio
import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import structlog

from ctsftp.errors import CtsftpError, SettingsError, UsageError
from ctsftp.spool.disk import Disk, LocalDisk, make_folders


class DataFolderBusyError(UsageError):
    """Another process holds the data folder."""


class TakenOverError(CtsftpError):
    """Another node took this one for dead, and works on its data folder."""


LOCAL_DISK = LocalDisk()
ALIVE = "alive"
FREE_INTERVAL_S = 0.2

log = structlog.get_logger()


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
        lock, folder = (data_dir / "lock").stat(), data_dir.stat()
    except OSError:
        return f"{told}: make it, for the account that the server runs as, or set CTSFTP_DATA_DIR to one that it owns."
    if lock.st_uid not in {folder.st_uid, os.geteuid()}:
        return f"{told}: files in it are another account's. As root: chown -R --reference={data_dir} {data_dir}"
    return f"{told}: use root or the account that owns it, or set CTSFTP_DATA_DIR to another one."


def _take(fd: int, place: Path) -> None:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(fd, 32, 0).decode("ascii", errors="replace").strip()
        raise DataFolderBusyError(f"{place} is held by another ctsftp (process {holder}): stop it first.") from None
    except OSError as exc:
        raise SettingsError(
            f"{place} cannot be locked ({exc.strerror}): set CTSFTP_DATA_DIR for the server to a local disk."
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


class Pulse:
    """The sign of life of a data folder's holder: `alive`, a file that it touches again and again.

    It stays behind, whichever way the holder ends, until somebody has finished the uploads in the folder.
    """

    def __init__(self, data_dir: Path, by: str) -> None:
        self._place = data_dir / ALIVE
        self._text = f"{by} {secrets.token_hex(8)}\n"
        self._over = False

    def begin(self) -> None:
        """Give the first sign; whoever gave signs here before will notice."""
        draft = self._place.with_name(f"{ALIVE}.part")
        draft.write_text(self._text, "utf-8")
        draft.rename(self._place)

    async def beat(self, every_s: float) -> None:
        """Give signs for ever; raise `TakenOverError` when another holder does."""
        while True:
            await asyncio.sleep(every_s)
            try:
                await asyncio.to_thread(self._renew)
            except OSError as exc:
                log.warning("no sign of life given", file=str(self._place), error=str(exc))

    def end(self) -> None:
        """Take the sign away: nothing is left to be done in the folder."""
        self._over = True
        self._place.unlink(missing_ok=True)

    def _renew(self) -> None:
        try:
            mine = self._place.read_text("utf-8") == self._text
            if mine:
                os.utime(self._place)
        except FileNotFoundError:
            mine = False
        if not mine and not self._over:
            raise TakenOverError(
                f"{self._place} is another node's: it took this one for dead. Start it again, and see that its disk"
                " and its clock do not stand still for longer than CTSFTP_TAKEOVER__AFTER_S."
            )
