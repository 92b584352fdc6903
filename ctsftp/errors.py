"""Every error that ctsftp raises on purpose, drawn as a tree.

An error says what was tried, on what, and what to do about it. Three faults are kept apart: the
peer's, the disk's and ours. Their translations stand in one place each: to SFTP status codes in
`sftp.status`, to exit codes in `cli`.

::

    CtsftpError                 anything below
    ├── UsageError              the admin asked for something impossible   (exit 2)
    │   ├── SettingsError       a setting is missing, unknown or wrong
    │   ├── AmbiguousError      a name fits several things: say which
    │   ├── DataFolderBusyError another process holds the data folder
    │   └── UnreachableError    the control socket may not be opened by this account
    ├── RefusedError            the answer is no, and the reason           (exit 1)
    │   ├── NotFoundError       the thing is not there
    │   │   └── SnapshotGoneError   a snapshot is not kept any more
    │   ├── IllegalMoveError    an upload cannot go from its state to that one
    │   └── UntrustedFileError  others may read or write a file that they should not
    ├── PeerError               the sender's fault, told to the sender
    │   ├── PathRefusedError    a path out of the home, a link, a name that cannot be
    │   ├── NoSuchPathError     nothing stands at that path
    │   ├── PathTakenError      something stands at that path already
    │   ├── IncompleteError     a file with holes, a failed write, a cut-off upload
    │   ├── FileRefusedError    the file breaks the contract; the reason names the setting
    │   └── LimitError          a limit was reached; names it
    ├── DiskError               the disk's fault: full, failing, unreachable
    ├── StoreError              the database's fault: locked, corrupt, from the future
    │   ├── LostDatabaseError   its file was deleted or replaced while it was open
    │   └── DamagedListError    a list of members is not what was written
    ├── OtherVersionError       the running server speaks another protocol
    ├── TakenOverError          another node took this one for dead
    └── TourError               the tour of `ctsftp demo` went otherwise than it says
"""


class CtsftpError(Exception):
    """Anything that ctsftp raises on purpose; its text is fit for the person it concerns."""


class UsageError(CtsftpError):
    """The admin asked for something impossible."""


class SettingsError(UsageError):
    """A setting is missing, unknown or wrong."""


class AmbiguousError(UsageError):
    """A name fits several things."""


class DataFolderBusyError(UsageError):
    """Another process holds the data folder."""


class UnreachableError(UsageError):
    """The control socket of a running server cannot be opened."""


class RefusedError(CtsftpError):
    """The answer is no, and the text says why."""


class NotFoundError(RefusedError):
    """The thing that was named is not there."""


class SnapshotGoneError(NotFoundError):
    """A snapshot that somebody held, or was reading, is not kept any more."""


class IllegalMoveError(RefusedError):
    """An upload cannot go from its state to that one; nothing was changed."""


class UntrustedFileError(RefusedError):
    """A file that may be read or written by others than it should; `do` is the command that mends it."""

    def __init__(self, text: str, do: str = "") -> None:
        super().__init__(f"{text}: {do}" if do else text)
        self.do = do


class PeerError(CtsftpError):
    """The sender's fault; the text is sent to it."""


class PathRefusedError(PeerError):
    """A path that leads out of the home, through a link, or has a name that cannot be."""


class NoSuchPathError(PeerError):
    """Nothing stands at the path."""


class PathTakenError(PeerError):
    """Something stands at the path already."""


class IncompleteError(PeerError):
    """The bytes of a file are not all there: holes, a failed write, a cut-off upload."""


class FileRefusedError(PeerError):
    """The file breaks the contract; the text names the setting to change."""


class LimitError(PeerError):
    """A limit was reached; the text names it."""


class DiskError(CtsftpError):
    """The disk could not do what was asked: full, failing or unreachable."""


class StoreError(CtsftpError):
    """The database could not do what was asked: locked, corrupt, or of a newer version."""


class LostDatabaseError(StoreError):
    """The database's file was deleted or replaced while it was open: what is written into it would be lost."""


class DamagedListError(StoreError):
    """A list of members is not what was written: a part is missing, cut, or has other bytes."""


class OtherVersionError(CtsftpError):
    """The running server is of another version than the command that asks it."""


class TakenOverError(CtsftpError):
    """Another node took this one for dead, and works on its data folder."""


class TourError(CtsftpError):
    """Something went otherwise than the tour says; the text tells what was expected and what was found."""
