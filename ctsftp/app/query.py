"""How a command reads: straight from the database, whether `serve` runs or not."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from ctsftp.app.clock import utc_now
from ctsftp.app.work import run
from ctsftp.settings import Settings
from ctsftp.store.store import Store

T = TypeVar("T")


def query(settings: Settings, work: Callable[[Store], Awaitable[T]], *, missing: Callable[[], T]) -> T:
    """Read something; `missing` answers where nothing was ever stored."""
    if settings.database_url is None and not (settings.data_dir / "ctsftp.db").exists():
        return missing()

    async def read() -> T:
        store = await Store.open(settings.database, clock=utc_now, migrate=False)
        try:
            return await work(store)
        finally:
            await store.close()

    return run(read())
