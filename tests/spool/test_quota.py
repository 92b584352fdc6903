"""How much a client may have, and what stays free: at the edge, and whoever asks at the same time."""

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from ctsftp.errors import LimitError
from ctsftp.spool.paths import HomePath
from ctsftp.spool.quota import GRANT_BYTES, MEASURE_INTERVAL_S, PARTS, REFUSE_AFTER_S, Account, Allowance, Share
from ctsftp.spool.room import Floor
from ctsftp.spool.spool import Spool
from ctsftp.spool.staging import StagedFile

from .bench import Client

KIB = 1024
PLENTY = 1 << 50


def allowance(
    *, size: int = PLENTY, files: int = 1000, percent: float = 0, floor: int = 0, floor_files: int = 0
) -> Allowance:
    return Allowance(bytes=size, files=files, floor=Floor(percent=percent, bytes=floor, files=floor_files))


def disk(total: int, free: int) -> Callable[[], os.statvfs_result]:
    """A disk of so many KiB."""
    return lambda: os.statvfs_result((KIB, KIB, total, free, free, 0, 0, 0, 0, 255))


class Book:
    """An account whose disk and clock are the test's."""

    def __init__(self, *, kept: tuple[int, int] = (0, 0), total: int = 1 << 40, free: int = 1 << 40) -> None:
        self.kept = kept
        self.measured = 0
        self.now_s = 0.0
        self.account = Account(self._measure, disk(total, free), clock_s=lambda: self.now_s)

    def _measure(self) -> tuple[int, int]:
        self.measured += 1
        return self.kept


def test_the_last_byte_of_a_quota_can_be_written_and_no_more() -> None:
    share = Book(kept=(40, 1)).account.open(allowance(size=100))
    assert share.reach(60) == 60
    with pytest.raises(LimitError, match=r"100 bytes in all \(quota_bytes\)"):
        share.reach(61)


def test_room_is_granted_ahead_but_never_beyond_the_quota() -> None:
    size = 1 + PARTS * GRANT_BYTES
    book = Book()
    share = book.account.open(allowance(size=size))
    assert share.reach(1) == GRANT_BYTES + 1
    assert share.reach(size - PARTS) == size - PARTS + 1
    assert book.account.open(allowance(size=size)).reach(PARTS - 1) == PARTS - 1  # the last of it is another one's


def test_a_full_quota_refuses_at_the_open() -> None:
    with pytest.raises(LimitError, match="quota_bytes"):
        Book(kept=(100, 1)).account.open(allowance(size=100))


def test_the_number_of_files_counts_those_that_are_open() -> None:
    book = Book(kept=(0, 1))
    shares = [book.account.open(allowance(files=3)) for _ in range(2)]
    with pytest.raises(LimitError, match=r"3 files and folders here, which is the limit \(quota_files\)"):
        book.account.open(allowance(files=3))
    with pytest.raises(LimitError, match="quota_files"):
        book.account.add_file(allowance(files=3))
    shares[0].settle(None)
    book.account.add_file(allowance(files=3))


def test_what_was_kept_of_a_file_counts_and_what_was_not_does_not() -> None:
    book = Book()
    kept, lost = (book.account.open(allowance(size=100)) for _ in range(2))
    kept.reach(30)
    kept.settle(30)
    kept.settle(30)  # once is enough
    lost.reach(70)
    lost.settle(None)
    assert book.account.open(allowance(size=100)).reach(70) == 70


def test_a_file_that_is_resumed_counts_once() -> None:
    book = Book(kept=(60, 1))
    share = book.account.open(allowance(size=100, files=2))
    share.resume(60)
    assert share.reach(100) == 100
    share.settle(100)
    with pytest.raises(LimitError):
        book.account.open(allowance(size=100))


def test_the_disk_is_measured_now_and_then_and_before_a_refusal() -> None:
    book = Book(kept=(100, 1))
    book.account.open(allowance(size=200))
    book.account.open(allowance(size=200))
    assert book.measured == 1
    book.now_s = REFUSE_AFTER_S
    book.kept = (10, 1)  # what expired
    book.account.open(allowance(size=100))
    assert book.measured == 2
    with pytest.raises(LimitError):
        book.account.open(allowance(size=10))
    assert book.measured == 2  # just now
    book.now_s += MEASURE_INTERVAL_S
    book.account.open(allowance(size=200))
    assert book.measured == 3


def test_who_has_nearly_all_of_the_quota_is_measured_before_a_file_begins_that_may_not_fit() -> None:
    book = Book(kept=(990, 1))
    book.account.open(allowance(size=1000))
    book.kept = (100, 1)  # what expired
    book.now_s = REFUSE_AFTER_S
    assert book.account.open(allowance(size=1000)).reach(50) >= 50
    assert book.measured == 2


def test_an_empty_file_is_a_file() -> None:
    book = Book()
    book.account.open(allowance(files=1)).settle(0)
    with pytest.raises(LimitError, match="quota_files"):
        book.account.open(allowance(files=1))


