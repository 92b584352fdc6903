"""Looks at what nothing else tells of: files that did not come, keys about to expire, a disk that fills up.

Each is told once until it is over; that is kept in the database, so a restart tells nothing twice. Uploads that
were cut off are in no ledger: the listener reports them here, and they are written down as soon as that can be had.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime, timedelta

import structlog

from ctsftp.app.temporary import not_renamed
from ctsftp.clients.folder import Clients
from ctsftp.contract.codes import harmless
from ctsftp.contract.events import EventKind
from ctsftp.contract.names import SegmentFile, read_name
from ctsftp.errors import CtsftpError
from ctsftp.model.writing import iso
from ctsftp.notify.settings import NotifySettings
from ctsftp.sftp.landing import CutOff
from ctsftp.spool.room import Room
from ctsftp.store.outbox import Happening
from ctsftp.store.store import Store

MAX_NOTED = 1_000
# A client's cut-off uploads that are told one by one in so many seconds; of the others, the last and their number.
CUT_OFFS_TOLD = 10
CUT_OFFS_EVERY_S = 60
SHOWN_PATH = 1_000
# A disk counts as low until there is so much more room: around the edge it would be told again and again.
ENOUGH_RATIO = 1.1

Found = dict[tuple[str, str], dict[str, object]]

log = structlog.get_logger()


class Watch:
    """One task that looks every `watch_interval_s`."""

    def __init__(
        self,
        settings: NotifySettings,
        *,
        store: Store,
        clients: Clients,
        room: Callable[[], Room],
        now: Callable[[], datetime],
    ) -> None:
        self._settings = settings
        self._store = store
        self._clients = clients
        self._room = room
        self._now = now
        self._is_low = False
        self._noted: dict[tuple[str, str], CutOff] = {}
        self._told: Counter[str] = Counter()  # cut-offs since `_told_since`, by client
        self._more: dict[str, tuple[CutOff, int]] = {}  # the last cut-off beyond those, and how many came before it
        self._told_since = now()
        self._some = asyncio.Event()

    def note_cut_off(self, what: CutOff) -> None:
        """Remember an upload that was cut off, of each path the latest; of too many, the last. Never raises.

        A client that breaks off by the thousand must not fill the database, nor the receivers' inboxes.
        """
        place = what.client, str(what.path)
        if place not in self._noted:
            if self._told[what.client] >= CUT_OFFS_TOLD or len(self._noted) >= MAX_NOTED:
                _, others = self._more.get(what.client, (what, -1))
                self._more[what.client] = what, others + 1
                return
            self._told[what.client] += 1
        self._noted[place] = what
        self._some.set()

    async def run(self) -> None:
        """Look at once and then for ever, and write down what is noted."""
        loop = asyncio.get_running_loop()
        next_look = loop.time()
        while True:
            if loop.time() >= next_look:
                await self.look()
                next_look = loop.time() + self._settings.watch_interval_s
            with suppress(TimeoutError):
                async with asyncio.timeout_at(next_look):
                    await self._some.wait()
            self._some.clear()
            await self.flush()

    async def look(self) -> None:
        """Look at everything once; what cannot be looked at is logged, and the next look comes."""
        looks: tuple[Callable[[], Awaitable[object]], ...] = (
            self._store.segments.report_overdue,
            self._look_at_keys,
            self._look_at_names,
            self._look_at_disk,
            self._prune,
        )
        for look in looks:
            try:
                await look()
            except (CtsftpError, OSError) as exc:
                log.warning("the watch could not look", at=look.__name__, error=str(exc))
            except Exception:  # no reason to take no more uploads
                log.exception("the watch could not look", at=look.__name__)

    async def flush(self, *, last: bool = False) -> None:
        """Write down what is noted; what cannot be written is only in the log. The `last` time, all of it."""
        noted, self._noted = self._noted, {}
        happenings = [_happening(what) for what in noted.values()]
        passed = self._now() - self._told_since  # below 0 where the clock was put back
        if last or not timedelta() <= passed < timedelta(seconds=CUT_OFFS_EVERY_S):
            happenings += [_happening(what, others) for what, others in self._more.values()]
            self._told, self._more, self._told_since = Counter(), {}, self._now()
        if not happenings:
            return
        try:
            await self._store.outbox.tell(EventKind.UPLOAD_CUT_OFF, happenings)
        except CtsftpError as exc:
            log.warning("events not written down", count=len(happenings), error=str(exc))
        except asyncio.CancelledError:
            self._noted = noted | self._noted  # the last flush has them
            raise

    async def _look_at_keys(self) -> None:
        await self._store.outbox.report(EventKind.KEY_EXPIRING, await asyncio.to_thread(self._expiring))

    async def _look_at_names(self) -> None:
        found: Found = {
            (upload.client, upload.id): {
                "id": upload.id,
                "filename": harmless(upload.filename, limit=SHOWN_PATH),
                "directory": harmless(upload.directory or "/", limit=SHOWN_PATH),
                "received_at": upload.received_at,
            }
            for upload in await not_renamed(self._store, self._clients, self._now())
        }
        await self._store.outbox.report(EventKind.UPLOAD_NOT_RENAMED, found)

    def _expiring(self) -> Found:
        """Find the keys of clients in use that still hold, and end within the days of warning."""
        now = self._now()
        until = now + timedelta(days=self._settings.key_expiry_warning_days)
        found: Found = {}
        for client in map(self._clients.get, self._clients.names()):
            for entry in client.keys.entries if client.config.enabled else ():
                if entry.expires and now < entry.expires <= until:
                    found[client.name, f"{entry.key.fingerprint} {iso(entry.expires)}"] = {
                        "fingerprint": entry.key.fingerprint,
                        "comment": harmless(entry.comment),
                        "expires_at": iso(entry.expires),
                    }
        return found

    async def _look_at_disk(self) -> None:
        spare = (await asyncio.to_thread(self._room)).spare_bytes
        least = self._settings.low_disk_bytes
        self._is_low = spare < (least * ENOUGH_RATIO if self._is_low else least)
        disk = f"disk {self._store.node}" if self._store.node else "disk"
        low: Found = {("", disk): {"spare_bytes": max(0, spare), "low_disk_bytes": least}} if self._is_low else {}
        await self._store.outbox.report(EventKind.DISK_LOW, low, subject=disk)

    async def _prune(self) -> None:
        await self._store.outbox.prune(self._now() - timedelta(days=self._settings.keep_events_days))


def _happening(what: CutOff, others: int = 0) -> Happening:
    """Describe an upload that was cut off as an event, with how many others of its client that stands for."""
    name = read_name(what.path.name)
    about: Happening = {
        "client": what.client,
        "data": {
            "path": harmless(str(what.path), limit=SHOWN_PATH),
            "filename": harmless(what.path.name, limit=SHOWN_PATH),
            "kept_bytes": what.kept_bytes,
        }
        | ({"others": others} if others else {}),
    }
    if isinstance(name, SegmentFile):
        about |= {"segment_key": name.key, "segment": name.title}
    return about
