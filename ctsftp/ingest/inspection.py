"""What the first bytes of an upload show, asked while the sender waits for the answer to its CLOSE. Blocks."""

from ctsftp.clients.config import ClientConfig
from ctsftp.contract.codes import Fault
from ctsftp.contract.places import Elsewhere, Named
from ctsftp.contract.reader import HEAD_BYTES, inspect_head
from ctsftp.ingest.reading import id_titles
from ctsftp.spool.stored import StoredUpload


def inspect(upload: StoredUpload, config: ClientConfig, name: Named) -> Fault | None:
    """Tell the fault for which the loader will reject this upload, if its name or its first bytes show one."""
    if not config.refuse_at_close:
        return None
    if name is None or isinstance(name, Fault):
        return name
    if isinstance(name, Elsewhere) and name.named:
        return name.fault
    with upload.path.open("rb", buffering=0) as file:
        head = file.read(HEAD_BYTES)
        complete = not file.read(1)
    if config.touch_first and not head:
        return None
    return inspect_head(head, complete=complete, id_titles=id_titles(config))
