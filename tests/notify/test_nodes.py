"""Several nodes deliver what any of them wrote down."""

import asyncio
from datetime import datetime

import pytest

from ctsftp.model.records import Hook
from ctsftp.notify.notifier import Notifier
from ctsftp.store import Store

from .conftest import Feed, StandingClock
from .receiver import receiving
from .test_notifier import reject, webhook

DATABASE_KINDS = ("postgresql",)


async def test_an_event_that_another_node_wrote_down_is_delivered(
    store: Store, notifier: Notifier, url: str, clock: StandingClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked, waiting = asyncio.Event(), store.outbox.waiting

    async def look(now: datetime) -> tuple[list[Hook], datetime | None]:
        found = await waiting(now)
        looked.set()
        return found

    monkeypatch.setattr(store.outbox, "waiting", look)
    other = await Store.open(url, clock=clock, migrate=True, node=lambda: "other")
    running = asyncio.create_task(notifier.run())
    with receiving() as receiver:
        await webhook(other, receiver)
        await looked.wait()
        await reject(Feed(other, clock), "VIP")
        await asyncio.to_thread(receiver.wait_for_taken, 1)
    running.cancel()
    await asyncio.wait([running])
    await other.close()
