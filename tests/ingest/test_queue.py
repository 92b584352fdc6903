"""The queue behind the hook: order in a segment, a fair turn for each, a limit, and an end."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from ctsftp.ingest.queue import Lane, UploadQueue
from ctsftp.spool.stored import StoredUpload

PATIENCE_S = 20.0


def upload(number: int, segment: str = "vip") -> StoredUpload:
    return StoredUpload(f"{number:04}", "acme", segment, Path("/nowhere"))


def lane_of(one: StoredUpload) -> Lane:
    return (one.client, one.filename)


class Work:
    """What the workers do: it is written down, and waits at a gate if the test closed it."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.ended: list[str] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self._more = asyncio.Event()

    async def __call__(self, one: StoredUpload) -> None:
        self.begun.append(one.id)
        self._more.set()
        await self.gate.wait()
        self.ended.append(one.id)

    async def has_begun(self, count: int) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while len(self.begun) < count:
                self._more.clear()
                await self._more.wait()


@asynccontextmanager
async def running(queue: UploadQueue) -> AsyncIterator[None]:
    task = asyncio.create_task(queue.run())
    try:
        async with asyncio.timeout(PATIENCE_S):
            yield
    finally:
        task.cancel()
        await asyncio.wait([task])


def queue_of(work: Callable[[StoredUpload], Awaitable[None]], *, workers: int = 2, size: int = 100) -> UploadQueue:
    return UploadQueue(work, lane_of=lane_of, workers=workers, size=size, is_large=lambda _: False)


async def test_uploads_of_one_segment_are_worked_on_one_after_another_in_their_order() -> None:
    work = Work()
    work.gate.clear()
    queue = queue_of(work, workers=4)
    for number in range(1, 6):
        assert queue.offer(upload(number))
    async with running(queue):
        await work.has_begun(1)
        await asyncio.sleep(0)  # the other workers had their chance
        assert work.begun == ["0001"]
        work.gate.set()
        await queue.wait_for()
    assert work.ended == ["0001", "0002", "0003", "0004", "0005"]


async def test_an_upload_that_is_offered_late_takes_its_place_by_the_order_of_the_closes() -> None:
    work = Work()
    queue = queue_of(work)
    for number in (3, 1, 2):
        queue.offer(upload(number))
    async with running(queue):
        await queue.wait_for()
    assert work.ended == ["0001", "0002", "0003"]


async def test_a_segment_with_many_uploads_lets_the_others_have_their_turn() -> None:
    work = Work()
    queue = queue_of(work, workers=1)
    for number in range(1, 5):
        queue.offer(upload(number, "busy"))
    queue.offer(upload(5, "calm"))
    async with running(queue):
        await queue.wait_for()
    assert work.ended == ["0001", "0005", "0002", "0003", "0004"]


async def test_several_segments_are_worked_on_at_once_but_no_more_than_there_are_workers() -> None:
    work = Work()
    work.gate.clear()
    queue = queue_of(work, workers=2)
    for number, segment in enumerate(("a", "b", "c")):
        queue.offer(upload(number, segment))
    async with running(queue):
        await work.has_begun(2)
        await asyncio.sleep(0)
        assert work.begun == ["0000", "0001"]
        work.gate.set()
        await queue.wait_for()
    assert sorted(work.ended) == ["0000", "0001", "0002"]


async def test_an_upload_that_waits_is_queued_once_however_often_it_is_offered() -> None:
    work = Work()
    queue = queue_of(work)
    assert queue.offer(upload(1))
    assert queue.offer(upload(1))
    assert len(queue) == 1
    async with running(queue):
        await queue.wait_for()
    assert work.ended == ["0001"]


async def test_an_upload_that_is_offered_while_it_is_worked_on_is_worked_on_again() -> None:
    """The work may have looked at it before an admin sent it back."""
    work = Work()
    work.gate.clear()
    queue = queue_of(work)
    queue.offer(upload(1))
    async with running(queue):
        await work.has_begun(1)
        assert queue.offer(upload(1))
        assert queue.offer(upload(1))
        work.gate.set()
        await queue.wait_for(["0001"])
    assert work.ended == ["0001", "0001"]


