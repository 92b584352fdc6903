"""What goes over the control socket, the same for both sides.

A request is one line of JSON: `{"protocol": 2, "ask": ...}`, which `model.commands` or `model.reads` encodes.
The answer begins at once with the line `{"protocol": 2}`. Frames follow, each a letter, a length and so many bytes:

    R   rows, as a list of JSON: as many of these as the rows need; an empty one says that it takes longer
    D   a piece of the result's JSON, which may be longer than a frame
    E   {"error": class name, "text": reason}; nothing follows
    .   the end

Each is written when the other side took the one before: neither ever holds more of an answer than it works on.
"""

import json
import os
import struct
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ctsftp import errors
from ctsftp.errors import CtsftpError

PROTOCOL = 2
MAX_FRAME_BYTES = 1 << 20  # of a request's line, too
FRAME_HEAD = struct.Struct(">cI")
ROWS, RESULT, ERROR, END = b"R", b"D", b"E", b"."
# A path that is longer than this cannot be a Unix socket's address (unix(7)).
MAX_SOCKET_PATH_BYTES = 107

# The errors that both sides know by name; a subclass from elsewhere goes by its nearest ancestor here.
KINDS = {name: kind for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, CtsftpError)}

_MAX_BODY_BYTES = MAX_FRAME_BYTES - FRAME_HEAD.size


def dump(message: object) -> bytes:
    """Write JSON in one line of ASCII, so that a name that is no UTF-8 arrives as it was typed."""
    return json.dumps(message, separators=(",", ":")).encode("ascii")


def frame(kind: bytes, body: bytes = b"") -> bytes:
    """Write a frame."""
    assert len(body) <= _MAX_BODY_BYTES, "a frame is too long"
    return FRAME_HEAD.pack(kind, len(body)) + body


def frames_of_rows(rows: Iterable[object]) -> Iterator[bytes]:
    """Write rows in as few frames as hold them, and in one that is empty where there are none."""
    waiting: list[bytes] = []
    size = 0
    for row in map(dump, rows):
        if size + len(row) + 2 > _MAX_BODY_BYTES:
            yield _frame_of(waiting)
            waiting, size = [], 0
        waiting.append(row)
        size += len(row) + 1
    yield _frame_of(waiting)


def frames_of_result(result: object) -> Iterator[bytes]:
    """Write a result in frames."""
    text = dump(result)
    for start in range(0, len(text), _MAX_BODY_BYTES):
        yield frame(RESULT, text[start : start + _MAX_BODY_BYTES])


def frame_of_error(exc: CtsftpError) -> bytes:
    """Write an error in a frame, by the name that the other side knows it by."""
    name = next(kind.__name__ for kind in type(exc).__mro__ if KINDS.get(kind.__name__) is kind)
    return frame(ERROR, dump({"error": name, "text": str(exc)}))


@contextmanager
def address_of(place: Path) -> Iterator[str]:
    """Give the socket's address; a path too long for one is reached through its folder's descriptor."""
    if len(os.fsencode(place)) <= MAX_SOCKET_PATH_BYTES:
        yield str(place)
        return
    folder = os.open(place.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{place.name}"
    finally:
        os.close(folder)


def _frame_of(rows: list[bytes]) -> bytes:
    return frame(ROWS, b"[" + b",".join(rows) + b"]")
