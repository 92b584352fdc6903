"""How a running server is administered: the commands that people give it, and the control socket that takes them."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import asdict
from typing import Any

import structlog

from ctsftp.admin.control import ControlSocket
from ctsftp.admin.handlers import for_log, perform_on
from ctsftp.app import serving
from ctsftp.app.logwriter import LogWriter
from ctsftp.app.service import Service
from ctsftp.app.sheet import CAUSES
from ctsftp.errors import CtsftpError
from ctsftp.settings import Settings

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
        self._socket = ControlSocket(service.engine.settings.data_dir / "control.sock", self.perform)

    async def start(self) -> None:
        """Take commands by the control socket."""
        await self._socket.start()

    async def close(self) -> None:
        """Take none any more."""
        await self._socket.close()

    async def perform(self, operation: str, arguments: dict[str, Any]) -> Any:
        """Do what an admin asks for."""
        try:
            return await self._perform(operation, arguments)
        except CtsftpError as exc:
            log.warning("admin command refused", operation=operation, error=str(exc), **for_log(arguments))
            raise

    async def _perform(self, operation: str, arguments: dict[str, Any]) -> Any:
        service = self._service
        match operation:
            case "sessions.recheck":
                result: Any = await service.server.recheck()
            case "penalty.list":
                return [asdict(penalty) for penalty in service.server.penalties()]
            case "server.faults":
                return await service.faults()
            case "login.list":
                found = service.server.attempts.as_json()
                return [one | {"text": one["text"] or CAUSES.get(one["cause"], "")} for one in found]
            case "penalty.clear":
                result = service.server.clear_penalties(**arguments)
            case _:
                try:
                    return await perform_on(service.engine, operation, arguments)
                finally:
                    service.live.beat()  # also where it is not known whether it was done
        log.info("admin command", operation=operation, result=result, **for_log(arguments))
        return result
