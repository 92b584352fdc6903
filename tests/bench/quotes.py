"""Reading alone: files with quotes in each row, against the same rows without."""

import time
from pathlib import Path

from ctsftp.contract.reader import CsvReader

from .exports import write_export
from .table import Row

ROUNDS = 5
BLOCK_BYTES = 1024 * 1024
MOST_ROWS = 1_000_000
AT_MOST = 2.5  # times as long as the file without quotes
FORMS = {
    "a fully enclosed file, six quotes a row": (b'"CTUserID","EMAIL_ADDRESS_","CITY_"\n', b'"%b","%b","%b"\n'),
    "a plain header, enclosed rows": (b"CTUserID,EMAIL_ADDRESS_,CITY_\n", b'"%b","%b","%b"\n'),
    "a plain file, one inch sign a row": (b"CTUserID,EMAIL_ADDRESS_,CITY_\n", b'%b,%b,%b 5"\n'),
}


def quote_rows(folder: Path, rows: int) -> list[Row]:
    plain = write_export(folder / "plain.csv", min(rows, MOST_ROWS)).read_bytes()
    lines = [tuple(line.split(b",")) for line in plain.split(b"\n")[1:-1]]
    files = {name: header + b"".join(map(form.__mod__, lines)) for name, (header, form) in FORMS.items()}
    # In turn, so that a busy moment of the machine strikes all of them.
    rounds = [{name: read_s(data) for name, data in {"": plain, **files}.items()} for _ in range(ROUNDS)]
    taken_s = {name: min(one[name] for one in rounds) for name in rounds[0]}
    return [
        Row(
            f"reading {len(lines):,} rows of {name}",
            "the same rows without quotes",
            f"{taken_s[name] * 1000:.0f} ms",
            f"{taken_s[''] * 1000:.0f} ms",
            taken_s[name] / taken_s[""],
            AT_MOST,
            at_most=True,
        )
        for name in FORMS
    ]


def read_s(data: bytes) -> float:
    """Tell how much time of the processor the reading of a file takes."""
    began = time.process_time()
    reader = CsvReader()
    for at in range(0, len(data), BLOCK_BYTES):
        reader.feed(data[at : at + BLOCK_BYTES])
    reader.finish()
    if reader.fault or reader.rejected:
        raise AssertionError(reader.fault)
    return time.process_time() - began
