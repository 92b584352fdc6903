"""Ids sort in the order in which they were made, whatever the clock and the threads do."""

from concurrent.futures import ThreadPoolExecutor

from ctsftp.contract.ids import is_upload_id
from ctsftp.spool.ids import UploadIds

NOON_NS = 1_700_000_000_123_456_789


def test_ids_of_one_instant_sort_as_they_were_made() -> None:
    ids = UploadIds(clock_ns=lambda: NOON_NS)
    made = [ids.next() for _ in range(5_000)]
    assert made == sorted(set(made))
    assert all(map(is_upload_id, made))


def test_a_clock_that_is_set_back_changes_nothing() -> None:
    times = iter([NOON_NS, NOON_NS - 3_600_000_000_000, 0, NOON_NS + 1])
    ids = UploadIds(clock_ns=lambda: next(times))
    made = [ids.next() for _ in range(4)]
    assert made == sorted(set(made))


def test_a_new_process_goes_on_behind_the_newest_id_even_with_an_older_clock() -> None:
    before = UploadIds(clock_ns=lambda: NOON_NS)
    newest = [before.next() for _ in range(3)][-1]
    for clock_ns in (0, NOON_NS):
        after = UploadIds(clock_ns=lambda now=clock_ns: now)
        after.start_after(newest)
        made = [after.next() for _ in range(3)]
        assert [newest, *made] == sorted({newest, *made})


def test_an_older_id_does_not_set_the_order_back() -> None:
    old, now = UploadIds(clock_ns=lambda: NOON_NS - 10**12).next(), UploadIds(clock_ns=lambda: NOON_NS)
    first = now.next()
    now.start_after(old)
    assert now.next() > first


def test_threads_never_get_the_same_id() -> None:
    ids = UploadIds(clock_ns=lambda: NOON_NS)
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: ids.next(), range(2_000)))
    assert len(set(made)) == 2_000
