"""How a command asks the running `serve`: the client's half of the control socket. It blocks, and imports little."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, TypeVar, cast

from ctsftp.admin.wire import END, ERROR, FRAME_HEAD, KINDS, MAX_FRAME_BYTES, PROTOCOL, ROWS, address_of, dump
from ctsftp.errors import CtsftpError, OtherVersionError, UnreachableError
from ctsftp.model import reads
from ctsftp.model.reads import Read, Row

if TYPE_CHECKING:
    from ctsftp.model.commands import Command

R = TypeVar("R")

# A reading command that has no answer for so long reads the database itself.
READ_WAIT_S = 2.0


def perform(place: Path, command: "Command[R]") -> R:
    """Have the running `serve` do something; raise what it raised, or ConnectionRefusedError if none listens."""
    from ctsftp.model import commands  # noqa: PLC0415  who only reads needs none

    try:
        text = b"".join(body for _, body in _answer(place, commands.encode(command), wait_s=None))
        return cast("R", json.loads(text))
    except EOFError:
        raise CtsftpError("The server stopped before it answered: see what it did, and try again.") from None


def read(place: Path, asked: Read[Row]) -> list[Row]:
    """Have the running `serve` list something.

    Besides what `perform` raises: TimeoutError after `READ_WAIT_S` without a word of it, EOFError if it stopped.
    """
    frames = _answer(place, reads.encode(asked), wait_s=READ_WAIT_S)
    return [row for kind, body in frames if kind == ROWS for row in json.loads(body)]


def is_answered(place: Path) -> bool:
    """Tell whether a running `serve` listens, without asking anything of it."""
    try:
        _connect(place, READ_WAIT_S).close()
    except (OSError, UnreachableError):
        return False
    return True


def _answer(place: Path, asked: dict[str, object], *, wait_s: float | None) -> Iterator[tuple[bytes, bytes]]:
    """Ask, and give the frames of the answer up to its end."""
    with _connect(place, wait_s) as connection, connection.makefile("rb") as answer:
        try:
            connection.sendall(dump({"protocol": PROTOCOL, "ask": asked}) + b"\n")
            _require_protocol(answer.readline(MAX_FRAME_BYTES))
            while (head := FRAME_HEAD.unpack(_exactly(answer, FRAME_HEAD.size)))[0] != END:
                kind, length = head
                body = _exactly(answer, length)
                if kind == ERROR:
                    told = json.loads(body)
                    raise KINDS.get(told["error"], CtsftpError)(told["text"])
                yield kind, body
        except ConnectionError:
            raise EOFError from None


def _connect(place: Path, wait_s: float | None) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(wait_s)
    try:
        with address_of(place) as address:
            connection.connect(address)
    except OSError as exc:
        connection.close()
        match exc:
            case FileNotFoundError():
                raise ConnectionRefusedError(str(exc)) from exc
            case BlockingIOError():  # more wait to be heard than the system holds
                raise TimeoutError(str(exc)) from exc
            case ConnectionRefusedError() | TimeoutError():
                raise
        raise UnreachableError(
            f"{place}, by which a running server is asked, cannot be opened ({exc.strerror}):"
            " be root, or the server's account."
        ) from exc
    return connection


def _require_protocol(greeting: bytes) -> None:
    if not greeting:
        raise EOFError
    if json.loads(greeting).get("protocol") != PROTOCOL:
        raise OtherVersionError("The server that runs is of another version of ctsftp than this command: restart it.")


def _exactly(answer: IO[bytes], length: int) -> bytes:
    body = answer.read(length)
    if len(body) < length:
        raise EOFError
    return body
