"""A store in a temporary folder, a clock that stands still until it is told to move, and a feed of uploads."""

import hashlib
from collections.abc import AsyncIterator, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from ctsftp.contract.names import segment_key
from ctsftp.contract.states import State
from ctsftp.contract.verdict import Verdict
from ctsftp.store import Facts, NewUpload, Outcome, Store


class StandingClock:
    def __init__(self) -> None:
        self.now = datetime(2026, 3, 10, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **delta: float) -> datetime:
        self.now += timedelta(**delta)
        return self.now


def accept(*_: object) -> Verdict:
    return Verdict(State.LOADED)


def account(members: int, sha256: str = "aa") -> Facts:
    """What the reading of a clean file with so many members finds."""
    return {"rows": members, "members": members, "duplicates": 0, "rejected": 0, "sha256": sha256}


class Feed:
    """Uploads as the rest of ctsftp would bring them: each newer than the one before."""

    def __init__(self, store: Store, clock: StandingClock) -> None:
        self.store = store
        self.clock = clock
        self._count = 0

    def new(self, *, client: str = "acme", title: str = "VIP", stamp: str = "20260310_0900") -> NewUpload:
        self._count += 1
        filename = f"{title.replace(' ', '_')}_{stamp}.csv"
        return NewUpload(
            id=f"019c0000-0000-7000-8000-{self._count:012x}",
            client=client,
            filename=filename,
            segment_title=title,
            segment_key=segment_key(title),
            stamp=stamp,
            size=100,
            received_at=self.clock(),
        )

    async def receive(self, **name: str) -> str:
        upload = self.new(**name)
        assert await self.store.ledger.receive(upload)
        return upload.id

    async def loading(self, **name: str) -> str:
        upload_id = await self.receive(**name)
        assert await self.store.ledger.move(upload_id, State.LOADING)
        return upload_id

    async def held(self, sha256: str = "aa", **name: str) -> str:
        upload_id = await self.loading(**name)
        await self.store.ledger.finish(upload_id, State.HELD, code="shrunk", reason="Few.", sha256=sha256)
        return upload_id

    async def written(self, upload_id: str, ids: Iterable[int]) -> int:
        return await self.store.snapshots.write(upload_id, np.array(list(ids), dtype=np.int64))

    async def load(self, ids: Iterable[int], **name: str) -> Outcome:
        """Receive, write and publish a list of members; its sha256 is that of the list."""
        members = sorted(ids)
        upload_id = await self.loading(**name)
        snapshot_id = await self.written(upload_id, members)
        outcome = await self.store.snapshots.publish(
            upload_id, snapshot_id, judge=accept, **account(len(members), digest(members))
        )
        assert outcome is not None
        if not outcome.is_tidy:
            await self.store.rows.tidy(name.get("client", "acme"), segment_key(name.get("title", "VIP")))
        return outcome


def digest(ids: Iterable[int]) -> str:
    return hashlib.sha256(repr(sorted(ids)).encode()).hexdigest()


@pytest.fixture
def clock() -> StandingClock:
    return StandingClock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ctsftp.db"


@pytest.fixture
def url(database_kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database that is yet to be made, or, for tests that ask for a `store`, that store's."""
    if "store" in request.fixturenames:
        yield request.getfixturevalue("database_url")
    elif database_kind == "sqlite":
        yield f"sqlite+aiosqlite:///{tmp_path / 'ctsftp.db'}"
    else:
        with request.getfixturevalue("postgres").database() as url:
            yield url


@pytest.fixture
async def store(url: str, clock: StandingClock) -> AsyncIterator[Store]:
    opened = await Store.open(url, clock=clock, migrate=True)
    try:
        yield opened
    finally:
        await opened.close()


@pytest.fixture
def feed(store: Store, clock: StandingClock) -> Feed:
    return Feed(store, clock)
