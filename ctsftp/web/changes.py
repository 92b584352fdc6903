"""The feed of a segment's changes: who entered and who left since the list that a consumer holds.

A cursor names the list that is held (or none) and, between two pages, the one that they lead to, the last id that
was told, and whether the way ends there (two snapshots are compared) or goes on to what readers see by then. No event
is kept for it: whatever happened in between, loads, rollbacks, a retirement, the difference leads to what readers see.
Only a list that is no longer kept cannot be gone on from: then the consumer begins again.

A list is named by the upload that brought it, since a database that was restored gives its snapshots' ids again.
"""

from collections.abc import Sequence
from dataclasses import astuple, dataclass, replace
from typing import Annotated

import orjson
from fastapi import APIRouter, Query
from fastapi.responses import Response

from ctsftp.contract.rows import MAX_ID
from ctsftp.errors import SnapshotGoneError
from ctsftp.model.records import Snapshot
from ctsftp.store.export import NOTHING
from ctsftp.web.access import Reader
from ctsftp.web.models import GONE, PROBLEMS, ChangesOut, ClientPath, SegmentPath, answers
from ctsftp.web.paging import Cursor, Limit, read_cursor, size_of, unknown_cursor, write_cursor
from ctsftp.web.problems import Problem
from ctsftp.web.segments import find
from ctsftp.web.settings import CHANGES_PAGE_SIZE, MAX_CHANGES_PAGE_SIZE

NOBODY = ""  # where an upload's id stands: the list without members

router = APIRouter(prefix="/v1/segments", tags=["segments"], responses=PROBLEMS)

FromNumber = Annotated[
    int | None, Query(alias="from", ge=1, le=2**31 - 1, examples=[16], description="a snapshot of the history")
]
ToNumber = Annotated[
    int | None, Query(alias="to", ge=1, le=2**31 - 1, examples=[17], description="else what readers see now")
]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a consumer stands: on the way from one upload's list to another's, all ids up to `above` told."""

    old: str
    new: str
    above: int = 0
    is_comparison: bool = False

    @property
    def has_arrived(self) -> bool:
        """Tell whether the consumer holds `new` in full."""
        return self.old == self.new


@router.get("/{client}/{segment}/changes", response_model=None, responses=answers(ChangesOut) | GONE)
async def list_changes(
    access: Reader,
    *,
    client: ClientPath,
    segment: SegmentPath,
    cursor: Cursor = None,
    first: FromNumber = None,
    last: ToNumber = None,
    limit: Limit = None,
) -> Response:
    """Tell who entered and who left since `cursor`, up to what readers see now; without one, since nobody was in.

    Apply each page, keep its `cursor`, go on while there is `more`, and come back with it when you like. A `cursor`
    also comes with the members, in a header. `from` and `to` compare two snapshots of the history instead.
    410: the snapshot behind the cursor is no longer kept; begin again with the members.
    """
    found = await find(access, client, segment)
    history = await access.store.segments.history(client, found.key)
    seen = NOBODY if found.retired_at else found.upload_id
    if cursor is None:
        place = Place(_numbered(history, first), _numbered(history, last) if last else seen, 0, last is not None)
    else:
        place = _read(cursor)
        if place.has_arrived:
            place = Place(place.old, seen)
    old_id, new_id = _kept(history, place)
    size = size_of(limit, CHANGES_PAGE_SIZE, MAX_CHANGES_PAGE_SIZE)
    changes = await access.store.export.changes(old_id, new_id, above=place.above, limit=size)
    is_last = changes.until == MAX_ID
    following = Place(place.new, place.new) if is_last else replace(place, above=changes.until)
    numbers = {one.upload_id: one.number for one in history}
    content = {
        "old": numbers.get(place.old),
        "new": numbers.get(place.new),
        "entered": changes.entered,
        "left": changes.exited,
        "exited": changes.exited,  # its name before
        "more": not is_last or (place.new != seen and not place.is_comparison),
        "cursor": write_cursor(astuple(following)),
    }
    return Response(orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY), media_type="application/json")


def _numbered(history: Sequence[Snapshot], number: int | None) -> str:
    """Find the upload of a snapshot by its number; no number is the list without members."""
    if number is None:
        return NOBODY
    found = next((one.upload_id for one in history if one.number == number), None)
    if found is None:
        kept = ", ".join(str(one.number) for one in reversed(history))
        raise Problem(404, "not-found", f"There is no snapshot number {number}: the kept ones are {kept}.")
    return found


def _read(cursor: str) -> Place:
    match read_cursor(cursor):
        case [str(old), str(new), int(above), bool(is_comparison)] if 0 <= above <= MAX_ID:
            return Place(old, new, above, is_comparison)
    raise unknown_cursor()


def _kept(history: Sequence[Snapshot], place: Place) -> tuple[int, int]:
    """Find the snapshots of both lists, which must be this segment's: another may have taken its place and its name."""
    kept = {one.upload_id: one.id for one in history} | {NOBODY: NOTHING}
    if not {place.old, place.new} <= kept.keys():
        raise SnapshotGoneError("The list behind this cursor is no longer kept: begin again with the members.")
    return kept[place.old], kept[place.new]
