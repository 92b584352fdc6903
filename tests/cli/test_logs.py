"""How the server's lines are written, whatever somebody put into a name."""

import errno
import io
import json
import logging
import sys
from collections.abc import Iterator

import pytest
import structlog

from ctsftp.cli.logs import HANDLER, MAX_VALUE_CHARACTERS, configure_logs


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    structlog.reset_defaults()
    for handler in root.handlers[:]:
        if handler.name == HANDLER:
            root.removeHandler(handler)
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.mark.parametrize("form", ["json", "console"])
def test_a_user_name_of_a_stranger_does_not_fill_the_disk(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(form)
    structlog.get_logger().warning("login refused", client="x" * 200_000, address="192.0.2.1")
    (line,) = capsys.readouterr().err.splitlines()
    assert len(line) < MAX_VALUE_CHARACTERS + 300
    assert "x" * MAX_VALUE_CHARACTERS in line
    assert "192.0.2.1" in line
    if form == "json":
        assert json.loads(line)["client"] == "x" * MAX_VALUE_CHARACTERS + "…"


class Full(io.StringIO):
    """A stream on a disk that is full."""

    def write(self, _text: str) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("form", ["json", "console"])
def test_a_command_goes_on_where_nobody_can_be_told(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Full())
    configure_logs(form)
    structlog.get_logger().warning("watch me")
    logging.getLogger("library").warning("and me")
