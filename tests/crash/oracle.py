"""The one judge of all crash tests: what senders were promised, held against what a server has made of it.

The senders' side notes in a `Journal` what it sends, and that it was acknowledged only once the OK has
come. After a restart and a `drain` the oracle reads the data folder from outside, with nothing of
ctsftp's: files, plain SQL and arithmetic. Each fault has a name, so that a deliberate mistake in the
server can be shown to be caught by the right one.
"""

import hashlib
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from pyroaring import BitMap64

from ctsftp.admin.work import perform
from ctsftp.ingest.settings import IngestSettings
from ctsftp.model.commands import RetryUpload, Sweep
from ctsftp.settings import Settings
from tests.e2e.conftest import PATIENCE_S, Box

AT_ONCE = IngestSettings(retry_after_death_s=1e-9)  # what a dead server was loading waits for nothing here
END_STATES = {"loaded", "duplicate", "superseded"}  # what the senders of these tests send rightly ends in no other


class Fault(NamedTuple):
    """Something that must never be: its name, and on what it was found."""

    name: str
    what: str


@dataclass(eq=False)
class Sent:
    """One file that a sender sent: no other has the same bytes, so its digest names it."""

    client: str
    segment: str
    name: str
    ids: tuple[int, ...]
    order: int
    wrong: bool = False  # as many rows as it has ids are none
    data: bytes = field(init=False, repr=False)
    digest: str = field(init=False)
    acknowledged: bool = False
    refused: bool = False

    def __post_init__(self) -> None:
        self.data = csv_of(self.ids) + b"x,n\n" * (len(self.ids) if self.wrong else 0)
        self.digest = hashlib.sha256(self.data).hexdigest()


class Journal:
    """What the senders know: everything that they began to send, in their order, and what was acknowledged."""

    def __init__(self) -> None:
        self._sent: list[Sent] = []
        self.acknowledged = 0
        self._lock = threading.Lock()

    def begin(self, client: str, segment: str, name: str, ids: Iterable[int], *, wrong: bool = False) -> Sent:
        """Note a file before its first byte goes out; one segment's files must be sent one after another."""
        with self._lock:
            sent = Sent(client, segment, name, tuple(sorted(set(ids))), len(self._sent), wrong)
            self._sent.append(sent)
            return sent

    def acknowledge(self, sent: Sent) -> None:
        """Note that the OK has come."""
        with self._lock:
            sent.acknowledged = True
            self.acknowledged += 1

    def refuse(self, sent: Sent) -> None:
        """Note that the server answered with an error."""
        sent.refused = True

    def all(self) -> list[Sent]:
        with self._lock:
            return list(self._sent)


def csv_of(ids: Iterable[int]) -> bytes:
    return "".join(["CTUserID,name\n", *(f"{one},n\n" for one in ids)]).encode()


def drain(box: Box) -> int:
    """Sweep until no upload is on its way any more; give how many waited for a retry, as an admin would give it.

    An upload whose loads were killed three times waits for an admin by design. A long backlog may take its time,
    so long as it shrinks.
    """
    retried, left = 0, -1
    deadline = time.monotonic() + PATIENCE_S
    # In this process: a command's imports would cost more than its work.
    settings = Settings(data_dir=box.folder / "data", keys_dir=box.folder / "keys", ingest=AT_ONCE)
    while True:
        perform(settings, Sweep())
        with closing(_database(box.folder / "data")) as db:
            died = db.execute("SELECT id FROM uploads WHERE state = 'failed' AND retry_at IS NULL").fetchall()
            (going,) = db.execute("SELECT count(*) FROM uploads WHERE finished_at IS NULL").fetchone()
            (ended,) = db.execute("SELECT count(*) FROM uploads WHERE finished_at IS NOT NULL").fetchone()
        for (upload_id,) in died:
            perform(settings, RetryUpload(upload_id=upload_id))
            retried += 1
        stored = sum(1 for _ in (box.folder / "data" / "clients").glob("*/uploads/*"))
        if not died and not going and ended >= stored:
            return retried
        if ended != left or died:
            left, deadline = ended, time.monotonic() + PATIENCE_S
        assert time.monotonic() < deadline, f"{going} uploads come to no end, of {stored} that are stored"


