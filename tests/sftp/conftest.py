"""A real server on port 0 for each test, in the test's own event loop (uvloop, as `serve` runs)."""

import os
import shutil
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

import asyncssh
import pytest
import uvloop
from structlog.testing import capture_logs

from .room import Room
from .stock import StockSftp


def pytest_asyncio_loop_factories(config: pytest.Config, item: pytest.Item) -> Mapping[str, Callable[[], object]]:
    return {"uvloop": uvloop.new_event_loop}


def require_program(name: str) -> str:
    """The path of a program that a test needs; where it is missing, skip, or fail if nothing may be skipped."""
    found = shutil.which(name)
    if found is None:
        if os.environ.get("CTSFTP_TESTS_NO_SKIP"):
            pytest.fail(f"{name} is not installed")
        pytest.skip(f"{name} is not installed")
    return found


@pytest.fixture(scope="session")
def user_key() -> asyncssh.SSHKey:
    return asyncssh.generate_private_key("ssh-ed25519", comment="a sender")


@pytest.fixture(scope="session")
def rsa_key() -> asyncssh.SSHKey:
    return asyncssh.generate_private_key("ssh-rsa", key_size=2048, comment="an old sender")


@pytest.fixture(scope="session")
def host_key() -> asyncssh.SSHKey:
    return asyncssh.generate_private_key("ssh-ed25519")


@pytest.fixture(scope="session")
def key_file(user_key: asyncssh.SSHKey, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("key") / "id_ed25519"
    user_key.write_private_key(path)
    path.chmod(0o600)
    return path


@pytest.fixture
async def room(tmp_path: Path, user_key: asyncssh.SSHKey, host_key: asyncssh.SSHKey) -> AsyncIterator[Room]:
    """A server that is up, with one client, `acme`, that signs in with `user_key`.

    A test that brings about an error of ours says so by `room.errors()`; any other fails it.
    """
    with capture_logs() as logs:
        room = Room(tmp_path, user_key=user_key, host_key=host_key, logs=logs)
        await room.start()
        yield room
        await room.stop()
    assert room.errors() == []


@pytest.fixture
def stock(room: Room, key_file: Path, tmp_path: Path) -> StockSftp:
    """OpenSSH's own sftp and ssh, set up to reach the server as `acme`."""
    return StockSftp(
        sftp=require_program("sftp"), ssh=require_program("ssh"), room=room, key_file=key_file, folder=tmp_path
    )
