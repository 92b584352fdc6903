"""The seam with asyncssh's SFTP protocol handler: which requests are served, and what a CLOSE is.

asyncssh calls the file system's `close()` for the client's SSH_FXP_CLOSE and also for every handle
that is still open when the channel ends; then a truncated upload looks complete. Only while a CLOSE
packet is being processed is `explicit_close` true. This rests on `_process_packet` and on the table
`_packet_handlers`: if upstream renames either, no file is ever published (it fails safe), and a test says so.
"""

import functools
from collections.abc import Awaitable, Callable
from typing import Any, ClassVar

from asyncssh import SSHReader, SSHWriter
from asyncssh.packet import SSHPacket
from asyncssh.sftp import (
    FXP_CLOSE,
    FXP_FSETSTAT,
    FXP_FSTAT,
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
    MAX_SFTP_PACKET_LEN,
    MAX_SFTP_WRITE_LEN,
    SFTPError,
    SFTPLimits,
    SFTPServerHandler,
)

from ctsftp.errors import CtsftpError, LimitError
from ctsftp.sftp.files import ClientFiles
from ctsftp.sftp.status import sftp_error

SFTP_VERSION = 3

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

_Request = Callable[[Any, SSHPacket], Awaitable[object]]


def _answering(request: _Request) -> _Request:
    """Tell the client of our errors by their status codes."""

    @functools.wraps(request)
    async def answer(self: object, packet: SSHPacket) -> object:
        try:
            return await request(self, packet)
        except SFTPError:
            raise
        except (CtsftpError, OSError) as exc:
            raise sftp_error(exc) from exc

    return answer


class FilesHandler(SFTPServerHandler):
    """Speaks SFTP version 3 on one channel, for one client's files."""

    _extensions: ClassVar[list[tuple[bytes, bytes]]] = list(EXTENSIONS)

    def __init__(self, files: ClientFiles, reader: SSHReader[bytes], writer: SSHWriter[bytes]) -> None:
        super().__init__(files, reader, writer, SFTP_VERSION)
        self._files = files

    async def _process_packet(self, pkttype: int, pktid: int, packet: SSHPacket) -> None:
        self._files.explicit_close = pkttype == FXP_CLOSE
        try:
            await super()._process_packet(pkttype, pktid, packet)
        finally:
            self._files.explicit_close = False

    async def _process_limits(self, packet: SSHPacket) -> SFTPLimits:
        """Answer limits@openssh.com (OpenSSH's PROTOCOL, section 4.8)."""
        packet.check_end()
        limits = self._files.limits
        return SFTPLimits(MAX_SFTP_PACKET_LEN, limits.max_read_bytes, MAX_SFTP_WRITE_LEN, limits.max_open_handles)

    async def _process_opendir(self, packet: SSHPacket) -> bytes:
        """Look before a handle is given out: asyncssh would only fail at the first READDIR."""
        path = packet.get_string()
        packet.check_end()
        if len(self._dir_handles) + len(self._file_handles) >= self._files.limits.max_open_handles:
            raise LimitError(f"More than {self._files.limits.max_open_handles} open handles: close some first.")
        listing = await self._files.listing(path)
        handle = self._get_next_handle()
        self._dir_handles[handle] = listing
        return handle

    _packet_handlers: ClassVar[dict[int | bytes, _Request]] = {
        request: _answering(handler)
        for request, handler in {
            **SFTPServerHandler._packet_handlers,  # noqa: SLF001  the seam
            FXP_OPENDIR: _process_opendir,
            b"limits@openssh.com": _process_limits,
        }.items()
        if request in REQUESTS
    }
