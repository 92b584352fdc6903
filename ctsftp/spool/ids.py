"""Where upload ids come from: UUIDv7 in the order of the CLOSEs, also across a restart and a clock that is set back."""

import secrets
import threading
import time
from collections.abc import Callable

from ctsftp.contract.ids import RANDOM_BITS, next_tick, unix_ms_of, upload_id

NS_PER_MS = 1_000_000


class UploadIds:
    """Gives ids that sort in the order in which they were made; safe to call from any thread."""

    def __init__(self, *, clock_ns: Callable[[], int] = time.time_ns) -> None:
        self._clock_ns = clock_ns
        self._lock = threading.Lock()
        self._tick = 0

    def start_after(self, newest: str) -> None:
        """Let every id from now on sort behind `newest`, which an earlier process made."""
        with self._lock:
            # The first tick of the next millisecond is behind any fraction that the old id can have had.
            self._tick = next_tick(self._tick, (unix_ms_of(newest) + 1) * NS_PER_MS)

    def next(self) -> str:
        """Make an id that sorts behind all before."""
        with self._lock:
            self._tick = next_tick(self._tick, self._clock_ns())
            return upload_id(self._tick, secrets.randbits(RANDOM_BITS))
