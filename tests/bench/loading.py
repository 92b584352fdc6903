"""Loading: from the CLOSE to a segment that is ready, against what one would load a CSV file with otherwise."""

import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any

from .exports import HEADER, write_export
from .servers import Ours
from .table import Row, percentile, seconds
from .transfers import put

ROUNDS = 3
REFRESHES = 7
READY_ROWS = 100_000
READY_ROUNDS = 100

# What people write: text into a table, then what can be used of it into another.
SQLITE = """\
pragma journal_mode = wal;
pragma synchronous = full;
create table export (CTUserID text, email text, city text);
create table members (ct_user_id integer primary key);
.mode csv
.import --skip 1 {file} export
insert or ignore into members select cast(CTUserID as integer) from export;
"""
DUCKDB = """\
import duckdb, sys, time
began = time.monotonic()
with duckdb.connect(sys.argv[2]) as db:
    db.execute("set enable_progress_bar = false")
    db.execute(
        "create table members as select distinct try_cast(CTUserID as bigint) from read_csv(?, all_varchar = true)",
        [sys.argv[1]],
    )
print(time.monotonic() - began)
"""


def load_rows(folder: Path, rows: int) -> list[Row]:
    file = write_export(folder / "large.csv", rows)
    ours_s, sqlite_s, duckdb_s = [], [], []
    for number in range(ROUNDS):
        ours_s.append(load_with_ours(folder / f"ours{number}", file))
        sqlite_s.append(load_with_sqlite(file, folder / f"{number}.sqlite"))
        duckdb_s.append(load_with_duckdb(file, folder / f"{number}.duckdb"))
    work = f"close of a {rows / 1e6:g}-million-row, {file.stat().st_size / 1e6:.0f} MB file to ready"
    least = min(ours_s)
    return [
        Row(
            work,
            "`sqlite3 .import`, `insert or ignore ... select`",
            seconds([least]),
            seconds([min(sqlite_s)]),
            min(sqlite_s) / least,
            5.0,
        ),
        Row(
            work,
            "DuckDB `create table as select distinct try_cast ...`",
            seconds([least]),
            seconds([min(duckdb_s)]),
            least / min(duckdb_s),
            3.0,
            at_most=True,
        ),
    ]


def refresh_rows(folder: Path, rows: int) -> list[Row]:
    """Load a list again and again, of which one row in a hundred is another each time."""
    server = Ours(folder / "ours")
    ours_s, duckdb_s = [], []
    for number in range(REFRESHES):
        file = write_export(folder / "large.csv", rows)
        replace_one_in_a_hundred(file, rows, number)
        name, since = f"Large_20261123_{number:04}.csv", server.serve.mark()
        put(server, file, name)
        ours_s.append(ready_s(server, name, since))
        duckdb_s.append(load_with_duckdb(file, folder / f"{number}.duckdb"))
    server.stop()
    # The first makes the segment, and the second the set of rows that is then the spare.
    ours, theirs = median(ours_s[2:]), median(duckdb_s)
    work = f"the same {rows / 1e6:g}-million-row file with 1 % changed, to ready"
    against = "DuckDB `create table as select distinct try_cast ...`"
    return [Row(work, against, seconds(ours_s[2:]), seconds(duckdb_s), ours / theirs, 2.0, at_most=True)]


def replace_one_in_a_hundred(file: Path, rows: int, number: int) -> None:
    """Give every hundredth row of a file, from another one on each time, an id that no other file has."""
    width = (file.stat().st_size - len(HEADER)) // rows
    with file.open("r+b") as place:
        for row in range(number % 100, rows, 100):
            place.seek(len(HEADER) + row * width)
            place.write(b"%010d" % (2_000_000_000 + number * rows + row))


def load_with_ours(folder: Path, file: Path) -> float:
    server = Ours(folder)
    name = "Large_20261123_0900.csv"
    put(server, file, name)
    took = ready_s(server, name)
    server.stop()
    return took


def ready_s(server: Ours, name: str, since: int = 0) -> float:
    """Tell how long it took from the answer to the CLOSE until the segment was ready, by the server's log."""
    ready = server.wait_for_verdict(name, since)
    landed = server.serve.wait_for("upload landed", lambda event: event["upload"] == ready["upload"], since=since)
    return (moment(ready) - moment(landed)).total_seconds()


def moment(event: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(event["timestamp"])


def load_with_sqlite(file: Path, database: Path) -> float:
    began = time.monotonic()
    subprocess.run(
        ["sqlite3", str(database)], input=SQLITE.format(file=file), capture_output=True, text=True, check=True
    )
    took = time.monotonic() - began
    database.unlink()
    return took


def load_with_duckdb(file: Path, database: Path) -> float:
    command = [sys.executable, "-c", DUCKDB, str(file), str(database)]
    took = float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    database.unlink()
    return took


def ready_rows(folder: Path) -> list[Row]:
    """Load lists of 100,000, one after another, as a refresh every few minutes does."""
    file = write_export(folder / "list.csv", READY_ROWS)
    server = Ours(folder / "ours")
    took = []
    for number in range(READY_ROUNDS):
        name, since = f"List_20261123_{number:04}.csv", server.serve.mark()
        with file.open("ab") as more:
            more.write(b"%d,x@example.com,Basel\n" % (10**12 + number))
        put(server, file, name)
        took.append(ready_s(server, name, since))
    server.stop()
    work = f"close to ready, {READY_ROWS:,} rows"
    return [
        Row(f"{work}, median", "", seconds(took), "", median(took) * 1000, 100, " ms", at_most=True),
        Row(f"{work}, 99th", "", seconds(took), "", percentile(took, 99) * 1000, 250, " ms", at_most=True),
    ]
