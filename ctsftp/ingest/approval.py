"""What a held upload would change if it were approved now: its file is read again, and compared with the current list.

That may take a second or two for millions of members. So what was counted is kept as long as both are the same, files
are read one after another, and a page that does not wait for it is told later.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

import structlog

from ctsftp.clients.config import ClientConfig
from ctsftp.contract.rows import Ids
from ctsftp.errors import CtsftpError
from ctsftp.ingest.reading import id_titles, read_in_thread
from ctsftp.ingest.settings import IngestSettings
from ctsftp.model.records import IfApproved, Segment, Upload
from ctsftp.spool.stored import StoredUpload
from ctsftp.store.store import Store

KEPT_COUNTS = 1_000
MAX_WAITING = 100  # uploads that are still to be counted; more are counted when they are asked for again

log = structlog.get_logger()

Key = tuple[str, int]  # an upload, and the snapshot that it is compared with


class Approvals:
    """Counts what held uploads would change; `find` gives an upload's file, None where it is not here.

    `changed` is told the client when something was counted that somebody did not wait for.
    """

    def __init__(
        self,
        settings: IngestSettings,
        *,
        store: Store,
        tasks: asyncio.TaskGroup,
        find: Callable[[Upload], Awaitable[StoredUpload | None]],
        config_of: Callable[[str], ClientConfig],
        changed: Callable[[str], None] = lambda _client: None,
    ) -> None:
        self._settings = settings
        self._store = store
        self._tasks = tasks
        self._find = find
        self._config_of = config_of
        self._counted: OrderedDict[Key, tuple[int, int] | None] = OrderedDict()
        self._counting: dict[Key, asyncio.Task[None]] = {}
        self._one = asyncio.Lock()
        self._changed = changed

    async def if_approved(self, uploads: Sequence[Upload], *, wait_s: float | None) -> dict[str, IfApproved]:
        """Tell it of these uploads by their ids, of each as much as is known within `wait_s` (None: all of it)."""
        found, keys = {}, {}
        current = [await self._segment(upload) for upload in uploads]
        for upload, segment in zip(uploads, current, strict=True):
            if segment is None:
                found[upload.id] = IfApproved(now=None, enter=upload.members, leave=0)
                continue
            if segment.retired:
                found[upload.id] = IfApproved(now=0, enter=0, leave=0, retired=True)
                continue
            found[upload.id] = IfApproved(now=segment.members)
            keys[upload.id] = key = (upload.id, segment.snapshot_id)
            if key not in self._counted and key not in self._counting and len(self._counting) < MAX_WAITING:
                self._counting[key] = self._tasks.create_task(self._count(key, upload))
        if tasks := [self._counting[key] for key in keys.values() if key in self._counting]:
            await asyncio.wait(tasks, timeout=wait_s)
        for upload_id, key in keys.items():
            if counts := self._counted.get(key):
                found[upload_id] = replace(found[upload_id], enter=counts[0], leave=counts[1])
            elif key in self._counting:
                found[upload_id] = replace(found[upload_id], is_counting=True)
        return found

    async def close(self) -> None:
        """Count no more, and wait until nothing is read; twice is fine."""
        tasks = list(self._counting.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _segment(self, upload: Upload) -> Segment | None:
        found = await self._store.segments.resolve_segment(upload.segment_key or "", client=upload.client)
        return found[0] if found else None

    async def _count(self, key: Key, upload: Upload) -> None:
        """Count, and keep it; what could not be counted is tried again when it is asked for again."""
        try:
            async with self._one:
                ids = await self._ids(upload)
                counts = None if ids is None else await self._store.snapshots.count_changes(key[1], ids)
        except (CtsftpError, OSError) as exc:
            log.warning("changes not counted", upload=upload.id, error=str(exc))
            return
        except Exception:  # this task must not end the others
            log.exception("changes not counted", upload=upload.id)
            return
        finally:
            del self._counting[key]
        self._counted[key] = counts
        while len(self._counted) > KEPT_COUNTS:
            self._counted.popitem(last=False)
        self._changed(upload.client)

    async def _ids(self, upload: Upload) -> Ids | None:
        """Read the file's ids; None where that cannot be done here."""
        stored = await self._find(upload)
        if stored is None:
            return None
        config = await asyncio.to_thread(self._config_of, upload.client)
        limit = self._settings.max_rows
        reading = await read_in_thread(
            stored.path, id_titles=id_titles(config), max_rows=min(limit, config.max_rows or limit)
        )
        return None if reading.fault else reading.ids
