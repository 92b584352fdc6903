"""What a client finds in `/receipts`: rendered from the ledger, and from the disk for what it does not know yet.

First stand an index of its files and a read-me. The listing has one text for each upload; its other forms are listed in
the folder below, and can be asked for by name in either.

A script puts a file and gets its receipt in one breath. So whoever looks at the receipt of an upload that is on its way
waits a little for the verdict; if that takes longer, the receipt says how far it is.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Container, Iterable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime

import structlog

from ctsftp.app.clock import utc_now
from ctsftp.contract.ids import unix_ms_of
from ctsftp.contract.names import SegmentFile, nfc
from ctsftp.contract.places import Places
from ctsftp.contract.rows import RejectedRow
from ctsftp.contract.states import State
from ctsftp.errors import DiskError, StoreError
from ctsftp.ingest.queue import UploadQueue
from ctsftp.model.guide import INDEX_NAME, README_NAME, render_index
from ctsftp.model.receipt import Kind, Receipt, read_receipt_name, render_json, render_rejected, render_text
from ctsftp.model.writing import iso
from ctsftp.sftp.receipts import ReceiptFile
from ctsftp.spool.home import Entry
from ctsftp.spool.spool import Spool
from ctsftp.spool.stored import StoredUpload
from ctsftp.store.store import Store

# Senders who look leave connections of the database to all others. Of these places a client takes one at a time, and
# then stands at the end again: however often it looks, another's look waits for one of its own at most.
LOOKS_AT_ONCE = 2

log = structlog.get_logger()


class ReceiptDesk:
    """Finds and renders receipts, at most `shown` in a listing; waits up to `wait_s` for a verdict.

    `readme` gives the text for a client's sender; it blocks.
    """

    def __init__(
        self,
        *,
        store: Store,
        spool: Spool,
        queue: UploadQueue,
        shown: int,
        wait_s: float,
        readme: Callable[[str], bytes],
    ) -> None:
        self._store = store
        self._spool = spool
        self._queue = queue
        self._shown = shown
        self._wait_s = wait_s
        self._readme = readme
        self._looks = asyncio.Semaphore(LOOKS_AT_ONCE)
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def entries(self, client: str) -> list[Entry]:
        """List the index, the read-me and the text of each of a client's newest uploads.

        The newest of a file name bears it, older ones have their id in theirs.
        """
        receipts = await self._judged(client)
        first = [await self._first(client, name, receipts) for name in (INDEX_NAME, README_NAME)]
        return [*(file.entry for file in first), *await asyncio.to_thread(_entries, receipts, {}, {Kind.TEXT})]

    async def details(self, client: str) -> list[Entry]:
        """List the other forms of a client's newest receipts."""
        receipts = await self._judged(client)
        async with self._looking(client):
            rejects = await self._store.receipts.rejected_rows(receipts)
        return await asyncio.to_thread(_entries, receipts, rejects, set(Kind) - {Kind.TEXT})

    async def render(self, client: str, name: str) -> ReceiptFile | None:
        """Render the receipt of that name, the index or the read-me, or None."""
        if name in {INDEX_NAME, README_NAME}:
            return await self._first(client, name, await self._judged(client))
        wanted = read_receipt_name(name)
        if wanted is None:
            return None
        filename, upload_id, kind = wanted
        receipt = await self._find(client, filename, upload_id)
        if receipt and await self._waited_for([receipt]):
            receipt = await self._find(client, filename, upload_id)
        # A name with an id must be the one that the listing shows, however the file name in it was cut.
        newest = upload_id is None
        if receipt is None or kind not in receipt.kinds or nfc(name) != nfc(receipt.name(kind, newest=newest)):
            return None
        return await self._rendered(client, receipt, kind, newest=newest)

    async def _first(self, client: str, name: str, receipts: list[Receipt]) -> ReceiptFile:
        changed_s = max((_changed_s(receipt) for receipt in receipts), default=0.0)
        if name == INDEX_NAME:
            return ReceiptFile(name, render_index(receipts), changed_s)
        return ReceiptFile(name, await asyncio.to_thread(self._readme, client), changed_s)

    async def _judged(self, client: str) -> list[Receipt]:
        """Find the newest, with the verdicts on those that are on their way, if these come soon."""
        receipts = await self._newest(client)
        return await self._newest(client) if await self._waited_for(receipts) else receipts

    async def _newest(self, client: str) -> list[Receipt]:
        async with self._looking(client):
            unknown = await self._unknown(client)
            known = await self._store.receipts.newest(client, self._shown)
        # The ledger's word is later, where an upload entered it between the two.
        found = {receipt.id: receipt for receipt in (*unknown, *known)}
        return [found[upload_id] for upload_id in sorted(found, reverse=True)[: self._shown]]

    async def _waited_for(self, receipts: Iterable[Receipt]) -> bool:
        """Wait a little for the verdicts on those that are on their way; False if there are none."""
        moving = [receipt.id for receipt in receipts if receipt.is_on_its_way]
        with suppress(TimeoutError):
            async with asyncio.timeout(self._wait_s):
                await self._queue.wait_for(moving)
        return bool(moving)

    async def _rendered(self, client: str, receipt: Receipt, kind: Kind, *, newest: bool) -> ReceiptFile:
        rejects: list[RejectedRow] = []
        if kind is Kind.REJECTED:
            async with self._looking(client):
                rejects = (await self._store.receipts.rejected_rows([receipt]))[receipt.id]
        return _file(receipt, kind, rejects, newest=newest)

    async def _find(self, client: str, filename: str, upload_id: str | None) -> Receipt | None:
        async with self._looking(client):
            # The disk first: what enters the ledger between the two is found in either.
            unknown = await self._unknown(client)
            if upload_id:
                found = await self._store.receipts.of_id(client, upload_id)
                return found or next((receipt for receipt in unknown if receipt.id == upload_id), None)
            candidates = [receipt for receipt in unknown if nfc(receipt.filename) == nfc(filename)]
            if known := await self._store.receipts.of_name(client, filename):
                candidates.insert(0, known)
            return max(candidates, key=lambda receipt: receipt.id, default=None)

    async def _unknown(self, client: str) -> list[Receipt]:
        """List the uploads on disk that the ledger does not know yet, the newest first."""
        ids = (await asyncio.to_thread(self._spool.recent_ids, client))[-self._shown :]
        unknown = set(ids) - await self._store.ledger.known_ids(ids)
        return await asyncio.to_thread(self._of_disk, client, sorted(unknown, reverse=True))

    def _of_disk(self, client: str, upload_ids: Iterable[str]) -> list[Receipt]:
        found = (self._spool.upload(client, upload_id) for upload_id in upload_ids)
        return [_received(upload) for upload in found if upload]

    @asynccontextmanager
    async def _looking(self, client: str) -> AsyncIterator[None]:
        """Take a turn; what ails our database is for the log, and the sender is told when to come again."""
        async with self._turns[client], self._looks:
            try:
                yield
            except StoreError as exc:
                log.error("receipts could not be read", client=client, error=str(exc))  # noqa: TRY400  its text says all
                raise DiskError("The receipts cannot be read now: try again in a minute.") from exc


