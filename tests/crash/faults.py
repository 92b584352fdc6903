"""Calls of a running server that fail: `strace` counts for each thread, so "once" is one failure in each."""

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.conftest import PATIENCE_S, Serve


@contextmanager
def failing(serve: Serve, calls: str, error: str, place: Path | None = None, *, when: str = "1+") -> Iterator[None]:
    """Let calls of the server, on a file or folder, fail for the time of the block; not what the caller does itself."""
    command = ["strace", "-f", "-p", str(serve.process.pid), "-e", f"trace={calls}"]
    if place:
        command += ["-P", str(place.resolve())]
    command += ["-e", f"inject={calls}:error={error}:when={when}"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as strace:
        assert strace.stderr is not None
        said = strace.stderr.readline()
        while "Requested path" in said:  # with -P it tells first how it resolved the path
            said = strace.stderr.readline()
        if "attached" not in said:
            strace.wait(PATIENCE_S)
            pytest.skip(f"this system lets no process trace another: {said}")
        try:
            yield
        finally:
            strace.send_signal(signal.SIGINT)
            said = strace.communicate(timeout=PATIENCE_S)[1]
    assert "INJECTED" in said, "the fault never came to pass"
