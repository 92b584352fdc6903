"""asyncssh's SFTP protocol handler, with which requests are served, and what a CLOSE is.

asyncssh calls the file system's `close()` for the client's SSH_FXP_CLOSE and also for every handle
that is still open when the channel ends; then a truncated upload looks complete. Here a CLOSE calls `finish()`, and
`close()` ends no upload well. This rests on `_process_packet` and on the table
`_packet_handlers`: if upstream drops either, this module cannot be imported; if it stops calling
ours, every CLOSE fails and no file is published. Tests hold both.
"""

import functools
import struct
from collections.abc import Awaitable, Callable
from time import perf_counter

import structlog
from asyncssh import SFTPBadMessage, SFTPError, SFTPFailure, SFTPInvalidHandle, SSHReader, SSHWriter
from asyncssh.constants import (
    FX_NO_SUCH_FILE,
    FXP_CLOSE,
    FXP_FSETSTAT,
    FXP_FSTAT,
    FXP_INIT,
    FXP_LSTAT,
    FXP_MKDIR,
    FXP_OPEN,
    FXP_OPENDIR,
    FXP_READ,
    FXP_READDIR,
    FXP_REALPATH,
    FXP_REMOVE,
    FXP_RENAME,
    FXP_RMDIR,
    FXP_SETSTAT,
    FXP_STAT,
    FXP_WRITE,
)
from asyncssh.packet import Byte, PacketDecodeError, SSHPacket
from asyncssh.sftp import SFTPLimits, SFTPServerHandler

from ctsftp.errors import LimitError
from ctsftp.sftp.files import ClientFiles
from ctsftp.sftp.status import is_expected, sftp_error

SFTP_VERSION = 3
INIT_HEAD = struct.Struct("!BI")  # type, version; pairs of strings follow
PACKET_HEAD_BYTES = 1024  # what a packet has besides data: type, number, handle, offset, lengths

# Links, copy-data and byte ranges are left out: nothing in a home may name another file's bytes.
EXTENSIONS = (
    (b"posix-rename@openssh.com", b"1"),
    (b"fsync@openssh.com", b"1"),
    (b"lsetstat@openssh.com", b"1"),
    (b"limits@openssh.com", b"1"),
    (b"statvfs@openssh.com", b"2"),
    (b"fstatvfs@openssh.com", b"2"),
)
REQUESTS: tuple[int | bytes, ...] = (
    FXP_OPEN,
    FXP_CLOSE,
    FXP_READ,
    FXP_WRITE,
    FXP_LSTAT,
    FXP_FSTAT,
    FXP_SETSTAT,
    FXP_FSETSTAT,
    FXP_OPENDIR,
    FXP_READDIR,
    FXP_REMOVE,
    FXP_MKDIR,
    FXP_RMDIR,
    FXP_REALPATH,
    FXP_STAT,
    FXP_RENAME,
    *(name for name, _ in EXTENSIONS),
)

# What only looks, and is passed over once nobody is there to be answered.
LOOKS = frozenset(map(Byte, (FXP_READ, FXP_LSTAT, FXP_FSTAT, FXP_OPENDIR, FXP_READDIR, FXP_REALPATH, FXP_STAT)))
# Of what a peer sent before it was gone: as many WRITEs of 4 KiB as a sender has on their way, and the CLOSE.
LAST_REQUESTS = 520

log = structlog.get_logger()

_Request = Callable[[SFTPServerHandler, SSHPacket], Awaitable[object]]


