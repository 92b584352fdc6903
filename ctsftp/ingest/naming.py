"""What the name of an upload says, with its folder, and the bytes of what may be a list's companion. Blocks."""

from bisect import bisect_left

from ctsftp.clients.config import ClientConfig
from ctsftp.contract.codes import Code, Fault
from ctsftp.contract.ids import unix_ms_of
from ctsftp.contract.names import MAX_COMPANION_BYTES, SegmentFile, companion_of, holds_a_count, nfc, read_name
from ctsftp.contract.places import Named
from ctsftp.contract.states import State
from ctsftp.contract.verdict import Verdict
from ctsftp.spool.spool import Spool
from ctsftp.spool.stored import StoredUpload

# A companion of any content comes within so long after its list.
COMPANION_WITHIN_MS = 60 * 60 * 1000

IGNORED = Verdict(
    State.IGNORED,
    reason="It is no list: its name does not end in .csv, its name or its folder is a temporary one, or it is the"
    " companion of a list. It is judged when it is renamed to a list's name.",
)
TOUCHED = Verdict(State.IGNORED, reason="It is empty: the list is expected to come under its name (touch_first).")


def name_upload(upload: StoredUpload, config: ClientConfig, spool: Spool) -> Named:
    """Read the name of an upload; None means an ignored one, as the companion of a list is."""
    found = config.places.read(upload.place)
    if isinstance(found, Fault) and found.code is Code.NAME and _is_companion(upload, spool):
        return None
    return found


def _is_companion(upload: StoredUpload, spool: Spool) -> bool:
    stem = companion_of(upload.filename)
    if stem is None:
        return False
    with upload.path.open("rb", buffering=0) as file:
        content = file.read(MAX_COMPANION_BYTES + 1)
    if len(content) > MAX_COMPANION_BYTES:
        return False
    return holds_a_count(content) or _follows_list(upload, stem, spool)


def _follows_list(upload: StoredUpload, stem: str, spool: Spool) -> bool:
    """Tell whether the client closed a list of that name within the hour before."""
    came = unix_ms_of(upload.id)
    ids = spool.upload_ids(upload.client)
    for upload_id in reversed(ids[: bisect_left(ids, upload.id)]):
        if unix_ms_of(upload_id) < came - COMPANION_WITHIN_MS:
            break
        other = spool.upload(upload.client, upload_id)
        if other and isinstance(read_name(other.filename), SegmentFile) and _stem(other.filename) == stem:
            return True
    return False


def _stem(filename: str) -> str:
    return nfc(filename)[: -len(".csv")]
