"""How a command reads the database itself: what no server is asked for, and where none runs."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

from ctsftp.admin.reading import Shelf, pages_of
from ctsftp.admin.work import run
from ctsftp.app.clock import utc_now
from ctsftp.clients.folder import Clients
from ctsftp.errors import NotFoundError, RefusedError
from ctsftp.model.reads import Read, Row
from ctsftp.model.records import IfApproved, Upload
from ctsftp.settings import Settings
from ctsftp.spool.disk import LocalDisk
from ctsftp.spool.ids import UploadIds
from ctsftp.spool.spool import Spool
from ctsftp.spool.stored import StoredUpload
from ctsftp.store.store import Store

T = TypeVar("T")


def query(settings: Settings, work: Callable[[Store], Awaitable[T]], *, missing: Callable[[], T] | None = None) -> T:
    """Read something; `missing` answers where nothing was ever stored, which without it is `NotFoundError`."""
    if settings.database_url is None and not _is_there(settings.data.database):
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


def read(settings: Settings, asked: Read[Row]) -> list[Row]:
    """Answer a question as a running server would."""

    async def work(store: Store) -> list[Row]:
        shelf = Shelf(store, partial(_if_approved, settings, store))
        return [row async for page in pages_of(shelf, asked) for row in page]

    return query(settings, work)


async def _if_approved(
    settings: Settings, store: Store, uploads: Sequence[Upload], _wait_s: float
) -> dict[str, IfApproved]:
    """Tell what uploads would change if they were approved now, however long that takes."""
    from ctsftp.app.engine import config_of  # noqa: PLC0415  numpy costs most questions more than their answer
    from ctsftp.ingest.approval import Approvals  # noqa: PLC0415

    clients = Clients(settings.keys_dir)
    spool = Spool(settings.data.clients, disk=LocalDisk(), next_id=UploadIds().next)

    async def find(one: Upload) -> StoredUpload | None:
        return await asyncio.to_thread(spool.upload, one.client, one.id)

    async with asyncio.TaskGroup() as tasks:
        approvals = Approvals(
            settings.ingest, store=store, tasks=tasks, find=find, config_of=partial(config_of, clients)
        )
        return await approvals.if_approved(uploads, wait_s=None)


def _is_there(database: Path) -> bool:
    try:
        return database.exists()
    except PermissionError:
        raise RefusedError(
            f"This account may not look into {database.parent}: be root, or the account that owns it."
        ) from None
