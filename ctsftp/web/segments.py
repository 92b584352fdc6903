"""The segments: what there is, their members and their history, and what an admin does to one."""

from fastapi import APIRouter, Request
from fastapi.responses import Response

from ctsftp.contract.names import segment_key
from ctsftp.contract.states import State
from ctsftp.model.commands import ApproveUpload, RestoreSegment, RetireSegment, RollBackSegment
from ctsftp.model.records import Segment, SegmentOut, UploadOut
from ctsftp.web.access import Access, Admin, Reader
from ctsftp.web.models import (
    BAD_BODY,
    PROBLEMS,
    REFUSED,
    ClientFilter,
    ClientPath,
    History,
    Rollback,
    SegmentList,
    SegmentPath,
)
from ctsftp.web.paging import Cursor, Limit, cut, page_size, read_place
from ctsftp.web.problems import Problem
from ctsftp.web.streams import STREAMED, FormatQuery, stream_members

router = APIRouter(prefix="/v1/segments", tags=["segments"], responses=PROBLEMS)


async def find(access: Access, client: str, name: str) -> Segment:
    """Find a segment by its title or underscore form, case-insensitive; 404 for what the token may not know of."""
    access.require(client)
    return await access.store.segments.segment(client, segment_key(name))


@router.get("")
async def list_segments(
    access: Reader, client: ClientFilter = None, cursor: Cursor = None, limit: Limit = None
) -> SegmentList:
    """List the segments, retired ones too, by client and title."""
    size = page_size(limit)
    found = await access.store.segments.segments(
        client=access.narrow(client), after=read_place(cursor, 2), limit=size + 1
    )
    shown, following = cut(found, size, lambda one: (one.client, one.title))
    return SegmentList(items=[segment.as_json() for segment in shown], next=following)


@router.get("/{client}/{segment}")
async def show_segment(access: Reader, client: ClientPath, segment: SegmentPath) -> SegmentOut:
    """Tell all about one segment."""
    return (await find(access, client, segment)).as_json()


@router.get("/{client}/{segment}/members", responses=STREAMED, response_class=Response)
async def list_members(
    request: Request, access: Reader, client: ClientPath, segment: SegmentPath, wanted: FormatQuery = None
) -> Response:
    """Stream all members, ascending; those of a retired segment are none.

    The list is of one moment, however long it takes. The header `Ctsftp-Cursor` is where `changes` goes on from it;
    `Ctsftp-Members` is how many there are. Chunks that break off mean that the list is not whole: ask again.
    """
    return stream_members(request, access, await find(access, client, segment), wanted)


@router.get("/{client}/{segment}/history")
async def show_history(access: Reader, client: ClientPath, segment: SegmentPath) -> History:
    """List the segment's snapshots that are kept, newest first."""
    found = await find(access, client, segment)
    history = await access.store.segments.history(client, found.key)
    return History(items=[one.as_json() for one in history])


@router.post("/{client}/{segment}/approve", responses=REFUSED)
async def approve_newest(access: Admin, client: ClientPath, segment: SegmentPath) -> UploadOut:
    """Apply the newest upload of the segment that is held; the answer comes when that is done."""
    found = await find(access, client, segment)
    held = await access.store.ledger.uploads(client=client, state=State.HELD, segment_key=found.key, limit=1)
    if not held:
        raise Problem(409, "refused", f'No upload of the segment "{found.title}" is held.')
    return await access.perform(ApproveUpload(held[0].id))


@router.post("/{client}/{segment}/rollback", responses=REFUSED | BAD_BODY)
async def roll_back(access: Admin, client: ClientPath, segment: SegmentPath, body: Rollback) -> SegmentOut:
    """Make another snapshot current, by its number, or what readers had before the current list came.

    The segment's uploads are then held until one is approved.
    """
    return await _change(access, RollBackSegment(segment, client, body.number))


@router.post("/{client}/{segment}/retire", responses=REFUSED)
async def retire(access: Admin, client: ClientPath, segment: SegmentPath) -> SegmentOut:
    """Take a segment out of use: it has no members for its readers, and takes no files."""
    return await _change(access, RetireSegment(segment, client))


@router.post("/{client}/{segment}/restore", responses=REFUSED)
async def restore(access: Admin, client: ClientPath, segment: SegmentPath) -> SegmentOut:
    """Put a retired segment back into use, as it was."""
    return await _change(access, RestoreSegment(segment, client))


async def _change(access: Access, command: RollBackSegment | RetireSegment | RestoreSegment) -> SegmentOut:
    access.require(command.client or "")
    return await access.perform(command)
