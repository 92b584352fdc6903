"""What the database holds of a client counts for it until it is deleted."""

from ctsftp.ingest.holdings import Holdings
from ctsftp.store.numbers import bytes_held

from .bench import Bench, rows

NAME = "VIP_20260310_0900.csv"
NEXT = "VIP_20260310_0901.csv"


async def test_rows_parts_and_rejected_rows_count_for_their_client_until_they_are_deleted(bench: Bench) -> None:
    holdings = Holdings(bench.store)
    await bench.load(NAME, rows([*range(1, 101), "x", "y"]))
    await bench.load(NEXT, rows(range(2, 102)))
    await bench.load(NAME, rows([1]), client="zeta")
    await holdings.count()
    parts = 2 * (20 + 8 + 2 * 100)  # of a bitmap's head and a hundred numbers of two bytes
    assert bytes_held(100, 2) < holdings.bytes_of("acme") <= bytes_held(100, 2) + parts
    assert bytes_held(1, 0) < holdings.bytes_of("zeta") <= bytes_held(1, 0) + 40
    assert holdings.bytes_of("nobody") == 0
    await bench.store.segments.retire("acme", "vip")
    await bench.store.segments.delete("acme", "vip")
    await holdings.count()
    assert holdings.bytes_of("acme") == bytes_held(0, 2)
