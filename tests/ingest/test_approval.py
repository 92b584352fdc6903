"""What a held upload would change now: counted once, beside all else, and told as far as it is known."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from ctsftp.clients.config import ClientConfig
from ctsftp.contract.states import State
from ctsftp.errors import RefusedError, StoreError
from ctsftp.ingest import approval
from ctsftp.ingest.approval import Approvals
from ctsftp.ingest.settings import IngestSettings
from ctsftp.model.records import IfApproved, Upload
from ctsftp.spool.stored import StoredUpload

from .bench import Bench, rows

DATABASE_KINDS = ("sqlite",)  # what is compared is tests/store's

NAME = "VIP_20260310_0900.csv"


class Counter:
    """Approvals on a bench, the files of which it was asked for, and the clients who were told."""

    def __init__(self, bench: Bench, tasks: asyncio.TaskGroup) -> None:
        self.bench = bench
        self.read: list[str] = []
        self.told: list[str] = []
        self.may_read = asyncio.Event()
        self.may_read.set()
        self.is_here = True
        self.approvals = Approvals(
            IngestSettings(),
            store=bench.store,
            tasks=tasks,
            find=self._find,
            config_of=lambda _client: ClientConfig(),
            changed=self.told.append,
        )

    async def ask(self, *uploads: Upload, wait_s: float | None = None) -> list[IfApproved]:
        found = await self.approvals.if_approved(uploads, wait_s=wait_s)
        return [found[upload.id] for upload in uploads]

    async def _find(self, upload: Upload) -> StoredUpload | None:
        self.read.append(upload.id)
        await self.may_read.wait()
        return await asyncio.to_thread(self.bench.spool.upload, upload.client, upload.id) if self.is_here else None


@pytest.fixture
async def counter(bench: Bench) -> AsyncIterator[Counter]:
    async with asyncio.TaskGroup() as tasks:
        made = Counter(bench, tasks)
        yield made
        await made.approvals.close()


async def held(bench: Bench, ids: Sequence[int], version: int = 901) -> Upload:
    return await bench.load(f"VIP_20260310_{version:04}.csv", rows(ids))


async def test_of_a_retired_segment_nothing_can_be_approved(bench: Bench, counter: Counter) -> None:
    await bench.load(NAME, rows(range(1, 301)))
    waits = await held(bench, range(1, 21))
    await bench.store.segments.retire("acme", "vip")
    assert await counter.ask(waits) == [IfApproved(now=0, enter=0, leave=0, retired=True)]
    with pytest.raises(RefusedError, match='first ctsftp segment restore "VIP" --client acme'):
        await bench.store.ledger.approve(waits.id)
    assert (await bench.store.ledger.upload(waits.id)).state is State.HELD
    await bench.store.segments.restore("acme", "vip")
    assert await counter.ask(waits) == [IfApproved(now=300, enter=0, leave=280)]


async def test_it_is_counted_against_what_the_segment_has_now(bench: Bench, counter: Counter) -> None:
    await bench.load(NAME, rows(range(1, 301)))
    first, second = await held(bench, range(1, 21)), await held(bench, range(2, 21), 902)
    assert await counter.ask(second) == [IfApproved(now=300, enter=0, leave=281)]
    await bench.store.ledger.approve(first.id)
    stored = bench.spool.upload("acme", first.id)
    assert stored is not None
    await bench.loader.load(stored)
    assert await counter.ask(second) == [IfApproved(now=20, enter=0, leave=1)]


async def test_it_is_counted_once_for_the_same_file_and_list(bench: Bench, counter: Counter) -> None:
    await bench.load(NAME, rows(range(1, 301)))
    upload = await held(bench, [1])
    for _ in range(3):
        assert await counter.ask(upload, upload) == [IfApproved(now=300, enter=0, leave=299)] * 2
    assert counter.read == [upload.id]
    assert counter.told == ["acme"]


async def test_who_does_not_wait_is_told_that_it_is_being_counted_and_when_it_is(
    bench: Bench, counter: Counter
) -> None:
    await bench.load(NAME, rows(range(1, 301)))
    upload = await held(bench, [1])
    counter.may_read.clear()
    assert await counter.ask(upload, wait_s=0) == [IfApproved(now=300, is_counting=True)]
    waiting = asyncio.ensure_future(counter.ask(upload))
    counter.may_read.set()
    assert await waiting == [IfApproved(now=300, enter=0, leave=299)]
    assert counter.told == ["acme"]


async def test_a_list_for_a_new_segment_needs_no_counting(bench: Bench, counter: Counter) -> None:
    upload = await bench.load("VIP_20270101_0900.csv", rows([1, 2]))
    assert await counter.ask(upload) == [IfApproved(now=None, enter=2, leave=0)]
    assert counter.read == []


async def test_a_file_that_is_not_here_is_not_counted(bench: Bench, counter: Counter) -> None:
    await bench.load(NAME, rows(range(1, 301)))
    counter.is_here = False
    assert await counter.ask(await held(bench, [1])) == [IfApproved(now=300)]


@pytest.mark.parametrize("fault", [StoreError("busy"), OSError("gone"), RuntimeError("a bug")])
async def test_a_fault_leaves_it_open_and_is_no_end(
    bench: Bench, counter: Counter, fault: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    await bench.load(NAME, rows(range(1, 301)))
    upload = await held(bench, [1])

    async def fail(*_: Any, **__: Any) -> None:
        raise fault

    with monkeypatch.context() as broken:
        broken.setattr(approval, "read_in_thread", fail)
        assert await counter.ask(upload) == [IfApproved(now=300)]
    assert counter.told == []  # or a page would ask, fail and be told for ever
    assert await counter.ask(upload) == [IfApproved(now=300, enter=0, leave=299)]


async def test_few_counts_are_kept_and_few_wait(
    bench: Bench, counter: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(approval, "KEPT_COUNTS", 1)
    monkeypatch.setattr(approval, "MAX_WAITING", 1)
    await bench.load(NAME, rows(range(1, 301)))
    uploads = [await held(bench, [1], 901), await held(bench, [2], 902)]
    assert await counter.ask(*uploads) == [IfApproved(now=300, enter=0, leave=299), IfApproved(now=300)]
    assert await counter.ask(uploads[1]) == [IfApproved(now=300, enter=0, leave=299)]
    await counter.ask(uploads[0])
    assert counter.read == [uploads[0].id, uploads[1].id, uploads[0].id]


async def test_closing_ends_what_is_being_counted(bench: Bench, counter: Counter, tmp_path: Path) -> None:
    await bench.load(NAME, rows(range(1, 301)))
    upload = await held(bench, [1])
    counter.may_read.clear()
    await counter.ask(upload, wait_s=0)
    await counter.approvals.close()
    await counter.approvals.close()
    assert await counter.ask(upload, wait_s=0) == [IfApproved(now=300, is_counting=True)]
