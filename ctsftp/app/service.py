"""A server that is up: the engine with its SFTP listener, its API and its control socket; starts, drains, stops.

One TaskGroup, the engine's, owns every task. Stopping goes in this order: the SFTP listener drains, and the
API answers until it has; the API drains; the control socket closes; loads in progress go back to `received`; the
database is closed; the lock is let go.
"""

import asyncio
import os
import resource
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Protocol, TypeVar

import structlog
from sqlalchemy import make_url

from ctsftp.app.answers import recall_refusals
from ctsftp.app.clock import utc_now
from ctsftp.app.engine import Engine
from ctsftp.app.finishing import finish_dead_nodes
from ctsftp.app.loginbook import LoginNotes
from ctsftp.app.logwriter import LogWriter
from ctsftp.app.metrics import Gauges, Metrics
from ctsftp.app.receipts import ReceiptDesk
from ctsftp.app.sheet import write_sheet
from ctsftp.app.watch import Watch
from ctsftp.clients.checks import OPEN_KEY_ADVICE, made_at
from ctsftp.clients.hostkeys import HostKey, load_or_create_host_keys
from ctsftp.contract.counting import some
from ctsftp.errors import CtsftpError, DiskError, LostDatabaseError
from ctsftp.ingest.approval import Approvals
from ctsftp.model.commands import Command, Role
from ctsftp.model.guide import SheetOut, render_readme
from ctsftp.model.records import IfApproved, Logins, Upload
from ctsftp.settings import Settings
from ctsftp.sftp.attempts import Login, LoginRefused
from ctsftp.sftp.hooks import Hooks
from ctsftp.sftp.landing import Touch
from ctsftp.sftp.receipts import ReceiptSource
from ctsftp.sftp.server import SftpServer
from ctsftp.spool.paths import HomePath
from ctsftp.spool.room import Room
from ctsftp.spool.stored import StoredUpload
from ctsftp.web.access import Parts, Streams
from ctsftp.web.console.live import Live
from ctsftp.web.console.visitor import ConsoleParts
from ctsftp.web.server import WebServer
from ctsftp.web.usage import TokenUsage

# What of the listener's settings cannot change while it listens; `reload` takes over the others.
FIXED_SFTP = ("host", "port", "public_host", "extra_kex")

# Host keys that are older were served with before.
FIRST_START = timedelta(days=1)

# A probe that waits longer has given up.
READY_TIMEOUT_S = 2
OTHER_DESCRIPTORS = 1_000  # besides senders': HTTP, the database, threads that read lists

R = TypeVar("R")

log = structlog.get_logger()


class Administration(Protocol):
    """Does what people ask of a running server; the room above makes it."""

    async def perform(self, command: Command[R], *, role: Role) -> R:
        """Do what somebody of this role asks, and give the answer."""

    async def start(self) -> None:
        """Be there for people."""

    async def close(self) -> None:
        """Be there no longer."""


