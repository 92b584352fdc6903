"""Parts: cutting ids into them, the bytes of one, reading it back, and a list as the sequence of its parts."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap64

from ctsftp.errors import DamagedListError

Ids = NDArray[np.int64]

# Of one part: what one call to CRoaring holds the interpreter's lock for (about 25 ms at most, measured).
MAX_PART_IDS = 200_000
MAX_PART_CONTAINERS = 10_000
# Of a whole list. A container costs about 100 bytes of memory, however few ids it holds: CTUserIDs lie close together,
# and hashes do not.
MAX_LIST_CONTAINERS = 1_500_000
CONTAINER_BITS = 16

COUNTED_AT_ONCE = 1_000_000  # ids, which bounds the memory beyond the ids themselves
NO_IDS: Ids = np.empty(0, dtype=np.int64)


@dataclass(frozen=True, slots=True)
class Part:
    """What is known of a part without reading it: its place in its list, its range, its members, its sha256."""

    place: int
    first: int
    last: int
    members: int
    digest: str

    def is_like(self, other: "Part") -> bool:
        """Tell whether two parts that were written are of the same bytes."""
        mine, theirs = ((part.first, part.last, part.members, part.digest) for part in (self, other))
        return bool(self.digest) and mine == theirs


@dataclass(frozen=True, slots=True)
class MemberList:
    """A list as its parts, in their order; `load` gives the bitmap of one."""

    parts: Sequence[Part]
    load: Callable[[Part], BitMap64]

    @property
    def members(self) -> int:
        """How many ids there are."""
        return sum(part.members for part in self.parts)

    def pages(self, above: int, limit: int) -> Iterator[Ids]:
        """Give the ids greater than `above`, ascending, in pages of `limit` ids; the last may be shorter."""
        rest = NO_IDS
        for part in self.parts:
            if part.last > above:
                ids = to_ids(self.load(part))
                rest = np.concatenate([rest, ids[np.searchsorted(ids, above, "right") :]])
                while len(rest) >= limit:
                    yield rest[:limit]
                    rest = rest[limit:]
        if len(rest):
            yield rest


def build(ids: Ids) -> Iterator[tuple[Part, bytes]]:
    """Make the parts of ascending ids, each with its bytes: the portable format of a 64-bit Roaring bitmap."""
    for place, some in enumerate(_cut(ids)):
        blob = to_bitmap(some).serialize()
        yield _describe(place, some, digest_of(blob)), blob


def in_memory(ids: Ids) -> MemberList:
    """Make a list of ascending ids that was never written; its bitmaps are built when they are asked for."""
    pieces = list(_cut(ids))
    parts = [_describe(place, some, digest="") for place, some in enumerate(pieces)]
    return MemberList(parts, lambda part: to_bitmap(pieces[part.place]))


def read_part(part: Part, blob: bytes) -> BitMap64:
    """Read the bytes of a part; `DamagedListError` if they are not those that were written."""
    if digest_of(blob) != part.digest:
        raise DamagedListError(f"The part {part.place} of a list is damaged: its sha256 is not the one that was noted.")
    try:
        bitmap = BitMap64.deserialize(blob)
        found = (len(bitmap), bitmap.min(), bitmap.max())
    except (ValueError, IndexError) as error:
        raise DamagedListError(f"The part {part.place} of a list is damaged: it is no Roaring bitmap.") from error
    if found != (part.members, part.first, part.last):
        raise DamagedListError(f"The part {part.place} of a list is damaged: it does not hold what its row says.")
    return bitmap


def digest_of(blob: bytes) -> str:
    """Give the sha256 by which the bytes of a part are checked."""
    return hashlib.sha256(blob).hexdigest()


def to_bitmap(ids: Ids) -> BitMap64:
    """Make a bitmap without runs: all that looks into its bytes has one form less to know."""
    return BitMap64(ids, optimize=False)


def to_ids(bitmap: BitMap64) -> Ids:
    """Give the ids of a bitmap, ascending."""
    array = bitmap.to_array()
    return np.frombuffer(array, dtype=np.int64) if array else NO_IDS


def is_scattered(ids: Ids, limit: int | None = None) -> bool:
    """Tell whether ascending ids lie in more containers than a list may have (`MAX_LIST_CONTAINERS`)."""
    limit = MAX_LIST_CONTAINERS if limit is None else limit
    found = 0
    before = -1
    if len(ids) <= limit:
        return False
    for start in range(0, len(ids), COUNTED_AT_ONCE):
        containers = ids[start : start + COUNTED_AT_ONCE] >> CONTAINER_BITS
        found += int(np.count_nonzero(np.diff(containers, prepend=before)))
        before = int(containers[-1])
    return found > limit


def _describe(place: int, some: Ids, digest: str) -> Part:
    return Part(place=place, first=int(some[0]), last=int(some[-1]), members=len(some), digest=digest)


def _cut(ids: Ids) -> Iterator[Ids]:
    """Cut ascending ids between containers, so that no part is larger than one may be."""
    start = 0
    while start < len(ids):
        some = ids[start : start + MAX_PART_IDS]
        containers = some >> CONTAINER_BITS
        size = len(some)
        if start + size < len(ids) and ids[start + size] >> CONTAINER_BITS == containers[-1]:
            size = int(np.searchsorted(containers, containers[-1]))
        begins = np.flatnonzero(np.diff(containers)) + 1  # where a container begins, but for the first
        if len(begins) >= MAX_PART_CONTAINERS:
            size = min(size, int(begins[MAX_PART_CONTAINERS - 1]))
        assert size, "a container holds fewer ids than a part"
        yield some[:size]
        start += size
