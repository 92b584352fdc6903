"""The control socket: how the command line tells a running `serve` what to do.

One JSON object a line each way, over a Unix socket that only its owner may open: `{"do": name, "with":
{...}}` is answered with `{"done": result}` or `{"error": class name, "text": reason}`.
"""

import asyncio
import json
import os
import socket
import struct
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import structlog

from ctsftp import errors
from ctsftp.errors import CtsftpError, SettingsError, UsageError

SOCKET_MODE = 0o600
MAX_LINE_BYTES = 16 << 20
# A path that is longer than this cannot be a Unix socket's address (unix(7)).
MAX_SOCKET_PATH_BYTES = 107

# The errors that both sides know by name; a subclass from elsewhere goes by its nearest ancestor here.
KINDS = {name: kind for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, CtsftpError)}

log = structlog.get_logger()

Perform = Callable[[str, dict[str, Any]], Awaitable[Any]]


class ControlSocket:
    """Answers what the command line asks of this process."""

    def __init__(self, place: Path, perform: Perform) -> None:
        self._place = place
        self._perform = perform
        self._server: asyncio.Server | None = None
        self._answering: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Listen; a socket that a dead process left is replaced (the data lock says that it is dead)."""
        try:
            self._place.unlink(missing_ok=True)
            bound = _bind(self._place)
            self._server = await asyncio.start_unix_server(self._accept, sock=bound, limit=MAX_LINE_BYTES)
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
            if line := await reader.readline():
                writer.write(_line(await self._result(line)))
                await writer.drain()
        except (OSError, ValueError) as exc:
            log.warning("control connection broke off", error=str(exc))

    async def _result(self, line: bytes) -> dict[str, Any]:
        try:
            request = json.loads(line)
            return {"done": await self._perform(request["do"], request["with"])}
        except CtsftpError as exc:
            name = next(kind.__name__ for kind in type(exc).__mro__ if KINDS.get(kind.__name__) is kind)
            return {"error": name, "text": str(exc)}
        except Exception as exc:
            log.exception("control request failed")
            return {"error": CtsftpError.__name__, "text": f"The server failed: {exc!r}. Its log says more."}


async def ask(place: Path, operation: str, arguments: dict[str, Any]) -> Any:
    """Ask the running `serve`; raise what it raised, or ConnectionRefusedError if none listens."""
    try:
        with _address(place) as address:
            reader, writer = await asyncio.open_unix_connection(address, limit=MAX_LINE_BYTES)
    except FileNotFoundError as exc:
        raise ConnectionRefusedError(str(exc)) from exc
    except ConnectionRefusedError:
        raise
    except OSError as exc:
        raise UsageError(
            f"{place}, by which a running server is asked, cannot be opened ({exc.strerror}):"
            " be root, or the server's account."
        ) from exc
    try:
        writer.write(_line({"do": operation, "with": arguments}))
        line = await reader.readline()
    except ConnectionError:
        line = b""
    finally:
        await _close(writer)
    if not line:
        raise CtsftpError("The server stopped before it answered: see what it did, and try again.")
    answer = json.loads(line)
    if "error" in answer:
        raise KINDS.get(answer["error"], CtsftpError)(answer["text"])
    return answer["done"]


async def is_answered(place: Path) -> bool:
    """Tell whether a running `serve` listens, without asking anything of it."""
    try:
        with _address(place) as address:
            _, writer = await asyncio.open_unix_connection(address)
    except OSError:
        return False
    await _close(writer)
    return True


async def _close(writer: asyncio.StreamWriter) -> None:
    """Close a connection, and wait for it: a command's event loop may end right afterwards."""
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()


def _uid_of(writer: asyncio.StreamWriter) -> int:
    """Tell whose process is at the other end (unix(7), SO_PEERCRED)."""
    size = struct.calcsize("3i")
    credentials = writer.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
    return int(struct.unpack("3i", credentials)[1])


def _line(message: dict[str, Any]) -> bytes:
    """Write a message as one line; ASCII, so that a name that is no UTF-8 arrives as it was typed."""
    return json.dumps(message).encode("ascii") + b"\n"


def _bind(place: Path) -> socket.socket:
    """Make the socket's file, which nobody else may open by the time that somebody listens."""
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with _address(place) as address:
            bound.bind(address)
        place.chmod(SOCKET_MODE)
    except BaseException:
        bound.close()
        raise
    return bound


@contextmanager
def _address(place: Path) -> Iterator[str]:
    """Give the socket's address; a path too long for one is reached through its folder's descriptor."""
    if len(os.fsencode(place)) <= MAX_SOCKET_PATH_BYTES:
        yield str(place)
        return
    folder = os.open(place.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{place.name}"
    finally:
        os.close(folder)
