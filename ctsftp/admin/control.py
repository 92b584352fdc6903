"""The control socket: how a running `serve` is asked, over a Unix socket that only its owner may open.

What goes over it stands in `wire`; `asking` is the other side.
"""

import asyncio
import json
import socket
import struct
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing
from pathlib import Path

import structlog

from ctsftp.admin.wire import (
    END,
    MAX_FRAME_BYTES,
    PROTOCOL,
    address_of,
    dump,
    frame,
    frame_of_error,
    frames_of_result,
    frames_of_rows,
)
from ctsftp.errors import CtsftpError, SettingsError
from ctsftp.model import commands, reads
from ctsftp.model.commands import Command
from ctsftp.model.reads import Read

SOCKET_MODE = 0o600
# A command that takes nothing of its answer for so long is broken off: it was stopped, or hangs.
STALLED_S = 60.0

log = structlog.get_logger()

Perform = Callable[[Command[object]], Awaitable[object]]
Answer = Callable[[Read[object]], AsyncIterator[Sequence[object]]]


class ControlSocket:
    """Answers what the command line asks of this process."""

    def __init__(self, place: Path, perform: Perform, read: Answer) -> None:
        self._place = place
        self._perform = perform
        self._read = read
        self._server: asyncio.Server | None = None
        self._answering: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Listen; a socket that a dead process left is replaced (the data lock says that it is dead)."""
        try:
            self._place.unlink(missing_ok=True)
            bound = _bind(self._place)
            self._server = await asyncio.start_unix_server(self._accept, sock=bound, limit=MAX_FRAME_BYTES)
        except OSError as exc:
            raise SettingsError(
                f"The control socket {self._place} cannot be made ({exc.strerror}): "
                "set CTSFTP_DATA_DIR for the server to a folder on a local disk, and start it again."
            ) from exc

    async def close(self) -> None:
        """Stop listening, and break off what is still being answered; closing twice is fine."""
        server, self._server = self._server, None
        if server is None:
            return
        # Who was accepted just now is made a connection in the next turn, which a closed server would not bear (3.11).
        for bound in server.sockets:
            asyncio.get_running_loop().remove_reader(bound.fileno())
        await asyncio.sleep(0)
        server.close()
        for task in self._answering:
            task.cancel()
        if self._answering:
            await asyncio.wait(self._answering)
        self._place.unlink(missing_ok=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._answer(reader, writer))
        self._answering.add(task)
        task.add_done_callback(self._answering.discard)
        task.add_done_callback(lambda _: writer.close())  # also of one that was cancelled before it began

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        structlog.contextvars.bind_contextvars(by_uid=_uid_of(writer))
        try:
            if not (line := await reader.readline()):
                return
            if (asked := _asked(line)) is None:
                # What a command of before the frames reads as an error.
                text = "The server that runs is of another version of ctsftp than this command: restart it."
                writer.write(dump({"error": "UsageError", "text": text}) + b"\n")
                return
            writer.write(dump({"protocol": PROTOCOL}) + b"\n")
            async with aclosing(self._frames(asked)) as frames:
                async for one in frames:
                    writer.write(one)
                    async with asyncio.timeout(STALLED_S):
                        await writer.drain()
        except (OSError, ValueError) as exc:
            log.warning("control connection broke off", error=str(exc))

    async def _frames(self, asked: dict[str, object]) -> AsyncGenerator[bytes, None]:
        try:
            if "read" in asked:
                async for rows in self._read(reads.decode(asked)):
                    for one in frames_of_rows(rows):
                        yield one
            else:
                for one in frames_of_result(await self._perform(commands.decode(asked))):
                    yield one
            yield frame(END)
        except CtsftpError as exc:
            yield frame_of_error(exc)
        except Exception as exc:
            log.exception("control request failed")
            yield frame_of_error(CtsftpError(f"The server failed: {exc!r}. Its log says more."))


def _asked(line: bytes) -> dict[str, object] | None:
    """Read what is asked; None for what is not of this protocol."""
    try:
        request = json.loads(line)
    except ValueError:
        return None
    if not isinstance(request, dict) or request.get("protocol") != PROTOCOL:
        return None
    asked = request.get("ask")
    return asked if isinstance(asked, dict) else None


def _uid_of(writer: asyncio.StreamWriter) -> int:
    """Tell whose process is at the other end (unix(7), SO_PEERCRED)."""
    size = struct.calcsize("3i")
    credentials = writer.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
    return int(struct.unpack("3i", credentials)[1])


def _bind(place: Path) -> socket.socket:
    """Make the socket's file, which nobody else may open by the time that somebody listens."""
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with address_of(place) as address:
            bound.bind(address)
        place.chmod(SOCKET_MODE)
    except BaseException:
        bound.close()
        raise
    return bound