class FilesHandler(SFTPServerHandler):
    """Speaks SFTP version 3 on one channel, for one client's files.

    `until_writable` returns when the peer has taken the answers that wait for it; `is_gone` tells whether it takes no
    more of them; `explain` shows a reason to a person whose client keeps it to itself.
    """

    _process_any_packet = SFTPServerHandler._process_packet  # noqa: SLF001  the seam

    def __init__(
        self,
        files: ClientFiles,
        reader: SSHReader[bytes],
        writer: SSHWriter[bytes],
        *,
        until_writable: Callable[[], Awaitable[None]],
        is_gone: Callable[[], bool],
        explain: Callable[[str], None],
    ) -> None:
        super().__init__(files, reader, writer, SFTP_VERSION)
        self._extensions = list(EXTENSIONS)
        self.files = files
        self.explain = explain
        self.ended_well = False
        self._until_writable = until_writable
        self._is_gone = is_gone
        self._last_requests = 0

    async def recv_packet(self) -> SSHPacket:
        """Read a request; give it out when it is its client's turn, and earlier answers are on their way.

        asyncssh would keep whatever a peer asks for and does not read: 29 bytes of READ cost 256 KiB.
        And where many small requests have piled up, it would answer them all before any other session's.
        """
        packet = await self._read_packet()
        while self._is_gone():
            self._last_requests += 1
            if self._last_requests > LAST_REQUESTS:
                raise EOFError
            if packet.get_full_payload()[:1] not in LOOKS:
                break
            packet = await self._read_packet()
        self.files.requests += 1
        if not self.files.share.answers_now():
            await self.files.share.turn()
        await self._until_writable()
        return _of_version_3(packet) if self.files.requests == 1 else packet

    async def _read_packet(self) -> SSHPacket:
        """Read one request, which may be as large as the limit; a larger one ends the session."""
        assert self._reader is not None
        length = int.from_bytes(await self._reader.readexactly(4), "big")
        limit = self.files.limits.max_packet_bytes
        if length > limit:
            self.explain(f"A request of {length} bytes is larger than the limit of {limit} bytes.")
            raise SFTPBadMessage("Too large a request")
        return SSHPacket(await self._reader.readexactly(length))

    async def _cleanup(self, exc: Exception | None) -> None:
        """End, but leave the channel open: the session says by its exit status whether all went well."""
        self.ended_well = exc is None
        self._writer = None
        await super()._cleanup(exc)
        self._reader = None

    async def _process_packet(self, pkttype: int, pktid: int, packet: SSHPacket) -> None:
        began_s = perf_counter()
        try:
            await self._process_any_packet(pkttype, pktid, packet)
        finally:
            self.files.share.spend(perf_counter() - began_s)

    async def _process_open(self, packet: SSHPacket) -> bytes:
        self._require_free_handle()
        return await super()._process_open(packet)

    async def _process_opendir(self, packet: SSHPacket) -> bytes:
        """Look before a handle is given out: asyncssh would only fail at the first READDIR."""
        self._require_free_handle()
        path = packet.get_string()
        packet.check_end()
        async with self.files.share.listing:
            if self._is_gone():
                raise SFTPFailure("Nobody is there to be answered")
            listing = await self.files.listing(path)
        handle = self._get_next_handle()
        self._dir_handles[handle] = listing
        return handle

    async def _process_close(self, packet: SSHPacket) -> None:
        """Close a file, or a folder's listing, of which asyncssh would tell nobody."""
        handle = packet.get_string()
        packet.check_end()
        closed = self._file_handles.pop(handle, None) or self._dir_handles.pop(handle, None)
        if closed is None:
            raise SFTPInvalidHandle("Invalid file handle")
        await self.files.finish(closed)

    async def _process_write(self, packet: SSHPacket) -> int:
        """Write the data and let be what stands behind it, as OpenSSH's server does.

        asyncssh refuses such a packet. rclone 1.60 (Debian's) ends each file with one: its library sends the
        rest of the buffer that the last bytes stand in.
        """
        try:
            handle, offset, data = packet.get_string(), packet.get_uint64(), packet.get_string()
        except PacketDecodeError:
            self.files.spoil()
            raise
        if file_obj := self._file_handles.get(handle):
            return self.files.write(file_obj, offset, data)
        self.files.spoil()
        raise SFTPInvalidHandle("Invalid file handle")

    async def _process_limits(self, packet: SSHPacket) -> SFTPLimits:
        """Answer limits@openssh.com (OpenSSH's PROTOCOL, section 4.8)."""
        packet.check_end()
        limits = self.files.limits
        most = limits.max_packet_bytes - PACKET_HEAD_BYTES
        return SFTPLimits(limits.max_packet_bytes, limits.max_read_bytes, most, limits.max_open_handles)

    def _require_free_handle(self) -> None:
        limit = self.files.limits.max_open_handles
        if len(self._file_handles) + len(self._dir_handles) >= limit:
            raise LimitError(f"More than {limit} open handles: close some first.")


def _of_version_3(init: SSHPacket) -> SSHPacket:
    """Read an INIT of a newer version as one of version 3, with which it is answered.

    asyncssh ends a session whose INIT of version 4 to 6 holds extension pairs, as those of version 3 may.
    """
    data = init.get_remaining_payload()
    head, pairs = data[: INIT_HEAD.size], data[INIT_HEAD.size :]
    if len(head) < INIT_HEAD.size:
        return init
    kind, version = INIT_HEAD.unpack(head)
    if kind == FXP_INIT and version > SFTP_VERSION:
        return SSHPacket(INIT_HEAD.pack(FXP_INIT, SFTP_VERSION) + pairs)
    return init


def _answering(request: _Request, *, explained: bool) -> _Request:
    """Tell the client of our errors by their status codes, and a person of the reason, where that is `explained`."""

    @functools.wraps(request)
    async def answer(handler: SFTPServerHandler, packet: SSHPacket) -> object:
        try:
            return await request(handler, packet)
        except (SFTPError, PacketDecodeError):  # asyncssh's own words
            raise
        except Exception as exc:
            assert isinstance(handler, FilesHandler)
            if not is_expected(exc):
                log.exception("request failed", client=handler.files.client, request=request.__name__)
            error = sftp_error(exc)
            if explained and error.code != FX_NO_SUCH_FILE:
                handler.explain(error.reason)
            raise error from exc

    return answer


def _served(request: int | bytes) -> _Request:
    """Find what answers a request: our own method where there is one, since it has the name of asyncssh's."""
    upstream = SFTPServerHandler._packet_handlers[request]  # noqa: SLF001  the seam
    assert upstream is not None
    # After a failed WRITE the CLOSE fails too, for the same reason; a sender has dozens of WRITEs on their way.
    return _answering(getattr(FilesHandler, upstream.__name__), explained=request != FXP_WRITE)


FilesHandler._packet_handlers = {request: _served(request) for request in REQUESTS}  # noqa: SLF001  the seam
