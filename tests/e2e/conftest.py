"""A real `ctsftp serve` in a folder of its own, driven by the command line and by the stock sftp."""

import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from ctsftp.clients.hostkeys import load_or_create_host_keys

from .forked import Forked, fork_server, run_forked

PATIENCE_S = 60.0


def require_program(name: str) -> str:
    """The path of a program that a test needs; where it is missing, skip, or fail if nothing may be skipped."""
    found = shutil.which(name)
    if found is None:
        if os.environ.get("CTSFTP_TESTS_NO_SKIP"):
            pytest.fail(f"{name} is not installed")
        pytest.skip(f"{name} is not installed")
    return found


class Box:
    """A folder with keys, data and senders' files; commands run in it as an admin would run them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.env = {
            **{name: value for name, value in os.environ.items() if not name.startswith("CTSFTP_")},
            "CTSFTP_SFTP__HOST": "127.0.0.1",
            "CTSFTP_SFTP__PORT": "0",
            "CTSFTP_HTTP__PORT": "0",
            "CTSFTP_HTTP__ENABLED": "false",
            "CTSFTP_SPOOL__RESERVE_BYTES": "0",  # hundreds of tests would hold gigabytes
            "NO_COLOR": "1",
        }
        self.serve: Serve | None = None
        self.launch: Callable[[Box], Any] = fork_process  # gives what subprocess.Popen does

    def run(self, *args: str, check: bool = True, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        done = run_forked(args, folder=self.folder, env=self.env, stdin=stdin, timeout=PATIENCE_S)
        if check:
            assert done.returncode == 0, done.stderr
        return done

    def json(self, *args: str, check: bool = True) -> Any:
        return json.loads(self.run(*args, "--json", check=check).stdout)

    def file(self, name: str, text: str | bytes) -> Path:
        place = self.folder / name
        place.write_bytes(text if isinstance(text, bytes) else text.encode())
        return place

    def add_client(self, name: str) -> Path:
        key = self.folder / f"{name}_key"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
        self.run("client", "add", name, "--key", f"{key}.pub")
        return key

    def start(self) -> "Serve":
        self.serve = Serve(self)
        return self.serve

    def sftp(self, client: str, *commands: str) -> subprocess.CompletedProcess[str]:
        """Run a batch of commands in the stock sftp; it stops at the first that fails."""
        return subprocess.run(
            self.sftp_command(client),
            cwd=self.folder,
            input="\n".join(commands) + "\n",
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )

    def sftp_command(self, client: str) -> list[str]:
        assert self.serve is not None
        options = [
            f"-oPort={self.serve.port}",
            f"-oIdentityFile={self.folder / client}_key",
            "-oIdentitiesOnly=yes",
            "-oStrictHostKeyChecking=no",
            "-oUserKnownHostsFile=/dev/null",
            "-oLogLevel=ERROR",
            "-oBatchMode=yes",
        ]
        return ["sftp", *options, "-b", "-", f"{client}@127.0.0.1"]

    def put(self, client: str, name: str, text: str | bytes, *, refused: bool = False) -> dict[str, Any]:
        """Put a file, which is `refused` or not, and give the event of its verdict."""
        assert self.serve is not None
        self.file(name, text)
        seen = self.serve.mark()
        done = self.sftp(client, f'put "{name}"')
        assert (done.returncode != 0) is refused, done.stderr
        return self.serve.wait_for("verdict", lambda event: event["file"] == name, since=seen)


def fork_process(box: Box) -> Forked:
    return fork_server(box.folder, box.env)


def start_process(
    box: Box, *in_front: str, arguments: Sequence[str] = ("serve", "--log-format", "json")
) -> subprocess.Popen[str]:
    """Start an interpreter, as whoever installed ctsftp does."""
    return subprocess.Popen(
        [*in_front, sys.executable, "-m", "ctsftp", *arguments],
        cwd=box.folder,
        env=box.env,
        stderr=subprocess.PIPE,
        text=True,
    )


class Serve:
    """A running server, and the events that it logs."""

    def __init__(self, box: Box) -> None:
        self.process = box.launch(box)
        self.events: list[dict[str, Any]] = []
        self._new: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.port: int = self.wait_for("serving")["port"]

    def mark(self) -> int:
        """How many events there were so far, for `wait_for`."""
        self._drain()
        return len(self.events)

    def wait_for(
        self, event: str, matches: Callable[[dict[str, Any]], bool] = lambda _: True, *, since: int = 0
    ) -> dict[str, Any]:
        deadline = time.monotonic() + PATIENCE_S
        while True:
            for found in self.events[since:]:
                if found["event"] == event and matches(found):
                    return found
            since = len(self.events)
            new = self._new.get(timeout=max(0.01, deadline - time.monotonic()))
            assert new is not None, f"the server ended before {event!r}: {self.events}"
            self.events.append(new)

    def stop(self, number: int = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        code = self.process.wait(PATIENCE_S)
        self._reader.join(PATIENCE_S)
        assert self.process.stderr is not None
        self.process.stderr.close()
        return code

    def _drain(self) -> None:
        while not self._new.empty():
            if (new := self._new.get()) is not None:
                self.events.append(new)

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self._new.put(json.loads(line) if line.startswith("{") else {"event": line})
        self._new.put(None)


@pytest.fixture(scope="session")
def host_keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Host keys made once: an RSA key takes a second."""
    folder = tmp_path_factory.mktemp("host")
    load_or_create_host_keys(folder)
    return folder


@pytest.fixture
def box(tmp_path: Path, host_keys: Path) -> Iterator[Box]:
    require_program("sftp")
    made = Box(tmp_path)
    shutil.copytree(host_keys, tmp_path / "keys" / "host")
    yield made
    if made.serve:
        made.serve.stop(signal.SIGKILL)


@pytest.fixture
def acme(box: Box) -> Box:
    """A server that runs, with a client called acme."""
    box.add_client("acme")
    box.start()
    return box


def wait_until(holds: Callable[[], bool]) -> None:
    """Wait for something that only the disk can tell."""
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline, "it never came to be"
        time.sleep(0.01)


def wait_for_uploads(box: Box, count: int) -> list[dict[str, Any]]:
    """Wait for so many verdicts, then give the ledger, newest first."""
    assert box.serve is not None
    seen: list[dict[str, Any]] = []
    since = 0
    while len(seen) < count:
        seen.append(box.serve.wait_for("verdict", lambda event: event not in seen, since=since))
    uploads: list[dict[str, Any]] = box.json("upload", "list")
    return uploads