class Service:
    """A server that is up."""

    def __init__(
        self,
        engine: Engine,
        *,
        administer: Callable[["Service"], Administration],
        live: Live,
        metrics: Metrics,
        host_keys: Sequence[HostKey],
        lines: LogWriter | None,
    ) -> None:
        settings = engine.settings
        self.engine = engine
        self.live = live
        self._metrics = metrics
        self._host_keys = host_keys
        self._lines = lines
        self._folder = settings.data_dir.stat()
        self._asked: asyncio.Task[list[str]] | None = None
        self.readable = engine.store.for_readers()
        self._notes = LoginNotes(engine.store, engine.clients)
        self._watch = Watch(settings.notify, store=engine.store, clients=engine.clients, room=engine.room, now=utc_now)
        self._approvals = Approvals(
            settings.ingest,
            store=self.readable,
            tasks=engine.tasks,
            find=self._find_held,
            config_of=engine.config_of,
            changed=live.beat,
        )
        self.administration = administer(self)
        self.server = self._make_server()
        self.web = self._make_web()

    def _make_server(self) -> SftpServer:
        engine, settings = self.engine, self.engine.settings
        desk = ReceiptDesk(
            store=engine.store.for_readers(),
            spool=engine.spool,
            queue=engine.queue,
            shown=settings.sftp.receipts_shown,
            wait_s=settings.sftp.receipt_wait_s,
            readme=self._readme,
        )
        return SftpServer(
            settings.sftp,
            clients=engine.clients,
            host_keys=[host_key.key for host_key in self._host_keys],
            spool=engine.spool,
            tasks=engine.tasks,
            now=utc_now,
            key_expiry_warning=timedelta(days=settings.notify.key_expiry_warning_days),
            hooks=Hooks(
                is_upload_name=engine.is_upload_name,
                inspect=engine.inspect,
                landed=engine.landed,
                touch=Touch(engine.touches.begins, engine.touches.filled, engine.touches.stayed),
                cut_off=self._watch.note_cut_off,
                receipts=ReceiptSource(desk.entries, desk.details, desk.render),
                on_login=self._on_login,
                on_refusal=self._on_refusal,
                on_mismatch=self._metrics.mismatched,
            ),
        )

    def _make_web(self) -> WebServer:
        engine = self.engine
        parts = Parts(
            settings=engine.settings.http,
            store=self.readable,
            perform=self.perform,
            metrics=self.metrics,
            unready=self.unready,
            remarks=self.remarks,
            usage=TokenUsage(engine.store.tokens, utc_now),
            streams=Streams(engine.settings.http.max_streams),
            if_approved=self.if_approved,
        )
        console = ConsoleParts(clients=engine.clients, sheet=self._sheet, live=self.live, now=utc_now)
        return WebServer(parts, console, tasks=engine.tasks)

    @classmethod
    @asynccontextmanager
    async def open(
        cls, settings: Settings, administer: Callable[["Service"], Administration], lines: LogWriter | None = None
    ) -> AsyncIterator["Service"]:
        """Start everything, give the running service, and stop it in order when the block ends.

        `administer` makes what people ask it by. `lines` writes the log, where a thread does.
        """
        _tell_of_new_folder(settings)
        host_keys = await asyncio.to_thread(_read_host_keys, settings)
        metrics = Metrics(settings.metrics, data_dir=settings.data_dir)
        live = Live(settings.http.max_live_pages)
        async with Engine.open(settings, metrics, changed=live.beat) as engine:
            service = cls(engine, administer=administer, live=live, metrics=metrics, host_keys=host_keys, lines=lines)
            async with service._running():
                yield service
        log.info("stopped")

    @asynccontextmanager
    async def _running(self) -> AsyncIterator[None]:
        engine = self.engine
        engine.tell_refusals(self._note_refusal)
        await recall_refusals(engine.store, engine.config_of, self.server, utc_now())
        self._metrics.watch(self._gauges())
        sweeping = engine.tasks.create_task(engine.sweeper.run())
        background = [
            engine.tasks.create_task(work)
            for work in (
                self._notes.run(),
                engine.keep_reserve(),
                self._watch.run(),
                self._metrics.run(),
                engine.notifier.run(),
                finish_dead_nodes(engine),
            )
        ]
        try:
            await self._start()
            yield
        finally:
            sweeping.cancel()  # what it would find, the next start's finds
            await self._stop(background)

    async def _start(self) -> None:
        settings = self.engine.settings
        await self.engine.wait_on()
        # First: a key that is revoked while the server starts must not slip in unseen.
        await self.administration.start()
        if settings.http.enabled:
            await self.web.start()
        await self.server.start()
        if settings.http.enabled:
            log.info("serving http", host=settings.http.host, port=self.web.port)
        log.info(
            "serving",
            host=", ".join(self.server.hosts),
            port=self.server.port,
            data=str(settings.data_dir),
            keys=str(settings.keys_dir),
            host_keys=str(settings.host_keys),
            database=make_url(settings.database).render_as_string(),
        )

    async def _stop(self, background: Sequence[asyncio.Task[None]]) -> None:
        log.info("stopping")
        await self.server.stop()
        await self.web.stop()
        await self._approvals.close()
        await self.administration.close()
        for task in background:
            task.cancel()
        await self._notes.flush()
        await self._watch.flush(last=True)

    def _gauges(self) -> Gauges:
        return Gauges(
            connections=lambda: len(self.server.connections),
            sessions=lambda: self.server.session_count,
            open_uploads=lambda: self.server.open_uploads,
            queued=lambda: len(self.engine.queue),
            room=self.engine.room,
            log_lines_lost=lambda: self._lines.lost if self._lines else 0,
        )

    def _on_login(self, login: Login) -> None:
        self._metrics.signed_in(login)
        self._notes.note(login)

    def _on_refusal(self, refused: LoginRefused) -> None:
        self._metrics.refused(refused)
        self._notes.note(refused)

    def _note_refusal(self, upload: StoredUpload, why: str) -> None:
        self.server.note_refusal(upload.client, HomePath.of(upload.place), why)

    def _readme(self, client: str) -> bytes:
        """Write what a client's sender needs to know."""
        directories: Sequence[str] = ()
        with suppress(DiskError):  # client.toml is broken, which is told elsewhere
            directories = self.engine.config_of(client).directories or ()
        sheet = write_sheet(self.engine.settings, client, self._host_keys, Logins())
        return render_readme({**sheet, "port": self.server.port}, directories)

    async def perform(self, command: Command[R], *, role: Role = Role.OPERATOR) -> R:
        """Do what is asked; by default, what this process itself asks."""
        return await self.administration.perform(command, role=role)

    async def _sheet(self, client: str) -> SheetOut:
        """Write a client's connection sheet."""
        logins = await self.readable.logins.facts(client)
        return {**write_sheet(self.engine.settings, client, self._host_keys, logins), "port": self.server.port}

    async def if_approved(self, uploads: Sequence[Upload], wait_s: float) -> dict[str, IfApproved]:
        """Tell what held uploads would change."""
        return await self._approvals.if_approved(uploads, wait_s=wait_s)

    async def _find_held(self, upload: Upload) -> StoredUpload | None:
        """Find the file of a held upload, unless another node has it."""
        if self.engine.store.node and upload.node != self.engine.store.node:
            return None
        return await asyncio.to_thread(self.engine.spool.upload, upload.client, upload.id)

    async def metrics(self) -> bytes:
        """Give all numbers in Prometheus' text format."""
        return await self._metrics.render(self.readable)

    async def unready(self) -> list[str]:
        """Give the reasons why no sender should be led here now; none if all is well."""
        reasons = ["The server is stopping."] if self.server.stopping else []
        # A read that was begun cannot be broken off: the next probe waits for the same one.
        if self._asked is None or self._asked.done():
            self._asked = self.engine.tasks.create_task(self._ask_database())
        asked = self._asked
        done, _ = await asyncio.wait({asked}, timeout=READY_TIMEOUT_S)
        reasons += await asked if done else [f"The database did not answer within {READY_TIMEOUT_S} s."]
        return reasons + await asyncio.to_thread(self._folder_reasons)

    def _folder_reasons(self) -> list[str]:
        settings = self.engine.settings
        try:
            room = self.engine.room()
            is_same = os.path.samestat(self._folder, settings.data_dir.stat())
        except OSError as exc:
            log.warning("not ready", error=str(exc))
            return ["The data folder is not there, or cannot be looked at."]
        if not is_same:
            return ["The data folder was moved away, and another is in its place."]
        return room_reasons(room, settings.sftp.max_file_size_bytes)

    def remarks(self) -> list[str]:
        """Give what is wrong though no sender need be kept away."""
        if self._lines is None or self._lines.trouble is None:
            return []
        return [f"The log cannot be written ({self._lines.trouble}): lost: {some(self._lines.lost, 'line')}."]

    async def faults(self) -> list[str]:
        """Give all that is wrong with the running server."""
        return await self.unready() + self.remarks() + self._few_descriptors()

    def _few_descriptors(self) -> list[str]:
        """Tell of a limit on open files that one client could reach alone."""
        limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = self.server.settings.descriptors + OTHER_DESCRIPTORS
        if limit == resource.RLIM_INFINITY or limit >= wanted:
            return []
        text = f"The server may have {limit:,} files open, and connections and one client's files may be {wanted:,}"
        do = "raise LimitNOFILE (systemd) or ulimit -n, or lower max_connections_per_client, max_channels or"
        return [f"{text}: {do} max_open_handles."]

    async def _ask_database(self) -> list[str]:
        try:
            await self.engine.store.numbers.answers()
        except LostDatabaseError as exc:
            log.warning("not ready", error=str(exc))
            return ["The database's file was deleted or replaced while it was open: nothing is written any more."]
        except CtsftpError as exc:
            log.warning("not ready", error=str(exc))  # it names paths, which are for no stranger
            return ["The database does not answer."]
        except Exception:  # this task must not end the others
            log.exception("not ready")
            return ["The database does not answer."]
        return []

    async def reload(self, read: Callable[[], Settings]) -> None:
        """Take over what can change while the server runs: limits, host keys, and who may stay signed in.

        Where it listens, its folders and its database are those of its start. Wrong settings change nothing.
        """
        try:
            settings = await asyncio.to_thread(read)
            host_keys = await asyncio.to_thread(_read_host_keys, settings)
        except CtsftpError as exc:
            log.error("settings were not reloaded", error=str(exc))  # noqa: TRY400  its text says all
            return
        old = self.engine.settings
        self._host_keys = host_keys
        self.server.apply(settings.sftp, [host_key.key for host_key in host_keys])
        self.engine.apply(settings.sftp.model_copy(update={name: getattr(old.sftp, name) for name in FIXED_SFTP}))
        ended = await self.server.recheck()
        log.info("reloaded", sessions_ended=ended, at_the_next_start=_waiting(old, settings))


