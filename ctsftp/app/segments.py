"""Finding a segment by the name that a person types: its title or its underscore form, in any case."""

from ctsftp.app.query import query
from ctsftp.contract.names import segment_key
from ctsftp.errors import AmbiguousError, NotFoundError
from ctsftp.model.records import Segment
from ctsftp.settings import Settings
from ctsftp.store.store import Store


def find_segment(settings: Settings, name: str, client: str | None) -> Segment:
    """Find the one segment of that name; `AmbiguousError` lists the clients where several have one."""
    return query(settings, lambda store: resolve_segment(store, name, client))


async def resolve_segment(store: Store, name: str, client: str | None) -> Segment:
    """Find the one segment of that name in an open store."""
    found = await store.segments.resolve_segment(segment_key(name), client=client)
    if not found:
        whose = f"The client {client} has" if client else "There is"
        raise NotFoundError(f'{whose} no segment "{name}": `ctsftp segment list` shows them all.')
    if len(found) > 1:
        clients = ", ".join(segment.client for segment in found)
        raise AmbiguousError(f'Several clients have a segment "{found[0].title}": add --client, one of {clients}.')
    return found[0]
