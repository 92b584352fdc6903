"""What the machine itself gives, to tell a limit of ours from one of the disk, the cipher or SQLite."""

import os
import sqlite3
import subprocess
import time
from contextlib import closing
from pathlib import Path
from statistics import median

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from .exports import write_export
from .table import Row

ROUNDS = 5
PACKET_BYTES = 32_768
CIPHERED_BYTES = 1 << 30


def limit_rows(folder: Path, rows: int) -> list[Row]:
    file = write_export(folder / "large.csv", rows)
    size = file.stat().st_size
    written_s = median(_write_durably(file, folder / "copy") for _ in range(ROUNDS))
    return [
        Row(f"`dd conv=fdatasync` of {size / 1e6:.0f} MB to the disk", "", "", f"{size / written_s / 1e6:.0f} MB/s"),
        Row("AES-128-GCM in packets of 32 KiB, one core", "", "", f"{CIPHERED_BYTES / _cipher_s() / 1e6:.0f} MB/s"),
        Row(
            f"SQLite's `insert ... select` of {rows / 1e6:g} million sorted ids",
            "",
            "",
            f"{_insert_s(folder / 'members.sqlite', rows):.2f} s",
        ),
    ]


def _write_durably(file: Path, copy: Path) -> float:
    began = time.monotonic()
    command = ["dd", f"if={file}", f"of={copy}", "bs=256K", "conv=fdatasync", "status=none"]
    subprocess.run(command, check=True)
    took = time.monotonic() - began
    copy.unlink()
    return took


def _cipher_s() -> float:
    cipher, packet = AESGCM(os.urandom(16)), os.urandom(PACKET_BYTES)
    began = time.monotonic()
    for number in range(CIPHERED_BYTES // PACKET_BYTES):
        cipher.encrypt(number.to_bytes(12, "big"), packet, None)
    return time.monotonic() - began


def _insert_s(database: Path, rows: int) -> float:
    """Time the last step of a load and no more: ids that are sorted and unique, into a table like the members'."""
    with closing(sqlite3.connect(database, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = wal")
        db.execute("PRAGMA synchronous = full")
        db.execute(
            "CREATE TABLE members (snapshot_id INTEGER, ct_user_id INTEGER,"
            " PRIMARY KEY (snapshot_id, ct_user_id)) WITHOUT ROWID"
        )
        db.execute("CREATE TEMP TABLE ids (id INTEGER PRIMARY KEY)")
        db.execute(
            "WITH RECURSIVE n(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n LIMIT ?)"
            " INSERT INTO ids SELECT id FROM n",
            (rows,),
        )
        began = time.monotonic()
        db.execute("INSERT INTO members SELECT 1, id FROM ids")
        return time.monotonic() - began
