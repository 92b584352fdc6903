"""A segment's members as one long answer: CSV or NDJSON, gzip if that is understood, in constant memory.

The snapshot that is read never changes, and no transaction is held between two pages. If it is deleted meanwhile,
or the reader takes nothing for too long, the connection is broken off: half a list never looks like a whole one.
"""

import asyncio
import zlib
from collections.abc import AsyncIterator
from enum import StrEnum
from typing import Annotated

from fastapi import Query, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ctsftp.model.records import Segment
from ctsftp.store.export import NOTHING, PageForm
from ctsftp.store.store import Store
from ctsftp.web.access import Access
from ctsftp.web.models import Responses
from ctsftp.web.paging import write_cursor
from ctsftp.web.problems import Problem


class Format(StrEnum):
    """How members are written."""

    CSV = "csv"
    NDJSON = "ndjson"


FormatQuery = Annotated[Format | None, Query(alias="format", examples=["csv"], description="csv if it is left out")]
MEDIA_TYPES = {Format.CSV: "text/csv; charset=utf-8", Format.NDJSON: "application/x-ndjson"}
HEADS = {Format.CSV: b"CTUserID\n", Format.NDJSON: b""}
FORMS = {Format.CSV: PageForm(), Format.NDJSON: PageForm(before='{"ct_user_id":', after="}\n")}
STREAMED: Responses = {
    200: {
        "description": "the members",
        "content": {
            "text/csv": {"schema": {"type": "string"}, "example": "CTUserID\n1234567\n"},
            "application/x-ndjson": {"schema": {"type": "string"}, "example": '{"ct_user_id":1234567}\n'},
        },
    }
}
PIECE_BYTES = 64 * 1024  # that a reader has to take within its time
GZIP_LEVEL = 1
GZIP_WINDOW = 31  # zlib's word for a gzip header


def stream_members(request: Request, access: Access, segment: Segment, wanted: Format | None) -> Response:
    """Make the answer."""
    if request.scope["http_version"] == "1.0":
        # It knows no chunks: a list that breaks off would look like a whole one.
        raise Problem(505, "http-version", "Members are streamed in chunks: use HTTP/1.1.")
    form = wanted or Format.CSV
    snapshot_id = NOTHING if segment.retired_at else segment.snapshot_id
    return MemberStream(
        request,
        access,
        snapshot_id=snapshot_id,
        upload_id="" if segment.retired_at else segment.upload_id,
        members=0 if segment.retired_at else segment.members,
        form=form,
        gzip="gzip" in request.headers.get("accept-encoding", "").lower(),
    )


class MemberStream(Response):
    """The answer; it takes one of the places for streams while it runs."""

    def __init__(
        self,
        request: Request,
        access: Access,
        *,
        snapshot_id: int,
        upload_id: str,
        members: int,
        form: Format,
        gzip: bool,
    ) -> None:
        super().__init__(media_type=MEDIA_TYPES[form])
        del self.headers["content-length"]
        self.headers["ctsftp-cursor"] = write_cursor([upload_id, upload_id, 0, False])
        self.headers["ctsftp-members"] = str(members)
        self.headers["vary"] = "Accept-Encoding"
        if gzip:
            self.headers["content-encoding"] = "gzip"
        self._request = request
        self._access = access
        self._chunks = _gzipped if gzip else _plain
        self._text = _text(access.store, snapshot_id, form, members)

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        """Send it."""
        with self._access.place():
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            async for piece in _pieces(self._chunks(self._text)):
                if await self._request.is_disconnected():
                    return
                await self._send(send, piece)
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _send(self, send: Send, piece: bytes) -> None:
        stalled_s = self._access.settings.stalled_s
        try:
            async with asyncio.timeout(stalled_s):
                await send({"type": "http.response.body", "body": piece, "more_body": True})
        except TimeoutError:
            raise Problem(408, "stalled", f"Nothing of the list was taken for {stalled_s:g} s.") from None


async def _text(store: Store, snapshot_id: int, form: Format, members: int) -> AsyncIterator[bytes]:
    yield HEADS[form]
    if snapshot_id == NOTHING:
        return
    async for text, count in store.export.pages(snapshot_id, FORMS[form]):
        members -= count
        yield text
    assert members == 0, "a snapshot holds as many members as it says"


async def _plain(text: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    async for chunk in text:
        if chunk:
            yield chunk


async def _gzipped(text: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    packer = zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, GZIP_WINDOW)
    async for chunk in text:
        if packed := await asyncio.to_thread(packer.compress, chunk):
            yield packed
    yield packer.flush()


async def _pieces(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    async for chunk in chunks:
        for start in range(0, len(chunk), PIECE_BYTES):
            yield chunk[start : start + PIECE_BYTES]
