"""What answers a command that reads: the same for a running `serve`, which is asked, and a command that reads itself.

Long lists are read a page at a time, so that an answer takes no more memory than a page however long it is, and no
transaction waits for whoever reads it.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from ctsftp.admin.names import resolve_segment, resolve_upload, resolve_upload_of
from ctsftp.contract.events import DeliveryState
from ctsftp.contract.states import State
from ctsftp.model import reads
from ctsftp.model.reads import Read
from ctsftp.model.records import (
    DeliveryOut,
    GateOut,
    HookBacklog,
    IfApproved,
    RejectedOut,
    SegmentOut,
    SnapshotOut,
    TokenOut,
    Upload,
    UploadOut,
    UploadStory,
    detail,
)
from ctsftp.model.timeline import Period, say_when_current
from ctsftp.model.twins import Twin, say_twin
from ctsftp.store.store import Store

PAGE_ROWS = 1_000
# After so long an answer that is not ready says that it takes longer.
SIGN_OF_LIFE_S = 1.0

Row = TypeVar("Row")
Record = TypeVar("Record")
Pages = AsyncIterator[list[Row]]


@dataclass(frozen=True)
class Shelf:
    """Where answers are found: a store, and what tells for a while what held uploads would change."""

    store: Store
    if_approved: Callable[[Sequence[Upload], float], Awaitable[dict[str, IfApproved]]]


async def list_segments(shelf: Shelf, asked: reads.ListSegments) -> Pages[SegmentOut]:
    """List the segments."""
    after = None
    while True:
        found = await shelf.store.segments.segments(client=asked.client, after=after, limit=PAGE_ROWS)
        yield [segment.as_json() for segment in found]
        if len(found) < PAGE_ROWS:
            return
        after = found[-1].client, found[-1].title


async def show_segment(shelf: Shelf, asked: reads.ShowSegment) -> Pages[SegmentOut]:
    """Show the segment of that name."""
    yield [(await resolve_segment(shelf.store, asked.name, asked.client)).as_json()]


async def list_snapshots(shelf: Shelf, asked: reads.ListSnapshots) -> Pages[SnapshotOut]:
    """List a segment's snapshots."""
    segment = await resolve_segment(shelf.store, asked.name, asked.client)
    yield [one.as_json() for one in await shelf.store.segments.history(segment.client, segment.key)]


async def list_member_segments(shelf: Shelf, asked: reads.ListMemberSegments) -> Pages[SegmentOut]:
    """List the segments that a member is in."""
    yield [segment.as_json() for segment in await shelf.store.segments.member_segments(asked.ct_user_id)]


async def list_uploads(shelf: Shelf, asked: reads.ListUploads) -> Pages[UploadOut]:
    """List the uploads."""
    state, left, before = State(asked.state) if asked.state else None, asked.limit, None
    while True:
        size = PAGE_ROWS if left is None else min(left, PAGE_ROWS)
        found = await shelf.store.ledger.uploads(
            client=asked.client, state=state, segment_key=asked.segment_key, before=before, limit=size
        )
        yield [upload.as_json() for upload in found]
        left = None if left is None else left - len(found)
        if len(found) < size or left == 0:
            return
        before = found[-1].id


async def find_upload(shelf: Shelf, asked: reads.FindUpload) -> Pages[UploadOut]:
    """Find the upload that is meant."""
    states = [State(state) for state in asked.states]
    if asked.given is not None:
        found = await resolve_upload(shelf.store, asked.given, client=asked.client, states=states)
    else:
        found = await resolve_upload_of(shelf.store, asked.segment or "", client=asked.client, states=states)
    yield [found.as_json()]


async def show_upload(shelf: Shelf, asked: reads.ShowUpload) -> Pages[UploadStory]:
    """Show an upload; what it would change if it were approved is waited for."""
    upload = await shelf.store.ledger.upload(asked.upload_id)
    periods, twin = await shelf.store.timeline.periods_of(upload.id), await shelf.store.ledger.twin_of(upload)
    approved = None
    while upload.state is State.HELD:
        approved = (await shelf.if_approved([upload], SIGN_OF_LIFE_S))[upload.id]
        if not approved.is_counting:
            break
        yield []
    shown = detail(upload, periods, approved, twin)
    yield [{"upload": shown, "list": _say_list(upload, periods, twin)}]


def _say_list(upload: Upload, periods: Sequence[Period], twin: Twin | None) -> str | None:
    match upload.state:
        case State.LOADED:
            return say_when_current(periods)
        case State.DUPLICATE:
            return say_twin(twin)
    return None


async def list_rejected(shelf: Shelf, asked: reads.ListRejected) -> Pages[RejectedOut]:
    """List the rejected rows of an upload."""
    rows = await shelf.store.ledger.rejects(asked.upload_id)
    yield [{"line": row.line, "value": row.value, "reason": row.reason} for row in rows]


async def list_gates(shelf: Shelf, asked: reads.ListGates) -> Pages[GateOut]:
    """List the gates."""
    after = None
    while True:
        found = await shelf.store.gates.gates(client=asked.client, after=after, limit=PAGE_ROWS)
        yield [gate.as_json() for gate in found]
        if len(found) < PAGE_ROWS:
            return
        after = found[-1].client, found[-1].kind, found[-1].item


async def list_hooks(shelf: Shelf, _asked: reads.ListHooks) -> Pages[HookBacklog]:
    """List the hooks with what waits for them, and with what was given up."""
    backlog = await shelf.store.outbox.backlog()
    yield [
        {
            **hook.as_json(),
            "pending": backlog.get((hook.id, DeliveryState.PENDING), 0),
            "dead": backlog.get((hook.id, DeliveryState.DEAD), 0),
        }
        for hook in await shelf.store.outbox.hooks()
    ]


async def list_deliveries(shelf: Shelf, asked: reads.ListDeliveries) -> Pages[DeliveryOut]:
    """List the deliveries; of a hook that is not there, say so."""
    if asked.hook_id is not None:
        await shelf.store.outbox.hook(asked.hook_id)
    state = DeliveryState(asked.state) if asked.state else None
    found = await shelf.store.outbox.deliveries(hook_id=asked.hook_id, state=state, limit=asked.limit)
    yield cast("list[DeliveryOut]", found)


async def list_tokens(shelf: Shelf, _asked: reads.ListTokens) -> Pages[TokenOut]:
    """List the tokens."""
    yield [token.as_json() for token in await shelf.store.tokens.tokens()]


HANDLERS: dict[type[Read[Any]], Callable[[Shelf, Any], Pages[Any]]] = {
    reads.ListSegments: list_segments,
    reads.ShowSegment: show_segment,
    reads.ListSnapshots: list_snapshots,
    reads.ListMemberSegments: list_member_segments,
    reads.ListUploads: list_uploads,
    reads.FindUpload: find_upload,
    reads.ShowUpload: show_upload,
    reads.ListRejected: list_rejected,
    reads.ListGates: list_gates,
    reads.ListHooks: list_hooks,
    reads.ListDeliveries: list_deliveries,
    reads.ListTokens: list_tokens,
}


def pages_of(shelf: Shelf, asked: Read[Row]) -> Pages[Row]:
    """Answer a question, a page of rows after the other."""
    return HANDLERS[type(asked)](shelf, asked)
