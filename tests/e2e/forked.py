"""`ctsftp`, forked from a process that has everything imported: the start of an interpreter takes a second.

Each is a process of its own, as one that was started by its command line: it is killed alone, and for good.
"""

import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from multiprocessing import connection
from multiprocessing.reduction import DupFd
from pathlib import Path
from typing import Any, TextIO

from ctsftp.cli.main import COMMANDS, main

COMMAND_MODULES = [f"ctsftp.cli.{name.replace('-', '_')}" for name in COMMANDS]
SERVER_MODULES = ["ctsftp.admin.administration", "ctsftp.admin.work", "psycopg", "uvloop", "uvicorn"]

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload([*COMMAND_MODULES, *SERVER_MODULES, __name__])
# How a process ended can be read once, and the start of another reads it, too.
_one_at_a_time = threading.Lock()


class Forked:
    """A `ctsftp` with these arguments; what subprocess.Popen offers, as much of it as the tests use.

    `streams` are the file descriptors of its standard input, output and error; they stay the caller's.
    """

    stderr: TextIO | None = None

    def __init__(
        self, arguments: Sequence[str], streams: tuple[int, int, int], *, folder: Path, env: Mapping[str, str]
    ) -> None:
        self._process = _Process(arguments, streams, folder, env)
        with _one_at_a_time:
            self._process.start()
        assert self._process.pid is not None
        self.pid: int = self._process.pid

    def poll(self) -> int | None:
        with _one_at_a_time:
            return self._process.exitcode

    def send_signal(self, number: int) -> None:
        with suppress(ProcessLookupError):  # it has ended, and its exit code is on its way
            os.kill(self.pid, number)

    def wait(self, timeout: float) -> int:
        connection.wait([self._process.sentinel], timeout)
        code = self.poll()
        if code is None:
            raise subprocess.TimeoutExpired("ctsftp", timeout)
        return code


def fork_server(folder: Path, env: Mapping[str, str]) -> Forked:
    """Fork a `ctsftp serve` that says what happens on its standard error."""
    reading, writing = os.pipe()
    with Path(os.devnull).open("r+b") as nothing:
        streams = (nothing.fileno(), nothing.fileno(), writing)
        server = Forked(["serve", "--log-format", "json"], streams, folder=folder, env=env)
    os.close(writing)
    server.stderr = os.fdopen(reading)
    return server


def run_forked(
    arguments: Sequence[str], *, folder: Path, env: Mapping[str, str], stdin: str | None, timeout: float
) -> subprocess.CompletedProcess[str]:
    """Fork a `ctsftp`, wait for its end, and give what it printed."""
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        given.write((stdin or "").encode())
        given.seek(0)
        command = Forked(arguments, (given.fileno(), out.fileno(), err.fileno()), folder=folder, env=env)
        try:
            code = command.wait(timeout)
        except subprocess.TimeoutExpired:
            command.send_signal(signal.SIGKILL)
            raise
        out.seek(0)
        err.seek(0)
        return subprocess.CompletedProcess(["ctsftp", *arguments], code, out.read().decode(), err.read().decode())


class _Process(_context.Process):  # type: ignore[name-defined, misc]  # the type of a context's class
    """The process; its descriptors are handed over when it is started."""

    def __init__(
        self, arguments: Sequence[str], streams: tuple[int, int, int], folder: Path, env: Mapping[str, str]
    ) -> None:
        super().__init__()
        self._given = (list(arguments), streams, str(folder), dict(env))

    def __getstate__(self) -> dict[str, Any]:
        arguments, streams, folder, env = self._given
        return self.__dict__ | {"_given": (arguments, [DupFd(one) for one in streams], folder, env)}

    def run(self) -> None:
        arguments, streams, folder, env = self._given
        for number, handed in enumerate(streams):
            descriptor = handed.detach()
            os.dup2(descriptor, number)
            os.close(descriptor)
        # Streams of its own: those that it was forked with know what the first process's were.
        sys.stdin, sys.stdout, sys.stderr = os.fdopen(0), os.fdopen(1, "w"), os.fdopen(2, "w", buffering=1)
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(env)
        time.tzset()
        signal.signal(signal.SIGINT, signal.default_int_handler)
        sys.argv = ["ctsftp", *arguments]
        main()
