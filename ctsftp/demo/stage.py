"""What the tour stands on: a server in a temporary folder, a client with a fresh key, sample contacts to export.

The folder holds everything, the settings file included, so that `ctsftp` commands that are typed in it talk
to this server. It is deleted at the end.
"""

import logging
import sqlite3
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import asyncssh
import structlog
import tomlkit

from ctsftp.admin.administration import open_service
from ctsftp.app.service import Service
from ctsftp.clients.folder import Clients
from ctsftp.clients.hostkeys import load_or_create_host_keys
from ctsftp.clients.keys import read_public_key
from ctsftp.demo.connect import ExportFile
from ctsftp.demo.push import PushResult, push
from ctsftp.demo.sample import open_sample
from ctsftp.errors import TourError
from ctsftp.model.commands import AddToken
from ctsftp.model.records import Upload
from ctsftp.settings import Settings
from ctsftp.sftp.settings import SftpSettings
from ctsftp.store.store import Store
from ctsftp.web.settings import HttpSettings

CLIENT = "acme"
HOST = "127.0.0.1"
DRAIN_TIMEOUT_S = 2  # Ctrl-C must not wait for a visitor's sftp

KEY_FILE = "acme_key"
KNOWN_HOSTS_FILE = "known_hosts"
SETTINGS_FILE = "ctsftp.toml"  # found by every command that runs in its folder


@dataclass(frozen=True, slots=True)
class Stage:
    """The running server and all that belongs to it; `settings` are those of the folder's settings file."""

    folder: Path
    settings: Settings
    service: Service
    contacts: sqlite3.Connection
    host_key: str

    @classmethod
    @asynccontextmanager
    async def open(cls) -> AsyncIterator["Stage"]:
        """Set everything up, and take it down when the block ends."""
        with TemporaryDirectory(prefix="ctsftp-demo-") as name, closing(open_sample()) as contacts:
            folder = Path(name)
            settings = _settings(folder, port=0)
            _add_client(folder, settings)
            async with open_service(settings) as service:
                settings = _settings(folder, port=service.server.port)
                host_key = _host_key(settings)
                _write_for_visitors(folder, settings, host_key)
                yield cls(folder, settings, service, contacts, host_key)

    @property
    def web_address(self) -> str:
        """Where the server's API and console are."""
        return f"http://{HOST}:{self.service.web.port}"

    @property
    def store(self) -> Store:
        """The server's store: what the tour shows is read here."""
        return self.service.engine.store

    async def add_token(self, name: str, *, admin: bool) -> str:
        """Make a token of the API, as `ctsftp token add` does."""
        return await self.service.perform(AddToken(name, None if admin else CLIENT, admin))

    async def deliver(self, file: ExportFile) -> tuple[PushResult, Upload]:
        """Push a file, wait for its verdict, and give what the sender was told and what the ledger says.

        TourError where the ledger has no new upload of that name: the file never came.
        """
        known = {upload.id for upload in await self.store.ledger.uploads()}
        result = await push(
            file,
            host=self.settings.sftp.host,
            port=self.settings.sftp.port,
            username=CLIENT,
            key_path=self.folder / KEY_FILE,
            host_key=self.host_key,
        )
        # The server queues an upload before it answers the CLOSE, so that what was pushed is known by now.
        await self.service.engine.queue.wait_for()
        for upload in await self.store.ledger.uploads():
            if upload.id not in known and upload.filename == file.filename:
                return result, upload
        said = " ".join(result.output.split()) or "nothing"
        raise TourError(f"{file.filename} did not reach the server; what {result.program} said of it: {said}")


def quiet_logs(heard: Callable[[], None]) -> None:
    """Keep the server's log out of the tour, but for warnings; `heard` is called at each of its events."""

    def listen(_: object, level: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        heard()
        if level in {"debug", "info"}:
            raise structlog.DropEvent
        return event

    structlog.configure(
        processors=[listen, structlog.processors.LogfmtRenderer(key_order=("event",))],
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    asyncssh.set_log_level(logging.ERROR)


def _settings(folder: Path, *, port: int) -> Settings:
    """Make settings of the defaults and of what is given here: unvalidated, since validation reads the environment."""
    return Settings.model_construct(
        data_dir=folder / "data",
        keys_dir=folder / "keys",
        sftp=SftpSettings(host=HOST, port=port, public_host=HOST, drain_timeout_s=DRAIN_TIMEOUT_S),
        http=HttpSettings(host=HOST, port=0),
    )


def _add_client(folder: Path, settings: Settings) -> None:
    """Make a key pair as `ssh-keygen` would, and a client that may sign in with it."""
    key = asyncssh.generate_private_key("ssh-ed25519", comment="the demo's key")
    private = folder / KEY_FILE
    private.touch(mode=0o600)  # OpenSSH's client takes no key that others could read
    private.write_bytes(key.export_private_key())
    public = key.export_public_key()
    private.with_suffix(".pub").write_bytes(public)
    Clients(settings.keys_dir).add(CLIENT, [read_public_key(public)])


def _host_key(settings: Settings) -> str:
    """Return the preferred host key as a line of OpenSSH."""
    return load_or_create_host_keys(settings.host_keys)[0].key.export_public_key().decode("ascii").strip()


def _write_for_visitors(folder: Path, settings: Settings, host_key: str) -> None:
    """Write what a visitor's own `sftp` and `ctsftp` need to find this server."""
    sftp = settings.sftp
    (folder / KNOWN_HOSTS_FILE).write_text(f"[{sftp.host}]:{sftp.port} {host_key}\n", encoding="utf-8")
    table = {
        "data_dir": str(settings.data_dir),
        "keys_dir": str(settings.keys_dir),
        "sftp": {"host": sftp.host, "port": sftp.port, "public_host": sftp.public_host},
    }
    (folder / SETTINGS_FILE).write_text(tomlkit.dumps(table), encoding="utf-8")
