"""Files without measure: a line of 2 GiB, 50 million rows, a million bad ones; memory stays bounded, whatever comes."""

import json
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Iterable, Iterator
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ctsftp.contract.codes import Code
from ctsftp.contract.reader import CsvReader
from ctsftp.contract.states import State

from .conftest import Box
from .inprocess import FIXTURES, Sender, ids, in_process, stamp

pytest_plugins = FIXTURES

MIB = 1024 * 1024
GIB = 1024 * MIB
BLOCK = b"x" * (MIB // 2)
PATIENCE_S = 1800
FILE = f"VIP_{stamp(1)}.csv"

MEASURE = """
import json, resource, sys
from pathlib import Path
from ctsftp.contract.titles import ID_TITLES
from ctsftp.ingest.reading import read_file

before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
found = read_file(Path(sys.argv[1]), id_titles=ID_TITLES, max_rows=50_000_000)
print(json.dumps({
    "rows": found.rows, "members": found.members, "duplicates": found.duplicates, "rejected": found.rejected,
    "kept": len(found.rejected_rows), "code": found.fault and found.fault.code,
    "grown_bytes": (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024,
}))
"""


def measure(path: Path) -> dict[str, Any]:
    """Read a file in a process of its own, and tell how far its memory grew at most."""
    done = subprocess.run([sys.executable, "-c", MEASURE, str(path)], capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def a_line_of(size_bytes: int) -> Iterator[bytes]:
    return repeat(BLOCK, size_bytes // len(BLOCK))


@pytest.mark.parametrize(
    ("before", "line", "rows"),
    [([], 1, 0), ([b"CTUserID\n"], 2, 0), ([b"CTUserID\n" + b"7\n" * 100_000, b"8,"], 100_002, 100_000)],
)
def test_a_line_of_two_gibibytes_is_refused_once_it_is_over_one_mebibyte(
    before: Iterable[bytes], line: int, rows: int
) -> None:
    reader = CsvReader()
    accepted = 0
    tracemalloc.start()
    try:
        for block in chain(before, a_line_of(2 * GIB)):
            accepted += len(reader.feed(block))
        accepted += len(reader.finish())
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert reader.fault is not None
    assert reader.fault.code == Code.LINE_TOO_LONG
    assert reader.fault.reason.startswith(f"Line {line:,} is longer than 1,048,576 bytes.")
    assert reader.rows == accepted == rows
    assert peak_bytes < 24 * MIB


def test_a_file_of_rejected_rows_is_counted_and_not_kept(tmp_path: Path) -> None:
    path = tmp_path / FILE
    path.write_bytes(b"CTUserID\n" + b"NULL\n" * 200_000)
    found = measure(path)
    assert (found["rows"], found["rejected"], found["kept"]) == (200_000, 200_000, 1000)
    assert found["code"] == Code.TOO_MANY_REJECTED
    assert found["grown_bytes"] < 40 * MIB


def test_the_memory_of_a_reading_is_eight_bytes_a_row_and_a_constant(tmp_path: Path) -> None:
    path = tmp_path / FILE
    path.write_bytes(ids(*range(1, 1_000_001)))
    found = measure(path)
    assert (found["rows"], found["members"]) == (1_000_000, 1_000_000)
    assert found["grown_bytes"] < 8_000_000 + 60 * MIB


@in_process
async def test_the_limit_on_rows_counts_rows_and_neither_blank_lines_nor_members(sender: Sender) -> None:
    sender.configure("max_rows = 20\n")
    fine = await sender.put(FILE, ids(*[1] * 10, "", *range(10), ""))
    assert (fine["state"], fine["rows"], fine["members"], fine["rejected"]) == (State.LOADED, 20, 9, 1)
    over = await sender.put(f"VIP_{stamp(2)}.csv", ids(*[1] * 21))
    assert (over["state"], over["code"]) == (State.REJECTED, Code.TOO_LARGE)
    assert (over["rows"], over["members"], over["duplicates"]) == (20, 1, 19)
    sender.configure("max_rows = 21\n")
    assert (await sender.do("upload.retry", upload_id=over["id"]))["state"] == State.LOADED


@in_process
async def test_the_longest_line_that_is_read_is_a_mebibyte_without_its_line_end(sender: Sender) -> None:
    title, rest = b"CTUserID,", MIB - len(b"CTUserID,")
    longest = title + b"x" * rest + b"\n1," + b"y" * (MIB - 2) + b"\n"
    assert (await sender.put(FILE, longest))["state"] == State.LOADED
    row = await sender.put(f"VIP_{stamp(2)}.csv", longest[:-1] + b"y\n")
    assert (row["code"], row["rows"]) == (Code.LINE_TOO_LONG, 0)
    assert "Line 2" in row["reason"]


@pytest.mark.soak
@pytest.mark.timeout(PATIENCE_S)
def test_a_file_that_is_one_line_of_two_gibibytes_goes_through_the_real_server(box: Box) -> None:
    box.env["CTSFTP_SFTP__MAX_FILE_SIZE_BYTES"] = str(3 * GIB)
    box.add_client("acme")
    serve = box.start()
    with (box.folder / FILE).open("wb") as file:
        file.write(b"CTUserID\n1\n2,")
        file.writelines(a_line_of(2 * GIB))
    upload = put_and_wait(box)
    assert (upload["state"], upload["code"]) == ("rejected", "line_too_long")
    assert (upload["rows"], upload["members"], upload["size"]) == (1, 1, 2 * GIB + 13)
    assert peak_bytes(serve.process.pid) < 300 * MIB


@pytest.mark.soak
@pytest.mark.timeout(PATIENCE_S)
def test_fifty_million_rows_load_in_bounded_memory_and_one_more_is_too_many(box: Box) -> None:
    box.add_client("acme")
    serve = box.start()
    write_rows(box.folder / FILE, 50_000_000)
    upload = put_and_wait(box)
    assert (upload["state"], upload["rows"], upload["members"]) == ("loaded", 50_000_000, 50_000_000)
    assert peak_bytes(serve.process.pid) < 1024 * MIB
    with (box.folder / FILE).open("ab") as file:
        file.write(b"7\n")
    found = measure(box.folder / FILE)
    assert found["code"] == Code.TOO_LARGE
    assert (found["rows"], found["members"]) == (50_000_000, 50_000_000)
    assert found["grown_bytes"] < 700 * MIB


def put_and_wait(box: Box) -> dict[str, Any]:
    """Put the one file by the stock sftp, and give its row of the ledger once it has come to its end."""
    subprocess.run(
        box.sftp_command("acme"), cwd=box.folder, input=f"put {FILE}\n", text=True, check=True, timeout=PATIENCE_S
    )
    while not (upload := box.json("upload", "list")) or not upload[0]["finished_at"]:
        time.sleep(1)
    found: dict[str, Any] = upload[0]
    return found


def write_rows(path: Path, count: int) -> None:
    """Write so many different ids, in no order."""
    at_once = 1_000_000
    with path.open("wb") as file:
        file.write(b"CTUserID\n")
        for start in range(0, count, at_once):
            some = np.arange(start + 1, start + 1 + at_once, dtype=np.int64) * 7_919 % 1_000_000_007
            file.write(b"\n".join(b"%d" % member for member in some.tolist()) + b"\n")


def peak_bytes(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    [line] = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) * 1024