def examine(data: Path, journal: Journal) -> list[Fault]:
    """Find everything in a drained data folder that breaks the promise."""
    with closing(_database(data)) as db:
        return [*_integrity(db), *faults(db, [data], journal)]


def faults(db: Any, folders: Sequence[Path], journal: Journal) -> list[Fault]:
    """Find what breaks the promise in any database with SQLite's `execute`, and the data folders of its nodes."""
    ledger = db.execute(
        "SELECT id, client, filename, state, rows, members, duplicates, rejected, sha256 FROM uploads"
    ).fetchall()
    return [
        *_ledger_faults(ledger, journal),
        *_snapshot_faults(db, ledger, journal),
        *_row_faults(db),
        *_segment_faults(db, ledger, journal),
        *_disk_faults(folders, ledger, journal),
    ]


def _database(data: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{data / 'ctsftp.db'}?mode=ro", uri=True, timeout=30)


def _integrity(db: sqlite3.Connection) -> Iterator[Fault]:
    answer = db.execute("PRAGMA integrity_check").fetchall()
    if answer != [("ok",)]:
        yield Fault("database", str(answer))
    for broken in db.execute("PRAGMA foreign_key_check").fetchall():
        yield Fault("database", f"foreign key: {broken}")


def _ledger_faults(ledger: list[tuple[object, ...]], journal: Journal) -> Iterator[Fault]:
    by_digest = Counter(row[8] for row in ledger)
    rows = {row[8]: row for row in ledger}
    sent_digests = {sent.digest for sent in journal.all()}
    for sent in journal.all():
        row = rows.get(sent.digest)
        if by_digest[sent.digest] > 1:
            yield Fault("twice", f"{sent.name} is {by_digest[sent.digest]} times in the ledger")
        if row is None:
            if sent.acknowledged or (sent.wrong and sent.refused):
                yield Fault("lost", f"{sent.name} was answered and is not in the ledger")
            continue
        count, wrong = len(sent.ids), len(sent.ids) if sent.wrong else 0
        ends = {"rejected"} if sent.wrong else END_STATES
        if row[1:3] != (sent.client, sent.name) or row[3] not in ends:
            yield Fault("unfinished", f"{sent.name} is {row}")
        if row[4:8] != (count + wrong, count, 0, wrong):
            yield Fault("wrong_counts", f"{sent.name} has {count} members: {row}")
    for row in ledger:
        if row[8] is not None and row[8] not in sent_digests:
            yield Fault("half_loaded", f"nobody sent the bytes of {row}")
        elif row[8] is None and row[3] != "ignored":
            yield Fault("unfinished", f"{row}")


def _snapshot_faults(db: Any, ledger: list[tuple[object, ...]], journal: Journal) -> Iterator[Fault]:
    digest_of = {row[0]: row[8] for row in ledger}
    state_of = {row[0]: row[3] for row in ledger}
    sent_of = {sent.digest: sent for sent in journal.all()}
    effects: Counter[str] = Counter()
    for snapshot, segment, upload, members in db.execute("SELECT id, segment_id, upload_id, members FROM snapshots"):
        if segment is None:
            yield Fault("orphan", f"snapshot {snapshot} belongs to no segment")
            continue
        effects[upload] += 1
        ids = _ids_in_parts(db, snapshot)
        sent = sent_of.get(str(digest_of.get(upload)))
        if sent is None or ids != sent.ids or members != len(ids) or state_of[upload] != "loaded":
            yield Fault("half_loaded", f"snapshot {snapshot} of {sent and sent.name} holds {len(ids)} of {members}")
    for upload, count in effects.items():
        if count > 1:
            yield Fault("twice", f"{upload} made {count} snapshots")
    stray = "SELECT DISTINCT snapshot_id FROM snapshot_parts WHERE snapshot_id NOT IN (SELECT id FROM snapshots)"
    for (snapshot,) in db.execute(stray):
        yield Fault("orphan", f"parts of a snapshot {snapshot} that is not there")


def _row_faults(db: Any) -> Iterator[Fault]:
    """Hold the rows against the parts: of each segment its own, and a spare at most."""
    owners = dict(db.execute("SELECT row_set, current_snapshot_id FROM segments"))
    spares: set[int] = set()
    registry = db.execute("SELECT id, segment_id, snapshot_id FROM row_sets ORDER BY id").fetchall()
    for row_set, segment, snapshot in registry:
        if row_set not in owners and (segment is None or snapshot is None or segment in spares):
            yield Fault("orphan", f"the rows {row_set} are nobody's")
            continue
        if row_set not in owners:
            spares.add(segment)
        elif owners[row_set] != snapshot:
            yield Fault("wrong_members", f"the rows {row_set} are of {snapshot}, and shown for {owners[row_set]}")
        ids = _ids(db, "SELECT ct_user_id FROM member_rows WHERE row_set = ? ORDER BY 1", row_set)
        if ids != _ids_in_parts(db, snapshot):
            yield Fault("wrong_members", f"the rows {row_set} are not those of the snapshot {snapshot}")
    stray = "SELECT DISTINCT row_set FROM member_rows WHERE row_set NOT IN (SELECT id FROM row_sets)"
    for (row_set,) in db.execute(stray):
        yield Fault("orphan", f"rows of a set {row_set} that is not there")


def _segment_faults(db: Any, ledger: list[tuple[object, ...]], journal: Journal) -> Iterator[Fault]:
    arrived = {row[8] for row in ledger}
    by_segment: dict[tuple[str, str], list[Sent]] = {}
    for sent in journal.all():
        by_segment.setdefault((sent.client, sent.segment), []).append(sent)
    for (client, segment), all_sent in by_segment.items():
        right = [sent for sent in all_sent if not sent.wrong]
        counting = [sent for sent in right if sent.acknowledged or sent.digest in arrived]
        newest = max(counting, key=lambda sent: sent.order, default=None)
        query = "SELECT ct_user_id FROM segment_members WHERE client = ? AND segment = ? ORDER BY 1"
        ids = _ids(db, query, client, segment)
        if ids != (newest.ids if newest else ()):
            yield Fault("wrong_members", f"{segment} of {client} is not {newest and newest.name}: {len(ids)} ids")


def _disk_faults(folders: Sequence[Path], ledger: list[tuple[object, ...]], journal: Journal) -> Iterator[Fault]:
    digests = {sent.digest for sent in journal.all()}
    known = {row[0]: row[8] for row in ledger}
    found: set[str] = set()
    for folder in [folder for data in folders for folder in (data / "clients").glob("*/uploads/*")]:
        files = [file for file in folder.rglob("*") if file.is_file()]
        found.add(folder.name)
        if len(files) != 1:
            yield Fault("half_stored", f"{folder} holds {[file.name for file in files]}")
            continue
        digest = hashlib.sha256(files[0].read_bytes()).hexdigest()
        if digest not in digests or known.get(folder.name, digest) not in {digest, None}:
            yield Fault("wrong_bytes", f"{files[0]} is not what was sent")
        if folder.name not in known:
            yield Fault("lost", f"{files[0]} is on disk, complete, and not in the ledger")
    for upload_id in known.keys() - found:
        yield Fault("lost", f"the file of {upload_id} is gone")
    for left in [left for data in folders for left in (data / "clients").glob("*/staging/*")]:
        yield Fault("staging", f"{left} was left over")


def _ids_in_parts(db: Any, snapshot: int) -> tuple[int, ...]:
    parts = db.execute("SELECT blob, digest FROM snapshot_parts WHERE snapshot_id = ? ORDER BY part", (snapshot,))
    found: list[int] = []
    for blob, digest in parts.fetchall():
        assert hashlib.sha256(blob).hexdigest() == digest
        found += BitMap64.deserialize(bytes(blob))
    return tuple(found)


def _ids(db: Any, query: str, *values: object) -> tuple[int, ...]:
    return tuple(one for (one,) in db.execute(query, values))
