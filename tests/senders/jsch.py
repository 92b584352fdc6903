"""JSch 0.1.54 of 2016, as countless Java jobs still carry it, driven by a small Java program."""

import functools
import os
import subprocess
import tempfile
from pathlib import Path

import pytest

from ..e2e.conftest import require_program
from .post import RECEIPTS, Account

JAR = Path("/usr/share/java/jsch.jar")  # Debian's libjsch-java
SOURCE = Path(__file__).with_name("JschSender.java")


@functools.cache
def compiled() -> tempfile.TemporaryDirectory[str]:
    """Compile the program, once a worker; the folder goes when the worker ends."""
    javac = require_program("javac")
    if not JAR.exists():
        reason = f"{JAR} (libjsch-java) is not installed"
        pytest.fail(reason) if os.environ.get("CTSFTP_TESTS_NO_SKIP") else pytest.skip(reason)
    folder = tempfile.TemporaryDirectory()
    subprocess.run([javac, "-cp", str(JAR), "-d", folder.name, str(SOURCE)], check=True)
    return folder


class Jsch:
    """JSch with an ECDSA key, the best kind that it knows."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._java = require_program("java")
        self._classes = f"{JAR}:{compiled().name}"
        self.key = account.keys.ecdsa

    def run(self, *commands: str, code: int = 0) -> str:
        quick = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xshare:auto"]  # a short life needs no optimiser
        login = [str(self._account.port), self._account.client, str(self.key)]
        return self._account.execute(
            self._java, *quick, "-cp", self._classes, SOURCE.stem, *login, *commands, code=code
        )

    def put(self, file: Path, name: str) -> None:
        self.run("put", str(file), name)

    def list(self) -> set[str]:
        return set(self.run("list").splitlines()) - {".", ".."} - RECEIPTS

    def put_and_stat(self, file: Path, name: str) -> int:
        return int(self.run("put", str(file), name, "stat", name))

    def put_and_rename(self, file: Path, first: str, name: str) -> None:
        self.run("put", str(file), first, "rename", first, name)

    def resume(self, file: Path, name: str) -> None:
        self.run("resume", str(file), name)

    def put_and_remove(self, file: Path, name: str) -> None:
        self.run("put", str(file), name, "remove", name)
