"""A client on a real disk, or on one of the test's own."""

from collections.abc import Callable
from pathlib import Path

import pytest

from ctsftp.spool.disk import Disk, LocalDisk

from .bench import Client


@pytest.fixture
def client_on(tmp_path: Path) -> Callable[..., Client]:
    """Make a client on a disk of the test's own, or with other options of the spool."""

    def make(disk: Disk | None = None, *, folder: str = "clients", **spool_options: object) -> Client:
        return Client(tmp_path / folder, disk or LocalDisk(), **spool_options)

    return make


@pytest.fixture
def client(client_on: Callable[..., Client]) -> Client:
    return client_on()