def room_reasons(room: Room, largest_bytes: int) -> list[str]:
    """Give the reason why a full disk makes a server unready, if it does."""
    if room.refusal():
        return ["The disk has no room: uploads are refused."]
    if room.refusal(largest_bytes):
        return ["The disk has no room for the largest file that may come."]
    return []


def _read_host_keys(settings: Settings) -> list[HostKey]:
    """Read the host keys, or make them; warn of those that this process's group could read."""
    host_keys = load_or_create_host_keys(settings.host_keys)
    for key in host_keys:
        if key.was_open:
            log.warning(
                "host key was open to the server's group",
                file=str(key.path),
                mode=f"{key.path.stat().st_mode & 0o777:o}",
                do=OPEN_KEY_ADVICE,
            )
    return host_keys


def _tell_of_new_folder(settings: Settings) -> None:
    """Say that nothing was ever served from the data folder; louder, if old host keys show that this is no first start.

    New ones show nothing: `client show` makes them, and comes before the first start.
    """
    if settings.data.lock.exists():
        return
    made = made_at(settings.host_keys)
    if made and utc_now() - made > FIRST_START:
        do = (
            "If there was another, stop, mount its disk or move it back, or set CTSFTP_DATA_DIR for the server, and"
            " start again."
        )
        log.warning("the data folder is new and empty", data=str(settings.data_dir), do=do)
    else:
        log.info("the data folder is new", data=str(settings.data_dir))


def _waiting(old: Settings, new: Settings) -> list[str]:
    """Name what was changed and counts only at the next start."""
    names = [name for name in Settings.model_fields if name != "sftp" and getattr(old, name) != getattr(new, name)]
    return names + [f"sftp.{name}" for name in FIXED_SFTP if getattr(old.sftp, name) != getattr(new.sftp, name)]
