"""What readers of a segment had, and since when: the one source of it for charts, trends, histories and answers.

A step is written in the transaction that changes what readers have. It lasts until the next one of its segment. Steps
are in the order of their ids, since clocks go back now and then.
"""

from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from ctsftp.model.timeline import Period, Step, StepKind, lists_before
from ctsftp.store.database import Database
from ctsftp.store.tables import segments, snapshots, timeline

TREND_STEPS = 20
CHART_STEPS = 400
SEGMENTS_A_STATEMENT = 500


class Timeline:
    """Reads steps; they are written by `note`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def steps(self, client: str, key: str) -> list[Step]:
        """Give the newest steps of a segment, old to new."""
        query = _steps().where(_of(client, key)).order_by(timeline.c.id.desc()).limit(CHART_STEPS)
        rows = await self._database.read(lambda conn: conn.execute(query).mappings().all())
        return [_step(row) for row in reversed(rows)]

    async def trends(self, current_ids: Sequence[int]) -> dict[int, list[Step]]:
        """Give the last steps of segments, old to new, each by the id of its current snapshot."""

        def work(conn: Connection) -> dict[int, list[Step]]:
            found: dict[int, list[Step]] = {}
            for start in range(0, len(current_ids), SEGMENTS_A_STATEMENT):
                found |= _trends(conn, current_ids[start : start + SEGMENTS_A_STATEMENT])
            return found

        return await self._database.read(work)

    async def periods_of(self, upload_id: str) -> list[Period]:
        """Tell when readers had the list of an upload, old to new."""
        return (await self._database.read(lambda conn: periods(conn, [upload_id])))[upload_id]


def periods(conn: Connection, upload_ids: Collection[str]) -> defaultdict[str, list[Period]]:
    """Tell when readers had the lists of these uploads, each old to new."""
    began, ended, later = timeline.alias("began"), timeline.alias("ended"), timeline.alias("later")
    following = (
        sa.select(sa.func.min(later.c.id))
        .where(later.c.segment_id == began.c.segment_id, later.c.id > began.c.id)
        .scalar_subquery()
    )
    query = (
        sa.select(began.c.upload_id, began.c.at, ended.c.at, began.c.kind, ended.c.kind)
        .outerjoin_from(began, ended, ended.c.id == following)
        .where(began.c.upload_id.in_(upload_ids), began.c.kind != StepKind.RETIRED.value)
        .order_by(began.c.id)
    )
    found: defaultdict[str, list[Period]] = defaultdict(list)
    for upload_id, since, until, began_by, ended_by in conn.execute(query):
        period = Period(
            since=since,
            until=until,
            began_by=StepKind(began_by),
            ended_by=StepKind(ended_by) if ended_by else None,
        )
        found[upload_id].append(period)
    return found


def before(conn: Connection, client: str, key: str) -> list[str]:
    """Tell of which uploads the lists were that readers had before the current one came, the latest first."""
    query = sa.select(timeline.c.kind, timeline.c.upload_id).where(_of(client, key)).order_by(timeline.c.id)
    return lists_before((StepKind(kind), upload_id) for kind, upload_id in conn.execute(query))


def replaced(conn: Connection, client: str, key: str, current: str) -> str | None:
    """Tell of which upload the list was that readers had until they got the current one; None if they had none."""
    query = sa.select(timeline.c.upload_id).where(_of(client, key), timeline.c.upload_id != current)
    return conn.execute(query.order_by(timeline.c.id.desc()).limit(1)).scalar()


def changed_by_rollback(conn: Connection, current_ids: Sequence[int]) -> dict[int, tuple[int | None, int | None]]:
    """Tell how many entered and left by the rollbacks to these snapshots, by their ids.

    It is what the load of the list that was there before had counted, the other way round; so it is known (not None)
    where that load came right upon the snapshot, or the snapshot's own right upon that list.
    """
    current, old, other = snapshots.alias(), snapshots.alias(), timeline.alias()
    there_before = (
        sa.select(sa.func.max(other.c.id))
        .where(other.c.segment_id == current.c.segment_id, other.c.upload_id != current.c.upload_id)
        .scalar_subquery()
    )
    query = (
        sa.select(
            current,
            *(old.c.id.label("old_id"), old.c.previous_id.label("below")),
            *(old.c.entered.label("old_entered"), old.c["left"].label("old_left")),
        )
        .join_from(current, timeline, timeline.c.id == there_before)
        .join(old, sa.and_(old.c.segment_id == timeline.c.segment_id, old.c.number == timeline.c.number))
    )
    found: dict[int, tuple[int | None, int | None]] = dict.fromkeys(current_ids, (None, None))
    for start in range(0, len(current_ids), SEGMENTS_A_STATEMENT):
        for row in conn.execute(query.where(current.c.id.in_(current_ids[start : start + SEGMENTS_A_STATEMENT]))):
            if row.below == row.id:
                found[row.id] = row.old_left, row.old_entered
            elif row.previous_id == row.old_id:
                found[row.id] = row.entered, row.left
    return found


def note(conn: Connection, segment_id: int, kind: StepKind, *, at: str) -> None:
    """Write down what readers of a segment have from now on: its current snapshot, or nothing if it is retired."""
    members = sa.literal(0) if kind is StepKind.RETIRED else snapshots.c.members
    current = (
        sa.select(
            segments.c.id,
            sa.literal(at),
            sa.literal(kind.value),
            snapshots.c.upload_id,
            snapshots.c.number,
            members,
        )
        .join(snapshots, snapshots.c.id == segments.c.current_snapshot_id)
        .where(segments.c.id == segment_id)
    )
    columns = ("segment_id", "at", "kind", "upload_id", "number", "members")
    conn.execute(timeline.insert().from_select(columns, current))


def _of(client: str, key: str) -> sa.ColumnElement[bool]:
    this = sa.select(segments.c.id).where(segments.c.client == client, segments.c.key == key)
    return timeline.c.segment_id == this.scalar_subquery()


def _steps() -> sa.Select[Any]:
    return sa.select(*timeline.c["at", "kind", "upload_id", "number", "members"])


def _step(row: Any) -> Step:
    return Step(**{**row, "kind": StepKind(row["kind"])})


def _trends(conn: Connection, current_ids: Sequence[int]) -> dict[int, list[Step]]:
    place = sa.func.row_number().over(partition_by=timeline.c.segment_id, order_by=timeline.c.id.desc())
    ranked = (
        _steps()
        .add_columns(timeline.c.id, snapshots.c.id.label("current_id"), place.label("place"))
        .join(snapshots, snapshots.c.segment_id == timeline.c.segment_id)
        .where(snapshots.c.id.in_(current_ids))
        .subquery()
        .c
    )
    columns = (ranked.current_id, *ranked["at", "kind", "upload_id", "number", "members"])
    query = sa.select(*columns).where(ranked.place <= TREND_STEPS).order_by(ranked.id)
    found: defaultdict[int, list[Step]] = defaultdict(list)
    for row in conn.execute(query).mappings():
        facts = dict(row)
        found[facts.pop("current_id")].append(_step(facts))
    return found
