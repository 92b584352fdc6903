"""Reading one upload's file, once: its digest, its ids, and what is wrong with it."""

import asyncio
import hashlib
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ctsftp.clients.config import ClientConfig
from ctsftp.contract.codes import Code, Fault, Notice, fault
from ctsftp.contract.counting import some
from ctsftp.contract.names import SegmentFile
from ctsftp.contract.reader import CsvReader, RejectedRow
from ctsftp.contract.rows import NO_IDS
from ctsftp.contract.titles import CONTRACT_TITLE, ID_TITLES
from ctsftp.contract.verdict import NO_SIGNS, Case, Guards, Signs
from ctsftp.lists import is_scattered
from ctsftp.model.records import Facts

BLOCK_BYTES = 512 * 1024  # measured: 64 KiB and 4 MiB are a third slower
IDS_AT_ONCE = 100_000  # compared with their neighbours: bounds the memory beyond the ids themselves

Ids = NDArray[np.int64]


@dataclass(slots=True)
class Reading:
    """What a file holds. `ids` are its members, ascending, each once; rows = members + duplicates + rejected."""

    sha256: str
    size: int
    rows: int
    members: int
    duplicates: int
    rejected: int
    ids: Ids
    fault: Fault | None
    notices: list[Notice] = field(default_factory=list)
    rejected_rows: list[RejectedRow] = field(default_factory=list)
    signs: Signs = NO_SIGNS

    def drop_ids(self) -> None:
        """Let go of the ids, which are the memory that a load takes, once they are written."""
        self.ids = NO_IDS

    @property
    def facts(self) -> Facts:
        """What the ledger keeps of it."""
        return {
            "rows": self.rows,
            "members": self.members,
            "duplicates": self.duplicates,
            "rejected": self.rejected,
            "warnings": self.notices,
            "id_title": self.signs.id_title or None,
            "sha256": self.sha256,
        }

    def case(
        self, file: SegmentFile, *, guards: Guards, today: date, upload_id: str | None = None, ends_lines: bool = False
    ) -> Case:
        """Make the case that is judged, of what was read and what is known besides."""
        return Case(
            file=file,
            members=self.members,
            sha256=self.sha256,
            today=today,
            guards=guards,
            signs=self.signs,
            upload_id=upload_id,
            ends_lines=ends_lines,
        )


async def read_in_thread(path: Path, *, id_titles: tuple[str, ...], max_rows: int) -> Reading:
    """Read a file beside the event loop; when this is cancelled, the thread stops at its next block."""
    stopped = threading.Event()
    try:
        return await asyncio.to_thread(
            read_file, path, id_titles=id_titles, max_rows=max_rows, go_on=lambda: not stopped.is_set()
        )
    except asyncio.CancelledError:
        stopped.set()
        raise


def read_file(
    path: Path,
    *,
    id_titles: tuple[str, ...],
    max_rows: int,
    go_on: Callable[[], bool] = lambda: True,
) -> Reading:
    """Read a whole file in blocks; it blocks, and its memory is 8 bytes a row and little else.

    Raises OSError if the disk does, and InterruptedError as soon as `go_on` says no.
    """
    digest = hashlib.sha256()
    reader = CsvReader(id_titles=id_titles, max_rows=max_rows)
    size = path.stat().st_size
    ids = _IdArray()
    with path.open("rb", buffering=0) as file:
        while block := file.read(BLOCK_BYTES):
            if not go_on():
                raise InterruptedError(f"reading {path.name} was stopped")
            digest.update(block)
            if reader.fault is None:
                ids.extend(reader.feed(block), bound=reader.max_ids(size))
        ids.extend(reader.finish(), bound=reader.max_ids(size))
    members = ids.sorted_once()
    assert reader.rows == reader.accepted + reader.rejected, "a row was not accounted for"
    duplicates = reader.accepted - len(members)
    return Reading(
        sha256=digest.hexdigest(),
        size=size,
        rows=reader.rows,
        members=len(members),
        duplicates=duplicates,
        rejected=reader.rejected,
        ids=members,
        fault=reader.fault or _scatter(members),
        notices=list(reader.notices),
        rejected_rows=list(reader.rejected_rows),
        signs=Signs(id_title=reader.id_title, last_row=reader.last_row, footer=reader.footer),
    )


def _scatter(members: Ids) -> Fault | None:
    """Refuse ids that lie too far apart to be kept: hashes, say."""
    if not is_scattered(members):
        return None
    found = f"Its {some(len(members), 'id')} are scattered from {members[0]} to {members[-1]}: they are not CTUserIDs."
    return fault(Code.SCATTERED, found)


class _IdArray:
    """All ids of a file in one array, as large as the file could need: pages that are never written cost nothing.

    Only a file that is `check`ed can turn out longer than its size said: a pipe, or one that is still being written.
    """

    def __init__(self) -> None:
        self._array: Ids = np.empty(0, dtype=np.int64)
        self._used = 0

    def extend(self, ids: Ids, *, bound: int) -> None:
        if not len(ids):
            return
        used = self._used + len(ids)
        if used > len(self._array):
            longer = np.empty(max(bound, used, 2 * len(self._array)), dtype=np.int64)
            longer[: self._used] = self._array[: self._used]
            self._array = longer
        self._array[self._used : used] = ids
        self._used = used

    def sorted_once(self) -> Ids:
        """Sort and drop repeated ids, both in place (numpy.unique takes 80 times as long)."""
        ids = self._array[: self._used]
        ids.sort()
        kept, last = 0, 0
        for start in range(0, len(ids), IDS_AT_ONCE):
            some = ids[start : start + IDS_AT_ONCE]
            some = some[np.diff(some, prepend=last) > 0]
            ids[kept : kept + len(some)] = some
            kept += len(some)
            last = ids[kept - 1]
        return ids[:kept]


def max_rows_of(config: ClientConfig, most_rows: int) -> int:
    """Tell how many rows a client's list may have; its own limit can only be narrower than the server's."""
    return min(most_rows, config.max_rows or most_rows)


def id_titles(config: ClientConfig) -> tuple[str, ...]:
    """List the titles that a client's id column may have, the first of which counts."""
    return ID_TITLES if config.id_columns is None else (CONTRACT_TITLE, *config.id_columns)
