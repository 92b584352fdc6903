"""What would become of a file, told without taking it: the same reading and the same judge as the loader's."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

from ctsftp.clients.config import ClientConfig
from ctsftp.contract.codes import PAGES, Fault, Notice
from ctsftp.contract.names import SegmentFile, read_name
from ctsftp.contract.states import State
from ctsftp.contract.verdict import Verdict, change_notice, judge_signs, title_notice
from ctsftp.ingest.naming import IGNORED
from ctsftp.ingest.reading import Reading, id_titles, read_in_thread
from ctsftp.ingest.settings import IngestSettings
from ctsftp.model.records import Findings, UploadOut, warnings_out
from ctsftp.model.twins import Twin, say_twin
from ctsftp.store.store import Store

# What a reading finds that is shown of an upload, in its order.
_FOUND = [name for name in UploadOut.__annotations__ if name in Findings.__annotations__]


@dataclass(frozen=True, slots=True)
class Preview:
    """The verdict on a file; `reading` is None where its name decides, `entered` and `left` where nothing is known.

    `notices` are the warnings of a file that would load, about what it does to its segment; `twin` is what a duplicate
    is the same as.
    """

    filename: str
    name: SegmentFile | None
    verdict: Verdict
    reading: Reading | None = None
    entered: int | None = None
    left: int | None = None
    notices: Sequence[Notice] = ()
    twin: Twin | None = None

    @property
    def setting(self) -> str:
        """The field of the form to change and its right value, "" where none is at fault."""
        if self.reading and self.reading.fault:
            return self.reading.fault.setting
        return PAGES[self.verdict.code].setting if self.verdict.code else ""

    def as_json(self) -> dict[str, Any]:
        """Give the fields of `check --json`: those of `upload list --json` that a file can have, and the preview."""
        reading, code = self.reading, self.verdict.code
        found: Mapping[str, Any] = reading.facts if reading else {}
        notices = [*(reading.notices if reading else []), *self.notices]
        return {
            # A name that is no UTF-8 has no JSON; in the ledger it looks like this, too.
            "filename": self.filename.encode(errors="replace").decode(),
            "segment": self.name.title if self.name else None,
            "stamp": self.name.stamp if self.name else None,
            "state": self.verdict.state.value,
            "code": code.value if code else None,
            "reason": say_twin(self.twin) if self.twin else self.verdict.reason or None,
            "setting": self.setting or None,
            **{name: found.get(name) for name in _FOUND},
            "warnings": warnings_out(notices),
            "rejected_rows": [asdict(row) for row in (reading.rejected_rows if reading else [])],
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
) -> Preview:
    """Read a file and judge it; against what a client's segments are now, where `client` and `store` are given."""
    name = read_name(path.name, temporary=config.temporary_names)
    if name is None:
        return Preview(path.name, None, IGNORED)
    if isinstance(name, Fault):
        return Preview(path.name, None, Verdict(State.REJECTED, name.code, name.reason))
    reading = await _read(path, config, settings)
    if reading.fault:
        return Preview(path.name, name, Verdict(State.REJECTED, reading.fault.code, reading.fault.reason), reading)
    case = reading.case(name, guards=config.guards_for(name.key, settings.guards), today=today)
    if store is None or client is None:
        return Preview(path.name, name, case.verdict(), reading)
    case = replace(case, ends_lines=await store.ledger.ends_lines(client))
    facts = await store.segments.facts_for(client, name.key)
    twin = await store.ledger.twin(client, path.name, other_than="")
    if facts is None:
        return Preview(path.name, name, case.verdict(None, twin), reading, entered=reading.members, left=0)
    segment = await store.segments.segment(client, name.key)
    entered, left = await store.segments.count_changes(client, name.key, reading.ids)
    verdict = case.verdict(facts, twin)
    told = [title_notice(segment.title, name.title), change_notice(segment.members, entered, left)]
    notices = [one for one in told if one] if verdict.state is State.LOADED else []
    is_same = verdict.state is State.DUPLICATE
    same = await store.ledger.same_file(client, path.name, reading.sha256) if is_same else None
    return Preview(path.name, name, verdict, reading, entered, left, notices, same)


async def check_content(path: Path, *, config: ClientConfig, settings: IngestSettings) -> Preview:
    """Read a file that has no name of its own, such as what comes through a pipe: only what it holds is judged."""
    reading = await _read(path, config, settings)
    if reading.fault:
        return Preview("-", None, Verdict(State.REJECTED, reading.fault.code, reading.fault.reason), reading)
    if held := judge_signs(reading.signs, None, ends_lines=False):
        return Preview("-", None, held, reading)
    reason = "What it holds is right; its name, and with it the segment and the stamp, was not given."
    return Preview("-", None, Verdict(State.LOADED, reason=reason), reading)


async def _read(path: Path, config: ClientConfig, settings: IngestSettings) -> Reading:
    max_rows = min(settings.max_rows, config.max_rows or settings.max_rows)
    return await read_in_thread(path, id_titles=id_titles(config), max_rows=max_rows)
