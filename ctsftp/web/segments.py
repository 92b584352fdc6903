"""The segments: what there is, their history, and what an admin does to one."""

from fastapi import APIRouter

from ctsftp.contract.names import segment_key
from ctsftp.store.records import Segment
from ctsftp.web.access import Access, Admin, Reader
from ctsftp.web.models import PROBLEMS, ClientFilter, ClientPath, Rollback, SegmentList, SegmentOut, SegmentPath
from ctsftp.web.paging import Cursor, Limit, page

router = APIRouter(prefix="/v1/segments", tags=["segments"], responses=PROBLEMS)


async def find(access: Access, client: str, name: str) -> Segment:
    """Find a segment by its title or underscore form, in any case; 404 for what the token may not know of."""
    access.require(client)
    return await access.store.segments.segment(client, segment_key(name))


@router.get("")
async def list_segments(
    access: Reader, client: ClientFilter = None, cursor: Cursor = None, limit: Limit = None
) -> SegmentList:
    """List the segments, retired ones too, by client and title."""
    found = await access.store.segments.segments(client=access.narrow(client))
    rows = [SegmentOut(**segment.as_json()) for segment in found]
    items, following = page(rows, lambda row: [row.client, row.segment], cursor, limit, access.settings)
    return SegmentList(items=items, next=following)


@router.get("/{client}/{segment}")
async def show_segment(access: Reader, client: ClientPath, segment: SegmentPath) -> SegmentOut:
    """Tell all about one segment."""
    return SegmentOut(**(await find(access, client, segment)).as_json())


@router.post("/{client}/{segment}/retire")
async def retire_segment(access: Admin, client: ClientPath, segment: SegmentPath) -> SegmentOut:
    """Take a segment out of use: it has no members for its readers, and takes no files."""
    access.require(client)
    return SegmentOut(**await access.perform("segment.retire", name=segment, client=client))


@router.post("/{client}/{segment}/restore")
async def restore_segment(access: Admin, client: ClientPath, segment: SegmentPath) -> SegmentOut:
    """Put a retired segment back into use, as it was."""
    access.require(client)
    return SegmentOut(**await access.perform("segment.restore", name=segment, client=client))


@router.post("/{client}/{segment}/rollback")
async def roll_back_segment(access: Admin, client: ClientPath, segment: SegmentPath, body: Rollback) -> SegmentOut:
    """Make an earlier snapshot current again; the segment's uploads are then held until one is approved."""
    access.require(client)
    return SegmentOut(**await access.perform("segment.rollback", name=segment, client=client, number=body.number))
