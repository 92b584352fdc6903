"""Twenty thousand segments, and a token that asks hundreds of times at once: what others notice of it."""

import asyncio
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import sqlalchemy as sa

from ctsftp.contract.states import State
from ctsftp.model.timeline import StepKind
from ctsftp.store import Store
from ctsftp.store.tables import segments, snapshots, timeline, uploads

from .conftest import Desk

pytestmark = pytest.mark.timeout(300)
# The strict bars are for a machine that does nothing else (`-m soak`); the others for any, on which a page whose cost
# grows with the number of segments, or a load that waits for a token's requests, still misses them.
BARS = [
    pytest.param(1.0, marks=pytest.mark.soak, id="strict"),
    pytest.param(10.0, marks=pytest.mark.alone, id="on a busy machine"),
]

SEGMENTS = 20_000
AT_ONCE = 400
LOADS = 30
AT = "2026-03-01T09:00:00.000Z"
# What the other programs of a busy machine may add to a load of some milliseconds.
NOISE_S = 0.05

# Asks again and again, in so many threads, until its stdin ends.
ASKERS = """
import http.client, sys, threading
port, secret, count = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
def ask():
    while True:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            connection.request("GET", "/v1/segments?limit=1", None, {"Authorization": "Bearer " + secret})
            connection.getresponse().read()
        except OSError:
            pass
for _ in range(count):
    threading.Thread(target=ask, daemon=True).start()
print("asking", flush=True)
sys.stdin.read()
"""


async def make_many(store: Store) -> None:
    """Put many segments of one load each into the tables, as if they had been loaded."""
    numbers = range(1, SEGMENTS + 1)
    names = {number: f"Segment {number}" for number in numbers}
    ids = {number: f"0195{number:032x}" for number in numbers}
    counts = {"members": 3, "rows": 3, "duplicates": 0, "rejected": 0}

    def work(conn: sa.Connection) -> None:
        upload = {"client": "acme", "stamp": "20260301_0900", "state": State.LOADED, "warnings": [], "size": 9}
        upload |= {"received_at": AT, "finished_at": AT, "approved": False, "attempts": 1, "deaths": 0} | counts
        rows = [
            upload
            | {"id": ids[one], "filename": "f.csv", "segment_title": names[one], "segment_key": names[one].lower()}
            for one in numbers
        ]
        conn.execute(uploads.insert(), rows)
        snapshot = {"members": 3, "entered": 1, "left": 1, "published_at": AT}
        conn.execute(snapshots.insert(), [snapshot | {"id": one, "upload_id": ids[one]} for one in numbers])
        segment = {"client": "acme", "newest_stamp": "20260301_0900", "rolled_back": False, "created_at": AT}
        rows = [
            segment
            | {"id": one, "key": names[one].lower(), "title": names[one]}
            | {"current_snapshot_id": one, "newest_upload_id": ids[one]}
            for one in numbers
        ]
        conn.execute(segments.insert(), rows)
        conn.execute(snapshots.update().values(segment_id=snapshots.c.id, number=1))
        step = {"at": AT, "kind": StepKind.LOADED, "number": 1, "members": 3}
        conn.execute(timeline.insert(), [step | {"segment_id": one, "upload_id": ids[one]} for one in numbers])
        if conn.dialect.name == "postgresql":
            for table in ("segments", "snapshots"):
                conn.exec_driver_sql(f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), {SEGMENTS})")
            conn.exec_driver_sql("ANALYZE")  # as the server does by itself, a minute later

    await store._database.write(work)


@contextmanager
def asking(port: int, secret: str) -> Iterator[None]:
    command = [sys.executable, "-c", ASKERS, str(port), secret, str(AT_ONCE)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()
        try:
            yield
        finally:
            process.kill()


async def quickest_s(desk: Desk, secret: str, place: str) -> float:
    """Tell how long an answer takes where nothing else comes between."""
    client = desk.http(secret)
    taken = []
    for _ in range(20):
        began = time.perf_counter()
        assert (await client.get(place)).status_code == 200
        taken.append(time.perf_counter() - began)
    return min(taken)


async def load_s(desk: Desk) -> float:
    """Tell how long a load takes, half of the time."""
    taken = []
    for _ in range(LOADS):
        began = time.perf_counter()
        await desk.load("VIP", [1, 2, 3], client="other")
        taken.append(time.perf_counter() - began)
    return statistics.median(taken)


@pytest.mark.parametrize("times", BARS)
async def test_a_page_costs_what_a_page_does(desk: Desk, times: float) -> None:
    await make_many(desk.store)
    secret = await desk.token("shop", client="acme")
    for place in ("segments", "segments?limit=1", "uploads"):
        assert await quickest_s(desk, secret, f"/v1/{place}") < 0.05 * times
    began = time.perf_counter()
    page = await desk.store.segments.segments(limit=100)
    trends = await desk.store.timeline.trends([one.snapshot_id for one in page])
    await desk.store.overview.totals(None)
    await desk.store.segments.in_need(limit=100)
    assert time.perf_counter() - began < 0.5 * times
    assert len(trends) == 100


@pytest.mark.parametrize("times", BARS)
async def test_a_token_that_asks_hundreds_of_times_at_once_makes_a_load_take_at_most_twice_its_time(
    desk: Desk, times: float
) -> None:
    await make_many(desk.store)
    greedy, other = await desk.token("greedy", client="acme"), await desk.token("other")
    await load_s(desk)
    alone_s = await load_s(desk)
    with asking(desk.service.web.port, greedy):
        await asyncio.sleep(1)  # until all of them ask
        assert await load_s(desk) < (2 * alone_s + NOISE_S) * times
        assert await quickest_s(desk, other, "/v1/segments/other/VIP") < NOISE_S * times
        assert await quickest_s(desk, other, "/healthz") < NOISE_S * times