def _entries(receipts: list[Receipt], rejects: dict[str, list[RejectedRow]], kinds: Container[Kind]) -> list[Entry]:
    entries: list[Entry] = []
    seen: set[str] = set()
    for receipt in receipts:
        newest = nfc(receipt.filename) not in seen
        seen.add(nfc(receipt.filename))
        rows = rejects.get(receipt.id, [])
        entries += [_file(receipt, kind, rows, newest=newest).entry for kind in receipt.kinds if kind in kinds]
    return entries


def _file(receipt: Receipt, kind: Kind, rejects: Iterable[RejectedRow], *, newest: bool) -> ReceiptFile:
    match kind:
        case Kind.TEXT:
            data = render_text(receipt)
        case Kind.JSON:
            data = render_json(receipt)
        case Kind.REJECTED:
            data = render_rejected(rejects)
    return ReceiptFile(receipt.name(kind, newest=newest), data, _changed_s(receipt))


def _changed_s(receipt: Receipt) -> float:
    return datetime.fromisoformat(receipt.changed_at).timestamp()


def _received(upload: StoredUpload) -> Receipt:
    """Describe an upload that has no row in the ledger yet."""
    name = Places().read(upload.place)
    known = name if isinstance(name, SegmentFile) else None
    try:
        size = upload.path.stat().st_size
    except OSError:
        size = 0
    came = datetime.fromtimestamp(unix_ms_of(upload.id) / 1000, UTC)
    return Receipt(
        id=upload.id,
        client=upload.client,
        filename=upload.filename,
        segment_title=known.title if known else None,
        segment_key=known.key if known else None,
        stamp=known.stamp if known else None,
        state=State.RECEIVED,
        directory=upload.directory,
        size=size,
        received_at=iso(min(came, utc_now())),
    )
