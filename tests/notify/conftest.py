"""A store, and a notifier that may deliver to this machine and tries again at once."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress

import pytest
import structlog
from structlog.typing import EventDict

from ctsftp.app.clock import utc_now
from ctsftp.notify.message import Messages
from ctsftp.notify.notifier import Notifier
from ctsftp.notify.settings import NotifySettings
from ctsftp.notify.webhook import Webhooks
from ctsftp.store import Store
from tests.store.conftest import Feed, StandingClock, clock, feed, path, store, url

__all__ = ["Feed", "StandingClock", "clock", "feed", "path", "store", "url"]


@pytest.fixture(autouse=True)
def logged() -> Iterator[list[EventDict]]:
    with structlog.testing.capture_logs() as captured:
        yield captured


@pytest.fixture
def settings() -> NotifySettings:
    return NotifySettings(allow_internal=True, retry_first_s=0.001, retry_most_s=0.005, max_attempts=1_000)


@pytest.fixture
def webhooks(settings: NotifySettings) -> Webhooks:
    return Webhooks(settings, now=utc_now)


@pytest.fixture
def messages() -> Messages:
    return Messages(allow_internal=True)


@pytest.fixture
def notifier(store: Store, settings: NotifySettings) -> Notifier:
    return Notifier(settings, outbox=store.outbox, now=utc_now)


@pytest.fixture
async def running(notifier: Notifier) -> AsyncIterator[Notifier]:
    """The notifier at work."""
    task = asyncio.create_task(notifier.run())
    yield notifier
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
