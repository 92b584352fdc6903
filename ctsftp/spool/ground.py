"""What the data folder stands on: hard links, without which no upload lands, and a disk of this machine.

Both are asked of the system itself, at each start and by `ctsftp doctor`; nothing of the trial stays behind.
"""

import ctypes
import errno
import os
import secrets
import sys
from collections.abc import Iterator
from pathlib import Path

from ctsftp.contract.finding import Finding, Level
from ctsftp.datafolder import DataFolder
from ctsftp.spool.disk import Disk, LocalDisk

# `f_type` of statfs(2): linux/magic.h, and the file systems' own headers.
NETWORK_KINDS = {
    0x6969: "NFS",
    0x517B: "SMB",
    0xFF534D42: "SMB",
    0xFE534D42: "SMB",
    0x65735546: "FUSE",
    0x01021997: "9P",
    0x5346414F: "AFS",
    0x00C36400: "Ceph",
}
STATFS_BYTES = 512  # more than the structure has on any machine; `f_type` comes first
NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})
LOCAL_DISK = LocalDisk()


def check_ground(data_dir: Path, *, shared: bool, disk: Disk = LOCAL_DISK) -> Iterator[Finding]:
    """Check that hard links can be made, and, unless it is meant to be `shared`, that no network lies in between."""
    places = [place for place in (data_dir, DataFolder(data_dir).clients) if place.is_dir()]
    if fault := _hard_link_fault(places[-1], disk):
        text = f"Hard links cannot be made in {places[-1]} ({fault}), and every upload needs one."
        do = (
            "Set CTSFTP_DATA_DIR, for the server and for commands, to a folder on a local file system that has them,"
            " such as ext4 or XFS, and start it again."
        )
        yield Finding("data", Level.BAD, text, do)
    if shared:
        return
    for kind in {NETWORK_KINDS.get(file_system(place), "") for place in places} - {""}:
        text = f"{data_dir} lies on {kind}, where a database may break and what was acknowledged may be lost."
        do = (
            "Stop the server, copy the folder to a disk of this machine with `cp -a`, set CTSFTP_DATA_DIR to the copy,"
            " for the server and for commands, and start it."
        )
        yield Finding("data", Level.WARN, text, do)


def file_system(place: Path) -> int:
    """Give the number of a file system's kind; 0 where the system does not tell."""
    if sys.platform != "linux":
        return 0
    answer = ctypes.create_string_buffer(STATFS_BYTES)
    if ctypes.CDLL(None).statfs(os.fsencode(place), answer):
        return 0
    return ctypes.c_long.from_buffer(answer).value & 0xFFFFFFFF


def _hard_link_fault(folder: Path, disk: Disk) -> str | None:
    """Try to make a hard link; give the reason if none can be made there, however much room there is."""
    trial = folder / f".trial-{secrets.token_hex(8)}"
    second = trial.with_suffix(".second")
    try:
        disk.close(disk.create(trial))
    except OSError:  # no room, or no right to write here: told of elsewhere
        return None
    try:
        disk.link(trial, second)
        disk.unlink(second)
    except OSError as exc:
        return None if exc.errno in NO_ROOM else os.strerror(exc.errno or 0)
    finally:
        disk.unlink(trial)
    return None
