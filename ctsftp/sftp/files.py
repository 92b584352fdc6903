"""The file system that one session of a client sees: asyncssh's calls, answered from the spool.

Requests of a session run strictly one after another. Whatever touches folders runs in a thread;
reads and writes of an open file end in the page cache and are done at once.
"""

import asyncio
import stat
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass

import structlog
from asyncssh import SFTPServer, SSHServerChannel
from asyncssh.sftp import (
    FXF_APPEND,
    FXF_CREAT,
    FXF_EXCL,
    FXF_TRUNC,
    FXF_WRITE,
    SFTPAttrs,
    SFTPName,
    SFTPVFSAttrs,
)

from ctsftp.contract.codes import Fault
from ctsftp.errors import FileRefusedError, LimitError, PathRefusedError
from ctsftp.sftp.settings import SftpSettings
from ctsftp.spool.home import Entry, Home, OpenFile
from ctsftp.spool.paths import HomePath, read_path
from ctsftp.spool.spool import Spool, StoredUpload
from ctsftp.spool.staging import StagedFile

FILE_MODE = stat.S_IFREG | 0o640
FOLDER_MODE = stat.S_IFDIR | 0o750

log = structlog.get_logger()

Inspect = Callable[[StoredUpload], Fault | None]
Landed = Callable[[StoredUpload], None]


@dataclass(frozen=True, slots=True)
class FilesContext:
    """What a session's files are given: the spool, the limits, and what `app` wants to hear."""

    spool: Spool
    limits: SftpSettings
    max_file_size_bytes: int
    is_upload_name: Callable[[str], bool]
    inspect: Inspect
    landed: Landed
    upload_ended: Callable[[], None]
    finishing: set[asyncio.Task[None]]


