"""What senders are told of the verdict on an upload, while their CLOSE waits for it.

A verdict is told when it is in the ledger, or when the upload is judged to load: publishing it goes on after that.
Nothing is told where there is no verdict yet: the fault is ours, or the server is stopping.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from ctsftp.clients.config import ClientConfig
from ctsftp.contract.states import REFUSED_STATES, State
from ctsftp.contract.verdict import Verdict
from ctsftp.errors import CtsftpError
from ctsftp.sftp.landing import Answer, Awaited
from ctsftp.sftp.receipts import FOLDER
from ctsftp.sftp.refusals import REMEMBERED_S
from ctsftp.spool.paths import HomePath
from ctsftp.spool.stored import StoredUpload
from ctsftp.store.store import Store

if TYPE_CHECKING:
    from ctsftp.sftp.server import SftpServer


class Answers:
    """The answers that are awaited, by the upload's id: as many as the queue holds."""

    def __init__(self) -> None:
        self._awaited: dict[str, Awaited] = {}

    def expect(self, upload_id: str) -> Awaited:
        """Give the answer to come; call it in the same step as the upload is queued."""
        return self._awaited.setdefault(upload_id, asyncio.get_running_loop().create_future())

    def tell(self, upload_id: str, answer: Answer | None) -> None:
        """Tell the answer; only the first one counts."""
        awaited = self._awaited.pop(upload_id, None)
        if awaited and not awaited.done():
            awaited.set_result(answer)


def answer_to(upload: StoredUpload, verdict: Verdict, config: ClientConfig) -> Answer | None:
    """Write what a verdict means for the sender; None where that is OK without a word."""
    if not config.refuse_at_close:
        return None
    is_held = verdict.state is State.HELD
    if verdict.state in REFUSED_STATES or (is_held and config.held_is_failure):
        return Answer(refusal=verdict.reason)
    receipt = FOLDER.child(f"{upload.filename}.txt")
    if verdict.state is State.LOADED and verdict.reason:
        return Answer(note=f"Note: {upload.filename} is taken. {verdict.reason} See {receipt}.")
    is_old = verdict.state is State.DUPLICATE and verdict.reason  # the same list as before, and not in use now
    if is_held or is_old or verdict.state is State.SUPERSEDED:
        found = f"{verdict.state} ({verdict.code})" if verdict.code else str(verdict.state)
        return Answer(note=f"Note: {upload.filename} is {found}, and not applied. {verdict.reason} See {receipt}.")
    return None


async def recall_refusals(
    store: Store, config_of: Callable[[str], ClientConfig], server: "SftpServer", now: datetime
) -> None:
    """Let senders hear of what was refused before this server started, but for clients whose settings are broken."""
    for upload in await store.ledger.refused(since=now - timedelta(seconds=REMEMBERED_S)):
        with suppress(CtsftpError):
            if config_of(upload.client).refuse_at_close and upload.finished_at:
                ago_s = (now - datetime.fromisoformat(upload.finished_at)).total_seconds()
                path = HomePath.of(upload.directory or "/").child(upload.filename)
                server.note_refusal(upload.client, path, upload.reason or "", ago_s=ago_s)
