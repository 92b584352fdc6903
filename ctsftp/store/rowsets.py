"""The registry of row sets: which list each holds, and the transactions that change one.

Each function is a transaction's work, or a part of it; `rows` puts them in their order.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import sqlalchemy as sa
from sqlalchemy import Connection

from ctsftp.contract.rows import MAX_ID, Ids
from ctsftp.errors import StoreError
from ctsftp.store.backend import bulk
from ctsftp.store.tables import member_rows, row_sets, segments, snapshots

DELETED_AT_ONCE = 20_000  # about 13 ms


class BaseChangedError(StoreError):
    """The list that another was compared with is not the current one any more: compare again."""


class RowsDifferError(StoreError):
    """A set of rows does not hold what its registry says: make a new one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """What a new list of a segment is compared with: its current one."""

    segment_id: int
    snapshot_id: int
    row_set: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """How many enter and leave; who they are is known where they are few enough to be patched."""

    entered: int
    left: int
    came: Ids | None
    went: Ids | None
    bounds: Ids  # the last id of each piece that a transaction may change

    @property
    def changed(self) -> int:
        """How many rows are added or deleted."""
        return self.entered + self.left

    def pieces(self) -> Iterator[tuple[Ids, Ids]]:
        """Cut who came and who went into pieces, in the order of their ids."""
        assert self.came is not None
        assert self.went is not None
        starts = (0, 0)
        for bound in [*self.bounds.tolist(), MAX_ID]:
            ends = tuple(int(np.searchsorted(ids, bound, "right")) for ids in (self.came, self.went))
            yield self.came[starts[0] : ends[0]], self.went[starts[1] : ends[1]]
            starts = (ends[0], ends[1])


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """The rows of a list, ready to be published; `row_set` is None where the current one is to be patched."""

    snapshot_id: int
    base_id: int | None
    row_set: int | None
    difference: Difference


def find_base(conn: Connection, client: str, key: str | None) -> Base | None:
    """Find a segment's current list and its rows; None where there is no segment yet."""
    query = sa.select(segments.c.id, segments.c.current_snapshot_id, segments.c.row_set)
    found = conn.execute(query.where(segments.c.client == client, segments.c.key == key)).one_or_none()
    return Base(segment_id=found[0], snapshot_id=found[1], row_set=found[2]) if found else None


def make_set(conn: Connection, members: int, *, segment_id: int | None) -> int:
    """Enter a new set, which is being changed."""
    row: dict[str, Any] = {"segment_id": segment_id, "snapshot_id": None}
    if (row_set := bulk(conn).new_row_set_id(conn, members)) is not None:
        row["id"] = row_set
    return int(conn.execute(row_sets.insert().values(row).returning(row_sets.c.id)).scalar_one())


def put_rows(conn: Connection, prepared: Prepared, base: Base | None) -> int:
    """Have the rows of a list ready in the transaction that publishes it, under its segment's lock; give their set.

    `base` is the segment's current list. `BaseChangedError` if the list was compared with another, `RowsDifferError` if
    a set is not what its registry says: nothing must then be kept of this transaction.
    """
    if (base.snapshot_id if base else None) != prepared.base_id:
        raise BaseChangedError("The segment got another list meanwhile.")
    if prepared.row_set is not None:
        _require(conn, prepared.row_set, prepared.snapshot_id)
        return prepared.row_set
    if base is None or base.row_set is None:
        current = make_set(conn, prepared.difference.entered, segment_id=None)
    else:
        current = base.row_set
        _require(conn, current, prepared.base_id)
    for came, went in prepared.difference.pieces():
        _exchange(conn, current, came, went)
    end_changing(conn, row_set=current, snapshot_id=prepared.snapshot_id)
    return current


def give_to(conn: Connection, row_set: int, segment_id: int) -> None:
    """Enter whose a set is."""
    conn.execute(row_sets.update().where(row_sets.c.id == row_set).values(segment_id=segment_id))


def spares_of(conn: Connection, segment_id: int) -> list[tuple[int, int]]:
    """List a segment's sets that nobody reads and that hold a list: the one with the newest list first."""
    current = sa.select(segments.c.row_set).where(segments.c.id == segment_id, segments.c.row_set.is_not(None))
    query = (
        sa.select(row_sets.c.id, row_sets.c.snapshot_id)
        .where(row_sets.c.segment_id == segment_id, row_sets.c.snapshot_id.is_not(None), row_sets.c.id.not_in(current))
        .order_by(row_sets.c.snapshot_id.desc(), row_sets.c.id)
    )
    return [(row_set, its_list) for row_set, its_list in conn.execute(query)]


