"""The uploads: every file, what became of it, and what an admin decides about one that waits."""

from fastapi import APIRouter

from ctsftp.contract.states import State
from ctsftp.errors import NotFoundError
from ctsftp.model.commands import ApproveUpload, DiscardUpload, RetryUpload
from ctsftp.model.records import Upload, UploadDetail, UploadOut, detail
from ctsftp.web.access import Access, Admin, Reader
from ctsftp.web.models import (
    PROBLEMS,
    REFUSED,
    ClientFilter,
    RejectedRows,
    StateFilter,
    UploadList,
    UploadPath,
)
from ctsftp.web.paging import Cursor, Limit, page_size, read_cursor, unknown_cursor, write_cursor
from ctsftp.web.problems import Problem

COUNTED_WITHIN_S = 5.0  # else an answer says that it is not counted yet

router = APIRouter(prefix="/v1/uploads", tags=["uploads"], responses=PROBLEMS)


async def find(access: Access, upload_id: str) -> Upload:
    """Find an upload; another client's is as little there as one that never was."""
    try:
        upload = await access.store.ledger.upload(upload_id)
    except NotFoundError:
        upload = None
    if upload is None or not access.may_see(upload.client):
        raise Problem(404, "not-found", f"There is no upload {upload_id}.")
    return upload


@router.get("")
async def list_uploads(
    access: Reader, client: ClientFilter = None, state: StateFilter = None, cursor: Cursor = None, limit: Limit = None
) -> UploadList:
    """List the uploads, newest first."""
    size = page_size(limit)
    before = _read_before(cursor)
    found = await access.store.ledger.uploads(client=access.narrow(client), state=state, before=before, limit=size + 1)
    items = [upload.as_json() for upload in found[:size]]
    return UploadList(items=items, next=write_cursor(items[-1]["id"]) if len(found) > size else None)


def _read_before(cursor: str | None) -> str | None:
    """Read the cursor of the list: the id of the last upload that was shown."""
    if cursor is None:
        return None
    match read_cursor(cursor):
        case str(upload_id):
            return upload_id
    raise unknown_cursor()


@router.get("/{upload_id}")
async def show_upload(access: Reader, upload_id: UploadPath) -> UploadDetail:
    """Tell what became of an upload, and what it has to do with what readers have now."""
    upload = await find(access, upload_id)
    periods = await access.store.timeline.periods_of(upload.id)
    twin = await access.store.ledger.twin_of(upload)
    held = [upload] if upload.state is State.HELD else []
    approved = (await access.parts.if_approved(held, COUNTED_WITHIN_S)).get(upload.id)
    return detail(upload, periods, approved, twin)


@router.get("/{upload_id}/rejected")
async def list_rejected(access: Reader, upload_id: UploadPath) -> RejectedRows:
    """List an upload's rejected rows that are kept, the first 1,000."""
    await find(access, upload_id)
    rows = await access.store.ledger.rejects(upload_id)
    return RejectedRows(items=[{"line": row.line, "value": row.value, "reason": row.reason} for row in rows])


@router.post("/{upload_id}/approve", responses=REFUSED)
async def approve(access: Admin, upload_id: UploadPath) -> UploadOut:
    """Apply a held or superseded upload; the answer comes when that is done."""
    return await _decide(access, ApproveUpload(upload_id))


@router.post("/{upload_id}/discard", responses=REFUSED)
async def discard(access: Admin, upload_id: UploadPath) -> UploadOut:
    """Drop a held upload: it is not applied."""
    return await _decide(access, DiscardUpload(upload_id))


@router.post("/{upload_id}/retry", responses=REFUSED)
async def retry(access: Admin, upload_id: UploadPath) -> UploadOut:
    """Read a rejected or failed upload again, as if it had just come; the answer comes when that is done."""
    return await _decide(access, RetryUpload(upload_id))


async def _decide(access: Access, command: RetryUpload | ApproveUpload | DiscardUpload) -> UploadOut:
    await find(access, command.upload_id)
    return await access.perform(command)
