"""Servers that are forked from a process which has everything imported: the start of an interpreter takes a second.

Each is a process of its own, as one that was started by its command: it is killed alone, and for good.
"""

import multiprocessing
import os
import signal
import sys
from multiprocessing.connection import Connection
from typing import TextIO

from ctsftp.cli import main
from tests.e2e.conftest import Box

PRELOADED = ["pytest", "ctsftp.app.service", "ctsftp.cli.serve", "ctsftp.cli.logs", "uvloop", __name__]

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(PRELOADED)


class ForkedServer:
    """A `ctsftp serve`, and of what subprocess.Popen offers as much as the tests use."""

    def __init__(self, box: Box) -> None:
        listening, saying = _context.Pipe(duplex=False)
        with saying:
            self._process = _context.Process(target=_serve, args=(str(box.folder), box.env, saying))
            self._process.start()
        self.stderr: TextIO = os.fdopen(os.dup(listening.fileno()))
        listening.close()
        assert self._process.pid is not None
        self.pid: int = self._process.pid

    def poll(self) -> int | None:
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def wait(self, timeout: float) -> int:
        self._process.join(timeout)
        assert self._process.exitcode is not None, "it does not end"
        return self._process.exitcode


def _serve(folder: str, env: dict[str, str], saying: Connection) -> None:
    # Streams of its own: those that it was forked with know what the first process's were.
    sys.stderr = os.fdopen(os.dup(saying.fileno()), "w", buffering=1)
    sys.stdout = sys.stderr
    saying.close()
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(env)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.argv = ["ctsftp", "serve", "--log-format", "json"]
    main()
