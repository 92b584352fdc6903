"""Judge a file that was read without a fault: what becomes of it, and why.

A `Case` is given all that it needs to know; it looks nothing up. The rules are asked in this order:

1. duplicate: the same name and bytes were applied, or are held, already. Nothing can be lost by doing
   nothing, and a job that sends a file twice must not trouble anybody, whatever the segment's state.
2. retired: the segment takes no files at all; no other rule could change that.
3. superseded: an older list must never replace a newer one. It is asked before the guards, since an
   admin need not decide about a file that is out of date anyway. An equal stamp is a corrected export,
   if it was closed later than what was applied; a file that was tried again after its correction is older.
4. held, by the guards: `rolled_back` first, since an admin's own decision about the segment stands
   above what a file looks like; then `future`, which the name alone shows; then `empty` and `shrunk`; then the
   signs that only history makes clear: `unfinished`, `footer` and `id_title`. The first that holds is the code,
   but the reason names all: who approves, approves them all.

An approved upload was judged before and a person has said "apply this one". It skips every rule but
`retired` (which `segment restore` ends): the stamp, the guards, and also `duplicate`, since the same bytes
may by now be held a second time, and neither of the two could ever be applied. If its load is delayed, and
the segment gets a newer list or is rolled back meanwhile, the store forgets the approval: it was about another
segment than this is now.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

from pydantic import BaseModel, ConfigDict, Field

from ctsftp.contract.codes import Code, Notice, harmless, notice
from ctsftp.contract.counting import some
from ctsftp.contract.names import SegmentFile
from ctsftp.contract.states import State
from ctsftp.contract.titles import CONTRACT_TITLE, fold


class Guards(BaseModel):
    """When a sound file is held; None leaves it to the next wider setting: segment, client, server."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    shrunk_from: int | None = Field(
        None, ge=0, description="a segment of so many members or more is guarded against shrinking"
    )
    shrunk_ratio: float | None = Field(
        None,
        ge=0,
        le=1,
        allow_inf_nan=False,
        description="a file with fewer members than this share of them is held",
    )
    future_days: int | None = Field(None, ge=0, description="a file that is dated more days ahead is held")

    def overlay(self, narrower: "Guards | None") -> "Guards":
        """Give these guards with those of a narrower setting in their place."""
        return self.model_copy(update=narrower.model_dump(exclude_none=True)) if narrower else self


# What holds where nothing is set.
DEFAULT_GUARDS = Guards(shrunk_from=100, shrunk_ratio=0.5, future_days=2)


@dataclass(frozen=True, slots=True)
class Signs:
    """What a readable file shows that only somebody who knows the segment can judge.

    `id_title` is the title of its id column; `last_row` is the last row where the file does not end with a line
    break, "" where it does; `footer` tells of a last row that may be a footer, "" where it is none.
    """

    id_title: str = CONTRACT_TITLE
    last_row: str = ""
    footer: str = ""


NO_SIGNS = Signs()


@dataclass(frozen=True, slots=True)
class SegmentFacts:
    """What is known of a segment.

    `newest_stamp` is the newest ever published, `newest_upload` the id of the last upload that brought it,
    `members` the current count, `id_title` the title of the column that its list was read from, None if unknown.
    """

    retired: bool
    rolled_back: bool
    newest_stamp: str | None
    members: int
    newest_upload: str | None = None
    id_title: str | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """The state that an upload goes to (`loaded`: apply it), the code of a held one, and the reason in words."""

    state: State
    code: Code | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A readable file that is to be judged: all that stays the same, whatever becomes of its segment meanwhile.

    `upload_id` is None for a file that would be closed now; `today` is the date in UTC; `ends_lines` says that lists
    of this client were applied, and that each of them ended with a line break.
    """

    file: SegmentFile
    members: int
    sha256: str
    today: date
    guards: Guards = DEFAULT_GUARDS
    signs: Signs = NO_SIGNS
    upload_id: str | None = None
    ends_lines: bool = False

    def verdict(
        self,
        segment: SegmentFacts | None = None,
        twin: str | None = None,
        approved: bool = False,  # noqa: FBT001, FBT002  the store asks by position
    ) -> Verdict:
        """Return what becomes of the file.

        `segment` is None for a new one; `twin` is the digest of the newest of the *other* uploads of the same name
        that was applied or is held.
        """
        if twin == self.sha256 and not approved:
            return Verdict(State.DUPLICATE, reason="The same file came before, and was applied or held.")
        if segment and segment.retired:
            return Verdict(
                State.RETIRED,
                reason="The segment was retired when the file was judged: it takes no files until it is restored.",
            )
        if approved:
            return Verdict(State.LOADED)
        if reason := _why_superseded(self.file, self.upload_id, segment):
            return Verdict(State.SUPERSEDED, reason=reason)
        known_title = segment.id_title if segment else None
        held = [*_ask_guards(self, segment), *_ask_signs(self.signs, known_title, ends_lines=self.ends_lines)]
        if held:
            reasons = [*(reason for _, reason in held), "It waits for the server's admin to approve or discard it."]
            return Verdict(State.HELD, held[0][0], " ".join(reasons))
        return Verdict(State.LOADED)


def change_notice(previous_members: int, entered: int, left: int) -> Notice | None:
    """Return a warning if more than half of the previous members left, or of the present ones entered.

    A segment that had no members before cannot have changed: then there is none.
    """
    present_members = previous_members + entered - left
    if previous_members == 0 or (left * 2 <= previous_members and entered * 2 <= present_members):
        return None
    found = f"{left:,} of {some(previous_members, 'member')} left, and {entered:,} of {present_members:,} entered."
    return notice(Code.MOSTLY_CHANGED, found)


def title_notice(known_title: str, title: str) -> Notice | None:
    """Return a warning if a file spells its segment's title otherwise than its first file did."""
    if title == known_title:
        return None
    found = f'The segment is called "{harmless(known_title)}"; this file spells it "{harmless(title)}".'
    return notice(Code.TITLE_SPELLING, found)