async def test_a_full_queue_refuses_and_calls_for_the_sweep() -> None:
    work = Work()
    work.gate.clear()
    queue = queue_of(work, workers=1, size=2)
    async with running(queue):
        assert queue.offer(upload(1))
        await work.has_begun(1)  # what is worked on counts, too
        assert queue.offer(upload(2))
        assert not queue.overflowed.is_set()
        assert not queue.offer(upload(3))
        assert queue.overflowed.is_set()
        work.gate.set()
        await queue.wait_for()
        assert queue.offer(upload(3))
        await queue.wait_for()
    assert work.ended == ["0001", "0002", "0003"]


async def test_waiting_for_some_uploads_does_not_wait_for_others() -> None:
    gates = {"0001": asyncio.Event(), "0002": asyncio.Event()}

    async def work(one: StoredUpload) -> None:
        await gates[one.id].wait()

    queue = queue_of(work)
    queue.offer(upload(1, "a"))
    queue.offer(upload(2, "b"))
    async with running(queue):
        gates["0002"].set()
        await queue.wait_for(["0002"])
        assert len(queue) == 1
        await queue.wait_for(["of no upload"])
        gates["0001"].set()
        await queue.wait_for()
    assert len(queue) == 0


async def test_cancelling_the_queue_cancels_what_is_worked_on_and_releases_who_waits_for_it() -> None:
    cancelled = []
    begun = asyncio.Event()

    async def work(one: StoredUpload) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(one.id)
            raise

    queue = queue_of(work)
    queue.offer(upload(1))
    task = asyncio.create_task(queue.run())
    await begun.wait()
    waiting = asyncio.create_task(queue.wait_for(["0001"]))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with asyncio.timeout(PATIENCE_S):
        await waiting
    assert cancelled == ["0001"]


async def test_a_small_upload_never_waits_for_large_ones_to_end() -> None:
    work = Work()
    work.gate.clear()
    queue = UploadQueue(
        work, lane_of=lane_of, workers=3, size=100, is_large=lambda one: one.filename.startswith("large")
    )
    for number in range(1, 6):
        queue.offer(upload(number, f"large {number}"))
    async with running(queue):
        await work.has_begun(2)
        queue.offer(upload(6, "small"))
        await work.has_begun(3)
        assert work.begun == ["0001", "0002", "0006"]
        work.gate.set()
        await queue.wait_for()
    assert work.begun == ["0001", "0002", "0006", "0003", "0004", "0005"]


async def test_a_single_worker_takes_large_uploads_too() -> None:
    work = Work()
    queue = UploadQueue(work, lane_of=lane_of, workers=1, size=100, is_large=lambda _: True)
    queue.offer(upload(1))
    queue.offer(upload(2, "other"))
    async with running(queue):
        await queue.wait_for()
    assert work.ended == ["0001", "0002"]


async def test_a_large_upload_that_is_offered_while_it_is_worked_on_is_large_the_second_time_too() -> None:
    work = Work()
    work.gate.clear()
    queue = UploadQueue(work, lane_of=lane_of, workers=2, size=100, is_large=lambda one: one.filename == "large")
    queue.offer(upload(1, "large"))
    async with running(queue):
        await work.has_begun(1)
        queue.offer(upload(1, "large"))
        queue.offer(upload(2, "small"))
        await work.has_begun(2)
        work.gate.set()
        await queue.wait_for()
    assert work.begun == ["0001", "0002", "0001"]


async def test_an_upload_is_next_if_no_other_of_its_lane_waits_before_it_or_is_worked_on() -> None:
    work = Work()
    work.gate.clear()
    queue = queue_of(work)
    first, second, other = upload(1), upload(2), upload(3, "gold")
    for one in (first, second, other):
        queue.offer(one)
    assert [queue.is_next(one) for one in (first, second, other)] == [True, False, True]
    async with running(queue):
        await work.has_begun(2)
        assert not any(queue.is_next(one) for one in (first, second, other))
        work.gate.set()
        await queue.wait_for()
    assert not queue.is_next(second)
