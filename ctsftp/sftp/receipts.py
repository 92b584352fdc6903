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
# Below it stand the forms of a receipt that few people look at; they can be asked for by name in either folder.
DETAILS = FOLDER.child("details")


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
    """Where receipts come from: all of a client's, described, the newest first; and one by its name, if there is.

    `entries` and `details` list what stands in the folder of receipts, and in the folder below it.
    """

    entries: Callable[[str], Awaitable[list[Entry]]]
    details: Callable[[str], Awaitable[list[Entry]]]
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
        self._looked_at: tuple[HomePath, ReceiptFile] | None = None

    async def stat(self, place: HomePath) -> Entry:
        """Describe a folder, or a receipt in it."""
        if place in {FOLDER, DETAILS}:
            return folder_entry(place)
        found = await self._render(place)
        self._looked_at = place, found
        return found.entry

    async def entries(self, place: HomePath) -> list[Entry]:
        """List a folder."""
        if place == FOLDER:
            return [*await self._source.entries(self._client), folder_entry(DETAILS)]
        if place == DETAILS:
            return await self._source.details(self._client)
        raise NoSuchPathError(f"{place} is not a folder.")

    async def open(self, place: HomePath) -> ReceiptFile:
        """Open a receipt: as it was just described, else as it is now."""
        seen, self._looked_at = self._looked_at, None
        if seen and seen[0] == place:
            return seen[1]
        return await self._render(place)

    async def _render(self, place: HomePath) -> ReceiptFile:
        found = None
        if place.parent in {FOLDER, DETAILS}:
            found = await self._source.render(self._client, place.name)
        if found is None:
            raise NoSuchPathError(f"{place} is not there.")
        return found


def folder_entry(place: HomePath = FOLDER) -> Entry:
    """Describe a folder of receipts, as `ls /` shows it; it has no time of its own."""
    return Entry(place.name, is_folder=True, size=0, modified_s=0, read_only=True)
