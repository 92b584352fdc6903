"""Reads an upload while its sender waits for the answer to its CLOSE: a short list whole, of others the first bytes.

Blocks. What was read of a short list is kept for its load: nothing is read twice.
"""

import threading
from collections import OrderedDict
from dataclasses import dataclass, replace

from ctsftp.clients.config import ClientConfig
from ctsftp.contract.codes import Fault
from ctsftp.contract.places import Elsewhere, Named
from ctsftp.contract.reader import HEAD_BYTES, inspect_head
from ctsftp.ingest.reading import Reading, id_titles, max_rows_of, read_file
from ctsftp.spool.stored import StoredUpload

SHORT_BYTES = 1 << 20
KEPT_BYTES = 16 << 20  # of files; what is kept of one takes about as much memory as the file has bytes


@dataclass(slots=True)
class Inspected:
    """A short list without a fault, the settings of its client, and whether it `is_to_load`, once that is known."""

    name: Named
    config: ClientConfig
    reading: Reading
    is_to_load: bool = False


class Inspections:
    """The short lists that were read at CLOSE and are not loaded yet; of too many, the oldest are forgotten."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, Inspected] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def keep(self, upload_id: str, inspected: Inspected) -> None:
        """Keep what was read, for the load of this upload."""
        with self._lock:
            self._kept[upload_id] = inspected
            self._bytes += inspected.reading.size
            while self._bytes > KEPT_BYTES:
                self._bytes -= self._kept.popitem(last=False)[1].reading.size

    def find(self, upload_id: str) -> Inspected | None:
        """Find what was read of an upload, and keep it."""
        return self._kept.get(upload_id)

    def take(self, upload_id: str) -> Inspected | None:
        """Find what was read of an upload, and forget it."""
        with self._lock:
            inspected = self._kept.pop(upload_id, None)
            if inspected:
                self._bytes -= inspected.reading.size
            return inspected


def inspect(
    upload: StoredUpload, config: ClientConfig, name: Named, *, most_rows: int, inspections: Inspections | None
) -> Fault | None:
    """Tell the fault for which the loader will reject this upload, if its name or what is read of it shows one.

    Without `inspections` nobody waits for the verdict: then of a short list, too, only the first bytes are read.
    """
    if not config.refuse_at_close:
        return None
    if name is None or isinstance(name, Fault):
        return name
    if isinstance(name, Elsewhere) and name.named:
        return name.fault
    size = upload.path.stat().st_size
    if config.touch_first and not size:
        return None
    if inspections is None or size > SHORT_BYTES:
        with upload.path.open("rb", buffering=0) as file:
            head = file.read(HEAD_BYTES)
        return inspect_head(head, complete=len(head) == size, id_titles=id_titles(config))
    reading = read_file(upload.path, id_titles=id_titles(config), max_rows=max_rows_of(config, most_rows))
    if reading.fault is None:
        # A copy of the ids: they are the beginning of an array that is as large as the file could have needed.
        inspections.keep(upload.id, Inspected(name, config, replace(reading, ids=reading.ids.copy())))
    return reading.fault
