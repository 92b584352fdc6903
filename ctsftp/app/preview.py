"""`check` for the command line: finds the client's settings, and the database if there is one."""

from pathlib import Path
from typing import Any

from ctsftp.app.clock import utc_now
from ctsftp.app.query import query
from ctsftp.app.work import run
from ctsftp.clients.config import ClientConfig
from ctsftp.clients.folder import Clients
from ctsftp.errors import RefusedError
from ctsftp.ingest.check import Preview, check
from ctsftp.settings import Settings
from ctsftp.store.store import Store


def preview(settings: Settings, file: Path, client: str | None) -> dict[str, Any]:
    """Tell what would become of a file, as `check --json` prints it."""
    config = Clients(settings.keys_dir).get(client).config if client else ClientConfig()

    def judged(store: Store | None) -> Any:
        return check(file, client=client, config=config, settings=settings.ingest, today=utc_now().date(), store=store)

    try:
        found: Preview = query(settings, judged, missing=lambda: run(judged(None))) if client else run(judged(None))
    except OSError as exc:
        raise RefusedError(f"{file} cannot be read: {exc.strerror}.") from exc
    return found.as_json()
