"""How much room the disk has: one definition, for quotas, loads, `/readyz`, the watch, `doctor` and the metrics.

Uploads leave a part of the disk free, of its bytes and of its files (inodes): the database, the log and the admin's
own work need it. What is left above this floor is spare.
"""

import os
import sys
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Floor:
    """What uploads leave free: so many percent of the disk, or these bytes and these files, if they are fewer."""

    percent: float
    bytes: int
    files: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """What a disk has at one moment; `spare_bytes` and `spare_files` are what uploads may take, 0 or below: nothing."""

    total_bytes: int
    free_bytes: int
    floor_bytes: int
    spare_bytes: int
    floor_files: int
    spare_files: int

    @classmethod
    def of(cls, found: os.statvfs_result, floor: Floor) -> "Room":
        """Read what the disk says; some file systems have no number of files that would be a limit, and say 0."""
        total, free = found.f_blocks * found.f_frsize, found.f_bavail * found.f_frsize
        floor_bytes = int(min(total * floor.percent / 100, floor.bytes))
        floor_files = int(min(found.f_files * floor.percent / 100, floor.files))
        return cls(
            total_bytes=total,
            free_bytes=free,
            floor_bytes=floor_bytes,
            spare_bytes=free - floor_bytes,
            floor_files=floor_files,
            spare_files=found.f_favail - floor_files if found.f_files else sys.maxsize,
        )

    def refusal(self, wanted_bytes: int = 1) -> str | None:
        """Say why one more file of so many bytes is refused; None if there is room for it."""
        if self.spare_bytes < wanted_bytes:
            return (
                f"The server's disk is nearly full: uploads leave {self.floor_bytes:,} bytes of it free "
                "(free_floor_bytes, free_floor_percent)."
            )
        if self.spare_files < 1:
            return (
                f"The server's disk has hardly any files left: uploads leave {self.floor_files:,} of them free "
                "(free_floor_files, free_floor_percent)."
            )
        return None
