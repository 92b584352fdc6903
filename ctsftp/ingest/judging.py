"""Puts before the pure judge what it needs: the guards that hold for a segment, and what was read."""

from datetime import date
from typing import Any

from ctsftp.clients.config import ClientConfig
from ctsftp.contract.names import SegmentFile, segment_key
from ctsftp.contract.states import State
from ctsftp.contract.verdict import Guards, SegmentFacts, Verdict, judge
from ctsftp.ingest.reading import Reading
from ctsftp.ingest.settings import GuardSettings
from ctsftp.store.publishing import Judge
from ctsftp.store.store import Store

IGNORED = Verdict(
    State.IGNORED,
    reason="It is no list: its name does not end in .csv, its name or its folder is a temporary one, or it is the"
    " companion of a list. It is judged when it is renamed to a list's name.",
)
TOUCHED = Verdict(State.IGNORED, reason="It is empty: the list is expected to come under its name (touch_first).")


def judge_of(
    name: SegmentFile,
    reading: Reading,
    *,
    guards: Guards,
    today: date,
    upload_id: str | None = None,
    ends_lines: bool = False,
) -> Judge:
    """Make the judge of one file: told of its segment, its twin's sha256 and an approval, it says the verdict."""

    def verdict(segment: SegmentFacts | None, twin: str | None, approved: bool) -> Verdict:  # noqa: FBT001
        return judge(
            name,
            upload_id=upload_id,
            members=reading.members,
            segment=segment,
            is_twin=twin == reading.sha256,
            approved=approved,
            today=today,
            guards=guards,
            signs=reading.signs,
            ends_lines=ends_lines,
        )

    return verdict


async def ends_lines(store: Store, client: str, reading: Reading) -> bool:
    """Tell whether the lists of a client that were applied all ended with a line break, where that matters."""
    return bool(reading.signs.last_row) and await store.ledger.ends_lines(client)


def guards_for(name: SegmentFile, config: ClientConfig, server: GuardSettings) -> Guards:
    """Gather the guards for one segment: its own, else its client's, else the server's."""
    own = next((guards for title, guards in config.segments.items() if segment_key(title) == name.key), None)
    found: dict[str, Any] = server.model_dump()
    for settings in (config.guards, own):
        if settings:
            found |= settings.model_dump(exclude_none=True)
    return Guards(**found)
