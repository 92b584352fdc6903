"""Whatever fails when, and whenever the notifier dies: every event arrives, and those of a segment in their order."""

import asyncio
import shutil
from collections import defaultdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self
from unittest.mock import patch

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ctsftp.app.clock import utc_now
from ctsftp.contract.events import EventKind
from ctsftp.notify import notifier as notifying
from ctsftp.notify.notifier import Notifier
from ctsftp.notify.settings import NotifySettings
from ctsftp.store import Store

from .receiver import PATIENCE_S

SECRET = "whsec_AAAA"  # noqa: S105  a test's
SEGMENTS = st.sampled_from(["vip", "gold"])
# What becomes of each post: it is taken, it fails, or it is taken and the notifier dies before that is written down.
FATES = st.lists(st.sampled_from(["taken", "fails", "dies"]), max_size=30)


class World:
    """A receiver without a network; when the fates run out, everything is taken."""

    def __init__(self, fates: list[str], expected: int) -> None:
        self.fates = iter(fates)
        self.expected = expected
        self.got: list[dict[str, Any]] = []
        self.died = asyncio.Event()
        self.done = asyncio.Event()

    async def post(self, _url: str, *, message_id: str, body: bytes, **_: object) -> str | None:
        fate = next(self.fates, "taken")
        if fate == "fails":
            return "it failed"
        self.got.append({"id": message_id, "body": body})
        if len({one["id"] for one in self.got}) == self.expected:
            self.done.set()
        if fate == "dies":
            self.died.set()
            await asyncio.Event().wait()
        return None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Keep nothing."""

    def open(self) -> Self:
        return self


class Grave:
    """Where a dead notifier writes."""

    def __init__(self) -> None:
        self.news = asyncio.Event()

    async def settle(self, _attempts: object) -> None:
        """Write nothing down."""


async def tell(database: Path, segments: list[str], fates: list[str]) -> tuple[list[str], dict[str, list[str]]]:
    """Tell of something in each of these segments; give the ids in their order, and those that arrived by segment."""
    store = await Store.open(f"sqlite+aiosqlite:///{database}", clock=utc_now, migrate=True)
    try:
        await store.outbox.add_hook("http://x", shown="x", client=None, kinds=(), secret=SECRET)
        for segment in segments:
            about = {"client": "acme", "segment_key": segment, "segment": segment, "data": {}}
            await store.outbox.tell(EventKind.UPLOAD_CUT_OFF, [about])  # type: ignore[list-item]
        sent = {one.event.message_id: one.event.segment for one in await store.outbox.due(1, utc_now(), limit=100)}
        world = World(fates, len(segments))
        async with asyncio.timeout(PATIENCE_S):
            while not world.done.is_set():
                await live(store, world)
        arrived = defaultdict(list)
        for one in world.got:
            arrived[str(sent[one["id"]])].append(one["id"])
        return list(sent), arrived
    finally:
        await store.close()


async def live(store: Store, world: World) -> None:
    """Run a notifier until it dies, or everything has arrived; a dead one writes nothing down."""
    limits = NotifySettings(retry_first_s=1e-6, retry_most_s=1e-6, max_attempts=1_000)
    notifier = Notifier(limits, outbox=store.outbox, now=utc_now)
    notifier._webhooks = world  # type: ignore[assignment]  # it is asked for sessions only
    world.died.clear()
    task = asyncio.create_task(notifier.run())
    waits = [asyncio.create_task(event.wait()) for event in (world.died, world.done)]
    with patch.object(notifying, "DELIVERIES_AT_ONCE", 3):
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    for one in (*waits, task):
        one.cancel()
    if world.died.is_set():
        notifier._outbox = Grave()  # type: ignore[assignment]
    await asyncio.gather(task, *waits, return_exceptions=True)


@pytest.mark.slow
@given(st.lists(SEGMENTS, min_size=1, max_size=12), FATES)
@example(segments=["vip", "vip", "gold"], fates=["fails"])
@example(segments=["vip", "vip"], fates=["taken", "dies", "fails"])
@settings(max_examples=25, deadline=None)
def test_every_event_arrives_and_those_of_a_segment_in_order(
    sqlite_template: Path, segments: list[str], fates: list[str]
) -> None:
    with TemporaryDirectory() as folder:
        database = Path(shutil.copy(sqlite_template, folder))
        sent, arrived = asyncio.run(tell(database, segments, fates))
    for segment in set(segments):
        first_times = list(dict.fromkeys(arrived[segment]))
        assert first_times == [one for one, where in zip(sent, segments, strict=True) if where == segment]
