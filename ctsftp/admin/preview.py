"""For the command line: `check`, and what a held upload would change; finds the client's settings, and the files."""

import shutil
import sys
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from stat import S_ISDIR
from tempfile import NamedTemporaryFile
from typing import Any

from ctsftp.admin.query import query
from ctsftp.admin.work import run
from ctsftp.app.clock import utc_now
from ctsftp.clients.config import ClientConfig
from ctsftp.clients.folder import Clients
from ctsftp.errors import RefusedError
from ctsftp.ingest.check import Preview, check, check_content
from ctsftp.ingest.replay import replay
from ctsftp.settings import Settings
from ctsftp.spool.disk import LocalDisk
from ctsftp.spool.ids import UploadIds
from ctsftp.spool.spool import Spool
from ctsftp.store.store import Store

STDIN = Path("-")


def preview(settings: Settings, file: Path, client: str | None) -> dict[str, Any]:
    """Tell what would become of a file, as `check --json` prints it; `-` is standard input, which has no name."""
    config = Clients(settings.keys_dir).get(client).config if client else ClientConfig()
    try:
        if file == STDIN:
            with _stdin_as_file() as content:
                return run(check_content(content, config=config, settings=settings.ingest)).as_json()
        # A name can be judged without the file, but what is not there, or no file, was mistyped.
        if S_ISDIR(file.stat().st_mode):
            raise RefusedError(f"{file} is a folder: name a file.")
        return _preview(settings, file, client, config).as_json()
    except OSError as exc:
        raise RefusedError(f"{exc.filename or file} cannot be read: {exc.strerror}.") from exc


def preview_kept(settings: Settings, client: str | None, since_s: int | None) -> dict[str, Any]:
    """Tell which kept files would come out differently today, as `check --kept --json` prints it."""
    clients = Clients(settings.keys_dir)
    known = set(clients.names())
    spool = Spool(settings.data.clients, disk=LocalDisk(), next_id=UploadIds().next)
    if client is not None:
        clients.get(client)
    since = utc_now() - timedelta(seconds=since_s) if since_s else None

    def kept_config(name: str) -> ClientConfig:
        return clients.get(name).config if name in known else ClientConfig()

    async def judged(store: Store) -> dict[str, Any]:
        found = await replay(store, spool, config_of=kept_config, settings=settings.ingest, client=client, since=since)
        return {"judged": found.judged, "different": found.different}

    try:
        return query(settings, judged)
    except OSError as exc:
        raise RefusedError(f"{exc.filename or settings.data_dir} cannot be read: {exc.strerror}.") from exc


def _preview(settings: Settings, file: Path, client: str | None, config: ClientConfig) -> Preview:
    def judged(store: Store | None) -> Coroutine[None, None, Preview]:
        return check(file, client=client, config=config, settings=settings.ingest, today=utc_now().date(), store=store)

    def offline() -> Preview:
        return run(judged(None))

    return query(settings, judged, missing=offline) if client else offline()


@contextmanager
def _stdin_as_file() -> Iterator[Path]:
    """Keep what comes through a pipe for as long as it is read."""
    with NamedTemporaryFile(prefix="ctsftp-check-") as kept:
        shutil.copyfileobj(sys.stdin.buffer, kept)
        kept.flush()
        yield Path(kept.name)
