"""The pages of the segments, and what an admin does to one."""

from dataclasses import dataclass
from urllib.parse import urlencode

from starlette.responses import Response

from ctsftp.contract.codes import harmless
from ctsftp.contract.names import segment_key
from ctsftp.contract.rows import MAX_ID
from ctsftp.contract.states import State
from ctsftp.errors import NotFoundError
from ctsftp.model.commands import RestoreSegment, RetireSegment, RollBackSegment
from ctsftp.model.records import Segment, Snapshot
from ctsftp.store.overview import Waiting
from ctsftp.web.console.charts import size_over_time
from ctsftp.web.console.views import SegmentRow, decisions, segment_href, segment_rows, upload_row
from ctsftp.web.console.visitor import Form, Visitor
from ctsftp.web.settings import host_name

PAGE_SIZE = 100
SHOWN_UPLOADS = 10
SHOWN_CHANGES = 500
MAX_ID_DIGITS = 19


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The line that answers a look-up; its `tone` is the line's style."""

    tone: str
    text: str


async def all_of_them(visitor: Visitor) -> Response:
    """Show the segments, a page at a time; where there are none yet, how to send the first file."""
    client, search = visitor.token.client, visitor.asked("q").strip()
    after = (visitor.asked("client"), visitor.asked("title")) if visitor.asked("client") else None
    retired = bool(visitor.asked("retired"))
    totals = await visitor.store.overview.totals(client)
    if not totals.in_use + totals.retired:
        return await _first(visitor)
    segments = visitor.store.segments
    # A search finds retired ones too.
    only = None if search else retired
    found = await segments.segments(limit=PAGE_SIZE + 1, client=client, after=after, search=search, retired=only)
    shown = found[:PAGE_SIZE]
    needing = [] if after or retired else await segments.in_need(limit=PAGE_SIZE, client=client, search=search)
    waiting = await visitor.waiting()
    return await visitor.page(
        "segments.html",
        here="/",
        rows=await _rows(visitor, needing, waiting) + await _rows(visitor, _without(shown, needing), waiting),
        next=_after(shown[-1], q=search, retired="1" if retired else "") if len(found) > PAGE_SIZE else "",
        search=search,
        totals=totals,
        retired=retired,
        held=sum(one.count for one in waiting if one.state is State.HELD),
        failed=sum(one.count for one in waiting if one.state is State.FAILED),
    )


async def _rows(visitor: Visitor, segments: list[Segment], waiting: list[Waiting]) -> list[SegmentRow]:
    held = {(one.client, one.key or ""): one.count for one in waiting if one.state is State.HELD}
    trends = await visitor.store.timeline.trends([one.snapshot_id for one in segments])
    return segment_rows(segments, trends=trends, held=held, now=visitor.now)


def _without(segments: list[Segment], others: list[Segment]) -> list[Segment]:
    there = {one.snapshot_id for one in others}
    return [one for one in segments if one.snapshot_id not in there]


def _after(last: Segment, **kept: str) -> str:
    """Write the address of the page after this segment."""
    query = {name: value for name, value in kept.items() if value} | {"client": last.client, "title": last.title}
    return f"/?{urlencode(query)}"


async def _first(visitor: Visitor) -> Response:
    names = await visitor.clients_seen()
    sheet = await visitor.console.sheet(names[0] if names else "acme")
    return await visitor.page(
        "first.html",
        here="/",
        today=f"{visitor.now:%Y%m%d}",
        sheet=sheet,
        # Where no name was set, the one that leads to the console is known to lead here.
        host=host_name(visitor.request.headers["host"]) if sheet["host_is_guessed"] else sheet["host"],
        is_client=bool(names),
        uploads=[upload_row(one) for one in await visitor.store.ledger.uploads(client=visitor.token.client, limit=10)],
    )


