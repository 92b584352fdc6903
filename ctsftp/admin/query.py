"""How a command reads: straight from the database, whether `serve` runs or not."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from ctsftp.admin.names import resolve_segment
from ctsftp.admin.work import run
from ctsftp.app.clock import utc_now
from ctsftp.errors import NotFoundError, RefusedError
from ctsftp.model.records import Segment
from ctsftp.settings import Settings
from ctsftp.store.store import Store

T = TypeVar("T")


def query(settings: Settings, work: Callable[[Store], Awaitable[T]], *, missing: Callable[[], T] | None = None) -> T:
    """Read something; `missing` answers where nothing was ever stored, which without it is `NotFoundError`."""
    if settings.database_url is None and not _is_there(settings.data_dir / "ctsftp.db"):
        if missing:
            return missing()
        raise NotFoundError(
            f"There is no database in {settings.data_dir} yet: start `ctsftp serve` once, or set CTSFTP_DATA_DIR"
            " for this command to the server's."
        )

    async def read() -> T:
        store = await Store.open(settings.database, clock=utc_now, migrate=False)
        try:
            return await work(store)
        finally:
            await store.close()

    return run(read())


def find_segment(settings: Settings, name: str, client: str | None) -> Segment:
    """Find the one segment of that name; `AmbiguousError` lists the clients where several have one."""
    return query(settings, lambda store: resolve_segment(store, name, client))


def _is_there(database: Path) -> bool:
    try:
        return database.exists()
    except PermissionError:
        raise RefusedError(
            f"This account may not look into {database.parent}: be root, or the account that owns it."
        ) from None
