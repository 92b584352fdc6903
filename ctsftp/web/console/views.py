"""What each page shows, from the store's records: pure functions, so that a template only writes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlencode

from markupsafe import Markup

from ctsftp.contract.codes import PAGES, Code, Page
from ctsftp.contract.states import State
from ctsftp.model.records import IfApproved, Segment, Upload
from ctsftp.model.timeline import Period, Step, StepKind, say_when_current
from ctsftp.model.twins import Twin, say_twin
from ctsftp.web.console.charts import spark

Key = tuple[str, str]  # a segment: its client and its key

# How a state looks: what is well, what waits for somebody, what went wrong; all else is calm.
_TONES = {State.LOADED: "good", State.HELD: "warn", State.REJECTED: "bad", State.FAILED: "bad"}

_MEANINGS = {
    State.RECEIVED: "It arrived completely, and waits to be loaded.",
    State.LOADING: "It is being read.",
    State.SUPERSEDED: "A newer list was applied instead.",
    State.HELD: "It waits for your decision.",
    State.REJECTED: "The file breaks the contract, so it was not applied.",
    State.FAILED: "The fault is the server's. The file is safe, and loading it is retried automatically.",
    State.RETIRED: "It was not applied: the segment was retired when it came.",
    State.DISCARDED: "An admin discarded it.",
    State.IGNORED: "The name does not look like a segment file.",
}
_WAITS_FOR_RETRY = "The fault is the server's. The file is safe, and waits for you."
_ACTIONS = {
    State.HELD: ("approve", "discard"),
    State.SUPERSEDED: ("approve",),
    State.REJECTED: ("retry",),
    State.FAILED: ("retry",),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentRow:
    """A segment among the others."""

    segment: Segment
    href: str
    trend: Markup
    is_overdue: bool
    held: int
    # By how many members a rollback changed it; None where the last change was none.
    rolled_back_by: int | None

    @property
    def rank(self) -> tuple[bool, bool, bool, str, str]:
        """Sort what is overdue first, then what waits for a decision; what is retired comes last."""
        one = self.segment
        return (one.retired_at is not None, not self.is_overdue, not self.held, one.title.casefold(), one.client)


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadRow:
    """An upload, how its state looks and reads, and what may be done about it."""

    upload: Upload
    href: str
    tone: str
    meaning: str
    actions: tuple[str, ...]
    code: Page | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """A held upload, and what it would change if it were approved now."""

    row: UploadRow
    approved: IfApproved

    @property
    def now(self) -> int | None:
        """How many members the segment has; None if there is none yet."""
        return self.approved.now

    @property
    def difference(self) -> int:
        """How many members more, or fewer, there would be."""
        return (self.row.upload.members or 0) - (self.now or 0)

    @property
    def percent(self) -> str:
        """The same as a share of what there is; "" where that would say nothing."""
        if not self.now or not self.difference:
            return ""
        share = 100 * self.difference / self.now
        return f"{share:+.0f} %".replace("-", "−") if abs(share) >= 1 else "under 1 %"


def segment_rows(
    segments: Sequence[Segment],
    *,
    trends: Mapping[int, Sequence[Step]],
    held: Mapping[Key, int],
    now: datetime,
) -> list[SegmentRow]:
    """List the segments in the order of their need; `trends` is keyed by the current snapshot's id."""
    rows = [
        SegmentRow(
            segment=segment,
            href=segment_href(segment.client, segment.key),
            trend=spark([step.members for step in trends.get(segment.snapshot_id, ())]),
            is_overdue=segment.overdue_at is not None and segment.overdue_at <= now,
            held=held.get((segment.client, segment.key), 0),
            rolled_back_by=_rolled_back_by(trends.get(segment.snapshot_id, ())),
        )
        for segment in segments
    ]
    return sorted(rows, key=lambda row: row.rank)


def _rolled_back_by(steps: Sequence[Step]) -> int | None:
    lists = [step for step in steps if step.kind in {StepKind.LOADED, StepKind.ROLLED_BACK}]
    if len(lists) < 2 or lists[-1].kind is not StepKind.ROLLED_BACK:  # noqa: PLR2004
        return None
    return lists[-1].members - lists[-2].members


def upload_row(upload: Upload, periods: Sequence[Period] = (), twin: Twin | None = None) -> UploadRow:
    """Show one upload; `periods` are when readers had its list, and `twin` is what a duplicate is the same as."""
    if upload.state is State.FAILED and not upload.retry_at:
        meaning = _WAITS_FOR_RETRY
    elif upload.state is State.DUPLICATE:
        meaning = say_twin(twin)
    else:
        meaning = _MEANINGS.get(upload.state) or say_when_current(periods)
    return UploadRow(
        upload=upload,
        href=f"/uploads/{upload.id}",
        tone=_TONES.get(upload.state, ""),
        meaning=meaning,
        actions=_ACTIONS.get(upload.state, ()),
        code=PAGES[Code(upload.code)] if upload.code in set(Code) else None,
    )


def decisions(held: Sequence[Upload], approved: Mapping[str, IfApproved]) -> list[Decision]:
    """Show the held uploads, the one that waits longest first, each with what it would change."""
    return [
        Decision(row=upload_row(upload), approved=approved[upload.id])
        for upload in sorted(held, key=lambda upload: upload.id)
    ]


def segment_href(client: str, key: str, page: str = "/segment", **more: object) -> str:
    """Write the address of a segment's page; a title may hold anything, so it stands in the query."""
    return f"{page}?{urlencode({'client': client, 'name': key, **more})}"