async def one_of_them(visitor: Visitor) -> Response:
    segment = await _asked_for(visitor)
    client, key = segment.client, segment.key
    ledger = visitor.store.ledger
    held = await ledger.uploads(client=client, segment_key=key, state=State.HELD, limit=SHOWN_UPLOADS)
    uploads = await ledger.uploads(client=client, segment_key=key, limit=SHOWN_UPLOADS + 1)
    steps = await visitor.store.timeline.steps(client, key)
    gates = [gate for gate in await visitor.store.gates.gates(client=client) if segment.title in gate.segments]
    [row] = segment_rows(
        [segment], trends={segment.snapshot_id: steps}, held={(client, key): len(held)}, now=visitor.now
    )
    member = visitor.asked("member").strip()
    return await visitor.page(
        "segment.html",
        here="/",
        row=row,
        decisions=decisions(held, await visitor.if_approved(held)),
        current_since=steps[-1].at if steps else None,
        chart=size_over_time(steps, visitor.now),
        member=member,
        found=await _look_up(visitor, segment, member) if member else None,
        gates=gates,
        history=await visitor.store.segments.history(client, key),
        changes_href=lambda old, new: segment_href(client, key, "/segment/changes", old=old, new=new),
        uploads=[upload_row(one) for one in uploads[:SHOWN_UPLOADS]],
        more_uploads=f"/uploads?{urlencode({'client': client, 'name': key})}" if len(uploads) > SHOWN_UPLOADS else "",
    )


async def changes(visitor: Visitor) -> Response:
    """Show who entered and who left between two snapshots, a page at a time."""
    segment = await _asked_for(visitor)
    history = await visitor.store.segments.history(segment.client, segment.key)
    old, new = (_numbered(history, visitor.asked(name)) for name in ("old", "new"))
    above = int(visitor.asked("above")) if _is_id(visitor.asked("above")) else 0
    found = await visitor.store.export.changes(old.id, new.id, above=above, limit=SHOWN_CHANGES)
    more = segment_href(
        segment.client, segment.key, "/segment/changes", old=old.number, new=new.number, above=found.until
    )
    return await visitor.page(
        "changes.html",
        here="/",
        segment=segment,
        href=segment_href(segment.client, segment.key),
        old=old,
        new=new,
        above=above,
        sides=[("Entered", found.entered.tolist()), ("Left", found.exited.tolist())],
        more=more if found.until < MAX_ID else "",
    )


async def roll_back(visitor: Visitor, form: Form) -> str:
    """Make another snapshot current."""
    segment = await _named(visitor, form)
    number = form["number"]
    if not _is_id(number):
        raise NotFoundError(f"There is no snapshot number {harmless(number)}.")
    row = await visitor.perform(RollBackSegment(segment.title, segment.client, int(number)))
    return await _said(visitor, segment, f"is at snapshot {row['number']} again, with {row['members']:,} members.")


async def retire(visitor: Visitor, form: Form) -> str:
    """Take a segment out of use."""
    segment = await _named(visitor, form)
    await visitor.perform(RetireSegment(segment.title, segment.client))
    return await _said(visitor, segment, "is retired.")


async def restore(visitor: Visitor, form: Form) -> str:
    """Put a retired segment back into use."""
    segment = await _named(visitor, form)
    await visitor.perform(RestoreSegment(segment.title, segment.client))
    return await _said(visitor, segment, "is in use again.")


async def _asked_for(visitor: Visitor) -> Segment:
    visitor.require(visitor.asked("client"))
    return await visitor.store.segments.segment(visitor.asked("client"), segment_key(visitor.asked("name")))


async def _named(visitor: Visitor, form: Form) -> Segment:
    visitor.require(form["client"])
    return await visitor.store.segments.segment(form["client"], form["name"])


async def _said(visitor: Visitor, segment: Segment, what: str) -> str:
    await visitor.say("good", f'The segment "{segment.title}" {what}')
    return segment_href(segment.client, segment.key)


async def _look_up(visitor: Visitor, segment: Segment, member: str) -> Found:
    if not _is_id(member) or not 0 < int(member) <= MAX_ID:
        return Found(tone="warn", text="That is not a CTUserID: enter a whole number of at most 19 digits.")
    if segment.retired_at:
        return Found(tone="warn", text="The segment is retired: it has no members.")
    is_member = await visitor.store.lookups.is_member(segment.client, segment.key, int(member))
    answer = "is a member." if is_member else "is not a member."
    return Found(tone="good" if is_member else "", text=f"{int(member)} {answer}")


def _is_id(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= MAX_ID_DIGITS


def _numbered(history: list[Snapshot], number: str) -> Snapshot:
    found = next((one for one in history if str(one.number) == number), None)
    if found is None:
        raise NotFoundError("This snapshot is no longer kept.")
    return found
