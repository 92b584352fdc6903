"""What arrives, kept so that its cost is linear in its bytes, in however small pieces it comes."""

from collections import deque
from typing import Self

JOINED_BYTES = 4096


def join_small(before: bytes, last: bytes) -> bytes | None:
    """Join two pieces that are small together; None where not: to move large ones costs more than it saves."""
    return before + last if len(before) + len(last) <= JOINED_BYTES else None


class Arrived:
    """Bytes that arrived, as asyncssh's connection uses a `bytes`: it adds, slices, and cuts off the front.

    A `bytes` is copied whole for each of these, and one read from the socket holds eight packets.
    """

    __slots__ = ("_length", "_pieces", "_start")

    def __init__(self, data: bytes) -> None:
        self._pieces = deque([data] if data else [])
        self._start = 0  # of what is left of the first piece
        self._length = len(data)

    def __len__(self) -> int:
        """Count the bytes that are here."""
        return self._length

    def __iadd__(self, data: bytes) -> Self:
        """Add bytes at the end."""
        if data:
            self._pieces.append(data)
            self._length += len(data)
        return self

    def __getitem__(self, wanted: slice) -> "bytes | Arrived":
        """Give `[start:stop]` as bytes, within what is here; `[start:]` is what is left once those before are gone."""
        start, stop, gone = wanted.start or 0, wanted.stop, self._start
        if stop is None:
            return self._cut(start)
        start += gone
        stop += gone
        first = self._pieces[0]
        if stop <= len(first):
            return first[start:stop]
        found = []
        for piece in self._pieces:
            found.append(piece[max(start, 0) : max(stop, 0)])
            start -= len(piece)
            stop -= len(piece)
        return b"".join(found)

    def find(self, wanted: bytes, start: int, stop: int) -> int:
        """Tell where something begins; asyncssh looks for the end of the version's line."""
        if not self._length:
            return -1
        beginning = self[0:stop]
        assert isinstance(beginning, bytes)
        return beginning.find(wanted, start)

    def _cut(self, count: int) -> "Arrived":
        pieces = self._pieces
        self._length -= count
        gone = self._start + count
        while pieces and gone >= len(pieces[0]):
            gone -= len(pieces.popleft())
        self._start = gone
        return self
