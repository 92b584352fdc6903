"""Delivers what the outbox holds, a task a hook, and sleeps until there is news or a delivery's time has come.

The outcomes of a batch are written down in one transaction: whatever dies before, what was delivered since is
delivered again, under the same id. It is never said to be delivered when it was not.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import orjson
import structlog

from ctsftp.contract.events import Words, words_for
from ctsftp.errors import CtsftpError
from ctsftp.model.records import Attempt, Delivery, Event, Hook
from ctsftp.model.writing import iso
from ctsftp.notify.message import Messages
from ctsftp.notify.settings import NotifySettings
from ctsftp.notify.webhook import Webhooks, new_secret, shown_url
from ctsftp.store.outbox import Outbox

TEST_KIND = "hook.test"
TEST_WORDS = Words("This is a test", "If you can read this, ctsftp reaches you here. There is nothing to do.")
MAX_DOUBLINGS = 32
DELIVERIES_AT_ONCE = 100  # of a hook, whose outcome is written down together
MESSAGES_AT_ONCE = 20  # events in one message to people: more than anybody reads
# What another node wrote down, or is delivering, is looked for as often as this.
OTHER_NODE_S = 1.0

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Address:
    """How a hook's address is shown, and a new secret for what is sent there; None for messages to people."""

    shown: str
    secret: str | None


class Notifier:
    """Tells every hook what it is to be told."""

    def __init__(self, settings: NotifySettings, *, outbox: Outbox, now: Callable[[], datetime]) -> None:
        self._settings = settings
        self._outbox = outbox
        self._now = now
        self._webhooks = Webhooks(settings, now=now)
        self._messages = Messages(allow_internal=settings.allow_internal)
        self._busy: set[int] = set()

    async def run(self) -> None:
        """Deliver until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                self._outbox.news.clear()
                wait_s = await self._start(tasks)
                with suppress(TimeoutError):
                    async with asyncio.timeout(wait_s):
                        await self._outbox.news.wait()

    async def read_address(self, address: str) -> Address:
        """Read an address that is to be a hook's, and refuse what cannot be one, or must not be told anything."""
        if shown := await self._messages.check(address):
            return Address(shown=shown, secret=None)
        await self._webhooks.check(address)
        return Address(shown=shown_url(address), secret=new_secret())

    async def test(self, hook: Hook) -> str | None:
        """Tell a hook something now, past the outbox; None if that was taken, else what went wrong."""
        if not hook.secret:
            return await self._messages.send(hook.url, [TEST_WORDS])
        at = iso(self._now())
        body = orjson.dumps({"type": TEST_KIND, "timestamp": at, "data": {"hook": hook.id, "text": TEST_WORDS.text}})
        async with self._webhooks.open() as session:
            return await session.post(hook.url, secret=hook.secret, message_id=f"test_{hook.id}_{at}", body=body)

    async def _start(self, tasks: asyncio.TaskGroup) -> float | None:
        """Start a task for every hook that has something to deliver; give the seconds until there is more."""
        try:
            ready, next_at = await self._outbox.waiting(self._now())
        except CtsftpError as exc:
            log.warning("the outbox cannot be read", error=str(exc))
            return self._settings.retry_first_s
        for hook in ready:
            if hook.id not in self._busy:
                self._busy.add(hook.id)
                tasks.create_task(self._serve(hook))
        wait_s = max(0.0, (next_at - self._now()).total_seconds()) if next_at else None
        if self._outbox.is_shared:
            return OTHER_NODE_S if wait_s is None else min(wait_s, OTHER_NODE_S)
        return wait_s

    async def _serve(self, hook: Hook) -> None:
        """Deliver to one hook all that is due; no error leaves the task: it would end the program."""
        try:
            async with self._outbox.alone(hook.id) as mine:
                while mine and (due := await self._outbox.due(hook.id, self._now(), limit=DELIVERIES_AT_ONCE)):
                    await (self._post_all(hook, hook.secret, due) if hook.secret else self._send_all(hook, due))
            if not mine:  # another node delivers, and may have looked just before our event came
                await asyncio.sleep(OTHER_NODE_S)
        except Exception as exc:  # noqa: BLE001
            log.warning("deliveries were interrupted", hook=hook.id, error=repr(exc))
            await asyncio.sleep(self._settings.retry_first_s)
        finally:
            self._busy.discard(hook.id)
            self._outbox.news.set()  # what came for this hook meanwhile

    async def _post_all(self, hook: Hook, secret: str, due: Sequence[Delivery]) -> None:
        """Post one by one; behind one that failed, the others of its lane wait."""
        attempts: list[Attempt] = []
        waiting: set[str] = set()
        try:
            async with self._webhooks.open() as session:
                for delivery in due:
                    if delivery.lane in waiting:
                        continue
                    if not await self._outbox.has_hook(hook.id):  # it was removed meanwhile
                        break
                    error = await session.post(
                        hook.url, secret=secret, message_id=delivery.event.message_id, body=payload(delivery.event)
                    )
                    if error:
                        waiting.add(delivery.lane)
                    attempts.append(self._attempt(delivery, error))
        finally:
            await self._outbox.settle(attempts)

    async def _send_all(self, hook: Hook, due: Sequence[Delivery]) -> None:
        """Send one message that tells of several events: a flood of them is no flood of messages."""
        several = due[:MESSAGES_AT_ONCE]
        error = await self._messages.send(hook.url, [_words(delivery.event) for delivery in several])
        await self._outbox.settle([self._attempt(delivery, error) for delivery in several])

    def _attempt(self, delivery: Delivery, error: str | None) -> Attempt:
        """Say what came of a delivery, and when to try again; the wait doubles each time."""
        told: dict[str, Any] = {"hook": delivery.hook_id, "message": delivery.event.message_id}
        if error is None:
            log.info("event delivered", kind=str(delivery.event.kind), **told)
            return Attempt(delivery=delivery)
        settings = self._settings
        if delivery.attempts + 1 >= settings.max_attempts:
            log.error("event given up", error=error, attempts=settings.max_attempts, **told)
            return Attempt(delivery=delivery, error=error)
        log.warning("event not delivered yet", error=error, attempts=delivery.attempts + 1, **told)
        delay_s = min(settings.retry_first_s * 2 ** min(delivery.attempts, MAX_DOUBLINGS), settings.retry_most_s)
        return Attempt(delivery=delivery, error=error, next_at=self._now() + timedelta(seconds=delay_s))


def payload(event: Event) -> bytes:
    """Write an event as receivers read it (standardwebhooks.com: type, timestamp, data)."""
    about = {"client": event.client, "segment": event.segment, "upload_id": event.upload_id}
    return orjson.dumps({"type": event.kind.value, "timestamp": event.at, "data": event.data | about})


def _words(event: Event) -> Words:
    return words_for(event.kind, client=event.client, segment=event.segment, data=event.data)