def find_abandoned(conn: Connection) -> list[int]:
    """List the sets that are neither a segment's current one nor its spare."""
    is_kept = sa.and_(snapshots.c.id == row_sets.c.snapshot_id, snapshots.c.segment_id == row_sets.c.segment_id)
    query = (
        sa.select(row_sets.c.id, row_sets.c.segment_id, snapshots.c.id)
        .outerjoin(segments, segments.c.row_set == row_sets.c.id)
        .outerjoin(snapshots, is_kept)
        .where(segments.c.id.is_(None))
        .order_by(row_sets.c.snapshot_id.desc(), row_sets.c.id)
    )
    having_one: set[int] = set()
    found = []
    for row_set, segment_id, kept_list in conn.execute(query):
        if kept_list is None or segment_id in having_one:
            found.append(row_set)
        else:
            having_one.add(segment_id)
    return found


def begin_changing(conn: Connection, *, row_set: int, its_list: int) -> bool:
    """Note that a set holds no list any more; False if it is not the spare that it was."""
    current = sa.exists().where(segments.c.row_set == row_set)
    this = sa.and_(row_sets.c.id == row_set, row_sets.c.snapshot_id == its_list, ~current)
    return bool(conn.execute(row_sets.update().where(this).values(snapshot_id=None)).rowcount)


def change_rows(conn: Connection, *, row_set: int, came: Ids, went: Ids) -> None:
    """Add and delete rows of a set that is being changed."""
    _require(conn, row_set, None)
    _exchange(conn, row_set, came, went)


def _exchange(conn: Connection, row_set: int, came: Ids, went: Ids) -> None:
    database = bulk(conn)
    if (went.size and database.delete_rows(conn, row_set, went) != went.size) or (
        came.size and database.insert_rows(conn, row_set, came) != came.size
    ):
        raise RowsDifferError(f"The rows of the set {row_set} are not those of its list.")


def end_changing(conn: Connection, *, row_set: int, snapshot_id: int) -> None:
    """Note which list a set holds now."""
    bulk(conn).complete_rows(conn, row_set)
    this = row_sets.update().where(row_sets.c.id == row_set)
    if conn.execute(this.values(snapshot_id=snapshot_id)).rowcount != 1:
        raise RowsDifferError(f"The set of rows {row_set} is gone.")


def give_up(conn: Connection, *, row_set: int) -> None:
    """Leave a set to be deleted."""
    current = sa.exists().where(segments.c.row_set == row_set)
    this = sa.and_(row_sets.c.id == row_set, ~current)
    conn.execute(row_sets.update().where(this).values(segment_id=None, snapshot_id=None))


def _require(conn: Connection, row_set: int, its_list: int | None) -> None:
    """Keep others off a set, and see that it holds a list, or is being changed (None)."""
    query = sa.select(row_sets.c.id, row_sets.c.snapshot_id).where(row_sets.c.id == row_set).with_for_update()
    if conn.execute(query).one_or_none() != (row_set, its_list):
        raise RowsDifferError(f"The set of rows {row_set} does not hold the list that it is named for.")


def delete_some_rows(conn: Connection, *, row_set: int) -> bool:
    """Delete as many rows of a set as a transaction may, and it with its last; tell whether nothing is left to do."""
    this = sa.select(row_sets.c.id).where(row_sets.c.id == row_set, ~sa.exists().where(segments.c.row_set == row_set))
    if not conn.execute(this.with_for_update(skip_locked=True)).first():
        return True
    give_up(conn, row_set=row_set)
    dropped = bulk(conn).drop_rows(conn, row_set)
    if dropped is None:
        return True  # the next sweep tries again
    mine = member_rows.c.row_set == row_set
    if not dropped:
        ids = member_rows.c.ct_user_id
        last = conn.execute(sa.select(ids).where(mine).order_by(ids).offset(DELETED_AT_ONCE - 1).limit(1)).scalar()
        conn.execute(member_rows.delete().where(mine, *([] if last is None else [ids <= last])))
        if last is not None:
            return False
    conn.execute(row_sets.delete().where(row_sets.c.id == row_set))
    return True
