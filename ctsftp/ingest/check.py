"""What would become of a file, told without taking it: the same reading and the same judge as the loader's."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from ctsftp.clients.config import ClientConfig
from ctsftp.contract.codes import PAGES, Fault
from ctsftp.contract.names import SegmentFile, read_name
from ctsftp.contract.states import State
from ctsftp.contract.verdict import Verdict
from ctsftp.ingest.judging import guards_for, judge_of
from ctsftp.ingest.reading import Ids, Reading, id_titles, read_file
from ctsftp.ingest.settings import IngestSettings
from ctsftp.store.changes import compare
from ctsftp.store.store import Store

COMPARED_AT_ONCE = 100_000


@dataclass(frozen=True, slots=True)
class Preview:
    """The verdict on a file; `reading` is None where its name decides, `entered` and `left` where nothing is known."""

    filename: str
    name: SegmentFile | None
    verdict: Verdict
    reading: Reading | None = None
    entered: int | None = None
    left: int | None = None

    def as_json(self) -> dict[str, Any]:
        """Give the fields of `check --json`: those of `upload list --json` that a file can have, and the preview."""
        reading, code = self.reading, self.verdict.code
        return {
            "filename": self.filename,
            "segment": self.name.title if self.name else None,
            "stamp": self.name.stamp if self.name else None,
            "state": self.verdict.state.value,
            "code": code.value if code else None,
            "reason": self.verdict.reason or None,
            "setting": (PAGES[code].setting or None) if code else None,
            "rows": reading.rows if reading else None,
            "members": reading.members if reading else None,
            "duplicates": reading.duplicates if reading else None,
            "rejected": reading.rejected if reading else None,
            "warnings": [{"code": one.code.value, "text": one.text} for one in reading.notices] if reading else [],
            "rejected_rows": [
                {"line": row.line, "value": row.value, "reason": row.reason}
                for row in (reading.rejected_rows if reading else [])
            ],
            "sha256": reading.sha256 if reading else None,
            "entered": self.entered,
            "left": self.left,
        }


async def check(
    path: Path,
    *,
    client: str | None,
    config: ClientConfig,
    settings: IngestSettings,
    today: date,
    store: Store | None,
    go_on: Callable[[], bool] = lambda: True,
) -> Preview:
    """Read a file and judge it; against what a client's segments are now, where `client` and `store` are given."""
    name = read_name(path.name)
    if name is None:
        return Preview(
            path.name, None, Verdict(State.IGNORED, reason="It is no segment file: its name does not end in .csv.")
        )
    if isinstance(name, Fault):
        return Preview(path.name, None, Verdict(State.REJECTED, name.code, name.reason))
    max_rows = min(settings.max_rows, config.max_rows or settings.max_rows)
    reading = await asyncio.to_thread(read_file, path, id_titles=id_titles(config), max_rows=max_rows, go_on=go_on)
    if reading.fault:
        return Preview(path.name, name, Verdict(State.REJECTED, reading.fault.code, reading.fault.reason), reading)
    judge = judge_of(name, reading, guards=guards_for(name, config, settings.guards), today=today)
    if store is None or client is None:
        return Preview(path.name, name, judge(None, None), reading)
    facts = await store.segments.facts_for(client, name.key)
    twin = await store.ledger.twin(client, path.name, other_than="")
    entered, left = await _changes(store, client, name, reading.ids) if facts else (reading.members, 0)
    return Preview(path.name, name, judge(facts, twin), reading, entered, left)


async def _changes(store: Store, client: str, name: SegmentFile, ids: Ids) -> tuple[int, int]:
    segment = await store.segments.segment(client, name.key)
    entered = left = 0
    async for came, went in compare(store.snapshots.stream_members(segment.snapshot_id), _pages(ids)):
        entered += len(came)
        left += len(went)
    return entered, left


async def _pages(ids: Ids) -> AsyncIterator[Ids]:
    for start in range(0, len(ids), COMPARED_AT_ONCE):
        yield ids[start : start + COMPARED_AT_ONCE]
