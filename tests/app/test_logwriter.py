"""The thread that writes the log: in order, without waiting, and honest about what was lost."""

import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from structlog.typing import EventDict

from ctsftp.app import logwriter
from ctsftp.app.logwriter import NOBODY_READS, LogWriter

PATIENCE_S = 20.0


class Pipe:
    """A pipe that is read when a test wants it; it holds one page."""

    def __init__(self) -> None:
        self.reading, self.writing = os.pipe()

    def read(self) -> str:
        return os.read(self.reading, 1 << 20).decode()

    def read_all(self) -> list[str]:
        """Close the writing end, and read to the end."""
        os.close(self.writing)
        with os.fdopen(os.dup(self.reading)) as file:
            return file.read().splitlines()

    def fill(self) -> None:
        os.set_blocking(self.writing, False)
        with suppress(BlockingIOError):
            while True:
                os.write(self.writing, b"x" * 1023 + b"\n")
        os.set_blocking(self.writing, True)


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    pipe = Pipe()
    yield pipe
    for fd in (pipe.reading, pipe.writing):
        with suppress(OSError):
            os.close(fd)


def settle(writer: LogWriter) -> None:
    """Wait until the thread has taken all that waits."""
    deadline = time.monotonic() + PATIENCE_S
    while writer._waiting:
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_lines_come_in_order_and_all_of_them_by_the_end(pipe: Pipe) -> None:
    writer = LogWriter(pipe.writing)
    for number in range(1_000):
        writer.write(f"{number} ä\n")
    writer.close()
    writer.write("last words\n")
    assert pipe.read_all() == [*(f"{number} ä" for number in range(1_000)), "last words"]
    assert (writer.lost, writer.trouble) == (0, None)


def test_a_reader_that_stands_still_delays_nobody_and_is_told_what_was_lost(
    pipe: Pipe, events: list[EventDict], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logwriter, "MAX_WAITING_BYTES", 1_000)
    pipe.fill()
    writer = LogWriter(pipe.writing)
    began = time.monotonic()
    for number in range(1_000):
        writer.write(f"line {number:04}\n")
    assert time.monotonic() - began < 1
    assert writer.trouble == NOBODY_READS
    lost = writer.lost
    assert lost >= 800
    while select.select([pipe.reading], [], [], 1)[0]:
        pipe.read()
        if not writer._waiting:
            break
    settle(writer)
    writer.write("afterwards\n")
    writer.close()
    assert writer.lost == lost
    assert writer.trouble is None
    assert [event for event in events if event["event"] == "log lines were lost"] == [
        {"event": "log lines were lost", "log_level": "warning", "lines": lost}
    ]


def test_a_reader_that_never_reads_again_does_not_keep_the_program_from_ending(
    pipe: Pipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logwriter, "FLUSH_S", 0.05)
    pipe.fill()
    writer = LogWriter(pipe.writing)
    writer.write("x\n")
    writer.close()
    assert writer.is_given_up
    writer.write("last words\n")
    assert writer.lost == 1
    os.close(pipe.reading)  # the thread ends


def test_a_reader_that_has_gone_costs_lines_and_nothing_else(pipe: Pipe) -> None:
    writer = LogWriter(pipe.writing)
    os.close(pipe.reading)
    for _ in range(3):
        writer.write("x\n")
    writer.close()
    assert writer.lost == 3
    assert writer.trouble == "Broken pipe"


def test_a_full_disk_costs_lines_and_the_one_that_was_cut_off_spoils_no_other(tmp_path: Path) -> None:
    """A limit on the size of files cuts a line in the middle, as a full disk does."""
    code = f"""
import os, resource, structlog
from ctsftp.app.logwriter import LogWriter
fd = os.open("{tmp_path}/log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
structlog.configure(processors=[structlog.processors.JSONRenderer()])
resource.setrlimit(resource.RLIMIT_FSIZE, (15, -1))
writer = LogWriter(fd)
writer.write("0123456789\\n")
writer.close()
for line in ("abcdefgh\\n", "second\\n"):
    writer.write(line)
print(writer.lost, writer.trouble)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, -1))
writer.write("third\\n")
print(writer.lost, writer.trouble)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["2 File too large", "2 None"]
    assert (tmp_path / "log").read_text().splitlines() == ["0123456789", "abcd", "third"]


def test_a_descriptor_that_another_program_made_non_blocking_is_waited_for(pipe: Pipe) -> None:
    pipe.fill()
    os.set_blocking(pipe.writing, False)
    writer = LogWriter(pipe.writing)
    writer.write("patient\n")
    settle(writer)
    found = ""
    while "patient" not in found:
        found = pipe.read()
    writer.close()
    assert writer.lost == 0