def _why_superseded(file: SegmentFile, upload_id: str | None, segment: SegmentFacts | None) -> str:
    """Return why a file is older than what the segment published already, or "".

    Of files with one stamp, the later is the correction; ids are in the order of CLOSE, so that an
    upload that is taken up again does not undo a correction that was applied meanwhile.
    """
    if segment is None or segment.newest_stamp is None:
        return ""
    if file.stamp < segment.newest_stamp:
        return f"The stamp {file.stamp} is older than {segment.newest_stamp}, which was applied already."
    newest = segment.newest_upload
    if file.stamp == segment.newest_stamp and upload_id and newest and upload_id < newest:
        return f"A file that came later, with the same stamp {file.stamp}, was applied."
    return ""


def _ask_guards(case: Case, segment: SegmentFacts | None) -> Iterator[tuple[Code, str]]:
    """Yield the code and the reason of every guard that holds the file, in their order."""
    file, members, guards = case.file, case.members, case.guards
    if segment and segment.rolled_back:
        yield Code.ROLLED_BACK, "The segment was rolled back: new uploads are held until one is approved."
    days_ahead = (file.day - case.today).days
    if guards.future_days is not None and days_ahead > guards.future_days:
        found = f"The stamp {file.stamp} is {some(days_ahead, 'day')} after {case.today}, when the file was judged"
        yield Code.FUTURE, f"{found}: if it is approved, every file with an earlier stamp counts as older."
    if segment is None or segment.members == 0:
        return
    if members == 0:
        yield Code.EMPTY, f"The file has no members, and the segment had {segment.members:,}."
    elif _has_shrunk(members, segment.members, guards):
        yield Code.SHRUNK, f"The file has {some(members, 'member')}, and the segment had {segment.members:,}."


def _has_shrunk(members: int, before: int, guards: Guards) -> bool:
    if guards.shrunk_from is None or guards.shrunk_ratio is None:
        return False
    return before >= guards.shrunk_from and members < before * guards.shrunk_ratio


def judge_signs(signs: Signs, known_title: str | None, *, ends_lines: bool) -> Verdict | None:
    """Return the verdict on a file that its signs alone hold, None if they do not.

    `known_title` is the title under which the segment's list came, None if unknown.
    """
    held = list(_ask_signs(signs, known_title, ends_lines=ends_lines))
    return Verdict(State.HELD, held[0][0], " ".join(reason for _, reason in held)) if held else None


def _ask_signs(signs: Signs, known: str | None, *, ends_lines: bool) -> Iterator[tuple[Code, str]]:
    """Yield the code and the reason of every sign that holds the file, in their order."""
    if signs.last_row and ends_lines:
        last = f'the last row may be cut off: "{signs.last_row}"'
        yield Code.UNFINISHED, f"The file does not end with a line break, as all lists before it did: {last}."
    if signs.footer:
        yield Code.FOOTER, f"{signs.footer} If it is approved, that id is a member."
    if known and fold(known) == fold(CONTRACT_TITLE) and fold(signs.id_title) != fold(CONTRACT_TITLE):
        yield Code.ID_TITLE, f"The segment's list came with a column {known}; this file has only {signs.id_title}."
