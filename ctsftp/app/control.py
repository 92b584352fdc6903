"""The control socket: how the command line tells a running `serve` what to do.

One JSON object a line each way, over a Unix socket that only its owner may open: `{"do": name, "with":
{...}}` is answered with `{"done": result}` or `{"error": class name, "text": reason}`.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
import structlog

from ctsftp import errors
from ctsftp.errors import CtsftpError, UsageError

MAX_LINE_BYTES = 16 << 20
# A path that is longer than this cannot be a Unix socket's address (unix(7)).
MAX_SOCKET_PATH_BYTES = 107

log = structlog.get_logger()

Perform = Callable[[str, dict[str, Any]], Awaitable[Any]]


class ControlSocket:
    """Answers what the command line asks of this process."""

    def __init__(self, place: Path, perform: Perform) -> None:
        self._place = place
        self._perform = perform
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen; a socket that a dead process left is replaced (the data lock says that it is dead)."""
        self._place.unlink(missing_ok=True)
        with _address(self._place) as address:
            mask = os.umask(0o177)
            try:
                self._server = await asyncio.start_unix_server(self._answer, address, limit=MAX_LINE_BYTES)
            finally:
                os.umask(mask)

    async def close(self) -> None:
        """Stop listening; closing twice is fine."""
        if self._server:
            self._server.close()
            self._server = None
            self._place.unlink(missing_ok=True)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if line := await reader.readline():
                writer.write(orjson.dumps(await self._result(line)) + b"\n")
                await writer.drain()
        except (ConnectionError, ValueError) as exc:
            log.warning("control connection broke off", error=str(exc))
        finally:
            writer.close()

    async def _result(self, line: bytes) -> dict[str, Any]:
        try:
            request = orjson.loads(line)
            return {"done": await self._perform(request["do"], request["with"])}
        except CtsftpError as exc:
            return {"error": type(exc).__name__, "text": str(exc)}
        except Exception as exc:
            log.exception("control request failed")
            return {"error": CtsftpError.__name__, "text": f"The server could not do it: {exc!r}. Its log says more."}


async def ask(place: Path, operation: str, arguments: dict[str, Any]) -> Any:
    """Ask the running `serve`; raise what it raised, or ConnectionError if none listens."""
    with _address(place) as address:
        try:
            reader, writer = await asyncio.open_unix_connection(address, limit=MAX_LINE_BYTES)
        except FileNotFoundError as exc:
            raise ConnectionRefusedError(str(exc)) from exc
    try:
        writer.write(orjson.dumps({"do": operation, "with": arguments}) + b"\n")
        line = await reader.readline()
    finally:
        writer.close()
    if not line:
        raise UsageError("The server stopped before it answered: try again.")
    answer = orjson.loads(line)
    if "error" in answer:
        kind = getattr(errors, answer["error"], CtsftpError)
        raise kind(answer["text"])
    return answer["done"]


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
