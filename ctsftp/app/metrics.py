"""What `serve` tells Prometheus: what it counts as it goes, and what it asks of ledger, disk and server at a scrape.

The registry is our own, so that two servers in one process (tests) do not mix. What has a label has a bound: states and
codes are tables of ours, clients and segments are shown up to `metrics.segments_shown`.
"""

import asyncio
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import structlog
from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from ctsftp.app.clock import utc_now
from ctsftp.app.engine import Watch
from ctsftp.clients.authorized_keys import Refusal
from ctsftp.contract.codes import PAGES
from ctsftp.contract.states import END_STATES, State
from ctsftp.datafolder import DataFolder
from ctsftp.errors import CtsftpError
from ctsftp.ingest.reading import Reading
from ctsftp.settings import MetricsSettings
from ctsftp.sftp.attempts import UNKNOWN_KIND, Login, LoginRefused
from ctsftp.sftp.negotiation import Kind
from ctsftp.spool.room import Room
from ctsftp.spool.stored import StoredUpload
from ctsftp.store.numbers import LedgerNumbers
from ctsftp.store.store import Store

# From 10 ms, which a small list takes, to the minutes of tens of millions of rows; stalls from 1 ms.
LOAD_BUCKETS_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
STALL_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5)
# Uploads whose CLOSE is remembered until their verdict; those beyond are loaded as well, and not timed.
TICK_S = 0.05  # between two measurements of the event loop's delay: as long as a stall that a person notices
SPOOL_EVERY_S = 60  # the size of the spool is a walk over all files
MAX_TIMED = 100_000

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Gauges:
    """Numbers that the server can tell at any moment, each by a function."""

    connections: Callable[[], int]
    sessions: Callable[[], int]
    open_uploads: Callable[[], int]
    queued: Callable[[], int]
    room: Callable[[], Room]
    log_lines_lost: Callable[[], int] = lambda: 0


@dataclass(slots=True)
class _Scrape:
    """What was found out for one scrape; the ledger's numbers are None where the database did not answer."""

    ledger: LedgerNumbers | None = None
    now: datetime = field(default_factory=utc_now)
    room: Room | None = None
    spool_bytes: int = 0
    stall_s: float = 0


