"""The file system that one session of a client sees: asyncssh's calls, answered from the spool.

Requests of a session run strictly one after another. Whatever touches folders runs in a thread;
reads and writes of an open file end in the page cache and are done at once. What was written of a large
file is synced while more of it arrives, so that its CLOSE has little to wait for.
"""

import asyncio
import stat
from collections.abc import Callable, Coroutine, Iterable
from contextlib import suppress
from typing import Any, ParamSpec, TypeVar

from asyncssh import SFTPAttrs, SFTPName, SFTPServer, SFTPVFSAttrs, SSHServerChannel
from asyncssh.constants import FXF_APPEND, FXF_CREAT, FXF_EXCL, FXF_TRUNC, FXF_WRITE

from ctsftp.errors import CtsftpError, LimitError, NoSuchPathError, PathRefusedError
from ctsftp.sftp.fairness import Listing
from ctsftp.sftp.landing import FilesContext, Landings
from ctsftp.sftp.receipts import (
    FOLDER,
    ReceiptFile,
    Receipts,
    folder_entry,
    is_receipt,
    require_changeable,
)
from ctsftp.spool.home import Entry, Home, OpenFile
from ctsftp.spool.paths import HomePath, read_path
from ctsftp.spool.staging import StagedFile

FILE_MODE = stat.S_IFREG | 0o640
FOLDER_MODE = stat.S_IFDIR | 0o750
RECEIPT_MODE = stat.S_IFREG | 0o440
RECEIPTS_MODE = stat.S_IFDIR | 0o550
# SFTP version 3 has 32 bits for a time.
LAST_SECOND = (1 << 32) - 1

T = TypeVar("T")
P = ParamSpec("P")

Handle = StagedFile | OpenFile | ReceiptFile


