"""Writes small files durably: a crash, or a power cut, leaves the old file or the new one, whole.

A draft beside the file is written, flushed to disk and renamed; then its folder is flushed: the rename lasts.
The spool does the same for uploads by itself, call by call: its disk is an argument, on which tests cut the power.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


@contextmanager
def replacing(target: Path, *, mode: int) -> Iterator[IO[bytes]]:
    """Open a draft, which takes its place when the block ends; a block that raises changes nothing.

    OSError names the target where the draft cannot be made.
    """
    try:
        fd, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".tmp", dir=target.parent)
    except OSError as exc:
        raise OSError(exc.errno, exc.strerror, str(target)) from exc
    draft = Path(name)
    try:
        with open(fd, "wb") as file:  # noqa: PTH123  it is a descriptor
            yield file
            file.flush()
            os.fchmod(fd, mode)
        put_in_place(draft, target)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def put_in_place(draft: Path, target: Path) -> None:
    """Give a complete draft its name, in the place of what had it; both are in one folder."""
    with draft.open("rb") as file:
        os.fsync(file.fileno())
    draft.replace(target)
    sync_folder(target.parent)


def sync_folder(folder: Path) -> None:
    """Make what was renamed, made or removed in a folder last."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
