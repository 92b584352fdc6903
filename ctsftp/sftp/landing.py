"""How a session's files become uploads: published, inspected, handed on, and answered with the verdict, or cut off.

A file lands when its client closes it, or when it is renamed to a list's name; a folder's rename lands the files in it
that were no uploads in the old place, since it was a temporary one, and are in the new.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

import structlog

from ctsftp.contract.codes import Code, Fault
from ctsftp.contract.names import read_name
from ctsftp.errors import CtsftpError, FileRefusedError, LimitError
from ctsftp.sftp.fairness import FairShare
from ctsftp.sftp.receipts import ReceiptSource
from ctsftp.sftp.refusals import Refusals
from ctsftp.sftp.settings import SftpSettings
from ctsftp.spool.home import Home
from ctsftp.spool.paths import HomePath
from ctsftp.spool.quota import Allowance
from ctsftp.spool.spool import Spool
from ctsftp.spool.staging import StagedFile
from ctsftp.spool.stored import StoredUpload

# Files that one rename of a folder makes uploads of; each costs as much as one of its own.
MOST_IN_A_FOLDER = 1_000
ANY_LIST = "A_20260101_0000.csv"

T = TypeVar("T")
P = ParamSpec("P")

log = structlog.get_logger()

Inspect = Callable[[StoredUpload], Fault | None]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a sender is told of a verdict: a `refusal` makes its CLOSE fail, a `note` is shown to a person."""

    refusal: str = ""
    note: str = ""


Awaited = asyncio.Future[Answer | None]
# Takes over an upload that has landed; gives what to ask, at once, for the answer to come; None where it is OK.
Ask = Callable[[], Awaited]
Landed = Callable[[StoredUpload], Ask | None]


@dataclass(frozen=True, slots=True)
class CutOff:
    """An upload whose connection broke before its CLOSE; `kept_bytes` of it can be resumed."""

    client: str
    path: HomePath
    kept_bytes: int


def _nobody(_upload: StoredUpload) -> None:
    pass


@dataclass(frozen=True, slots=True)
class Touch:
    """Who hears of a list that was closed without a byte: when it `begins`, and then either of the other two.

    It is `filled` by a list of its name, or `stayed` empty until its session ended.
    """

    begins: Callable[[StoredUpload], None] = _nobody
    filled: Callable[[StoredUpload], None] = _nobody
    stayed: Callable[[StoredUpload], None] = _nobody


NOBODY = Touch()


@dataclass(frozen=True, slots=True)
class FilesContext:
    """What a session's files are given: the spool, the limits, and what `app` and the server want to hear."""

    spool: Spool
    limits: SftpSettings
    max_file_size_bytes: int
    allowance: Allowance
    share: FairShare
    refusals: Refusals
    is_upload_name: Callable[[str, str], bool]
    inspect: Inspect
    landed: Landed
    touch: Touch
    cut_off: Callable[[CutOff], None]
    receipts: ReceiptSource
    upload_ended: Callable[[], None]


@dataclass(frozen=True, slots=True)
class _Landed:
    """An upload's place, the fault that shows in what was read of it at once, and the answer to come."""

    path: HomePath
    fault: Fault | None
    awaited: Awaited | None


