"""A log that cannot be written stops nobody: jobs sign in, their lists are loaded, and the monitor is told."""

import fcntl
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from .conftest import PATIENCE_S, Box, wait_until

PIPE_BYTES = 4096  # one page, soon full
PUTS = 6


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


class Mute:
    """A server that nobody can hear."""

    def __init__(self, box: Box, stderr: int) -> None:
        self.port, self._http_port = free_port(), free_port()
        ports = {"CTSFTP_SFTP__PORT": str(self.port), "CTSFTP_HTTP__PORT": str(self._http_port)}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "ctsftp", "serve"],
            cwd=box.folder,
            env=box.env | ports | {"CTSFTP_HTTP__ENABLED": "true"},
            stderr=stderr,
        )
        wait_until(self._listens)

    def get(self, path: str) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self._http_port}{path}", timeout=PATIENCE_S) as answer:
            return str(answer.read().decode())

    def stop(self, number: int = signal.SIGTERM) -> int:
        self._process.send_signal(number)
        return self._process.wait(PATIENCE_S)

    def _listens(self) -> bool:
        assert self._process.poll() is None
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port)):
            return True
        return False


@contextmanager
def served(box: Box, stderr: int) -> Iterator[Mute]:
    box.add_client("acme")
    serve = Mute(box, stderr)
    box.serve = serve  # type: ignore[assignment]  as far as a sender needs to know
    try:
        yield serve
        assert serve.stop() == 0
    finally:
        box.serve = None
        serve.stop(signal.SIGKILL)


def send(box: Box) -> None:
    """Put lists, and wait until they are loaded."""
    for number in range(PUTS):
        name = f"VIP{number}_20260310_0900.csv"
        box.file(name, "CTUserID\n1\n2\n")
        done = box.sftp("acme", f"put {name}")
        assert done.returncode == 0, done.stderr
    wait_until(lambda: len(box.json("upload", "list", "--state", "loaded")) == PUTS)


def lost(serve: Mute) -> float:
    [line] = [line for line in serve.get("/metrics").splitlines() if line.startswith("ctsftp_log_lines_lost_total ")]
    return float(line.split()[1])


@pytest.mark.alone
def test_nobody_waits_for_a_log_whose_disk_is_full(box: Box) -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    with served(box, full) as serve:
        send(box)
        assert lost(serve) > PUTS
        ready, remark = serve.get("/readyz").splitlines()
        assert ready == "ready"
        assert remark.startswith("The log cannot be written (No space left on device): ")
        assert serve.get("/healthz") == "ok\n"
    os.close(full)


@pytest.mark.alone
def test_nobody_waits_for_a_log_whose_reader_has_gone(box: Box) -> None:
    reading, writing = os.pipe()
    with served(box, writing) as serve:
        os.close(writing)
        os.close(reading)
        send(box)
        assert lost(serve) > PUTS
        assert "(Broken pipe)" in serve.get("/readyz")


@pytest.mark.alone
def test_nobody_waits_for_a_log_that_nobody_reads_and_the_server_stops_when_it_is_asked_to(box: Box) -> None:
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    with served(box, writing):
        os.close(writing)
        send(box)
    assert b"stopped" not in os.read(reading, 1 << 20)  # it was full long before
    os.close(reading)


@pytest.mark.alone
def test_a_server_without_any_stream_serves_and_writes_its_log_into_no_file_of_its_own(box: Box) -> None:
    box.add_client("acme")
    port = free_port()
    env = box.env | {"CTSFTP_SFTP__PORT": str(port)}
    command = f"exec {sys.executable} -m ctsftp serve 0<&- 1>&- 2>&-"
    with subprocess.Popen(["sh", "-c", command], cwd=box.folder, env=env) as process:
        try:
            lock = box.folder / "data" / "lock"
            wait_until(lambda: lock.exists() and lock.read_text() == f"{process.pid}\n")
            for fd in range(3):
                assert Path(f"/proc/{process.pid}/fd/{fd}").readlink() == Path("/dev/null")
        finally:
            process.kill()