class ClientFiles(SFTPServer):
    """One session's view of its client's home; keeps a registry of its open handles."""

    def __init__(
        self,
        channel: SSHServerChannel[bytes],
        client: str,
        home: Home,
        context: FilesContext,
        *,
        note: Callable[[str], None],
    ) -> None:
        super().__init__(channel)
        self.requests = 0
        self.refuses_new = False
        self.limits = context.limits
        self.client = client
        self._home = home
        self._context = context
        self._spool = context.spool
        self.share = context.share
        self._receipts = Receipts(client, context.receipts)
        self._refusals = context.refusals
        self._landings = Landings(client, home, context, note=note)
        self._writing: set[StagedFile] = set()
        self._syncing: set[StagedFile] = set()
        self._reading: set[OpenFile] = set()
        self._listings: set[Listing] = set()
        self._receipt_bytes = 0
        self.landing = 0
        self._unfinished: set[asyncio.Task[Any]] = set()

    @property
    def open_uploads(self) -> int:
        """How many files this session is writing, or has closed or renamed without an answer yet."""
        return len(self._writing) + self.landing

    @property
    def uploads(self) -> Iterable[StagedFile]:
        """The files that this session is writing."""
        return self._writing

    def refuse_new(self) -> None:
        """Let no new file be opened for writing, and answer what waits for a verdict: the server is stopping."""
        self.refuses_new = True
        self._landings.answer_at_once()

    async def open(self, path: bytes, pflags: int, attrs: SFTPAttrs) -> Handle:  # noqa: ARG002  modes are ours
        """Open a file; modes that the client wishes for are ignored."""
        if not pflags & (FXF_WRITE | FXF_APPEND | FXF_CREAT | FXF_TRUNC):
            place = self._path(path)
            if is_receipt(place):
                return await self._open_receipt(place)
            return await self._to_the_end(self._open_to_read(place))
        if self.refuses_new:
            raise LimitError("The server is stopping: try again in a minute.")
        return await self._to_the_end(self._open_to_write(self._changeable(path), pflags))

    async def finish(self, file_obj: object) -> None:
        """Publish what the client closed, or raise why not, which answers its CLOSE with FAILURE."""
        if isinstance(file_obj, StagedFile):
            self._writing.remove(file_obj)
            await self._land(self._close(file_obj))
        else:
            await self.close(file_obj)

    async def close(self, file_obj: object) -> None:
        """Let go of what was read; asyncssh calls it for each handle that is open when a session ends.

        There it must end nothing well: a file that is being written is left to `abandon`, and the error stays in the
        session.
        """
        if isinstance(file_obj, OpenFile):
            self._reading.discard(file_obj)
            file_obj.close()
        elif isinstance(file_obj, Listing):
            self._listings.discard(file_obj)
            file_obj.close()
        elif isinstance(file_obj, ReceiptFile):
            self._receipt_bytes -= len(file_obj.data)
            self.share.give_back(len(file_obj.data))
        else:
            raise EOFError("The session ended with open uploads.")  # noqa: TRY004  no bug: a line that broke

    async def abandon(self) -> None:
        """End the session: turn every upload that is still open into a partial.

        What had begun when the session was cancelled ends first: an open that was under way has a
        file in staging, and perhaps the client's partial.
        """
        if self._unfinished:
            await asyncio.wait(self._unfinished)
        while self._writing:
            await self._landings.cut_off(self._writing.pop())
        self._landings.end()
        while self._reading:
            self._reading.pop().close()
        while self._listings:
            self._listings.pop().close()
        self.share.give_back(self._receipt_bytes)
        self._receipt_bytes = 0

    def read(self, file_obj: object, offset: int, size: int) -> bytes:
        """Read up to `size` bytes, at most the limit."""
        return _open(file_obj).read(offset, min(size, self.limits.max_read_bytes))

    def write(self, file_obj: object, offset: int, data: bytes) -> int:
        """Write all of `data`, or raise."""
        staged = _writing(file_obj)
        staged.write(offset, data)
        if staged.unsynced_bytes >= self.limits.sync_every_bytes and staged not in self._syncing:
            self._syncing.add(staged)
            self._start(self._sync_behind(staged))
        return len(data)

    def spoil(self) -> None:
        """Let no file that is being written count as whole: nobody can tell which one a broken WRITE was for."""
        for staged in self._writing:
            staged.spoil()

    async def fsync(self, file_obj: object) -> None:
        """Make what was written so far durable."""
        await self._to_the_end(self._landings.in_thread(_writing(file_obj).sync))

    async def stat(self, path: bytes) -> SFTPAttrs:
        """Describe a file or a folder; a new file is there for its own session from its OPEN on (sshfs looks then)."""
        place = self._path(path, stays_in=True)
        if is_receipt(place):
            return _attrs(await self._receipts.stat(place))
        if reason := self._refusals.reason(place):
            raise NoSuchPathError(reason)
        try:
            return _attrs(await self._landings.in_thread(self._home.stat, place))
        except NoSuchPathError:
            if staged := self._being_written(place):
                return self.fstat(staged)
            raise

    lstat = stat  # there are no links

    def fstat(self, file_obj: object) -> SFTPAttrs:
        """Describe an open file."""
        opened = _open(file_obj)
        if isinstance(opened, ReceiptFile):
            return _attrs(opened.entry)
        return _attrs(Entry.of("", opened.stat()))

    async def setstat(self, path: bytes, attrs: SFTPAttrs) -> None:
        """Set a file's times; accept modes and owners without a change (Java clients fail otherwise)."""
        place = self._changeable(path)
        if staged := self._being_written(place):
            self.fsetstat(staged, attrs)
            return
        found = await self._landings.in_thread(self._home.stat, place)
        if attrs.size not in {None, found.size}:
            raise PathRefusedError(f"{place} is complete and stays as it is: send the new file whole.")
        if times := _times(attrs):
            await self._landings.in_thread(self._home.set_times, place, *times)

    lsetstat = setstat

    def fsetstat(self, file_obj: object, attrs: SFTPAttrs) -> None:
        """Cut or extend the file that is being written, or set the times that it keeps when it is closed."""
        if attrs.size is not None:
            _writing(file_obj).truncate(attrs.size)
        if isinstance(file_obj, StagedFile) and (times := _times(attrs)):
            file_obj.set_times(*times)

    async def listing(self, path: bytes) -> Listing:
        """List a folder, for `close` to forget; raises at once if it is not there."""
        place = self._path(path)
        entries = await self._entries(place)
        listing = Listing(map(_name, entries), len(entries), self.share)
        self._listings.add(listing)
        return listing

    async def remove(self, path: bytes) -> None:
        """Remove a file from the home."""
        await self._landings.in_thread(self._home.remove, self._changeable(path))

    async def mkdir(self, path: bytes, attrs: SFTPAttrs) -> None:  # noqa: ARG002  modes are ours
        """Make a folder."""
        place = self._changeable(path)
        self._refusals.forget(place)
        await self._landings.in_thread(self._account_for_one)
        await self._landings.in_thread(self._home.make_folder, place)

    async def rmdir(self, path: bytes) -> None:
        """Remove an empty folder."""
        await self._landings.in_thread(self._home.remove_folder, self._changeable(path))

    async def rename(self, oldpath: bytes, newpath: bytes) -> None:
        """Rename; what stands at the new path already is never replaced (SFTP version 3)."""
        await self._move(self._changeable(oldpath), self._changeable(newpath), replace=False)

    async def posix_rename(self, oldpath: bytes, newpath: bytes) -> None:
        """Rename, replacing a file at the new path (OpenSSH's PROTOCOL, section 4.3)."""
        await self._move(self._changeable(oldpath), self._changeable(newpath), replace=True)

    def format_user(self, uid: int | None) -> str:  # noqa: ARG002  all files are the client's
        """Name the owner in long listings."""
        return self.client

    def format_group(self, gid: int | None) -> str:  # noqa: ARG002  the same
        """Name the group in long listings."""
        return self.client

    def realpath(self, path: bytes) -> bytes:
        """Write a path out from the root."""
        return str(self._path(path, stays_in=True)).encode()

    async def statvfs(self, path: bytes) -> SFTPVFSAttrs:  # noqa: ARG002  all homes are on one disk
        """Tell how much room there is."""
        found = await self._landings.in_thread(self._home.room)
        return SFTPVFSAttrs.from_local(found)

    async def fstatvfs(self, file_obj: object) -> SFTPVFSAttrs:  # noqa: ARG002  the same
        """Tell how much room there is."""
        return await self.statvfs(b"/")

    async def _entries(self, place: HomePath) -> list[Entry]:
        if is_receipt(place):
            return await self._receipts.entries(place)
        entries = await self._landings.in_thread(self._home.entries, place)
        if not place.parts:  # a folder of that name that a local user made is covered
            entries = [folder_entry(), *(entry for entry in entries if entry.name != FOLDER.name)]
        return entries

    def _path(self, raw: bytes, *, stays_in: bool = False) -> HomePath:
        limits = self.limits
        return read_path(raw, max_bytes=limits.max_path_bytes, max_depth=limits.max_path_depth, stays_in=stays_in)

    def _changeable(self, raw: bytes) -> HomePath:
        """Read the path of something that the client wants to write or change."""
        return require_changeable(self._path(raw))

    def _being_written(self, place: HomePath) -> StagedFile | None:
        return next((staged for staged in self._writing if staged.target == place), None)

    async def _land(self, work: Coroutine[None, None, None]) -> None:
        """Do what makes an upload; a server that is stopping waits until it is done, and can be answered."""
        self.landing += 1
        try:
            await self._to_the_end(work)
        finally:
            self.landing -= 1
            self._context.upload_ended()

    async def _open_receipt(self, place: HomePath) -> ReceiptFile:
        receipt = await self._receipts.open(place)
        self.share.take(len(receipt.data))
        self._receipt_bytes += len(receipt.data)
        return receipt

    async def _to_the_end(self, work: Coroutine[None, None, T]) -> T:
        """Await `work`, which goes on if this session is cancelled meanwhile; `abandon` waits for it."""
        return await asyncio.shield(self._start(work))

    def _start(self, work: Coroutine[None, None, T]) -> asyncio.Task[T]:
        task = asyncio.create_task(work)
        self._unfinished.add(task)
        task.add_done_callback(self._unfinished.discard)
        return task

    async def _sync_behind(self, staged: StagedFile) -> None:
        """Sync what was written so far; a failure poisons the file, whose next request tells of it."""
        try:
            with suppress(CtsftpError):
                await self._landings.in_thread(staged.sync)
        finally:
            self._syncing.discard(staged)

    async def _open_to_read(self, place: HomePath) -> OpenFile:
        reading = await self._landings.in_thread(self._home.open, place)
        self._reading.add(reading)
        return reading

    async def _open_to_write(self, place: HomePath, pflags: int) -> StagedFile:
        staged = await self._landings.in_thread(self._stage, place, pflags)
        self._writing.add(staged)
        self._refusals.forget(place)
        return staged

    def _stage(self, place: HomePath, pflags: int) -> StagedFile:
        share = self._spool.account(self.client).open(self._context.allowance)
        try:
            return self._spool.stage(
                self.client,
                place,
                truncate=bool(pflags & FXF_TRUNC),
                create=bool(pflags & FXF_CREAT),
                exclusive=bool(pflags & FXF_EXCL),
                append=bool(pflags & FXF_APPEND),
                max_size_bytes=self._context.max_file_size_bytes,
                share=share,
            )
        except BaseException:
            share.settle(None)
            raise

    async def _close(self, staged: StagedFile) -> None:
        """End a file that its client closed: publish it, unless its client only looked, or only made its name."""
        if staged.is_as_it_was:
            await self._landings.in_thread(self._spool.put_back, self.client, staged)
            if staged.times:
                await self._landings.in_thread(self._home.set_times, staged.target, *staged.times)
        else:
            await self._landings.publish(staged)
            self._refusals.forget(staged.target)

    async def _move(self, old: HomePath, new: HomePath, *, replace: bool) -> None:
        """Move a file or a folder, or the name at which a file that is open will be published."""
        if self._being_written(old) and not await self._landings.in_thread(self._home.find, old):
            await self._landings.in_thread(self._home.move_target, old, new, replace=replace)
            for staged in self._writing:
                if staged.target == old:
                    staged.target = new
        else:
            await self._land(self._landings.rename(old, new, replace=replace))
        self._refusals.forget(new)

    def _account_for_one(self) -> None:
        self._spool.account(self.client).add_file(self._context.allowance)


