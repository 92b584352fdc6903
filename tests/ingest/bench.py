"""Real uploads in a real spool and a real store, with a clock, and faults, that a test decides about."""

import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from ctsftp.clients.config import ClientConfig
from ctsftp.contract.codes import Fault
from ctsftp.contract.places import Named
from ctsftp.ingest.inspection import Inspections, inspect
from ctsftp.ingest.loader import Loader
from ctsftp.ingest.naming import name_upload
from ctsftp.ingest.settings import IngestSettings
from ctsftp.spool.disk import LocalDisk
from ctsftp.spool.ids import UploadIds
from ctsftp.spool.paths import read_path
from ctsftp.spool.spool import Spool
from ctsftp.spool.stored import StoredUpload
from ctsftp.store import Store, Upload

MAX_SIZE_BYTES = 1 << 30
NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)


class StandingClock:
    """Stands still until it is told to move."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **delta: float) -> datetime:
        self.now += timedelta(**delta)
        return self.now


class Faulty:
    """A part of the store that raises what it was told to, once each, and else is the real one."""

    def __init__(self, real: Any) -> None:
        self._real = real
        self._faults: dict[str, list[BaseException]] = {}

    def fail(self, method: str, *faults: BaseException) -> None:
        self._faults.setdefault(method, []).extend(faults)

    def __getattr__(self, name: str) -> Any:
        faults = self._faults.get(name)
        if not faults:
            return getattr(self._real, name)
        fault = faults.pop(0)

        async def fail(*_: object, **__: object) -> None:
            raise fault

        return fail


class Bench:
    """A loader with all that it stands on; `tried_again` is what it asked for, in seconds."""

    def __init__(self, folder: Path, store: Store, clock: StandingClock) -> None:
        self.store = store
        self.clock = clock
        self.ids = UploadIds(clock_ns=lambda: int(clock().timestamp()) * 10**9)
        self.passed_s = 0.0
        self.spool = Spool(
            folder / "clients",
            disk=LocalDisk(),
            next_id=self.ids.next,
            clock_s=lambda: time.time() + self.passed_s,
        )
        self.config: Callable[[str], ClientConfig] = lambda _: ClientConfig()
        self.naming = ClientConfig()  # what names are read by
        self.inspections = Inspections()
        self.tried_again: list[tuple[str, float]] = []
        self.ledger: Any = Faulty(store.ledger)
        self.snapshots: Any = Faulty(store.snapshots)
        store.ledger = self.ledger
        store.snapshots = self.snapshots
        self.loader = self.new_loader()

    def new_loader(self, **settings: Any) -> Loader:
        return Loader(
            IngestSettings(**settings),
            store=self.store,
            config_of=self._config_of,
            name_of=self.name_of,
            inspections=self.inspections,
            now=self.clock,
            try_again=lambda upload, delay_s: self.tried_again.append((upload.id, delay_s)),
            told=lambda *_: None,
        )

    def name_of(self, upload: StoredUpload) -> Named:
        return name_upload(upload, self.naming, self.spool)

    def set_config(self, **settings: Any) -> None:
        config = ClientConfig(**settings)
        self.config = lambda _: config

    def inspect(self, upload: StoredUpload) -> Fault | None:
        """Read an upload as its CLOSE does."""
        config = self.config(upload.client)
        return inspect(
            upload, config, self.name_of(upload), most_rows=IngestSettings().max_rows, inspections=self.inspections
        )

    def _config_of(self, client: str) -> ClientConfig:
        return self.config(client)  # which a test may change

    def put(self, name: str, content: bytes | str, *, client: str = "acme") -> StoredUpload:
        """Bring a file through the spool, as a CLOSE does."""
        data = content if isinstance(content, bytes) else content.encode()
        home, path = self.spool.home(client), read_path(name.encode())
        home.file(path.parent).mkdir(parents=True, exist_ok=True)
        staged = self.spool.stage(
            client,
            path,
            truncate=True,
            create=True,
            exclusive=False,
            append=False,
            max_size_bytes=MAX_SIZE_BYTES,
        )
        staged.write(0, data)
        return self.spool.publish(client, staged)

    async def load(self, name: str, content: bytes | str, *, client: str = "acme") -> Upload:
        """Put a file, load it, and give its row."""
        upload = self.put(name, content, client=client)
        await self.loader.load(upload)
        return await self.row(upload)

    async def row(self, upload: StoredUpload) -> Upload:
        return await self.store.ledger.upload(upload.id)

    async def members(self, key: str = "vip", *, client: str = "acme") -> list[int]:
        segment = await self.store.segments.segment(client, key)
        pages = self.store.snapshots.stream_members(segment.snapshot_id)
        return [ct_user_id async for page in pages for ct_user_id in page.tolist()]


def rows(ids: Iterable[object]) -> str:
    """Write a list of members as a right export does."""
    return "CTUserID\n" + "".join(f"{one}\n" for one in ids)
