"""The command line: which rows to measure, how large the large file is, and the table."""

import argparse
import shutil
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from .busy import busy_rows, clients_rows, fair_rows, idle_rows, memory_rows
from .commands import command_rows
from .limits import limit_rows
from .loading import load_rows, ready_rows, refresh_rows
from .quotes import quote_rows
from .servers import describe_machine
from .table import Row, as_markdown
from .transfers import eight_rows, put_rows, small_rows

ROWS: dict[str, Callable[[Path, int], list[Row]]] = {
    "limits": limit_rows,
    "put": put_rows,
    "small": lambda folder, _: small_rows(folder),
    "eight": eight_rows,
    "load": load_rows,
    "refresh": refresh_rows,
    "quotes": quote_rows,
    "ready": lambda folder, _: ready_rows(folder),
    "busy": busy_rows,
    "memory": memory_rows,
    "fair": fair_rows,
    "clients": clients_rows,
    "idle": lambda folder, _: idle_rows(folder),
    "commands": lambda folder, _: command_rows(folder),
}


def main() -> None:
    arguments = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    arguments.add_argument("row", nargs="*", metavar="ROW", help=f"one of {', '.join(ROWS)}; else all of them")
    arguments.add_argument("--rows", type=int, default=10_000_000, help="rows of the large file (default: %(default)s)")
    asked = arguments.parse_args()
    if unknown := set(asked.row) - ROWS.keys():
        arguments.error(f"there is no row {unknown.pop()!r}")
    measured: list[Row] = []
    for name in asked.row or ROWS:
        print(f"{name} ...", file=sys.stderr, flush=True)
        # /tmp may be memory, where an fsync costs nothing.
        folder = Path(tempfile.mkdtemp(prefix="ctsftp-bench-", dir="/var/tmp"))
        try:
            found = ROWS[name](folder, asked.rows)
        finally:
            shutil.rmtree(folder)
        for row in found:
            print(row.markdown(), file=sys.stderr, flush=True)
        measured += found
    print(f"{datetime.now(UTC):%Y-%m-%d}, {describe_machine()}.")
    print(f"Repeat it: `python -m tests.bench {' '.join([*asked.row, f'--rows {asked.rows}'])}`\n")
    print(as_markdown(measured))


if __name__ == "__main__":
    main()
