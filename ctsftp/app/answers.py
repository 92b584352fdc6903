"""What senders are told of the verdict on an upload, while their CLOSE waits for it.

A verdict is told when it is in the ledger, or when the upload is judged to load: publishing it goes on after that.
Nothing is told where there is no verdict yet: the fault is ours, or the server is stopping.
"""

import asyncio

from ctsftp.clients.config import ClientConfig
from ctsftp.contract.states import REFUSED_STATES, State
from ctsftp.contract.verdict import Verdict
from ctsftp.sftp.files import Answer, Awaited
from ctsftp.sftp.receipts import FOLDER
from ctsftp.spool.stored import StoredUpload


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
    is_old = verdict.state is State.DUPLICATE and verdict.reason  # the same list as before, and not in use now
    if is_held or is_old or verdict.state is State.SUPERSEDED:
        found = f"{verdict.state} ({verdict.code})" if verdict.code else str(verdict.state)
        receipt = FOLDER.child(f"{upload.filename}.txt")
        return Answer(note=f"Note: {upload.filename} is {found}, and not applied. {verdict.reason} See {receipt}.")
    return None