def test_what_lands_while_the_disk_is_measured_is_not_forgotten() -> None:
    book = Book()
    account = book.account
    first = account.open(allowance(size=100))
    first.reach(50)

    def measure_while_it_lands() -> tuple[int, int]:
        first.settle(50)
        return (0, 0)  # the file was renamed after the folder was read

    account._measure = measure_while_it_lands
    book.now_s = MEASURE_INTERVAL_S
    second = account.open(allowance(size=100))
    with pytest.raises(LimitError):
        second.reach(51)


@pytest.mark.parametrize(
    ("percent", "floor_kib", "total", "least"),
    [(10, 5000, 10_000, 1000), (10, 500, 10_000, 500), (0, 500, 10_000, 0), (10, 0, 10_000, 0)],
)
def test_the_floor_is_the_smaller_of_a_percentage_and_some_bytes(
    percent: float, floor_kib: int, total: int, least: int
) -> None:
    limits = allowance(percent=percent, floor=floor_kib * KIB)
    share = Book(total=total, free=least + 3).account.open(limits)
    assert share.reach(3 * KIB)
    with pytest.raises(LimitError, match="free_floor_bytes"):
        share.reach(10 * GRANT_BYTES)
    with pytest.raises(LimitError, match="free_floor_bytes"):
        Book(total=total, free=least).account.open(limits)


def test_of_many_files_at_once_no_byte_over_the_quota_is_granted() -> None:
    book, limits = Book(), allowance(size=GRANT_BYTES)
    granted: list[int] = []

    def fill() -> None:
        reached = 0
        with suppress(LimitError):
            share = book.account.open(limits)
            while True:
                reached = share.reach(reached + 1)
        granted.append(reached)

    threads = [threading.Thread(target=fill) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(granted) == GRANT_BYTES


# On a real disk.


def staged(spool: Spool, name: str, share: Share) -> StagedFile:
    return spool.stage(
        "acme",
        HomePath((name,)),
        truncate=True,
        create=True,
        exclusive=False,
        append=False,
        max_size_bytes=1 << 30,
        share=share,
    )


def test_a_client_has_its_uploads_its_partials_and_its_folders(client_on: Callable[..., Client]) -> None:
    client = client_on()
    spool = client.spool
    account = spool.account("acme")
    limits = allowance(size=1000, files=10)
    first = staged(spool, "a.csv", account.open(limits))
    first.write(0, b"x" * 100)
    spool.publish("acme", first)
    second = staged(spool, "b.csv", account.open(limits))
    second.write(0, b"x" * 50)
    assert spool.measure("acme") == (100, 1)  # what is being written is known already
    spool.cut_off("acme", second)
    assert account.open(limits).reach(850) == 850  # what was kept is known without a new measuring
    with pytest.raises(LimitError):
        account.open(limits)
    spool.home("acme").make_folder(HomePath(("in",)))
    spool.home("acme").make_folder(HomePath(("in", "deep")))
    assert spool.measure("acme") == (150, 4)
    spool.publish_again("acme", HomePath(("a.csv",)), HomePath(("c.csv",)))
    assert spool.measure("acme") == (150, 5)  # its bytes are shared


def test_each_list_of_the_same_bytes_counts_with_what_the_database_holds(client_on: Callable[..., Client]) -> None:
    client = client_on(listed_bytes={"acme": 1000}.__getitem__)
    spool = client.spool
    client.put("list.filepart", b"x" * 50)
    assert spool.measure("acme") == (1050, 1)
    for number, added in ((1, 0), (2, 50), (3, 50)):
        old = "list.filepart" if number == 1 else f"VIP_20260310_000{number - 1}.csv"
        assert spool.bytes_of_rename("acme", HomePath((old,))) == added
        client.publish_renamed(old, f"VIP_20260310_000{number}.csv")
        client.rename(old, f"VIP_20260310_000{number}.csv")
        assert spool.measure("acme") == (1000 + 50 * number, 1 + number)


def test_a_write_beyond_the_quota_poisons_the_file_and_a_shorter_one_goes_through(
    client_on: Callable[..., Any],
) -> None:
    spool = client_on().spool
    account, limits = spool.account("acme"), allowance(size=10)
    full = staged(spool, "a.csv", account.open(limits))
    full.write(0, b"x" * 10)
    with pytest.raises(LimitError, match="quota_bytes"):
        full.write(10, b"y")
    with pytest.raises(LimitError, match="quota_bytes"):
        spool.publish("acme", full)
    again = staged(spool, "a.csv", account.open(limits))
    again.write(0, b"x" * 10)
    assert spool.publish("acme", again).path.read_bytes() == b"x" * 10


def test_a_file_cannot_be_extended_beyond_the_quota(client_on: Callable[..., Any]) -> None:
    spool = client_on().spool
    file = staged(spool, "a.csv", spool.account("acme").open(allowance(size=10)))
    with pytest.raises(LimitError, match="quota_bytes"):
        file.truncate(11)
