"""The members: who is in what, one at a time or by the thousand."""

from collections.abc import AsyncIterator, Sequence
from typing import Annotated

import orjson
from fastapi import APIRouter
from fastapi.responses import Response, StreamingResponse
from pydantic import FailFast, Field, StrictInt
from starlette.types import Receive, Scope, Send

from ctsftp.contract.names import segment_key
from ctsftp.contract.rows import MAX_ID
from ctsftp.contract.words import fold_kind
from ctsftp.model.records import Segment
from ctsftp.web.access import Access, Reader
from ctsftp.web.models import (
    BAD_BODY,
    PROBLEMS,
    BatchAnswer,
    ClientFilter,
    ClientPath,
    CtUserId,
    GateName,
    GateNames,
    Input,
    IsMember,
    KindFilter,
    Members,
    SegmentName,
    SegmentNames,
    SegmentPath,
    answers,
)
from ctsftp.web.problems import Problem
from ctsftp.web.segments import find

router = APIRouter(prefix="/v1", tags=["members"], responses=PROBLEMS)

MAX_BATCH_IDS = 10_000  # asked in one statement: 9 ms for one segment
SEGMENTS_AT_ONCE = 100  # of a batch that asks all


class Batch(Input):
    """The ids that are asked for, `MAX_BATCH_IDS` at most."""

    # The first wrong one is enough: an error for each of them would take seconds of everybody's time.
    ct_user_ids: Annotated[list[Annotated[StrictInt, Field(ge=1, le=MAX_ID)]], FailFast()] = Field(
        examples=[[1234567, 7654321]]
    )


# The hottest route: its answer is two words, and goes past FastAPI's check of answers.
@router.get("/segments/{client}/{segment}/members/{ct_user_id}", response_model=None, responses=answers(IsMember))
async def is_member(access: Reader, client: ClientPath, segment: SegmentPath, ct_user_id: CtUserId) -> Response:
    """Tell whether a member is in a segment; nobody is in a retired one."""
    access.require(client)
    member = await access.store.lookups.is_member(client, segment_key(segment), ct_user_id)
    return Response(orjson.dumps({"ct_user_id": ct_user_id, "member": member}), media_type="application/json")


@router.get("/members/{ct_user_id}/segments")
async def list_segments_of(access: Reader, ct_user_id: CtUserId, client: ClientFilter = None) -> SegmentNames:
    """List the segments in use that a member is in."""
    found = await access.store.lookups.segments_of(ct_user_id, client=access.narrow(client))
    return SegmentNames(items=[SegmentName(client=owner, segment=title) for owner, title in found])


@router.get("/members/{ct_user_id}/gates")
async def list_gates_open_to(
    access: Reader, ct_user_id: CtUserId, client: ClientFilter = None, kind: KindFilter = None
) -> GateNames:
    """List what a member may see: the items with a gate that is open to it."""
    narrowed = fold_kind(kind) if kind else None
    found = await access.store.gates.open_to(ct_user_id, client=access.narrow(client), kind=narrowed)
    return GateNames(items=[GateName(client=owner, kind=word, item=item) for owner, word, item in found])


@router.post(
    "/segments/{client}/{segment}/batch",
    response_model=None,
    responses=answers(Members) | BAD_BODY,
)
async def ask_one_segment(access: Reader, client: ClientPath, segment: SegmentPath, body: Batch) -> Response:
    """Tell which of these ids are in a segment."""
    _require_size(body)
    found = await find(access, client, segment)
    members = await access.store.lookups.members_among(client, found.key, body.ct_user_ids)
    return Response(f'{{"members":{members}}}', media_type="application/json")


@router.post("/batch", response_model=None, responses=answers(BatchAnswer) | BAD_BODY)
async def ask_all_segments(access: Reader, body: Batch, client: ClientFilter = None) -> Response:
    """Tell which of these ids are in which segment in use."""
    _require_size(body)
    return BatchStream(access, access.narrow(client), body.ct_user_ids)


class BatchStream(StreamingResponse):
    """The answer; it takes one of the places for streams while it runs, since it asks every segment."""

    def __init__(self, access: Access, client: str | None, ids: Sequence[int]) -> None:
        super().__init__(_all_answers(access, client, ids), media_type="application/json")
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        with self._access.place():
            await super().__call__(scope, receive, send)


async def _all_answers(access: Access, client: str | None, ids: Sequence[int]) -> AsyncIterator[bytes]:
    """Write the answer a segment at a time: all of them at once may be millions of ids."""
    before = b'{"items":['
    async for segment in _in_use(access, client):
        members = await access.store.lookups.members_among(segment.client, segment.key, ids)
        if members != "[]":
            name = orjson.dumps({"client": segment.client, "segment": segment.title})
            yield before + name[:-1] + b',"members":' + members.encode() + b"}"
            before = b","
    yield (b"" if before == b"," else before) + b"]}"


async def _in_use(access: Access, client: str | None) -> AsyncIterator[Segment]:
    """Go through the segments in use, a page at a time."""
    after: tuple[str, str] | None = None
    while page := await access.store.segments.segments(client=client, after=after, limit=SEGMENTS_AT_ONCE):
        for segment in page:
            if not segment.retired_at:
                yield segment
        after = page[-1].client, page[-1].title


def _require_size(body: Batch) -> None:
    if len(body.ct_user_ids) > MAX_BATCH_IDS:
        asked = len(body.ct_user_ids)
        raise Problem(
            413, "too-large", f"A batch holds at most {MAX_BATCH_IDS} ids, and this one {asked}: send several."
        )
