"""How a running server is administered: the commands that people give it, and the control socket that takes them."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import TypeVar

import structlog

from ctsftp.admin.control import ControlSocket
from ctsftp.admin.handlers import perform_live, perform_on, require_role
from ctsftp.admin.reading import Shelf, pages_of
from ctsftp.app import serving
from ctsftp.app.logwriter import LogWriter
from ctsftp.app.service import Service
from ctsftp.errors import CtsftpError
from ctsftp.model.commands import Command, LiveCommand, Role, for_log
from ctsftp.model.reads import Read, Row
from ctsftp.settings import Settings

R = TypeVar("R")

log = structlog.get_logger()


def open_service(settings: Settings, lines: LogWriter | None = None) -> AbstractAsyncContextManager[Service]:
    """Open a server that can be administered; `lines` writes the log, where a thread does."""
    return Service.open(settings, Administration, lines)


async def serve(
    settings: Settings,
    read: Callable[[], Settings],
    lines: LogWriter | None = None,
    *,
    welcome: Callable[[Service], None] = lambda _: None,
) -> None:
    """Serve until SIGTERM or SIGINT, as `serving.serve` does, and be administered."""
    await serving.serve(settings, read, open_service, lines, welcome=welcome)


class Administration:
    """Does what admins ask of a running server, by whichever way they ask."""

    def __init__(self, service: Service) -> None:
        self._service = service
        place = service.engine.settings.data.socket
        self._socket = ControlSocket(place, self._perform_for_operator, self._read)

    async def start(self) -> None:
        """Take commands by the control socket."""
        await self._socket.start()

    async def close(self) -> None:
        """Take none any more."""
        await self._socket.close()

    async def perform(self, command: Command[R], *, role: Role) -> R:
        """Do what is asked by somebody of this role; `RefusedError` if it is not for them."""
        try:
            require_role(command, role)
            if isinstance(command, LiveCommand):
                return await perform_live(self._service, command)
            try:
                return await perform_on(self._service.engine, command)
            finally:
                self._service.live.beat()  # also where it is not known whether it was done
        except CtsftpError as exc:
            log.warning("admin command refused", operation=command.wire, error=str(exc), **for_log(command))
            raise

    async def _perform_for_operator(self, command: Command[R]) -> R:
        return await self.perform(command, role=Role.OPERATOR)

    def _read(self, asked: Read[Row]) -> AsyncIterator[list[Row]]:
        return pages_of(Shelf(self._service.readable, self._service.if_approved), asked)
