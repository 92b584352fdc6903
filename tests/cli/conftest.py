"""A shell in a folder with an empty database and host keys."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from tests.app.conftest import _no_environment, new_folder

from .shell import Shell

__all__ = ["_no_environment", "new_folder"]


@pytest.fixture
def empty_shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shell]:
    """A shell where nobody has done anything yet."""
    yield Shell(tmp_path, monkeypatch)
    structlog.reset_defaults()


@pytest.fixture
def shell(empty_shell: Shell, new_folder: Path) -> Shell:
    shutil.copytree(new_folder, empty_shell.folder, dirs_exist_ok=True)
    return empty_shell
