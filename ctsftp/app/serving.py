"""`serve`: a service in a process of its own: its signals, its threads and descriptors, and who supervises it."""

import asyncio
import ctypes
import gc
import resource
import signal
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, suppress

import structlog

from ctsftp.app.lock import until_free
from ctsftp.app.logwriter import LogWriter
from ctsftp.app.service import Service
from ctsftp.app.supervisor import Supervisor
from ctsftp.settings import Settings

M_MMAP_THRESHOLD, M_TRIM_THRESHOLD = -3, -1  # of mallopt(3)
LARGE_BLOCK_BYTES = 1 << 20
# Of smaller ones so much is kept: glibc's 128 KiB would be given back and taken again for each read of a socket.
KEPT_BYTES = 4 << 20

log = structlog.get_logger()


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
        if uploads := service.server.open_uploads:
            seconds = service.server.settings.drain_timeout_s
            log.info("waiting for uploads that run", uploads=uploads, at_most_s=seconds, cut_off_by="a second signal")

    async def wait_for(self, work: Coroutine[None, None, None]) -> bool:
        """Wait for the end of `work`; False if the server is to stop before."""
        tasks = [asyncio.create_task(work), asyncio.create_task(self._stop.wait())]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return not self._stop.is_set()

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


async def serve(
    settings: Settings,
    read: Callable[[], Settings],
    open_service: Callable[[Settings, LogWriter | None], AbstractAsyncContextManager[Service]],
    lines: LogWriter | None = None,
    *,
    welcome: Callable[[Service], None] = lambda _: None,
) -> None:
    """Serve until SIGTERM or SIGINT; `read` reads the settings again, for SIGHUP; `lines` writes the log.

    `open_service` opens what is served by; `welcome` is told once it serves.
    """
    signals, supervisor = Signals(), Supervisor()
    _take_all_descriptors()
    _give_large_blocks_back()
    # More than asyncio's own few: each upload that ends waits in one for the disk.
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(settings.threads, thread_name_prefix="ctsftp"))
    beating = asyncio.create_task(supervisor.beat())
    try:
        if settings.takeover.folders and not await signals.wait_for(until_free(settings.data_dir)):
            return
        async with open_service(settings, lines) as service:
            # What there is by now is there for good: a full collection of it would stop the event loop for 0.1 s.
            gc.collect()
            gc.freeze()
            supervisor.ready()
            welcome(service)
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


def _give_large_blocks_back() -> None:
    """Have glibc give every large block back to the system as soon as it is free (mallopt(3)).

    Left to itself, it learns from the first of them that was freed to keep the next, up to 32 MB each, for every thread
    by itself: after some lists of a million members, 130 MB more than are in use.
    """
    with suppress(AttributeError):  # another C library
        libc = ctypes.CDLL(None)
        libc.mallopt(M_MMAP_THRESHOLD, LARGE_BLOCK_BYTES)
        libc.mallopt(M_TRIM_THRESHOLD, KEPT_BYTES)
