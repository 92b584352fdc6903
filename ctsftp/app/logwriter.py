"""Writes the lines of a server's log in a thread of its own, so that a log that cannot be written stops nobody.

Whoever logs leaves a line and goes on. If the disk of the log is full, if the program that reads it has gone, or if it
reads no more, lines are lost: they are counted, and the first lines that get through again are followed by one that
tells of it. Lines keep their order. While a server works the writer stands in for `sys.stderr`: what the interpreter
itself has to say must not wait either.
"""

import io
import os
import select
import sys
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr

import structlog

MAX_WAITING_BYTES = 8 << 20
# One call to the system takes so many at most; what it takes only in part counts as lost from there on.
WRITE_BYTES = 64 << 10
FLUSH_S = 2.0
STDERR = 2
NOBODY_READS = "nobody reads it"

log = structlog.get_logger()


@contextmanager
def writing_to_stderr() -> Iterator["LogWriter"]:
    """Put a writer in the place of `sys.stderr` until the block ends; for good, if nobody reads what it writes then."""
    writer = LogWriter(STDERR)
    try:
        with redirect_stderr(writer):
            yield writer
    finally:
        writer.close()
        if writer.is_given_up:
            sys.stderr = writer


class LogWriter(io.TextIOBase):
    """A stream that takes lines at once and writes them later; `close` it to have the last of them written."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._waiting: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._is_closing = False
        self.is_given_up = False
        self._is_torn = False
        self._untold = 0
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._work, name="log", daemon=True)
        self.lost = 0
        # Why lines are being lost, in a few words; None while all is well.
        self.trouble: str | None = None
        self._thread.start()

    def writable(self) -> bool:
        """Say that this can be written."""
        return True

    def isatty(self) -> bool:
        """Say whether a person sees the lines."""
        return os.isatty(self._fd)

    def write(self, text: str) -> int:
        """Leave text to be written; it is lost if too much waits."""
        data = text.encode(errors="backslashreplace")
        with self._changed:
            if not self._thread.is_alive():
                self._write_out(data)  # the last words of a program that ends
            elif self.is_given_up or self._waiting_bytes + len(data) > MAX_WAITING_BYTES:
                self._lose(data.count(b"\n"), NOBODY_READS)
            else:
                self._waiting.append(data)
                self._waiting_bytes += len(data)
                self._changed.notify()
        return len(text)

    def flush(self) -> None:
        """Do nothing: the thread writes as soon as it can."""

    def close(self) -> None:
        """Wait until all is written, for `FLUSH_S` at most; what cannot be written by then is lost."""
        with self._changed:
            self._is_closing = True
            self._changed.notify()
        self._thread.join(FLUSH_S)
        self.is_given_up = self._thread.is_alive()

    def _work(self) -> None:
        while batch := self._next_batch():
            if self._write_out(batch) and (lost := self._take_untold()):
                log.warning("log lines were lost", lines=lost)

    def _next_batch(self) -> bytes:
        """Wait for lines and give the oldest of them; nothing when the stream was closed and all is written."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._is_closing)
            batch: list[bytes] = []
            size = 0
            while self._waiting and (not batch or size + len(self._waiting[0]) <= WRITE_BYTES):
                batch.append(self._waiting.popleft())
                size += len(batch[-1])
            self._waiting_bytes -= size
            return b"".join(batch)

    def _write_out(self, lines: bytes) -> bool:
        """Write; False if the end of it was lost."""
        # What was cut off in the middle of a line shall not spoil the next one.
        data = b"\n" + lines if self._is_torn else lines
        written = 0
        try:
            while written < len(data):
                written += self._write_some(data[written:] if written else data)
        except OSError as exc:
            with self._changed:
                self._lose(min(data.count(b"\n", written), lines.count(b"\n")), exc.strerror or str(exc))
            self._is_torn = data[written - 1 : written] != b"\n" if written else self._is_torn
            return False
        self._is_torn = False
        self.trouble = None
        return True

    def _write_some(self, data: bytes) -> int:
        while True:
            try:
                return os.write(self._fd, data)
            except BlockingIOError:  # another program made the descriptor that it shares with us so
                select.select([], [self._fd], [])

    def _lose(self, lines: int, why: str) -> None:
        self.lost += lines
        self._untold += lines
        self.trouble = why

    def _take_untold(self) -> int:
        with self._changed:
            lost, self._untold = self._untold, 0
        return lost