class Metrics(Watch, Collector):
    """Counts while the server works, and renders; `run` it for the event loop's stalls."""

    def __init__(self, settings: MetricsSettings, *, data_dir: Path) -> None:
        self._settings = settings
        self._data_dir = data_dir
        self._landed_at: dict[str, float] = {}
        self._gauges: Gauges | None = None
        self._scrape = _Scrape()
        self._scraping = asyncio.Lock()
        self._worst_stall_s = 0.0
        self._spool: tuple[float, int] | None = None
        self._registry = registry = CollectorRegistry()
        self._received = Counter("ctsftp_received_uploads", "Uploads that were acknowledged.", registry=registry)
        self._bytes = Counter("ctsftp_received_bytes", "Their bytes.", registry=registry)
        self._verdicts = Counter("ctsftp_verdicts", "What loads led to.", ["state", "code"], registry=registry)
        self._rows = Counter("ctsftp_rows", "Rows that were read.", ["kind"], registry=registry)
        self._logins = Counter("ctsftp_logins", "Logins.", registry=registry)
        self._refusals = Counter("ctsftp_login_refusals", "Logins that were refused.", ["cause"], registry=registry)
        self._mismatches = Counter(
            "ctsftp_failed_negotiations", "Connections without an algorithm in common.", ["kind"], registry=registry
        )
        self._close_to_ready = Histogram(
            "ctsftp_close_to_ready_seconds",
            "From the CLOSE of an upload until its list is the segment's.",
            buckets=LOAD_BUCKETS_S,
            registry=registry,
        )
        self._load = Histogram(
            "ctsftp_load_seconds",
            "What a load took, with the counting of who entered and left.",
            buckets=LOAD_BUCKETS_S,
            registry=registry,
        )
        self._stalls = Histogram(
            "ctsftp_event_loop_stall_seconds",
            "How late the event loop came to a regular task.",
            buckets=STALL_BUCKETS_S,
            registry=registry,
        )
        self._begin_at_zero()
        ProcessCollector(registry=registry)
        registry.register(self)

    def watch(self, gauges: Gauges) -> None:
        """Take the functions that tell what is going on now."""
        self._gauges = gauges

    def landed(self, upload: StoredUpload) -> None:
        """Count an upload, and note the time of its CLOSE."""
        self._received.inc()
        try:
            self._bytes.inc(upload.path.stat().st_size)
        except OSError:  # its load will say what is wrong
            log.warning("upload not measured", upload=upload.id)
        if len(self._landed_at) < MAX_TIMED:
            self._landed_at[upload.id] = time.monotonic()

    def loaded(self, seconds: float) -> None:
        """Note what a load took."""
        self._load.observe(seconds)

    def told(self, upload: StoredUpload, state: State, code: str | None, reading: Reading | None) -> None:
        """Count a verdict; of a file that was read, its rows."""
        self._verdicts.labels(state.value, code or "").inc()
        if state is not State.FAILED:  # it is tried again, and may be the slowest of all
            closed_at = self._landed_at.pop(upload.id, None)
            if closed_at is not None and state is State.LOADED:
                self._close_to_ready.observe(time.monotonic() - closed_at)
        if reading:
            self._rows.labels("member").inc(reading.members)
            self._rows.labels("duplicate").inc(reading.duplicates)
            self._rows.labels("rejected").inc(reading.rejected)

    def signed_in(self, _login: Login) -> None:
        """Count a login."""
        self._logins.inc()

    def refused(self, refused: LoginRefused) -> None:
        """Count a refusal by its cause."""
        self._refusals.labels(refused.cause.value).inc()

    def mismatched(self, kind: str) -> None:
        """Count a connection that ended since there was no algorithm of a kind in common."""
        self._mismatches.labels(kind).inc()

    async def run(self) -> None:
        """Measure how late the event loop comes to this task, until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + TICK_S
            await asyncio.sleep(TICK_S)
            late_s = max(0.0, loop.time() - due)
            self._stalls.observe(late_s)
            self._worst_stall_s = max(self._worst_stall_s, late_s)

    async def render(self, store: Store) -> bytes:
        """Give all numbers in Prometheus' text format; one scrape at a time, since a scrape resets the worst stall."""
        async with self._scraping:
            self._scrape = await self._find_out(store)
            return await asyncio.to_thread(generate_latest, self._registry)

    def collect(self) -> Iterator[Metric]:
        """Yield what was found out for this scrape."""
        found = self._scrape
        if self._gauges:
            yield _gauge("ctsftp_connections", "SSH connections.", self._gauges.connections())
            yield _gauge("ctsftp_sessions", "SFTP sessions.", self._gauges.sessions())
            yield _gauge("ctsftp_open_uploads", "Files that are being written.", self._gauges.open_uploads())
            yield _gauge("ctsftp_queue_uploads", "Uploads that wait or are being loaded.", self._gauges.queued())
            lost = self._gauges.log_lines_lost()
            yield CounterMetricFamily("ctsftp_log_lines_lost", "Lines that the log did not take.", value=lost)
        if room := found.room:
            yield _gauge("ctsftp_disk_free_bytes", "Free bytes on the disk of the data.", room.free_bytes)
            yield _gauge("ctsftp_disk_bytes", "Bytes of that disk.", room.total_bytes)
            yield _gauge("ctsftp_disk_spare_bytes", "Bytes that uploads may still take of it.", room.spare_bytes)
            yield _gauge("ctsftp_disk_spare_files", "Files (inodes) that uploads may still take.", room.spare_files)
        yield _gauge("ctsftp_spool_bytes", "Bytes of the uploads and partials that are kept.", found.spool_bytes)
        yield _gauge("ctsftp_event_loop_stall_max_seconds", "Worst stall since the last scrape.", found.stall_s)
        yield _gauge("ctsftp_ledger_up", "Whether the database answered.", found.ledger is not None)
        if found.ledger:
            yield from _ledger(found.ledger, found.now)

    def _begin_at_zero(self) -> None:
        """Show every label that may come: Prometheus sees no increase where a series only begins."""
        for cause in Refusal:
            self._refusals.labels(cause.value)
        for kind in (*Kind, UNKNOWN_KIND):
            self._mismatches.labels(kind)
        for kind in ("member", "duplicate", "rejected"):
            self._rows.labels(kind)
        for state in END_STATES - {State.REJECTED, State.DISCARDED}:
            self._verdicts.labels(state.value, "")
        for code, page in PAGES.items():
            if page.kind in set(State):
                self._verdicts.labels(page.kind, code.value)

    async def _find_out(self, store: Store) -> _Scrape:
        found = _Scrape(stall_s=self._worst_stall_s)
        self._worst_stall_s = 0.0
        try:
            found.ledger = await store.numbers.read(segments=self._settings.segments_shown)
        except CtsftpError as exc:
            log.warning("ledger not measured", error=str(exc))
        try:
            await asyncio.to_thread(self._look_at_disk, found)
        except OSError as exc:
            log.warning("disk not measured", error=str(exc))
        return found

    def _look_at_disk(self, found: _Scrape) -> None:
        if self._gauges:
            try:
                found.room = self._gauges.room()
            except OSError as exc:
                log.warning("disk not measured", error=str(exc))
        now = time.monotonic()
        if self._spool is None or now - self._spool[0] >= SPOOL_EVERY_S:
            self._spool = now, _bytes_below(DataFolder(self._data_dir).clients)
        found.spool_bytes = self._spool[1]


def _gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, text, value=value)


def _ledger(found: LedgerNumbers, now: datetime) -> Iterator[Metric]:
    uploads = GaugeMetricFamily("ctsftp_uploads", "Uploads in the ledger, as they are now.", labels=["state", "code"])
    for (state, code), count in found.uploads.items():
        uploads.add_metric([state, code or ""], count)
    yield uploads
    yield _gauge("ctsftp_segments", "Segments that are not retired.", found.segment_count)
    yield _gauge("ctsftp_segments_overdue", "Segments that are overdue.", found.overdue)
    labels = ["client", "segment"]
    ages = GaugeMetricFamily("ctsftp_segment_age_seconds", "Since the current list was published.", labels=labels)
    members = GaugeMetricFamily("ctsftp_segment_members", "Members of the current list.", labels=labels)
    for segment in found.segments:
        age = now - datetime.fromisoformat(segment.loaded_at).astimezone(UTC)
        ages.add_metric([segment.client, segment.title], age.total_seconds())
        members.add_metric([segment.client, segment.title], segment.members)
    yield from (ages, members)


def _bytes_below(folder: Path) -> int:
    """Add up the files of all clients; those in a home are links to uploads, and not counted twice."""
    total = 0
    for client in _folders(folder):
        for part in ("uploads", "partials", "staging"):
            for place, _, names in os.walk(os.path.join(client, part)):  # noqa: PTH118 - of many files
                total += sum(_size(os.path.join(place, name)) for name in names)  # noqa: PTH118
    return total


def _folders(folder: Path) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
    except FileNotFoundError:
        return []


def _size(path: str) -> int:
    try:
        return os.lstat(path).st_size
    except FileNotFoundError:  # deleted or moved meanwhile
        return 0
