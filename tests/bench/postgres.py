"""Loading into PostgreSQL against `psql \\copy`, and looking members up against SQLite, side by side in one run.

    python -m tests.bench.postgres [MEMBERS]

The server keeps its defaults, fsync included; psql copies the same ascending ids into a table of the same shape.
"""

import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from ctsftp.contract.names import segment_key
from ctsftp.contract.rows import Ids
from ctsftp.contract.states import State
from ctsftp.contract.verdict import Verdict
from ctsftp.store import NewUpload, Store
from tests.postgres import Postgres

AT_LEAST = 0.7
AT_MOST = 1.5
LOOKUPS = 2_000
ROUNDS = 3
SETTINGS = ("max_wal_size=4GB", "checkpoint_timeout=30min")


async def load(store: Store, ids: Ids, number: int) -> float:
    """Load a list as the loader does; give the seconds."""
    title = f"Bench {number}"
    upload = NewUpload(
        id=f"019c0000-0000-7000-8000-{number:012x}",
        client="bench",
        filename=f"Bench_{number}_20260310_0900.csv",
        segment_title=title,
        segment_key=segment_key(title),
        stamp="20260310_0900",
        size=0,
        received_at=datetime.now(UTC),
    )
    await store.ledger.receive(upload)
    await store.ledger.move(upload.id, State.LOADING)
    began = time.perf_counter()
    snapshot = await store.snapshots.write(upload.id, ids)
    await store.snapshots.publish(
        upload.id,
        snapshot,
        judge=lambda *_: Verdict(State.LOADED),
        rows=len(ids),
        members=len(ids),
        duplicates=0,
        rejected=0,
    )
    return time.perf_counter() - began


def copy(server: Postgres, database: str, file: Path) -> float:
    """Copy the same rows by psql into a table like the members', with its key; give the seconds."""
    server.execute("DROP TABLE IF EXISTS copied", database=database)
    server.execute("CREATE TABLE copied (LIKE member_rows, PRIMARY KEY (row_set, ct_user_id))", database=database)
    command = [str(server.programs / "psql"), "-h", "127.0.0.1", "-p", str(server.port), "-U", "ctsftp", database, "-q"]
    began = time.perf_counter()
    subprocess.run([*command, "-c", f"\\copy copied from '{file}'"], check=True)
    return time.perf_counter() - began


async def look_up(store: Store, ids: Ids) -> float:
    """Ask for members one by one; give the median in milliseconds."""
    times = []
    for one in np.random.default_rng(1).choice(ids, LOOKUPS).tolist():
        began = time.perf_counter()
        assert await store.lookups.is_member("bench", "bench 0", one)
        times.append(time.perf_counter() - began)
    return statistics.median(times) * 1000


async def run(members: int) -> bool:
    ids = np.arange(1, members + 1, dtype=np.int64) * 7 + 10**9
    with tempfile.TemporaryDirectory(prefix="ctsftp-bench-") as folder, closing(Postgres(SETTINGS)) as server:
        server.start()
        database = server.new_database()
        file = Path(folder) / "rows"
        np.savetxt(file, np.column_stack((np.ones(members, dtype=np.int64), ids)), fmt="%d", delimiter="\t")
        ours, theirs, lookups = [], [], {}
        store = await Store.open(server.url(database), clock=lambda: datetime.now(UTC), migrate=True)
        for number in range(ROUNDS):
            ours.append(await load(store, ids, number))
            theirs.append(copy(server, database, file))
        lookups["PostgreSQL"] = await look_up(store, ids)
        await store.close()
        store = await Store.open(f"sqlite+aiosqlite:///{folder}/a.db", clock=lambda: datetime.now(UTC), migrate=True)
        sqlite = await load(store, ids, 0)
        lookups["SQLite"] = await look_up(store, ids)
        await store.close()
    speed = min(theirs) / min(ours)
    slower = lookups["PostgreSQL"] / lookups["SQLite"]
    print(f"{members:,} members: ours {_list(ours)} s, psql \\copy {_list(theirs)} s, SQLite {sqlite:.2f} s")
    print(f"speed against \\copy: {speed:.2f} (at least {AT_LEAST})")
    print(f"a look-up: {lookups['PostgreSQL']:.2f} ms, on SQLite {lookups['SQLite']:.2f} ms: {slower:.2f} times")
    return speed >= AT_LEAST


def _list(seconds: list[float]) -> str:
    return ", ".join(f"{one:.2f}" for one in seconds)


if __name__ == "__main__":
    sys.exit(not asyncio.run(run(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000_000)))
