"""A file while it is being written: its bytes, what is missing of them, and what went wrong."""

import contextlib
import os
import threading
from pathlib import Path

from ctsftp.errors import CtsftpError, DiskError, IncompleteError, LimitError
from ctsftp.spool.coverage import Coverage
from ctsftp.spool.disk import Disk, translated
from ctsftp.spool.paths import HomePath
from ctsftp.spool.quota import Share


class StagedFile:
    """One open handle's file in staging; every handle has its own, also on the same path.

    The first thing that goes wrong poisons it: every later write and the CLOSE answer with that
    error, whatever the client does next (OpenSSH's client sends CLOSE after a failed write).
    One that begins with a seed that its client was not `shown` (a complete file stands before it) is whole only if the
    client itself writes all of it, or on to the seed's end or beyond: else it may mean to change what it saw.
    One that `stands` began as a copy of the complete file at its place.
    A handle belongs to one session, whose requests come one after another; only `sync` may run beside them.
    """

    def __init__(
        self,
        disk: Disk,
        fd: int,
        path: Path,
        target: HomePath,
        *,
        max_size_bytes: int,
        seed_bytes: int = 0,
        shown: bool = True,
        stands: bool = False,
        share: Share | None = None,
    ) -> None:
        self.path = path
        self.target = target
        self.seed_bytes = seed_bytes
        self.changed = False  # by its client: a write, or a size that it set
        self._stands = stands
        self.times: tuple[float, float] | None = None
        self._share = share
        self.fault: CtsftpError | None = None
        self.writes = 0
        self.unsynced_bytes = 0  # that were written since the last sync began
        self.size_bytes = 0  # once it is sealed
        self._disk = disk
        self._fd: int | None = fd
        self._max_size_bytes = max_size_bytes
        self._granted_bytes = seed_bytes
        self._coverage = Coverage(seed_bytes)
        self._unseen_bytes = 0 if shown else seed_bytes
        self._own_coverage = Coverage()  # of a file with an unseen seed
        self._append_to: tuple[int, int] | None = None
        self._shift_bytes = 0
        self._doubtful = False
        # Held during an fsync: the descriptor must not be closed, and given to another file, just before it.
        self._syncing = threading.Lock()

    @property
    def fd(self) -> int:
        """The descriptor; `IncompleteError` once the file was closed."""
        if self._fd is None:
            raise IncompleteError(f"{self.target} was closed already.")
        return self._fd

    @property
    def is_as_it_was(self) -> bool:
        """Whether this is a complete file that was opened, and neither emptied nor changed: its client only looked."""
        return self._stands and not self.changed and self.fault is None

    def begin_append(self, shown_bytes: int) -> None:
        """Expect a client that appends to what is here, and was shown a file of `shown_bytes`.

        Most count from the size that they were shown; libssh2 (curl --append) counts from 0. The
        first write tells which.
        """
        self._append_to = (self._coverage.prefix_bytes, shown_bytes)

    def write(self, offset: int, data: bytes) -> None:
        """Write all of `data` at `offset`, or raise and poison the file."""
        if self.fault:
            raise self.fault
        if not data:
            return
        if self._append_to:
            self._settle_append(offset, *self._append_to)
        offset += self._shift_bytes
        self.writes += 1
        self.changed = True
        if offset + len(data) > self._granted_bytes:
            self._ask_for_room(offset + len(data))
        try:
            written = self._disk.write(self.fd, data, offset)
        except OSError as exc:
            raise self._poisoned(DiskError(f"{self.target} could not be written: {exc.strerror}.")) from exc
        if written != len(data):
            raise self._poisoned(DiskError(f"{self.target} could not be written: the disk took a part of it."))
        if not (self._coverage.add(offset, offset + written) and self._note_own(offset, offset + written)):
            raise self._poisoned(LimitError(f"{self.target} is written in too many separate pieces."))
        self.unsynced_bytes += written

    def read(self, offset: int, size: int) -> bytes:
        """Read back what was written."""
        with translated(f"{self.target} could not be read"):
            return self._disk.read(self.fd, size, offset)

    def truncate(self, size: int) -> None:
        """Cut or extend the file; bytes that it gains this way are a hole until they are written."""
        self.changed = True
        if self.fault:
            raise self.fault
        if size > self._max_size_bytes:
            raise LimitError(f"{self.target} cannot be larger than {self._max_size_bytes} bytes.")
        if size > self._granted_bytes:
            self._ask_for_room(size)
        try:
            self._disk.truncate(self.fd, size)
        except OSError as exc:
            self._doubtful = True
            raise self._poisoned(DiskError(f"{self.target} could not be cut: {exc.strerror}.")) from exc
        self._coverage.cut(size)
        self._own_coverage.cut(size)
        if self._append_to:  # what follows is appended to what is left
            kept, shown = self._append_to
            self._append_to = (min(kept, size), min(shown, size))

    def set_times(self, accessed_s: float, modified_s: float) -> None:
        """Set the file's times, which it keeps when it is closed, whatever is written until then."""
        self.times = accessed_s, modified_s
        with translated(f"{self.target} could not be given its times"):
            self._disk.set_times(self.path, accessed_s, modified_s)

    def stat(self) -> os.stat_result:
        """Describe the file as it is now."""
        with translated(f"{self.target} could not be looked at"):
            return self._disk.fstat(self.fd)

    def sync(self) -> None:
        """Make what was written durable; a failure is final for this file (fsync is never tried twice)."""
        with self._syncing:
            if self.fault:
                raise self.fault
            self.unsynced_bytes = 0
            try:
                self._disk.fsync(self.fd)
            except OSError as exc:
                self._doubtful = True
                raise self._poisoned(DiskError(f"{self.target} could not be made durable: {exc.strerror}.")) from exc

    def seal(self) -> None:
        """Check that every byte is there, make the file durable and close it."""
        if self.fault:
            raise self.fault
        size = self.stat().st_size
        if not self._coverage.is_whole(size):
            raise self._poisoned(
                IncompleteError(
                    f"{self.target} has a hole after byte {self._coverage.prefix_bytes} of {size}: send it again whole."
                )
            )
        if self._unseen_bytes and not self._own_coverage.is_whole(size):
            raise self._poisoned(
                IncompleteError(
                    f"{self.target} was cut off after byte {self._unseen_bytes} lately, and that was not written on:"
                    " send it again whole."
                )
            )
        if self.times:
            self.set_times(*self.times)
        self.sync()
        self.close()
        self.size_bytes = size

    def keep_prefix(self) -> int:
        """Reduce a cut-off file to its bytes without a hole, durable, and return their number; 0: not worth keeping.

        A failed write leaves the bytes before it good. After a failed fsync nobody knows which
        bytes are on disk, so none are kept. A file beyond a limit could never be completed.
        """
        prefix = self._coverage.prefix_bytes
        if not prefix or self._doubtful or isinstance(self.fault, LimitError):
            return 0
        with translated(f"{self.target} could not be kept"):
            self._disk.truncate(self.fd, prefix)
            self._disk.fsync(self.fd)
        return prefix

    def close(self) -> None:
        """Close the descriptor; closing twice is fine, and what fsync said of the bytes holds whatever close says."""
        with self._syncing:
            fd, self._fd = self._fd, None
            if fd is not None:
                with contextlib.suppress(OSError):
                    self._disk.close(fd)

    def settle(self, kept_bytes: int | None) -> None:
        """Count the file no longer as open, but as what was kept of it; the first word counts."""
        if self._share:
            self._share.settle(kept_bytes)

    def _settle_append(self, offset: int, kept: int, shown: int) -> None:
        """Find out from the first write whether this client counts from the size it was shown or from 0."""
        self._append_to = None
        if offset or not kept:
            return
        if kept != shown:
            raise self._poisoned(IncompleteError(f"{self.target} was cut off earlier: send it again whole."))
        self._shift_bytes = kept

    def _note_own(self, start: int, end: int) -> bool:
        """Note what the client itself wrote, as long as there is a seed that it did not see; False: too many pieces."""
        if end >= self._unseen_bytes:
            self._unseen_bytes = 0
            return True
        return self._own_coverage.add(start, end)

    def _ask_for_room(self, end: int) -> None:
        """See to it that the file may grow to `end`, or raise and poison it."""
        if end > self._max_size_bytes:
            raise self._poisoned(LimitError(f"{self.target} is larger than the limit of {self._max_size_bytes} bytes."))
        try:
            reach = self._share.reach(end) if self._share else self._max_size_bytes
        except CtsftpError as exc:
            raise self._poisoned(exc) from exc
        self._granted_bytes = min(reach, self._max_size_bytes)

    def spoil(self) -> None:
        """Note that some of the bytes may have come in a request that nobody could read."""
        self._poisoned(IncompleteError(f"{self.target} may miss what came in a broken request: send it again."))

    def _poisoned(self, fault: CtsftpError) -> CtsftpError:
        self.fault = fault
        return fault
