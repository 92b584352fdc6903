"""The files that are sent: exports of any length, made the same way each time."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

HEADER = b"CTUserID,EMAIL_ADDRESS_,CITY_\n"
# 39 bytes a row: 10 million of them are the 390 MB that the table speaks of.
TAIL = b",u0000000000@example.com,Ulm\n"
FIRST_ID = 1_000_000_000
STEP = 12_345_701  # no common factor with the number of ids: a walk through all of them, in no order
REPEATED_ONE_IN = 100
AT_ONCE = 500_000


def write_export(path: Path, rows: int, *, wide: bool = True) -> Path:
    """Write an export of so many rows in no order, one in a hundred a repetition; `wide` rows have two more columns."""
    with path.open("wb") as file:
        file.write(HEADER if wide else b"CTUserID\n")
        for ids in _ids(rows):
            file.write(_lines(ids, TAIL if wide else b"\n"))
    return path


def _ids(rows: int) -> Iterator[np.ndarray]:
    members = max(1, rows - rows // REPEATED_ONE_IN)
    while members % STEP == 0:
        members -= 1
    for start in range(0, rows, AT_ONCE):
        place = np.arange(start, min(start + AT_ONCE, rows), dtype=np.int64) % members
        yield FIRST_ID + place * STEP % members


def _lines(ids: np.ndarray, tail: bytes) -> bytes:
    digits = 10
    table = np.empty((len(ids), digits + len(tail)), dtype=np.uint8)
    table[:, digits:] = np.frombuffer(tail, dtype=np.uint8)
    left = ids.copy()
    for place in range(digits - 1, -1, -1):
        table[:, place] = left % 10 + ord("0")
        left //= 10
    if len(tail) > digits:
        table[:, digits + 2 : 2 * digits + 2] = table[:, :digits]  # the address holds the id
    return table.tobytes()
