"""`serve`: the engine with its SFTP listener and its control socket; starts, drains, stops.

One TaskGroup, the engine's, owns every task. Stopping goes in this order: the listener drains; the
control socket closes; loads in progress go back to `received`; the database is closed; the lock is let go.
"""

import asyncio
import resource
import signal
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict
from typing import Any

import structlog
from sqlalchemy import make_url

from ctsftp.app.clock import utc_now
from ctsftp.app.control import ControlSocket
from ctsftp.app.engine import Engine
from ctsftp.app.loginbook import LoginNotes
from ctsftp.app.operations import perform_on
from ctsftp.app.supervisor import Supervisor
from ctsftp.clients.hostkeys import load_or_create_host_keys
from ctsftp.contract.names import read_name
from ctsftp.errors import CtsftpError
from ctsftp.settings import Settings
from ctsftp.sftp.server import SftpServer

# What of the listener's settings cannot change while it listens; `reload` takes over the others.
FIXED_SFTP = ("host", "port", "public_host")

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
            return await self.server.recheck()
        if operation == "penalty.list":
            return [asdict(penalty) for penalty in self.server.penalties()]
        if operation == "penalty.clear":
            cleared = self.server.clear_penalties(**arguments)
            log.info("admin command", operation=operation, **arguments)
            return cleared
        return await perform_on(self.engine, operation, arguments)

    async def reload(self, read: Callable[[], Settings]) -> None:
        """Take over what can change while the server runs: limits, host keys, and who may stay signed in.

        Where it listens, its folders and its database are those of its start. Wrong settings change nothing.
        """
        try:
            settings = await asyncio.to_thread(read)
            host_keys = await asyncio.to_thread(load_or_create_host_keys, settings.host_keys)
        except CtsftpError as exc:
            log.error("settings were not reloaded", error=str(exc))  # noqa: TRY400  its text says all
            return
        self.server.apply(settings.sftp, [host_key.key for host_key in host_keys])
        ended = await self.server.recheck()
        log.info("reloaded", sessions_ended=ended, at_the_next_start=_waiting(self.engine.settings, settings))


class Signals:
    """What the system asks of a server: SIGTERM and SIGINT stop it, the second time at once; SIGHUP reloads."""

    def __init__(self) -> None:
        self._stop = asyncio.Event()
        self._reload = asyncio.Event()
        self._hurry: Callable[[], None] | None = None
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopped)
        loop.add_signal_handler(signal.SIGHUP, self._reload.set)

    async def attend(self, service: Service, read: Callable[[], Settings], supervisor: Supervisor) -> None:
        """Do what is asked of the service, until it is to stop."""
        reloading = asyncio.create_task(self._reload_again_and_again(service, read, supervisor))
        try:
            await self._stop.wait()
        finally:
            self._hurry = service.server.hurry
            reloading.cancel()

    def _stopped(self) -> None:
        if self._hurry:
            log.warning("stopping at once")
            self._hurry()
        self._stop.set()

    async def _reload_again_and_again(
        self, service: Service, read: Callable[[], Settings], supervisor: Supervisor
    ) -> None:
        while True:
            await self._reload.wait()
            self._reload.clear()
            supervisor.reloading()
            await service.reload(read)
            supervisor.ready()


async def serve(settings: Settings, read: Callable[[], Settings]) -> None:
    """Serve until SIGTERM or SIGINT; `read` reads the settings again, for SIGHUP."""
    signals, supervisor = Signals(), Supervisor()
    _take_all_descriptors()
    # More than asyncio's own few: each upload that ends waits in one for the disk.
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(settings.threads, thread_name_prefix="ctsftp"))
    beating = asyncio.create_task(supervisor.beat())
    try:
        async with Service.open(settings) as service:
            supervisor.ready()
            await signals.attend(service, read, supervisor)
            supervisor.stopping()
    finally:
        beating.cancel()
        supervisor.close()


def _take_all_descriptors() -> None:
    """Raise the limit on open files to what this process may have; a shell's is 1,024, less than one client's due."""
    with suppress(OSError, ValueError):
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _waiting(old: Settings, new: Settings) -> list[str]:
    """Name what was changed and counts only at the next start."""
    names = [name for name in Settings.model_fields if name != "sftp" and getattr(old, name) != getattr(new, name)]
    return names + [f"sftp.{name}" for name in FIXED_SFTP if getattr(old.sftp, name) != getattr(new.sftp, name)]
