"""How an error of ours is told to an SFTP client: the one place that knows status codes.

SFTP version 3 has few codes (draft-ietf-secsh-filexfer-02, section 7); the text carries the reason.
"""

from asyncssh.sftp import (
    FX_FAILURE,
    FX_NO_SUCH_FILE,
    FX_PERMISSION_DENIED,
    SFTPError,
)

from ctsftp.errors import CtsftpError, NoSuchPathError, PathRefusedError

_CODES: tuple[tuple[type[Exception], int], ...] = (
    (NoSuchPathError, FX_NO_SUCH_FILE),
    (FileNotFoundError, FX_NO_SUCH_FILE),
    (PathRefusedError, FX_PERMISSION_DENIED),
    (PermissionError, FX_PERMISSION_DENIED),
)


def sftp_error(exc: CtsftpError | OSError) -> SFTPError:
    """Translate an error into the status that the client gets."""
    code = next((code for kind, code in _CODES if isinstance(exc, kind)), FX_FAILURE)
    reason = exc.strerror or "The disk failed." if isinstance(exc, OSError) else str(exc)
    return SFTPError(code, reason)
