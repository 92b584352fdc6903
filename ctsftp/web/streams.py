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


FormatQuery = Annotated[
    Format | None, Query(alias="format", examples=["csv"], description="else the Accept header decides, else csv")
]
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
GZIP_LEVEL = 1
GZIP_WINDOW = 31  # zlib's word for a gzip header


def stream_members(request: Request, access: Access, segment: Segment, wanted: Format | None) -> Response:
    """Make the answer."""
    if request.scope["http_version"] == "1.0":
        # It knows no chunks: a list that breaks off would look like a whole one.
        raise Problem(505, "http-version", "Members are streamed in chunks: use HTTP/1.1.")
    form = wanted or _accepted(request.headers.get("accept", "*/*"))
    snapshot_id = NOTHING if segment.retired_at else segment.snapshot_id
    return MemberStream(
        request,
        access,
        snapshot_id=snapshot_id,
        upload_id="" if segment.retired_at else segment.upload_id,
        members=0 if segment.retired_at else segment.members,
        form=form,
        gzip=_takes_gzip(request.headers.get("accept-encoding", "")),
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
        self.headers["vary"] = "Accept, Accept-Encoding"
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
            async for chunk in self._chunks(self._text):
                if await self._request.is_disconnected():
                    return
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})


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


def _accepted(accept: str) -> Format:
    """Choose by an Accept header: the first that we have, CSV where anything will do."""
    for part in accept.lower().split(","):
        kind, *parameters = (word.strip() for word in part.split(";"))
        if "q=0" in parameters:
            continue
        if kind in {"text/csv", "text/*", "*/*"}:
            return Format.CSV
        if kind in {"application/x-ndjson", "application/ndjson"}:
            return Format.NDJSON
    raise Problem(406, "format", "Ask for text/csv or application/x-ndjson.")


def _takes_gzip(accept_encoding: str) -> bool:
    for part in accept_encoding.lower().split(","):
        coding, *parameters = (word.strip() for word in part.split(";"))
        if coding in {"gzip", "x-gzip"}:
            return not any(parameter in {"q=0", "q=0.0", "q=0.00", "q=0.000"} for parameter in parameters)
    return False
