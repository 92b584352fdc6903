"""Reads and writes the small files of keys/: each whole, or not at all.

Reading follows links, since secret stores lay their mounts out with them. A crash leaves the old file or the new one.
"""

import errno
import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from ctsftp import durable
from ctsftp.errors import DiskError, RefusedError, UntrustedFileError

FOLDER_MODE: Final = 0o750
LOCK_NAME: Final = ".lock"
_LOCK_MODE: Final = 0o660
_GROUP_BITS: Final = 0o070
_OTHERS_BITS: Final = 0o007

_FORBIDDEN: Final = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})


@contextmanager
def faults(doing: str, path: Path) -> Iterator[None]:
    """Turn what the system says about a path into one line: RefusedError if it forbids, else DiskError."""
    try:
        yield
    except OSError as error:
        what = f"cannot {doing} {path}: {error.strerror or error}"
        if error.errno in _FORBIDDEN:
            raise RefusedError(
                f"{what}. Use the account that owns it; what a secret store mounts is changed in the store"
            ) from error
        raise DiskError(what) from error


def read_small_file(path: Path, *, max_bytes: int, private: bool = False) -> bytes:
    """Read a whole file, following links; OSError, or RefusedError where it is not to be trusted.

    Nobody trusts what everybody may write; a `private` one must not be readable by others either. To its group it may
    be if it belongs to another account, as the files of a mounted secret do, or if the group is this process's own.
    """
    # O_NONBLOCK: a pipe without a writer would hold up the login for ever.
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise RefusedError(f"{path} is no regular file")
        _check_mode(path, status, private=private)
        with open(fd, "rb", closefd=False) as file:
            data = file.read(max_bytes + 1)
    finally:
        os.close(fd)
    if len(data) > max_bytes:
        raise RefusedError(f"{path} is over {max_bytes} bytes")
    return data


def is_open_to_own_group(path: Path) -> bool:
    """Tell whether a file of this account gives rights to a group of this process, and to nobody else."""
    status = path.stat()
    bits = stat.S_IMODE(status.st_mode)
    ours = status.st_uid == os.geteuid() and _is_own_group(status.st_gid)
    return ours and bool(bits & _GROUP_BITS) and not bits & _OTHERS_BITS


def close_to_group(path: Path) -> None:
    """Take a file's rights from its group."""
    path.chmod(stat.S_IMODE(path.stat().st_mode) & ~_GROUP_BITS)


def write_small_file(path: Path, data: bytes, *, mode: int) -> None:
    """Replace a file durably, with the owner and group of its folder, whoever runs this.

    RefusedError also where the file is a link: what is managed elsewhere would fall apart from it.
    """
    with faults("write", path):
        if path.is_symlink():
            raise RefusedError(f"{path} is a link, so it is kept elsewhere: change it there")
        with durable.replacing(path, mode=mode) as file:
            file.write(data)
            _give_to_owner_of(path.parent, file.fileno())


def make_folder(path: Path, *, mode: int = FOLDER_MODE) -> None:
    """Make a folder durably, and those above it; root gives it to the owner of the one above."""
    with faults("make the folder", path):
        if path.is_dir():
            return
        make_folder(path.parent)
        path.mkdir(mode=mode, exist_ok=True)
        if os.geteuid() == 0:
            above = path.parent.stat()
            os.chown(path, above.st_uid, above.st_gid, follow_symlinks=False)
        durable.sync_folder(path.parent)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep everyone else who changes this folder out; it waits for them, and a dead process holds nothing."""
    with faults("lock", folder / LOCK_NAME):
        fd = _open_lock(folder)
    try:
        with faults("lock", folder / LOCK_NAME):
            fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def _open_lock(folder: Path) -> int:
    """Open the lock's file, and make it for all who may write here; only what was made here changes its owner."""
    path, flags = folder / LOCK_NAME, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        fd = os.open(path, flags | os.O_CREAT | os.O_EXCL, _LOCK_MODE)
    except FileExistsError:
        return os.open(path, flags)
    _give_to_owner_of(folder, fd)
    os.fchmod(fd, _LOCK_MODE)
    return fd


def _check_mode(path: Path, status: os.stat_result, *, private: bool) -> None:
    if private:
        closed = status.st_uid == os.geteuid() and not _is_own_group(status.st_gid)
        if status.st_mode & (_GROUP_BITS | _OTHERS_BITS if closed else _OTHERS_BITS):
            raise UntrustedFileError(f"{path} is a secret that others may read", f"chmod 600 {path}")
    elif status.st_mode & stat.S_IWOTH:
        raise UntrustedFileError(f"{path} may be written by everybody", f"chmod o-w {path}")


def _is_own_group(gid: int) -> bool:
    return gid in {os.getegid(), *os.getgroups()}


def _give_to_owner_of(folder: Path, fd: int) -> None:
    """Let the account that the folder belongs to read the file, even when root or a colleague wrote it."""
    owner = folder.stat()
    try:
        os.fchown(fd, owner.st_uid if os.geteuid() == 0 else -1, owner.st_gid)
    except PermissionError:
        if owner.st_uid != os.geteuid():
            raise
