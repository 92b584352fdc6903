"""The command line without a process: what is typed, what is printed, and the exit code."""

import asyncio
import io
import json
import os
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ctsftp.app.engine import Engine
from ctsftp.cli import main
from ctsftp.settings import read_settings
from ctsftp.store import Upload
from tests.app.bench import load

REPOSITORY = Path(__file__).parent.parent.parent


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()


class Shell:
    """Types commands in a folder of its own; a process of its own only where that is the point."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self._monkeypatch = monkeypatch

    def run(self, *args: str, stdin: bytes = b"", code: int = 0) -> Done:
        """Run a command that must end with this exit code; whatever it is, nobody sees a traceback."""
        out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
        with self._monkeypatch.context() as patched, redirect_stdout(out), redirect_stderr(err):
            patched.setattr(sys, "argv", ["ctsftp", *args])
            patched.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
            with pytest.raises(SystemExit) as ended:
                main()
        done = Done(int(ended.value.code or 0), *(_written(stream) for stream in (out, err)))
        assert "Traceback" not in done.err
        assert done.code == code, (done.out, done.err)
        return done

    def json(self, *args: str, code: int = 0) -> Any:
        return json.loads(self.run(*args, "--json", code=code).out)

    def refused(self, *args: str, code: int, stdin: bytes = b"") -> str:
        """Run a command that is refused; give the one line that says why."""
        done = self.run(*args, code=code, stdin=stdin)
        [line] = done.err.splitlines()
        assert line.startswith("ctsftp: ")
        assert done.out == ""
        return line.removeprefix("ctsftp: ")

    def load(self, name: str, content: str, *, client: str = "acme") -> Upload:
        """Have a file loaded as if the client had pushed it."""

        async def work() -> Upload:
            async with Engine.open(read_settings()) as engine:
                return await load(engine, name, content, client=client)

        return asyncio.run(work())

    def file(self, name: str, content: str | bytes) -> str:
        (self.folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        return name

    @property
    def env(self) -> dict[str, str]:
        """The environment of a process of its own."""
        return {**os.environ, "PYTHONPATH": str(REPOSITORY)}


def _written(stream: io.TextIOWrapper) -> str:
    stream.flush()
    buffer = stream.buffer
    assert isinstance(buffer, io.BytesIO)
    return buffer.getvalue().decode()
