"""The virtual folder `/receipts` in what a client sees: read-only, and nothing of it on the disk.

What stands in it is asked of two callables that `app` hands in. A program looks at a file's size, then opens it and
trusts the size: so an open gives the very bytes that the last look at that name in this session described.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from ctsftp.errors import NoSuchPathError, PathRefusedError
from ctsftp.spool.home import Entry
from ctsftp.spool.paths import HomePath

FOLDER = HomePath(("receipts",))


@dataclass(frozen=True, slots=True)
class ReceiptFile:
    """A receipt as it was rendered; its time is in seconds since 1970."""

    name: str
    data: bytes
    modified_s: float

    @property
    def entry(self) -> Entry:
        """Describe the receipt as a file."""
        return Entry(self.name, is_folder=False, size=len(self.data), modified_s=self.modified_s, read_only=True)

    def read(self, offset: int, size: int) -> bytes:
        """Read up to `size` bytes at `offset`."""
        return self.data[offset : offset + size]


@dataclass(frozen=True, slots=True)
class ReceiptSource:
    """Where receipts come from: all of a client's, described, the newest first; and one by its name, if there is."""

    entries: Callable[[str], Awaitable[list[Entry]]]
    render: Callable[[str, str], Awaitable[ReceiptFile | None]]


def is_receipt(place: HomePath) -> bool:
    """Whether a path is the folder of receipts or leads into it."""
    return place.parts[:1] == FOLDER.parts


def require_changeable(place: HomePath) -> HomePath:
    """Give the path of something that a client wants to write or change; the receipts are not for that."""
    if is_receipt(place):
        raise PathRefusedError(f"{FOLDER} holds what became of your uploads, and is read-only: put files elsewhere.")
    return place


class Receipts:
    """One session's view of its client's receipts."""

    def __init__(self, client: str, source: ReceiptSource) -> None:
        self._client = client
        self._source = source
        self._looked_at: ReceiptFile | None = None

    async def stat(self, place: HomePath) -> Entry:
        """Describe the folder, or a receipt in it."""
        if place == FOLDER:
            return folder_entry()
        self._looked_at = await self._render(place)
        return self._looked_at.entry

    async def entries(self, place: HomePath) -> list[Entry]:
        """List the folder."""
        if place != FOLDER:
            raise NoSuchPathError(f"{place} is not a folder.")
        return await self._source.entries(self._client)

    async def open(self, place: HomePath) -> ReceiptFile:
        """Open a receipt: as it was just described, else as it is now."""
        seen, self._looked_at = self._looked_at, None
        if seen and place == FOLDER.child(seen.name):
            return seen
        return await self._render(place)

    async def _render(self, place: HomePath) -> ReceiptFile:
        found = None
        if place.parent == FOLDER:
            found = await self._source.render(self._client, place.name)
        if found is None:
            raise NoSuchPathError(f"{place} is not there.")
        return found


def folder_entry() -> Entry:
    """Describe the folder of receipts, as `ls /` shows it; it has no time of its own."""
    return Entry(FOLDER.name, is_folder=True, size=0, modified_s=0, read_only=True)
