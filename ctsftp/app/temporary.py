"""Finds the files that would be lists but for their temporary names, and were not renamed in time."""

from datetime import datetime, timedelta

from ctsftp.clients.folder import Clients
from ctsftp.contract.names import SegmentFile
from ctsftp.contract.places import Places
from ctsftp.errors import CtsftpError
from ctsftp.model.records import Upload
from ctsftp.store.store import Store

# A program renames a file when it is complete: within so long, or never.
RENAMED_WITHIN = timedelta(hours=1)
# What came before is no news any more.
LOOKED_BACK = timedelta(days=7)


async def not_renamed(store: Store, clients: Clients, now: datetime) -> list[Upload]:
    """List the uploads that have a temporary name still, the newest first."""
    places: dict[str, Places] = {}

    def unfinished(upload: Upload) -> SegmentFile | None:
        if upload.client not in places:
            places[upload.client] = _places(clients, upload.client)
        return places[upload.client].unfinished(f"{(upload.directory or '/').rstrip('/')}/{upload.filename}")

    return await store.ledger.not_renamed(unfinished, since=now - LOOKED_BACK, until=now - RENAMED_WITHIN)


def _places(clients: Clients, client: str) -> Places:
    try:
        return clients.get(client).config.places
    except CtsftpError:  # it is gone, or cannot be read
        return Places()
