"""Judges the kept files by this version's rules: which would come out differently than they did.

The content alone is judged again, and what the client's earlier lists say of it (a last line end, the title of the
ids): guards on the size of a list depend on what the segment was then, and are not asked.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from ctsftp.clients.config import ClientConfig
from ctsftp.contract.codes import Code, Fault
from ctsftp.contract.names import SegmentFile
from ctsftp.contract.places import Elsewhere, is_known_folder
from ctsftp.contract.states import State
from ctsftp.contract.verdict import Verdict, judge_signs
from ctsftp.ingest.naming import IGNORED, name_upload
from ctsftp.ingest.reading import Reading, id_titles, read_in_thread
from ctsftp.ingest.settings import IngestSettings
from ctsftp.model.records import Upload
from ctsftp.model.writing import iso
from ctsftp.spool.spool import Spool
from ctsftp.store.store import Store

# What is still on its way has not come out yet.
_UNDECIDED = {State.RECEIVED, State.LOADING, State.FAILED}
_COUNTS = ("rows", "members", "duplicates", "rejected")


@dataclass(slots=True)
class Replayed:
    """How many kept files were judged again, and those that would come out differently, the oldest first."""

    judged: int = 0
    different: list[dict[str, Any]] = field(default_factory=list)


@dataclass(slots=True)
class _History:
    """What the applied lists of a client say, up to a moment: `titles` are those of the ids, by segment."""

    applied: bool = False
    cut: bool = False
    titles: dict[str | None, str | None] = field(default_factory=dict)
    folders: dict[str | None, set[str | None]] = field(default_factory=dict)

    def apply(self, upload: Upload, id_title: str | None) -> None:
        self.applied = True
        self.cut = self.cut or any(one["code"] == Code.NO_LAST_NEWLINE for one in upload.warnings)
        self.titles[upload.segment_key] = id_title
        self.folders.setdefault(upload.segment_key, set()).add(upload.directory)

    def takes(self, upload: Upload, name: Elsewhere) -> bool:
        known = self.folders.get(name.file.key, set())
        return upload.directory is None or (not name.named and is_known_folder(upload.directory, known))


async def replay(
    store: Store,
    spool: Spool,
    *,
    config_of: Callable[[str], ClientConfig],
    settings: IngestSettings,
    client: str | None = None,
    since: datetime | None = None,
) -> Replayed:
    """Judge again every upload whose file is kept: of one client or all, closed since a moment or whenever."""
    found = Replayed()
    histories: dict[str, _History] = {}
    begins = iso(since) if since else ""
    for upload in reversed(await store.ledger.uploads(client=client)):
        history = histories.setdefault(upload.client, _History())
        stored = await asyncio.to_thread(spool.upload, upload.client, upload.id)
        id_title = upload.id_title
        if stored and upload.state not in _UNDECIDED and upload.received_at >= begins:
            config = await asyncio.to_thread(config_of, upload.client)
            name = await asyncio.to_thread(name_upload, stored, config, spool)
            if isinstance(name, Elsewhere):
                name = name.file if upload.approved or history.takes(upload, name) else name.fault
            verdict, reading = await _judge(stored.path, name, config, settings, history)
            found.judged += 1
            id_title = reading.signs.id_title if reading else id_title
            if _differs(upload, verdict, reading):
                found.different.append(_as_json(upload, verdict, reading))
        if upload.state is State.LOADED:
            history.apply(upload, id_title)
    return found


async def _judge(
    path: Path, name: SegmentFile | Fault | None, config: ClientConfig, settings: IngestSettings, history: _History
) -> tuple[Verdict, Reading | None]:
    """Return what this version says of a file, and what it reads, None where the name decides."""
    if name is None:
        return IGNORED, None
    if isinstance(name, Fault):
        return Verdict(State.REJECTED, name.code, name.reason), None
    max_rows = min(settings.max_rows, config.max_rows or settings.max_rows)
    reading = await read_in_thread(path, id_titles=id_titles(config), max_rows=max_rows)
    if reading.fault:
        return Verdict(State.REJECTED, reading.fault.code, reading.fault.reason), reading
    ends_lines = history.applied and not history.cut
    verdict = judge_signs(reading.signs, history.titles.get(name.key), ends_lines=ends_lines)
    return verdict or Verdict(State.LOADED), reading


def _differs(upload: Upload, verdict: Verdict, reading: Reading | None) -> bool:
    if State.REJECTED in {upload.state, verdict.state} or State.IGNORED in {upload.state, verdict.state}:
        return (upload.state, upload.code) != (verdict.state, verdict.code)
    if verdict.state is State.HELD and upload.state is State.LOADED and not upload.approved:
        return True
    return reading is not None and any(getattr(upload, name) != getattr(reading, name) for name in _COUNTS)


def _as_json(upload: Upload, verdict: Verdict, reading: Reading | None) -> dict[str, Any]:
    was_read = reading is not None
    # A sound file goes where it went, unless its content was the reason.
    decided = verdict.state in {State.REJECTED, State.IGNORED, State.HELD}
    state = verdict.state if decided or upload.state in {State.REJECTED, State.IGNORED} else upload.state
    return {
        "id": upload.id,
        "client": upload.client,
        "filename": upload.filename,
        "segment": upload.segment_title,
        "received_at": upload.received_at,
        "before": {"state": upload.state.value, "code": upload.code, **{one: getattr(upload, one) for one in _COUNTS}},
        "now": {
            "state": state.value,
            "code": verdict.code.value if verdict.code else None,
            "reason": verdict.reason or None,
            **{one: getattr(reading, one) if was_read else None for one in _COUNTS},
        },
    }
