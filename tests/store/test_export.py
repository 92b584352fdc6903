import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ctsftp.contract.rows import MAX_ID
from ctsftp.errors import SnapshotGoneError
from ctsftp.lists import parts as cutting
from ctsftp.store import export
from ctsftp.store.export import NOTHING, PageForm

from .conftest import Feed


async def snapshot(feed: Feed) -> int:
    return (await feed.store.segments.segment("acme", "vip")).snapshot_id


async def test_a_snapshot_is_written_page_by_page_in_its_order(feed: Feed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "PAGE_IDS", 3)
    ids = [1, 9, 10, 11, 2**40, MAX_ID]
    await feed.load(ids)
    pages = [page async for page in feed.store.export.pages(await snapshot(feed), PageForm())]
    assert [count for _, count in pages] == [3, 3]
    assert b"".join(text for text, _ in pages) == "".join(f"{one}\n" for one in ids).encode()
    form = PageForm(before="<", after=">")
    written = [text async for text, _ in feed.store.export.pages(await snapshot(feed), form)]
    assert written[0] == b"<1><9><10>"


async def test_an_empty_snapshot_has_no_pages(feed: Feed) -> None:
    await feed.load([])
    assert [page async for page in feed.store.export.pages(await snapshot(feed), PageForm())] == []


async def test_a_snapshot_that_is_deleted_while_it_is_read_is_never_read_in_part(
    feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "PAGE_IDS", 2)
    await feed.load(range(1, 6))
    pages = feed.store.export.pages(await snapshot(feed), PageForm())
    assert (await anext(pages))[1] == 2
    await feed.store.segments.retire("acme", "vip")
    await feed.store.segments.delete("acme", "vip")
    with pytest.raises(SnapshotGoneError, match="begin again"):
        await anext(pages)
    with pytest.raises(SnapshotGoneError):
        await feed.store.export.changes(NOTHING, 1, above=0, limit=5)


IDS = st.sets(st.integers(1, 40) | st.sampled_from([MAX_ID - 1, MAX_ID]), max_size=30)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(old=IDS, new=IDS, page=st.integers(1, 7), limit=st.integers(1, 9))
async def test_pages_of_changes_lead_from_one_list_to_the_other(
    feed: Feed, old: set[int], new: set[int], page: int, limit: int
) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(cutting, "MAX_PART_IDS", page + 1)
        patched.setattr(cutting, "CONTAINER_BITS", 1)
        patched.setattr(export, "PARTS_COMPARED", 2)
        await feed.load(old)
        before = await snapshot(feed)
        await feed.load(new)
        after = await snapshot(feed)
        held, above, told = set(old), 0, 0
        while above < MAX_ID:
            changes = await feed.store.export.changes(before, after, above=above, limit=limit)
            entered, exited = changes.entered.tolist(), changes.exited.tolist()
            assert len(entered) + len(exited) <= limit
            assert changes.until > above
            assert all(above < one <= changes.until for one in entered + exited)
            assert entered == sorted(entered)
            assert exited == sorted(exited)
            held = (held - set(exited)) | set(entered)
            told += len(entered) + len(exited)
            above = changes.until
    assert held == new
    assert told == len(old ^ new)
    assert isinstance(changes.entered, np.ndarray)
