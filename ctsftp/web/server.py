"""uvicorn in the event loop of `serve`: it listens, drains and stops when it is told to, and takes no signals."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp

from ctsftp.contract.listening import cannot_listen
from ctsftp.errors import SettingsError
from ctsftp.web.access import Parts
from ctsftp.web.app import guarded, make_app, make_routes
from ctsftp.web.console.visitor import ConsoleParts
from ctsftp.web.protocol import limited_protocol
from ctsftp.web.settings import HttpSettings

BACKLOG = 128
UNSENT_BYTES = 128 * 1024  # that the system keeps of an answer before its peer takes more


class WebServer:
    """The HTTP listener; `start` it, and `stop` it."""

    def __init__(self, parts: Parts, console: ConsoleParts, *, tasks: asyncio.TaskGroup) -> None:
        self._parts = parts
        self._console = console
        self._tasks = tasks
        self._server: Uvicorn | None = None
        self._running: list[asyncio.Task[None]] = []
        self.port = 0

    async def start(self) -> None:
        """Listen; raise `SettingsError` if the address cannot be had."""
        settings = self._parts.settings
        listener = await asyncio.to_thread(_listen, settings)
        self.port = listener.getsockname()[1]
        app = make_app(self._parts)
        self._server = Uvicorn(_config(guarded(app, self._parts, self._console), settings))
        self._running = [
            self._tasks.create_task(self._server.serve(sockets=[listener])),
            self._tasks.create_task(self._parts.usage.run()),
        ]
        await self._server.up.wait()
        self._tasks.create_task(asyncio.to_thread(make_routes, app))

    async def stop(self) -> None:
        """Take no more requests, let the running ones end, break off what takes too long; twice is fine."""
        server, self._server = self._server, None
        if server is None:
            return
        server.should_exit = True
        self._console.live.close()
        serving, usage = self._running
        usage.cancel()
        await asyncio.wait([serving])
        if left := list(server.server_state.tasks):  # cancelled by now
            await asyncio.wait(left)
        await self._parts.usage.flush()


class Uvicorn(uvicorn.Server):
    """uvicorn's server without signal handlers: `serve` has its own."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and tell that it is done."""
        await super().startup(sockets)
        self.up.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop; a peer that does not take what it is sent is waited for no longer than the others."""
        breaking = asyncio.get_running_loop().call_later(self.config.timeout_graceful_shutdown or 0, self._break_off)
        try:
            await super().shutdown(sockets)
        finally:
            breaking.cancel()

    def _break_off(self) -> None:
        for connection in list(self.server_state.connections):
            if connection.transport is not None:
                connection.transport.abort()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


def _config(app: ASGIApp, settings: HttpSettings) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=limited_protocol(settings),
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=False,
        server_header=False,
        # A proxy's word on who asks is not needed, so nobody's is taken.
        proxy_headers=False,
        timeout_keep_alive=settings.keep_alive_s,
        timeout_graceful_shutdown=settings.drain_timeout_s,
    )


def _listen(settings: HttpSettings) -> socket.socket:
    """Bind the address, here rather than in uvicorn, which would end the process if it cannot be had."""
    try:
        found = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, _, _, _, address = found[0]
        listener = socket.create_server(address[:2], family=family, backlog=BACKLOG)
    except OSError as exc:
        raise SettingsError(
            cannot_listen(
                exc,
                "CTSFTP_HTTP",
                host=settings.host,
                port=settings.port,
                otherwise=", or set CTSFTP_HTTP__ENABLED=false for the server to start without it",
            )
        ) from exc
    # Its connections inherit it: a slow reader is then seen to take something, not megabytes once a minute.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_BYTES)
    return listener
