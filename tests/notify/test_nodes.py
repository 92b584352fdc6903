"""Several nodes deliver what any of them wrote down."""

import asyncio

from ctsftp.notify.notifier import Notifier
from ctsftp.store import Store

from .conftest import Feed, StandingClock
from .receiver import receiving
from .test_notifier import reject, webhook

DATABASE_KINDS = ("postgresql",)


async def test_an_event_that_another_node_wrote_down_is_delivered(
    store: Store, running: Notifier, url: str, clock: StandingClock
) -> None:
    other = await Store.open(url, clock=clock, migrate=True, node=lambda: "other")
    with receiving() as receiver:
        await webhook(other, receiver)
        await store.outbox.hooks()  # this node has had its look
        await reject(Feed(other, clock), "VIP")
        await asyncio.to_thread(receiver.wait_for_taken, 1)
    await other.close()