def _open(file_obj: object) -> Handle:
    assert isinstance(file_obj, StagedFile | OpenFile | ReceiptFile)
    return file_obj


def _writing(file_obj: object) -> StagedFile:
    if not isinstance(file_obj, StagedFile):
        raise PathRefusedError("The file is open for reading only.")
    return file_obj


def _times(attrs: SFTPAttrs) -> tuple[int, int] | None:
    """Read when a file was used and changed, if its client sets that."""
    if attrs.mtime is None:
        return None
    return (attrs.mtime if attrs.atime is None else attrs.atime), attrs.mtime


def _attrs(entry: Entry) -> SFTPAttrs:
    """Describe an entry in SFTP's terms; owner and mode are the same for all."""
    file_mode, folder_mode = (RECEIPT_MODE, RECEIPTS_MODE) if entry.read_only else (FILE_MODE, FOLDER_MODE)
    modified = min(max(int(entry.modified_s), 0), LAST_SECOND)  # a local user can set any time
    return SFTPAttrs(
        size=entry.size,
        uid=0,
        gid=0,
        permissions=folder_mode if entry.is_folder else file_mode,
        atime=modified,
        mtime=modified,
        nlink=1,
    )


def _name(entry: Entry) -> SFTPName:
    return SFTPName(entry.name.encode(), attrs=_attrs(entry))
