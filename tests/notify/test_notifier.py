"""Delivery: at least once, in order for each segment, with back-off, and in the end to the dead."""

import asyncio
from datetime import datetime, timedelta
from typing import Self

import pytest
from standardwebhooks import Webhook
from structlog.typing import EventDict

from ctsftp.app.clock import utc_now
from ctsftp.contract.codes import Code
from ctsftp.contract.events import DeliveryState, EventKind
from ctsftp.contract.states import State
from ctsftp.errors import StoreError
from ctsftp.model.records import Delivery, Event, Hook
from ctsftp.notify.notifier import Notifier
from ctsftp.notify.settings import NotifySettings
from ctsftp.notify.webhook import new_secret
from ctsftp.store import Store

from .conftest import Feed
from .receiver import DOWN, PATIENCE_S, Receiver, receiving

SECRET = new_secret()


async def webhook(store: Store, receiver: Receiver, *, client: str | None = None) -> Hook:
    url = f"http://127.0.0.1:{receiver.port}/"
    return await store.outbox.add_hook(url, shown="x", client=client, kinds=(), secret=SECRET)


async def reject(feed: Feed, *titles: str, client: str = "acme") -> None:
    for title in titles:
        upload_id = await feed.loading(title=title, client=client)
        await feed.store.ledger.finish(upload_id, State.REJECTED, code=Code.CHARSET, reason="Because.")


async def settled(store: Store, state: DeliveryState, count: int) -> None:
    """Wait until so many deliveries are in a state."""
    async with asyncio.timeout(PATIENCE_S):
        while len(await store.outbox.deliveries(state=state)) < count:  # noqa: ASYNC110  only the database can tell
            await asyncio.sleep(0)


