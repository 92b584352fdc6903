"""How an error is told to an SFTP client: the one place that knows status codes.

SFTP version 3 has few codes (draft-ietf-secsh-filexfer-02, section 7); the text carries the reason.
"""

from asyncssh import SFTPError
from asyncssh.constants import FX_FAILURE, FX_NO_SUCH_FILE, FX_PERMISSION_DENIED

from ctsftp.errors import CtsftpError, NoSuchPathError, PathRefusedError

_CODES: tuple[tuple[type[Exception], int], ...] = (
    (NoSuchPathError, FX_NO_SUCH_FILE),
    (FileNotFoundError, FX_NO_SUCH_FILE),
    (PathRefusedError, FX_PERMISSION_DENIED),
    (PermissionError, FX_PERMISSION_DENIED),
)


def is_expected(exc: Exception) -> bool:
    """Whether this is the peer's fault or the disk's; anything else is a bug of ours, to be logged in full."""
    return isinstance(exc, CtsftpError | OSError)


def sftp_error(exc: Exception) -> SFTPError:
    """Translate an error into the status that the client gets; the details of a bug are not for it."""
    code = next((code for kind, code in _CODES if isinstance(exc, kind)), FX_FAILURE)
    if isinstance(exc, CtsftpError):
        return SFTPError(code, str(exc))
    if isinstance(exc, OSError):
        return SFTPError(code, exc.strerror or "The disk failed.")
    return SFTPError(code, "The server failed: try again, and tell its admin if it goes on.")
