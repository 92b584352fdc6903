"""Finding what a person names.

An upload by its id or the beginning of it, its file's name, or its segment; a segment by its title or its underscore
form, in any case.
"""

from collections.abc import Collection, Sequence

from ctsftp.contract.ids import SHORT_ID, is_upload_id
from ctsftp.contract.names import segment_key
from ctsftp.contract.states import State
from ctsftp.errors import AmbiguousError, NotFoundError
from ctsftp.model.records import Segment, Upload
from ctsftp.store.ledger import SHORTEST_BEGINNING
from ctsftp.store.store import Store

# Where an upload waits for a decision; one that is superseded has been decided, by a newer one.
WAITING = frozenset({State.HELD, State.REJECTED, State.FAILED, State.RETIRED})
SHOWN = 5  # candidates that are listed


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


async def resolve_upload(
    store: Store, given: str, *, client: str | None = None, states: Collection[State] = tuple(State)
) -> Upload:
    """Find the upload of an id, of the beginning of one, or of a file's name: the newest in one of these states.

    Where there is none in these states, it is the newest of all: what is wanted of it then says why it cannot be.
    `AmbiguousError` lists the candidates, where a beginning fits several, or a name uploads of several clients.
    """
    if is_upload_id(given):
        return await store.ledger.upload(given)
    begun = await store.ledger.beginning_with(given) if len(given) >= SHORTEST_BEGINNING else []
    if len(begun) > 1:
        raise AmbiguousError(
            f"The ids of several uploads begin with {given}: {_listed(begun)}. Give more of the id, or the file's name."
        )
    found = begun or await store.ledger.named(given, client=client)
    if not found:
        raise NotFoundError(
            f"There is no upload {given}: give its file's name, or its id, of which the first {SHORTEST_BEGINNING}"
            " characters may be enough. `ctsftp upload list` shows them all."
        )
    _refuse_several_clients(found, f"Several clients sent a file {given}")
    return _newest(found, states)


async def resolve_upload_of(store: Store, segment: str, *, client: str | None, states: Collection[State]) -> Upload:
    """Find the newest upload of a segment that waits for what is wanted of it.

    Where anything will do, that is the newest that waits for a decision, else the newest of all.
    """
    found = await store.ledger.uploads(segment_key=segment_key(segment), client=client)
    if not found:
        raise NotFoundError(f'There is no upload of a segment "{segment}": `ctsftp upload list` shows them all.')
    _refuse_several_clients(found, f'Several clients have a segment "{segment}"')
    if len(states) == len(State):
        return _newest(found, (State.HELD,))
    wanted = WAITING & set(states)
    waits = next((upload for upload in found if upload.state in wanted), None)
    if waits is None:
        names = " or ".join(state.value for state in State if state in wanted)
        raise NotFoundError(f'No upload of the segment "{segment}" is {names}: `ctsftp upload list` shows them all.')
    return waits


def _newest(found: Sequence[Upload], states: Collection[State]) -> Upload:
    """Give the newest in these states, first among those that wait; else the newest of all."""
    for wanted in (WAITING & set(states), states) if len(states) < len(State) else ():
        if upload := next((one for one in found if one.state in wanted), None):
            return upload
    return found[0]


def _refuse_several_clients(found: Sequence[Upload], told: str) -> None:
    newest = {upload.client: upload for upload in reversed(found)}
    if len(newest) > 1:
        raise AmbiguousError(f"{told}: {_listed(list(newest.values()))}. Add --client, or give the id.")


def _listed(found: Sequence[Upload]) -> str:
    """List uploads in one line: enough of each to know it, and to name it in the next command."""
    shown = [
        f"{upload.id[:SHORT_ID]} is {upload.filename} of {upload.client} ({upload.state}, {upload.received_at})"
        for upload in found[:SHOWN]
    ]
    return "; ".join([*shown, *([f"and {len(found) - SHOWN} more"] if len(found) > SHOWN else [])])
