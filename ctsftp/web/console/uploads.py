"""The pages of the uploads, and what an admin decides about one."""

from collections.abc import Callable
from functools import partial
from urllib.parse import urlencode

from starlette.responses import Response

from ctsftp.contract.states import State
from ctsftp.errors import NotFoundError
from ctsftp.model.commands import Command
from ctsftp.model.records import Upload, UploadOut
from ctsftp.web.console.views import decisions, segment_href, upload_row
from ctsftp.web.console.visitor import Deed, Form, Visitor
from ctsftp.web.problems import Problem

PAGE_SIZE = 50
SHOWN_DECISIONS = 20


async def all_of_them(visitor: Visitor) -> Response:
    """Show the uploads: first those that wait for a decision, then all, newest first."""
    client, key, state = (visitor.asked(name) or None for name in ("client", "name", "state"))
    if client:
        visitor.require(client)
    wanted = State(state) if state in set(State) else None
    before = visitor.asked("before") or None
    uploads = partial(visitor.store.ledger.uploads, client=client or visitor.token.client, segment_key=key)
    rows = await uploads(state=wanted, before=before, limit=PAGE_SIZE + 1)
    first = before is None and wanted in {None, State.HELD}
    held = await uploads(state=State.HELD, limit=SHOWN_DECISIONS + 1) if first else []
    return await visitor.page(
        "uploads.html",
        here="/uploads",
        decisions=decisions(held[:SHOWN_DECISIONS], await visitor.if_approved(held[:SHOWN_DECISIONS])),
        more_held=len(held) > SHOWN_DECISIONS,
        rows=[upload_row(one) for one in rows[:PAGE_SIZE]],
        older=_older(rows[:PAGE_SIZE], client=client, name=key, state=wanted) if len(rows) > PAGE_SIZE else "",
        client=client,
        name=key,
        state=wanted or "",
        states=[one.value for one in State],
    )


async def one_of_them(visitor: Visitor) -> Response:
    upload = await _asked_for(visitor)
    held = [upload] if upload.state is State.HELD else []
    waiting = decisions(held, await visitor.if_approved(held))
    twin = await visitor.store.ledger.twin_of(upload)
    return await visitor.page(
        "upload.html",
        here="/uploads",
        row=upload_row(upload, await visitor.store.timeline.periods_of(upload.id), twin),
        twin=twin,
        decision=waiting[0] if waiting else None,
        segment_href=await _segment_href(visitor, upload),
        rejects=await visitor.store.ledger.rejects(upload.id) if upload.rejected else [],
    )


def decision(kind: Callable[[str], Command[UploadOut]]) -> Deed:
    """Make the deed of a button: approve, discard or retry."""

    async def deed(visitor: Visitor, _form: Form) -> str:
        upload = await _asked_for(visitor)
        row = await visitor.perform(kind(upload.id))
        went_well = row["state"] in {State.LOADED, State.DISCARDED}
        reason = f" {row['reason']}" if row["reason"] else ""
        await visitor.say("good" if went_well else "bad", f"{row['filename']} is {row['state']}.{reason}")
        return f"/uploads/{upload.id}"

    return deed


async def _asked_for(visitor: Visitor) -> Upload:
    """Find the upload; another client's is as little there as one that never was."""
    try:
        upload = await visitor.store.ledger.upload(visitor.request.path_params["upload_id"])
    except NotFoundError:
        upload = None
    if upload is None or not visitor.may_see(upload.client):
        raise Problem(404, "not-found", "There is no such upload.")
    return upload


def _older(rows: list[Upload], **kept: str | None) -> str:
    """Write the address of the page after these rows."""
    return f"/uploads?{urlencode({name: value for name, value in kept.items() if value} | {'before': rows[-1].id})}"


async def _segment_href(visitor: Visitor, upload: Upload) -> str:
    """Give the address of an upload's segment, "" where none was made, or it was deleted."""
    if upload.segment_key is None:
        return ""
    found = await visitor.store.segments.resolve_segment(upload.segment_key, client=upload.client)
    return segment_href(upload.client, upload.segment_key) if found else ""
