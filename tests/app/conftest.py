"""Settings of a server in a temporary folder, whose database and host keys were made once for all tests."""

import asyncio
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from structlog.typing import EventDict

from ctsftp.app.clock import utc_now
from ctsftp.clients.hostkeys import load_or_create_host_keys
from ctsftp.ingest.settings import IngestSettings
from ctsftp.settings import Settings
from ctsftp.sftp.settings import SftpSettings
from ctsftp.spool.settings import SpoolSettings
from ctsftp.store import Store
from ctsftp.web.settings import HttpSettings


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Whatever the machine has set, the tests begin with the defaults, in a folder of their own."""
    for name in [name for name in os.environ if name.startswith("CTSFTP_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.fixture(autouse=True)
def events() -> Iterator[list[EventDict]]:
    """What is logged."""
    with structlog.testing.capture_logs() as captured:
        yield captured


@pytest.fixture(scope="session")
def new_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an empty database and host keys: making them takes longer than most tests."""
    folder = tmp_path_factory.mktemp("new")
    (folder / "data").mkdir()
    load_or_create_host_keys(folder / "keys" / "host")

    async def make() -> None:
        url = f"sqlite+aiosqlite:///{folder / 'data' / 'ctsftp.db'}"
        await (await Store.open(url, clock=utc_now, migrate=True)).close()

    asyncio.run(make())
    return folder


@pytest.fixture
def settings(new_folder: Path, tmp_path: Path) -> Settings:
    shutil.copytree(new_folder, tmp_path, dirs_exist_ok=True)
    return Settings(
        data_dir=tmp_path / "data",
        keys_dir=tmp_path / "keys",
        sftp=SftpSettings(host="127.0.0.1", port=0, drain_timeout_s=0),
        http=HttpSettings(enabled=False),
        ingest=IngestSettings(retry_first_s=0.001),
        spool=SpoolSettings(reserve_bytes=0),
    )
