"""The parts of lists in the database: written in short transactions, each read checked by its digest.

Lists are read past SQLAlchemy, in a thread that has a connection of its own (a looker's): to read a part, make a
bitmap of it and compare it with another is work of some milliseconds that shall not be the event loop's.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any

import sqlalchemy as sa
from pyroaring import BitMap64
from sqlalchemy import Connection

from ctsftp.errors import DamagedListError, SnapshotGoneError
from ctsftp.lists import MemberList, Part, build, read_part
from ctsftp.lists.parts import Ids
from ctsftp.store.backend import Bulk
from ctsftp.store.tables import snapshot_parts

WRITTEN_BYTES = 4 * 1024 * 1024  # a transaction's blobs, at most, but for one part that is larger by itself
DELETED_PARTS = 20  # at once: about as much again, where parts are as large as they may be

NOTHING = 0  # where a snapshot's id stands: the list without members

Batch = list[tuple[Part, bytes]]


_PARTS = (
    "SELECT s.members, p.part, p.first, p.last, p.members, p.digest"
    " FROM snapshots s LEFT JOIN snapshot_parts p ON p.snapshot_id = s.id"
    " WHERE s.id = :snapshot_id AND (s.segment_id IS NOT NULL OR :unpublished = 1) ORDER BY p.part"
)
_BLOB = "SELECT blob FROM snapshot_parts WHERE snapshot_id = :snapshot_id AND part = :part"


def batches(ids: Ids) -> Iterator[Batch]:
    """Make the parts of ascending ids, as many at a time as one transaction may write."""
    batch: Batch = []
    size = 0
    for part, blob in build(ids):
        if batch and size + len(blob) > WRITTEN_BYTES:
            yield batch
            batch, size = [], 0
        batch.append((part, blob))
        size += len(blob)
    if batch:
        yield batch


def write_parts(conn: Connection, snapshot_id: int, batch: Batch) -> None:
    """Write parts of a snapshot that is not published yet."""
    if not batch:
        return
    rows = [
        {
            "snapshot_id": snapshot_id,
            "part": part.place,
            "first": part.first,
            "last": part.last,
            "members": part.members,
            "digest": part.digest,
            "blob": blob,
        }
        for part, blob in batch
    ]
    conn.execute(snapshot_parts.insert(), rows)


def count_in_parts(conn: Connection, snapshot_id: int) -> int:
    """Tell how many members the parts of a snapshot have."""
    total = sa.select(sa.func.coalesce(sa.func.sum(snapshot_parts.c.members), 0))
    return int(conn.execute(total.where(snapshot_parts.c.snapshot_id == snapshot_id)).scalar_one())


def delete_parts(conn: Connection, snapshot_id: int) -> bool:
    """Delete some parts of a snapshot, the last ones first; tell whether none is left."""
    mine = snapshot_parts.c.snapshot_id == snapshot_id
    places = sa.select(snapshot_parts.c.part).where(mine).order_by(snapshot_parts.c.part.desc()).limit(DELETED_PARTS)
    found = list(conn.execute(places).scalars())
    if found:
        conn.execute(snapshot_parts.delete().where(mine, snapshot_parts.c.part >= found[-1]))
    return len(found) < DELETED_PARTS


def open_list(conn: Any, bulk: Bulk, snapshot_id: int, *, unpublished: bool = False) -> MemberList:
    """Open the list of a snapshot, given a looker's connection, in whose thread it is to be used.

    `SnapshotGoneError` if it is not there (any more); `DamagedListError` if it lacks parts. `NOTHING` is no snapshot.
    """
    if snapshot_id == NOTHING:
        return MemberList([], _load_none)
    parameters = {"snapshot_id": snapshot_id, "unpublished": int(unpublished)}
    rows = conn.execute(_PARTS, parameters).fetchall()
    if not rows:
        raise _gone(snapshot_id)
    parts = [Part(*row[1:]) for row in rows if row[1] is not None]
    members = MemberList(parts, partial(_load, conn, bulk, snapshot_id))
    if members.members != rows[0][0]:
        raise DamagedListError(
            f"The list of the snapshot {snapshot_id} lacks parts: {members.members:,} of {rows[0][0]:,} are there."
        )
    return members


def _load(conn: Any, bulk: Bulk, snapshot_id: int, part: Part) -> BitMap64:
    blob = bulk.fetch_blob(conn, _BLOB, {"snapshot_id": snapshot_id, "part": part.place})
    if blob is None:
        raise _gone(snapshot_id)
    try:
        return read_part(part, bytes(blob))
    except DamagedListError as error:
        raise DamagedListError(f"Of the snapshot {snapshot_id}: {error}") from error


def _load_none(_part: Part) -> BitMap64:
    raise AssertionError("a list without parts has none to load")


def _gone(snapshot_id: int) -> SnapshotGoneError:
    return SnapshotGoneError(f"The snapshot {snapshot_id} is not kept any more: begin again with the members.")
