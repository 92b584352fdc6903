"""The way of a packet through asyncssh, without what it spends on each and nobody here needs.

An upload is thousands of packets, so this is a seventh of what the server does for one. Rests on asyncssh's `_inpbuf`,
`send_packet`, `log_sent_packet` and `log_received_packet`.
"""

from collections import deque
from typing import Any, Self

from asyncssh.constants import MSG_IGNORE


def spare_ignores(conn: Any) -> None:
    """Send no MSG_IGNORE in front of each packet: that guards CBC's predictable vectors, and no CBC is offered."""
    send = conn.send_packet

    def send_packet(pkttype: int, *args: bytes, **handler: Any) -> None:
        if pkttype != MSG_IGNORE:
            send(pkttype, *args, **handler)

    conn.send_packet = send_packet


def spare_packet_log(conn_or_channel: Any) -> None:
    """Make no text of each packet for a log that is never on."""
    conn_or_channel.log_sent_packet = conn_or_channel.log_received_packet = _log_nothing


def spare_copies(conn: Any) -> None:
    """Keep what arrives in its pieces; call it after the login, when it is only read by packets."""
    conn._inpbuf = Arrived(conn._inpbuf)  # noqa: SLF001  the seam


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
        start = wanted.start or 0
        if wanted.stop is None:
            return self._cut(start)
        start, stop = start + self._start, wanted.stop + self._start
        if stop <= len(self._pieces[0]):
            return self._pieces[0][start:stop]
        found = []
        for piece in self._pieces:
            found.append(piece[max(start, 0) : max(stop, 0)])
            start -= len(piece)
            stop -= len(piece)
        return b"".join(found)

    def _cut(self, count: int) -> "Arrived":
        self._length -= count
        self._start += count
        while self._pieces and self._start >= len(self._pieces[0]):
            self._start -= len(self._pieces.popleft())
        return self


def _log_nothing(*_: object, **__: object) -> None:
    pass