class Landings:
    """What one session lands. `note` shows a person a line."""

    def __init__(self, client: str, home: Home, context: FilesContext, *, note: Callable[[str], None]) -> None:
        self._client = client
        self._home = home
        self._context = context
        self._spool = context.spool
        self._refusals = context.refusals
        self._note = note
        self._stopping: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._touched: dict[HomePath, StoredUpload] = {}  # closed without a byte, and refused

    def answer_at_once(self) -> None:
        """Let nobody wait for a verdict any more: the server is stopping."""
        if not self._stopping.done():
            self._stopping.set_result(None)

    def end(self) -> None:
        """Tell of the lists that stayed without a byte: the session is over."""
        while self._touched:
            self._context.touch.stayed(self._touched.popitem()[1])

    async def in_thread(self, work: Callable[P, T], *args: P.args, **more: P.kwargs) -> T:
        """Wait for the disk in one of the threads that this client may have."""
        async with self._context.share.threads:
            return await asyncio.to_thread(work, *args, **more)

    async def publish(self, staged: StagedFile) -> None:
        """Make the upload durable, hand it on, and raise the reason if it is refused."""
        upload, fault = await self.in_thread(self._publish_and_inspect, staged)
        self._end_touch(staged.target)
        if fault and fault.code is Code.EMPTY_FILE:
            self._begin_touch(upload, staged.target)
        await self._answer([self._hand_on(upload, staged.target, fault)])

    async def rename(self, old: HomePath, new: HomePath, *, replace: bool) -> None:
        """Move a file or a folder; a file that gets an upload's name is a new upload of the same bytes.

        The uploads are durable before the home changes, so they count whatever becomes of the move. A
        refused one leaves the home as it was.
        """
        if (await self.in_thread(self._home.stat, old)).is_folder:
            landing = await self.in_thread(self._in_folder, old, new)
        elif await self.in_thread(self._context.is_upload_name, self._client, str(new)):
            await self.in_thread(self._home.check_target, old, new, replace=replace)
            landing = [(old, new)]
        else:
            landing = []
        await self._answer([await self._land_again(*one) for one in landing])
        await self.in_thread(self._move_in_home, old, new, replace=replace)

    async def cut_off(self, staged: StagedFile) -> None:
        """Keep what came of a file whose session ended before its CLOSE."""
        try:
            kept = await self.in_thread(self._spool.cut_off, self._client, staged)
        except Exception:
            log.exception("upload cut off, and lost", client=self._client, path=str(staged.target))
        else:
            log.info("upload cut off", client=self._client, path=str(staged.target), kept_bytes=kept)
            self._context.cut_off(CutOff(self._client, staged.target, kept))

    def _begin_touch(self, upload: StoredUpload, path: HomePath) -> None:
        """Note a list without a byte: programs make a name so, and write to it later. People hear of it at the end."""
        if len(self._touched) >= self._context.limits.max_open_handles:
            self._context.touch.stayed(self._touched.pop(next(iter(self._touched))))
        self._touched[path] = upload
        self._context.touch.begins(upload)

    def _end_touch(self, path: HomePath) -> None:
        if upload := self._touched.pop(path, None):
            self._context.touch.filled(upload)

    def _publish_and_inspect(self, staged: StagedFile) -> tuple[StoredUpload, Fault | None]:
        upload = self._spool.publish(self._client, staged)
        fault = self._inspect(upload)
        if fault:
            self._hide(upload)
        return upload, fault

    def _hide(self, upload: StoredUpload) -> None:
        """Take a refused upload out of the home; if that fails, its verdict is told nevertheless."""
        try:
            self._spool.hide(upload)
        except CtsftpError as exc:
            log.warning("refused file still shown", client=self._client, upload=upload.id, error=str(exc))

    def _in_folder(self, old: HomePath, new: HomePath) -> list[tuple[HomePath, HomePath]]:
        """Find the files that are uploads once their folder is moved, and are none yet; check that it can be moved.

        A client may have 100,000 files in a folder, and its settings are read for each that is asked about: so only a
        temporary folder is looked through, and only for what may be a list by its name.
        """
        self._home.check_folder_move(old, new)
        found: list[tuple[HomePath, HomePath]] = []
        if self._is_upload_name(old.child(ANY_LIST)):
            return found
        for path, _ in self._home.walk(self._home.files, below=old):
            if read_name(path.name) is None:
                continue
            moved = HomePath((*new.parts, *path.parts[len(old.parts) :]))
            if self._is_upload_name(moved) and not self._is_upload_name(path):
                found.append((path, moved))
            if len(found) > MOST_IN_A_FOLDER:
                raise LimitError(f"More than {MOST_IN_A_FOLDER} lists stand in {old}: rename them one by one.")
        return sorted(found, key=str)

    def _is_upload_name(self, path: HomePath) -> bool:
        return self._context.is_upload_name(self._client, str(path))

    async def _land_again(self, old: HomePath, new: HomePath) -> _Landed:
        """Make an upload of the bytes at a path, which are to stand at another."""
        await self.in_thread(self._account_for_rename, old)
        upload, fault = await self.in_thread(self._publish_again, old, new)
        self._end_touch(new)
        return self._hand_on(upload, new, fault)

    def _publish_again(self, old: HomePath, new: HomePath) -> tuple[StoredUpload, Fault | None]:
        upload = self._spool.publish_again(self._client, old, new)
        return upload, self._inspect(upload)

    def _account_for_rename(self, old: HomePath) -> None:
        size_bytes = self._spool.bytes_of_rename(self._client, old)
        self._spool.account(self._client).add_file(self._context.allowance, size_bytes)

    def _inspect(self, upload: StoredUpload) -> Fault | None:
        """Ask what shows at once; a fault of ours is no reason to fail a CLOSE: the upload is durable."""
        try:
            return self._context.inspect(upload)
        except CtsftpError as exc:  # its text says all: a client.toml that is broken, say
            log.error("upload could not be inspected", client=self._client, upload=upload.id, error=str(exc))  # noqa: TRY400
            return None
        except Exception:
            log.exception("upload could not be inspected", client=self._client, upload=upload.id)
            return None

    def _hand_on(self, upload: StoredUpload, path: HomePath, fault: Fault | None) -> _Landed:
        ask = self._context.landed(upload)
        refused = fault.code.value if fault else None
        log.info("upload landed", client=self._client, upload=upload.id, path=str(path), refused=refused)
        return _Landed(path, fault, ask() if ask else None)

    async def _answer(self, landed: Sequence[_Landed]) -> None:
        """Raise the reason of the first upload that is refused; of those that are taken and not applied, show a line.

        Also what is refused at once waits until the ledger says so, but is refused if it does not in time.
        """
        await self._wait_for([one.awaited for one in landed if one.awaited])
        refused: list[str] = []
        for one in landed:
            answer = one.awaited.result() if one.awaited and one.awaited.done() else None
            reason = one.fault.reason if one.fault else answer.refusal if answer else ""
            if reason:
                self._refusals.note(one.path, reason)
                refused.append(reason)
            elif answer and answer.note:
                self._note(answer.note)
        if refused:
            raise FileRefusedError(refused[0])

    async def _wait_for(self, awaited: Sequence[Awaited]) -> None:
        """Wait for verdicts, in no thread, for as long as the limit, and not at all once the server is stopping."""
        if awaited and self._context.limits.verdict_wait_s:
            await asyncio.wait(
                (asyncio.gather(*awaited), self._stopping),
                timeout=self._context.limits.verdict_wait_s,
                return_when=asyncio.FIRST_COMPLETED,
            )

    def _move_in_home(self, old: HomePath, new: HomePath, *, replace: bool) -> None:
        self._home.rename(old, new, replace=replace)
        self._home.sync(new.parent)
        if old.parent != new.parent:
            self._home.sync(old.parent)
