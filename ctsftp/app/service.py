"""`serve`: the engine with its SFTP listener and its control socket; starts, drains, stops.

One TaskGroup, the engine's, owns every task. Stopping goes in this order: the listener drains; the
control socket closes; loads in progress go back to `received`; the database is closed; the lock is let go.
"""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import structlog
from sqlalchemy import make_url

from ctsftp.app.clock import utc_now
from ctsftp.app.control import ControlSocket
from ctsftp.app.engine import Engine
from ctsftp.app.loginbook import LoginNotes
from ctsftp.app.operations import perform_on
from ctsftp.clients.hostkeys import load_or_create_host_keys
from ctsftp.contract.names import read_name
from ctsftp.settings import Settings
from ctsftp.sftp.server import SftpServer

log = structlog.get_logger()


class Service:
    """A server that is up."""

    def __init__(self, engine: Engine, server: SftpServer) -> None:
        self.engine = engine
        self.server = server

    @classmethod
    @asynccontextmanager
    async def open(cls, settings: Settings) -> AsyncIterator["Service"]:
        """Start everything, give the running service, and stop it in order when the block ends."""
        host_keys = await asyncio.to_thread(load_or_create_host_keys, settings.host_keys)
        async with Engine.open(settings) as engine:
            notes = LoginNotes(engine.store, engine.clients)
            server = SftpServer(
                settings.sftp,
                clients=engine.clients,
                host_keys=[host_key.key for host_key in host_keys],
                spool=engine.spool,
                tasks=engine.tasks,
                now=utc_now,
                is_upload_name=lambda name: read_name(name) is not None,
                inspect=engine.inspect,
                landed=engine.landed,
                on_login=notes.note,
                on_refusal=notes.note,
            )
            service = cls(engine, server)
            control = ControlSocket(settings.data_dir / "control.sock", service.perform)
            background = [engine.tasks.create_task(work) for work in (notes.run(), engine.sweeper.run())]
            try:
                await engine.wait_on()
                # First: a key that is revoked while the server starts must not slip in unseen.
                await control.start()
                await server.start()
                log.info(
                    "serving",
                    host=settings.sftp.host,
                    port=server.port,
                    data=str(settings.data_dir),
                    keys=str(settings.keys_dir),
                    host_keys=str(settings.host_keys),
                    database=make_url(settings.database).render_as_string(),
                )
                yield service
            finally:
                log.info("stopping")
                await server.stop()
                await control.close()
                for task in background:
                    task.cancel()
                await notes.flush()
        log.info("stopped")

    async def perform(self, operation: str, arguments: dict[str, Any]) -> Any:
        """Do what the command line asks for."""
        if operation == "sessions.recheck":
            return self.server.recheck()
        return await perform_on(self.engine, operation, arguments)


async def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with Service.open(settings):
        await stop.wait()