async def test_a_receiver_that_was_down_gets_every_event_in_order_and_once_by_id(
    store: Store, feed: Feed, running: Notifier
) -> None:
    up_from = 40
    with receiving(lambda number: 204 if number >= up_from else DOWN) as receiver:
        await webhook(store, receiver)
        await reject(feed, "VIP", "Gold", "VIP", "Lapsed", "VIP", "Gold")
        await asyncio.to_thread(receiver.wait_until, lambda: len(receiver.requests) > up_from // 2)
        await reject(feed, "Lapsed", "VIP", "Gold")
        taken = await asyncio.to_thread(receiver.wait_for_taken, 9)
        await settled(store, DeliveryState.DELIVERED, 9)
    uploads = await store.ledger.uploads()
    assert len({request.id for request in taken}) == len(taken) == 9
    for title in ("VIP", "Gold", "Lapsed"):
        got = [request.json["data"]["upload_id"] for request in taken if request.json["data"]["segment"] == title]
        assert got == [upload.id for upload in reversed(uploads) if upload.segment_title == title]
    for request in taken:
        assert Webhook(SECRET).verify(request.body, request.headers)["type"] == "upload.rejected"
    assert sum(row["attempts"] for row in await store.outbox.deliveries()) == len(receiver.requests) - 9


async def test_a_hook_that_is_removed_is_told_nothing_more(store: Store, feed: Feed, notifier: Notifier) -> None:
    loop = asyncio.get_running_loop()

    def answer(number: int) -> int:
        if number == 3:
            asyncio.run_coroutine_threadsafe(store.outbox.remove_hook(hook.id), loop).result(PATIENCE_S)
        return 204

    with receiving(answer) as receiver:
        hook = await webhook(store, receiver)
        await reject(feed, *(f"Segment {number}" for number in range(10)))
        task = asyncio.create_task(notifier.run())
        await asyncio.to_thread(receiver.wait_for_taken, 3)
        while notifier._busy:  # noqa: ASYNC110  until the batch is over
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
    assert len(receiver.requests) == 3
    assert await store.outbox.deliveries() == []


async def test_a_receiver_that_does_not_take_one_event_gets_those_of_other_segments(
    store: Store, feed: Feed, notifier: Notifier
) -> None:
    with receiving(lambda number: 500 if number in {1, 3, 4, 5} else 200) as receiver:
        await webhook(store, receiver)
        await reject(feed, "VIP", "Gold", "VIP")
        task = asyncio.create_task(notifier.run())
        taken = await asyncio.to_thread(receiver.wait_for_taken, 3)
        task.cancel()
    assert [request.json["data"]["segment"] for request in taken] == ["Gold", "VIP", "VIP"]


async def test_what_is_never_taken_is_given_up_and_the_next_one_comes(
    store: Store, feed: Feed, logged: list[EventDict]
) -> None:
    settings = NotifySettings(allow_internal=True, retry_first_s=0.001, retry_most_s=0.001, max_attempts=3)
    notifier = Notifier(settings, outbox=store.outbox, now=utc_now)
    task = asyncio.create_task(notifier.run())
    with receiving(lambda number: 500 if number <= 3 else 200) as receiver:
        hook = await webhook(store, receiver)
        await reject(feed, "VIP", "VIP")
        await asyncio.to_thread(receiver.wait_for_taken, 1)
        await settled(store, DeliveryState.DELIVERED, 1)
        [dead] = await store.outbox.deliveries(state=DeliveryState.DEAD)
        assert (dead["attempts"], dead["last_error"]) == (3, "the receiver answered with 500")
        assert dead["event"] == 1
        assert await store.outbox.revive(hook.id) == 1
        await asyncio.to_thread(receiver.wait_for_taken, 2)
    task.cancel()
    [given_up] = [event for event in logged if event["event"] == "event given up"]
    assert given_up["attempts"] == 3


async def test_a_hook_that_hangs_holds_up_no_other(store: Store, feed: Feed) -> None:
    never = asyncio.Event()

    async def hang(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await never.wait()
        finally:
            writer.close()

    settings = NotifySettings(allow_internal=True, timeout_s=PATIENCE_S)
    notifier = Notifier(settings, outbox=store.outbox, now=utc_now)
    server = await asyncio.start_server(hang, "127.0.0.1")
    port = server.sockets[0].getsockname()[1]
    await store.outbox.add_hook(f"http://127.0.0.1:{port}/", shown="x", client=None, kinds=(), secret=SECRET)
    task = asyncio.create_task(notifier.run())
    with receiving() as receiver:
        await webhook(store, receiver)
        await reject(feed, "VIP", "VIP")
        assert len(await asyncio.to_thread(receiver.wait_for_taken, 2)) == 2
    task.cancel()
    never.set()
    server.close()


async def test_what_was_pending_when_the_server_stopped_is_delivered_by_the_next_one(
    store: Store, feed: Feed, notifier: Notifier
) -> None:
    with receiving() as receiver:
        await webhook(store, receiver)
        await reject(feed, "VIP", "Gold")
        task = asyncio.create_task(notifier.run())
        await asyncio.to_thread(receiver.wait_for_taken, 2)
        task.cancel()


async def test_a_stop_in_the_middle_of_a_batch_notes_what_was_delivered(
    store: Store, feed: Feed, notifier: Notifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    reached, posted = asyncio.Event(), 0

    class Stuck:
        async def post(self, *_: object, **__: object) -> str | None:
            nonlocal posted
            posted += 1
            if posted == 3:
                reached.set()
                await asyncio.Event().wait()
            return None

        async def __aenter__(self) -> Self:
            return self

        async def __aexit__(self, *_: object) -> None:
            """Keep nothing."""

    monkeypatch.setattr(notifier._webhooks, "open", Stuck)
    await store.outbox.add_hook("http://x", shown="x", client=None, kinds=(), secret=SECRET)
    await reject(feed, "VIP", "VIP", "VIP")
    task = asyncio.create_task(notifier.run())
    async with asyncio.timeout(PATIENCE_S):
        await reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [row["state"] for row in await store.outbox.deliveries()] == ["pending", "delivered", "delivered"]


async def test_a_backlog_is_written_down_batch_by_batch(
    store: Store, feed: Feed, notifier: Notifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches = []
    settle = store.outbox.settle

    async def note(attempts: list[object]) -> None:
        batches.append(len(attempts))
        await settle(attempts)  # type: ignore[arg-type]

    monkeypatch.setattr(store.outbox, "settle", note)
    with receiving() as receiver:
        await webhook(store, receiver)
        await reject(feed, *["VIP"] * 120)
        task = asyncio.create_task(notifier.run())
        await settled(store, DeliveryState.DELIVERED, 120)
        task.cancel()
    assert batches == [100, 20]


async def test_people_get_one_message_that_tells_of_all_that_is_due(
    store: Store, feed: Feed, notifier: Notifier
) -> None:
    with receiving(lambda number: 200 if number > 1 else 500) as receiver:
        await store.outbox.add_hook(f"json://127.0.0.1:{receiver.port}/", shown="x", client=None, kinds=(), secret=None)
        await reject(feed, "VIP", "Gold", "VIP")
        task = asyncio.create_task(notifier.run())
        [message] = await asyncio.to_thread(receiver.wait_for_taken, 1)
        await settled(store, DeliveryState.DELIVERED, 2)
        task.cancel()
    assert message.json["title"].startswith("2 things happened")
    assert 'the list "Gold" of acme' in message.json["message"]


async def test_a_database_that_fails_for_a_moment_ends_nothing(
    store: Store, feed: Feed, notifier: Notifier, monkeypatch: pytest.MonkeyPatch, logged: list[EventDict]
) -> None:
    faults = {"waiting": 2, "settle": 2}
    for name in tuple(faults):
        real = getattr(store.outbox, name)

        async def faulty(*args: object, name: str = name, real: object = real) -> object:
            if faults[name]:
                faults[name] -= 1
                raise StoreError(f"{name} is locked")
            return await real(*args)  # type: ignore[operator]

        monkeypatch.setattr(store.outbox, name, faulty)
    with receiving() as receiver:
        await webhook(store, receiver)
        await reject(feed, "VIP")
        task = asyncio.create_task(notifier.run())
        await settled(store, DeliveryState.DELIVERED, 1)
        task.cancel()
    assert len(receiver.taken) == 3, "delivered again for each time that it could not be noted"
    assert len({request.id for request in receiver.taken}) == 1
    assert {event["log_level"] for event in logged} == {"info", "warning"}


@pytest.mark.parametrize(
    ("failed_before", "delay_s"), [(0, 5), (1, 10), (2, 20), (9, 2560), (10, 3600), (34, 3600), (35, None)]
)
async def test_the_wait_doubles_up_to_an_hour_and_ends(store: Store, failed_before: int, delay_s: int | None) -> None:
    now = datetime.fromisoformat("2026-03-10T12:00:00+00:00")
    event = Event(
        id=1,
        message_id="evt_1",
        kind=EventKind.UPLOAD_LOADED,
        at="",
        client=None,
        segment=None,
        upload_id=None,
        data={},
    )
    delivery = Delivery(hook_id=1, lane="/", attempts=failed_before, event=event)
    notifier = Notifier(NotifySettings(), outbox=store.outbox, now=lambda: now)
    attempt = notifier._attempt(delivery, "no")
    assert attempt.next_at == (None if delay_s is None else now + timedelta(seconds=delay_s))


async def test_a_test_is_sent_past_the_outbox_and_its_answer_is_told(store: Store, notifier: Notifier) -> None:
    with receiving(lambda number: 204 if number == 1 else 404) as receiver:
        hook = await webhook(store, receiver)
        assert await notifier.test(hook) is None
        assert await notifier.test(hook) == "the receiver answered with 404"
        people = await store.outbox.add_hook(
            f"json://127.0.0.1:{receiver.port}/", shown="x", client=None, kinds=(), secret=None
        )
        assert await notifier.test(people)
    first = receiver.requests[0]
    assert Webhook(SECRET).verify(first.body, first.headers)["type"] == "hook.test"
    assert receiver.requests[2].json["title"] == "This is a test"
    assert await store.outbox.deliveries() == []
