"""How much of the disk a client may take, and how much of it uploads must leave free.

An account knows what a client has: what was measured on the disk, with what the database holds of its lists, and since
then what its open files took and what landed. An open file is granted room ahead, a piece at a time, so that a write
that fits costs one comparison; what was granted is counted at once, whichever session asks, and no CLOSE can fail for
it. All calls may block, and come from any thread.
"""

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from ctsftp.errors import LimitError
from ctsftp.spool.room import Floor, Room

GRANT_BYTES = 8 << 20
# Ahead is granted no more than this part of what is left, or one open file would take the last of it from the others.
PARTS = 64
MEASURE_INTERVAL_S = 600.0
# Who is about to be refused is measured anew, but not each time that a sender tries again.
REFUSE_AFTER_S = 5.0
# From here on a client may be refused in the middle of a file, where there is no time to measure.
NEARLY_FULL_RATIO = 7 / 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """What a client may have, and what must stay free on the disk."""

    bytes: int
    files: int
    floor: Floor


class Account:
    """What one client has in the spool. `measure` tells its bytes and files on the disk, `room` asks for the disk's."""

    def __init__(
        self,
        measure: Callable[[], tuple[int, int]],
        room: Callable[[], os.statvfs_result],
        *,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._measure = measure
        self._room = room
        self._clock_s = clock_s
        self._lock = threading.Lock()
        self._measuring = threading.Lock()
        self._measured_s: float | None = None
        self._kept_bytes = 0
        self._kept_files = 0
        self._open_bytes = 0
        self._open_files = 0
        self._added_bytes = 0
        self._added_files = 0

    def open(self, allowance: Allowance) -> "Share":
        """Count one more open file; LimitError where there is no room for a byte of it."""
        self._refresh_for(allowance)
        with self._lock:
            self._require_file(allowance)
            self._require_bytes(allowance, 1)
            self.require_free(allowance, 1)
            self._open_files += 1
        return Share(self, allowance)

    def add_file(self, allowance: Allowance, size_bytes: int = 0) -> None:
        """Count a folder, or an upload that shares another one's bytes: its list takes room of its own.

        LimitError where there is no room for it.
        """
        self._refresh_for(allowance)
        with self._lock:
            self._require_file(allowance)
            if size_bytes:
                self._require_bytes(allowance, size_bytes)
            self.require_free(allowance, 1)
            self._add(size_bytes, 1)

    def require_free(self, allowance: Allowance, wanted_bytes: int) -> int:
        """Return how many bytes there are above the floor; LimitError if they are fewer than what is wanted.

        No DiskError: what was cut off by the disk is kept to be resumed, and would keep it full.
        """
        room = Room.of(self._room(), allowance.floor)
        if refusal := room.refusal(wanted_bytes):
            raise LimitError(f"{refusal} Tell its admin, and try again later.")
        return room.spare_bytes

    def grant(self, allowance: Allowance, held_bytes: int, wanted_bytes: int) -> int:
        """Grant a file that holds `held_bytes` at least `wanted_bytes`, with a piece ahead if there is room."""
        needed = wanted_bytes - held_bytes
        with self._lock:
            spare = self.require_free(allowance, needed)
            left = min(spare, self._require_bytes(allowance, needed))
            granted = needed + min(GRANT_BYTES, (left - needed) // PARTS)
            self._open_bytes += granted
        return held_bytes + granted

    def resume(self, seed_bytes: int) -> None:
        """Count what was cut off, and is written on now, as open."""
        with self._lock:
            self._add(-seed_bytes, -1)
            self._open_bytes += seed_bytes

    def settle(self, held_bytes: int, kept_bytes: int | None) -> None:
        """Count a file that was open as what was kept of it; None: no file was."""
        with self._lock:
            self._open_bytes -= held_bytes
            self._open_files -= 1
            if kept_bytes is not None:
                self._add(kept_bytes, 1)

    def _require_file(self, allowance: Allowance) -> None:
        if self._kept_files + self._open_files >= allowance.files:
            raise LimitError(
                f"You have {allowance.files:,} files and folders here, which is the limit (quota_files): "
                "remove folders, or ask the server's admin for more."
            )

    def _require_bytes(self, allowance: Allowance, needed: int) -> int:
        left = allowance.bytes - self._kept_bytes - self._open_bytes
        if needed > left:
            raise LimitError(
                f"Your files here, and the lists that were made of them, may have {allowance.bytes:,} bytes in all "
                "(quota_bytes), and this would be more: wait until older ones expire, or ask the server's admin."
            )
        return left

    def _add(self, bytes_: int, files: int) -> None:
        self._kept_bytes += bytes_
        self._kept_files += files
        self._added_bytes += bytes_
        self._added_files += files

    def _refresh_for(self, allowance: Allowance) -> None:
        """Measure often enough that nobody is refused for what has gone meanwhile."""
        self._refresh(MEASURE_INTERVAL_S)
        if (
            self._kept_files + self._open_files >= allowance.files
            or self._kept_bytes + self._open_bytes >= allowance.bytes * NEARLY_FULL_RATIO
        ):
            self._refresh(REFUSE_AFTER_S)

    def _refresh(self, max_age_s: float) -> None:
        """Measure, unless that was done lately; what is added meanwhile may count twice, and never not at all."""
        with self._measuring:
            if self._measured_s is not None and self._clock_s() - self._measured_s < max_age_s:
                return
            began_s = self._clock_s()
            with self._lock:
                added_bytes, added_files = self._added_bytes, self._added_files
            found_bytes, found_files = self._measure()
            with self._lock:
                self._kept_bytes = found_bytes + max(0, self._added_bytes - added_bytes)
                self._kept_files = found_files + max(0, self._added_files - added_files)
                self._measured_s = began_s


class Share:
    """One open file's part in its client's account."""

    def __init__(self, account: Account, allowance: Allowance) -> None:
        self._account = account
        self._allowance = allowance
        self._held_bytes = 0
        self._settled = False

    def resume(self, seed_bytes: int) -> None:
        """Begin with what was cut off earlier."""
        self._account.resume(seed_bytes)
        self._held_bytes = seed_bytes

    def reach(self, end_bytes: int) -> int:
        """Return up to where the file may be written, which is `end_bytes` or more; LimitError if not."""
        if end_bytes > self._held_bytes:
            self._held_bytes = self._account.grant(self._allowance, self._held_bytes, end_bytes)
        return self._held_bytes

    def settle(self, kept_bytes: int | None) -> None:
        """End it, with so many bytes kept in a file; None: no file was kept. Once is enough."""
        if not self._settled:
            self._settled = True
            self._account.settle(self._held_bytes, kept_bytes)
