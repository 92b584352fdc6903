"""What tests of the wiring do with an engine: bring files past the network, and look at what became of them."""

import asyncio
import threading
from collections.abc import Iterable

from ctsftp.app.engine import Engine
from ctsftp.clients.config import ClientConfig
from ctsftp.spool.paths import HomePath
from ctsftp.spool.spool import Spool
from ctsftp.spool.stored import StoredUpload
from ctsftp.store import Upload

NAME = "VIP_20260310_0900.csv"
NEXT = "VIP_20260310_0901.csv"
PATIENCE_S = 20.0


class Door:
    """Where loads wait, in their thread, for the test to let them on: they ask for the client's settings there."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._reached = asyncio.Event()
        self._open = threading.Event()

    def config_of(self, _client: str) -> ClientConfig:
        self._loop.call_soon_threadsafe(self._reached.set)
        assert self._open.wait(PATIENCE_S)
        return ClientConfig()

    async def reached(self) -> None:
        async with asyncio.timeout(PATIENCE_S):
            await self._reached.wait()

    def open(self) -> None:
        self._open.set()


def rows(ids: Iterable[object]) -> str:
    """Write a list of members as a right export does."""
    return "CTUserID\n" + "".join(f"{one}\n" for one in ids)


def put(spool: Spool, name: str, content: str, *, client: str = "acme") -> StoredUpload:
    """Bring a file through the spool, as a CLOSE does."""
    staged = spool.stage(
        client, HomePath((name,)), truncate=True, create=True, exclusive=False, append=False, max_size_bytes=1 << 30
    )
    staged.write(0, content.encode())
    return spool.publish(client, staged)


async def load(engine: Engine, name: str, content: str, *, client: str = "acme") -> Upload:
    """Put a file, load it, and give its row."""
    upload = put(engine.spool, name, content, client=client)
    engine.landed(upload)
    await engine.queue.wait_for([upload.id])
    return await engine.store.ledger.upload(upload.id)


async def members(engine: Engine, key: str = "vip", *, client: str = "acme") -> list[int]:
    segment = await engine.store.segments.segment(client, key)
    pages = engine.store.snapshots.stream_members(segment.snapshot_id)
    return [ct_user_id async for page in pages for ct_user_id in page.tolist()]
