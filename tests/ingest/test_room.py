"""A list is loaded while there is room above the floor, and waits where there is none."""

import asyncio

import pytest
import sqlalchemy as sa

from ctsftp.contract.codes import Code
from ctsftp.contract.states import State
from ctsftp.ingest.loader import Loader
from ctsftp.ingest.settings import IngestSettings
from ctsftp.store.snapshots import MEMBER_BYTES, bytes_to_write

from .bench import Bench, rows

NAME = "VIP_20260310_0900.csv"
DATABASE_KINDS = ("sqlite",)  # PostgreSQL's disk is another machine's


class Disk:
    """Has so many bytes above the floor."""

    def __init__(self, bench: Bench, spare: int) -> None:
        self.spare = spare
        self.loader = Loader(
            IngestSettings(),
            store=bench.store,
            config_of=bench._config_of,
            name_of=bench.name_of,
            now=bench.clock,
            try_again=lambda upload, delay_s: bench.tried_again.append((upload.id, delay_s)),
            spare_bytes=lambda: self.spare,
            told=lambda *_: None,
        )


@pytest.mark.parametrize("spare", [-5, 0, bytes_to_write(10) - 1], ids=["below", "at the floor", "a byte too few"])
async def test_a_list_without_room_waits_is_told_and_is_loaded_when_there_is(bench: Bench, spare: int) -> None:
    reusable = await bench.store.numbers.reusable_bytes()  # a migration has deleted a table
    disk = Disk(bench, spare - reusable)
    upload = bench.put(NAME, rows(range(1, 11)))
    await disk.loader.load(upload)
    row = await bench.row(upload)
    assert (row.state, row.code) == (State.FAILED, Code.DISK)
    assert "free_floor_bytes" in str(row.reason)
    assert bench.tried_again == [(upload.id, 1)]
    disk.spare = bytes_to_write(10) - reusable
    await disk.loader.load(upload)
    assert (await bench.row(upload)).state is State.LOADED
    assert disk.loader._promised == {}


async def test_two_lists_at_once_are_promised_no_byte_twice(bench: Bench) -> None:
    disk = Disk(bench, bytes_to_write(10) - await bench.store.numbers.reusable_bytes())
    uploads = [bench.put(f"{name}_20260310_0900.csv", rows(range(1, 11))) for name in ("A", "B")]
    await asyncio.gather(*(disk.loader.load(upload) for upload in uploads))
    assert sorted([(await bench.row(one)).state for one in uploads]) == [State.FAILED, State.LOADED]


async def test_a_file_that_makes_no_list_ends_however_long_it_is(bench: Bench) -> None:
    disk = Disk(bench, 1)
    upload = bench.put(NAME, "CTUserID;a\n" + "1;2\n" * 1000)
    await disk.loader.load(upload)
    assert (await bench.row(upload)).state is State.REJECTED


async def test_what_was_deleted_from_the_database_is_room_again(bench: Bench) -> None:
    await bench.load(NAME, rows(range(1, 200_001)))
    disk = Disk(bench, 1)
    upload = bench.put("B_20260310_0900.csv", rows(range(1, 50_001)))
    await disk.loader.load(upload)
    assert (await bench.row(upload)).code == Code.DISK
    await bench.store.segments.retire("acme", "vip")
    await bench.store.segments.delete("acme", "vip")
    await disk.loader.load(upload)
    assert (await bench.row(upload)).state is State.LOADED


async def test_a_member_takes_no_more_of_a_file_than_it_counts(bench: Bench) -> None:
    members = 300_000
    await bench.load(NAME, rows(range(9 * 10**18, 9 * 10**18 + 7 * members, 7)))

    def used(conn: sa.Connection) -> int:
        pages = conn.exec_driver_sql("PRAGMA page_count").scalar_one()
        return int(pages) * int(conn.exec_driver_sql("PRAGMA page_size").scalar_one())

    assert 0.8 * MEMBER_BYTES < await bench.store._database.read(used) / members <= MEMBER_BYTES