class ClientFiles(SFTPServer):
    """One session's view of its client's home; keeps a registry of its open handles."""

    def __init__(self, channel: SSHServerChannel[bytes], client: str, home: Home, context: FilesContext) -> None:
        super().__init__(channel)
        self.explicit_close = False
        self.refuses_new = False
        self.limits = context.limits
        self.client = client
        self._home = home
        self._context = context
        self._spool = context.spool
        self._writing: set[StagedFile] = set()
        self._reading: set[OpenFile] = set()

    @property
    def open_uploads(self) -> int:
        """How many files this session is writing."""
        return len(self._writing)

    async def open(self, path: bytes, pflags: int, attrs: SFTPAttrs) -> StagedFile | OpenFile:  # noqa: ARG002  modes are ours
        """Open a file; modes that the client wishes for are ignored."""
        if len(self._writing) + len(self._reading) >= self.limits.max_open_handles:
            raise LimitError(f"More than {self.limits.max_open_handles} open handles: close some first.")
        place = read_path(path)
        if not pflags & (FXF_WRITE | FXF_APPEND | FXF_CREAT | FXF_TRUNC):
            reading = await asyncio.to_thread(self._home.open, place)
            self._reading.add(reading)
            return reading
        if self.refuses_new:
            raise LimitError("The server is stopping: try again in a minute.")
        staged = await asyncio.to_thread(
            self._spool.stage,
            self.client,
            place,
            truncate=bool(pflags & FXF_TRUNC),
            create=bool(pflags & FXF_CREAT),
            exclusive=bool(pflags & FXF_EXCL),
            append=bool(pflags & FXF_APPEND),
            max_size_bytes=self._context.max_file_size_bytes,
        )
        self._writing.add(staged)
        return staged

    async def close(self, file_obj: object) -> None:
        """Publish what the client closed; keep what merely ended as a partial.

        Raises (and so answers FAILURE) only for an explicit CLOSE: if one close raised while a
        connection is being cleaned up, asyncssh would skip the other handles.
        """
        if isinstance(file_obj, OpenFile):
            self._reading.discard(file_obj)
            file_obj.close()
        elif isinstance(file_obj, StagedFile) and file_obj in self._writing:
            self._writing.discard(file_obj)
            if self.explicit_close:
                await self._to_the_end(self._publish(file_obj))
            else:
                await self._cut_off(file_obj)
            self._context.upload_ended()

    async def abandon(self) -> None:
        """End the session: turn every upload that is still open into a partial; never raises."""
        while self._reading:
            self._reading.pop().close()
        while self._writing:
            await self._cut_off(self._writing.pop())

    def read(self, file_obj: object, offset: int, size: int) -> bytes:
        """Read up to `size` bytes, at most the limit."""
        return _open(file_obj).read(offset, min(size, self.limits.max_read_bytes))

    def write(self, file_obj: object, offset: int, data: bytes) -> int:
        """Write all of `data`, or raise."""
        _writing(file_obj).write(offset, data)
        return len(data)

    async def fsync(self, file_obj: object) -> None:
        """Make what was written so far durable."""
        await asyncio.to_thread(_writing(file_obj).sync)

    async def stat(self, path: bytes) -> SFTPAttrs:
        """Describe a file or a folder."""
        return _attrs(await asyncio.to_thread(self._home.stat, read_path(path)))

    lstat = stat  # there are no links

    def fstat(self, file_obj: object) -> SFTPAttrs:
        """Describe an open file."""
        return _attrs(Entry.of("", _open(file_obj).stat()))

    async def setstat(self, path: bytes, attrs: SFTPAttrs) -> None:
        """Set a file's times; accept modes and owners without a change (Java clients fail otherwise)."""
        place = read_path(path)
        found = await asyncio.to_thread(self._home.stat, place)
        if attrs.size not in {None, found.size}:
            raise PathRefusedError(f"{place} is complete and stays as it is: send the new file whole.")
        if attrs.mtime is not None:
            accessed = attrs.mtime if attrs.atime is None else attrs.atime
            await asyncio.to_thread(self._home.set_times, place, accessed, attrs.mtime)

    lsetstat = setstat

    async def fsetstat(self, file_obj: object, attrs: SFTPAttrs) -> None:
        """Cut or extend the file that is being written; its times are those of its CLOSE."""
        if attrs.size is not None:
            _writing(file_obj).truncate(attrs.size)

    async def listing(self, path: bytes) -> AsyncIterator[SFTPName]:
        """List a folder; raises at once if it is not there."""
        place = read_path(path)
        entries = await asyncio.to_thread(self._home.entries, place)
        return _names(entries)

    async def remove(self, path: bytes) -> None:
        """Remove a file from the home."""
        await asyncio.to_thread(self._home.remove, read_path(path))

    async def mkdir(self, path: bytes, attrs: SFTPAttrs) -> None:  # noqa: ARG002  modes are ours
        """Make a folder."""
        await asyncio.to_thread(self._home.make_folder, read_path(path))

    async def rmdir(self, path: bytes) -> None:
        """Remove an empty folder."""
        await asyncio.to_thread(self._home.remove_folder, read_path(path))

    async def rename(self, oldpath: bytes, newpath: bytes) -> None:
        """Rename; what stands at the new path already is never replaced (SFTP version 3)."""
        await self._to_the_end(self._rename(read_path(oldpath), read_path(newpath), replace=False))

    async def posix_rename(self, oldpath: bytes, newpath: bytes) -> None:
        """Rename, replacing a file at the new path (OpenSSH's PROTOCOL, section 4.3)."""
        await self._to_the_end(self._rename(read_path(oldpath), read_path(newpath), replace=True))

    def format_user(self, uid: int | None) -> str:  # noqa: ARG002  all files are the client's
        """Name the owner in long listings."""
        return self.client

    format_group = format_user

    def realpath(self, path: bytes) -> bytes:
        """Write a path out from the root."""
        return str(read_path(path)).encode()

    async def statvfs(self, path: bytes) -> SFTPVFSAttrs:  # noqa: ARG002  all homes are on one disk
        """Tell how much room there is."""
        found = await asyncio.to_thread(self._home.room)
        return SFTPVFSAttrs.from_local(found)

    async def fstatvfs(self, file_obj: object) -> SFTPVFSAttrs:  # noqa: ARG002  the same
        """Tell how much room there is."""
        return await self.statvfs(b"/")

    async def _to_the_end(self, work: Coroutine[None, None, None]) -> None:
        """Await `work`, which goes on if this session is cancelled meanwhile; the server waits for it."""
        task = asyncio.create_task(work)
        self._context.finishing.add(task)
        task.add_done_callback(self._context.finishing.discard)
        await asyncio.shield(task)

    async def _publish(self, staged: StagedFile) -> None:
        """Make the upload durable, hand it on, and raise the reason if its first bytes refuse it."""
        upload = await asyncio.to_thread(self._spool.publish, self.client, staged)
        fault = await asyncio.to_thread(self._context.inspect, upload)
        self._context.landed(upload)
        log.info("upload landed", client=self.client, upload=upload.id, path=str(staged.target))
        if fault:
            raise FileRefusedError(fault.reason)

    async def _cut_off(self, staged: StagedFile) -> None:
        kept = await asyncio.to_thread(self._spool.cut_off, self.client, staged)
        log.info("upload cut off", client=self.client, path=str(staged.target), kept_bytes=kept)

    async def _rename(self, old: HomePath, new: HomePath, *, replace: bool) -> None:
        """Move a file; one that gets an upload's name is a new upload of the same bytes.

        The upload is durable before the home changes. A refused one leaves the home as it was.
        """
        upload = None
        is_file = not (await asyncio.to_thread(self._home.stat, old)).is_folder
        if is_file and self._context.is_upload_name(new.name):
            upload = await asyncio.to_thread(self._spool.publish_renamed, self.client, old, new, replace=replace)
            if fault := await asyncio.to_thread(self._context.inspect, upload):
                self._context.landed(upload)
                raise FileRefusedError(fault.reason)
        await asyncio.to_thread(self._move, old, new, replace=replace)
        if upload:
            self._context.landed(upload)
            log.info("upload landed", client=self.client, upload=upload.id, path=str(new), renamed_from=str(old))

    def _move(self, old: HomePath, new: HomePath, *, replace: bool) -> None:
        self._home.rename(old, new, replace=replace)
        self._home.sync(new.parent)
        if old.parent != new.parent:
            self._home.sync(old.parent)


def _open(file_obj: object) -> StagedFile | OpenFile:
    assert isinstance(file_obj, StagedFile | OpenFile)
    return file_obj


def _writing(file_obj: object) -> StagedFile:
    if not isinstance(file_obj, StagedFile):
        raise PathRefusedError("The file is open for reading only.")
    return file_obj


def _attrs(entry: Entry) -> SFTPAttrs:
    """Describe an entry in SFTP's terms; owner and mode are the same for all."""
    modified = int(entry.modified_s)
    return SFTPAttrs(
        size=entry.size,
        uid=0,
        gid=0,
        permissions=FOLDER_MODE if entry.is_folder else FILE_MODE,
        atime=modified,
        mtime=modified,
        nlink=1,
    )


async def _names(entries: list[Entry]) -> AsyncIterator[SFTPName]:
    for entry in entries:
        yield SFTPName(entry.name.encode(), attrs=_attrs(entry))
