"""The gates: an activity, a reward or a campaign, open to the members of any of its segments.

A gate and its segments are one client's. A segment that opens a gate cannot be deleted: the gate would open to
fewer, and nobody would have said so.
"""

from collections.abc import Sequence
from itertools import groupby

import sqlalchemy as sa
from sqlalchemy import Connection

from ctsftp.errors import NotFoundError
from ctsftp.model.records import Clock, Gate
from ctsftp.model.writing import iso
from ctsftp.store.database import Database
from ctsftp.store.tables import gate_segments, gates, in_code_points, segments

_OPENS = (
    "EXISTS (SELECT 1 FROM gate_segments o JOIN segments s ON s.id = o.segment_id"
    " JOIN member_rows m ON m.row_set = s.row_set AND m.ct_user_id = :ct_user_id"
    " WHERE o.gate_id = g.id AND s.retired_at IS NULL)"
)
_IS_OPEN = f"SELECT {_OPENS} FROM gates g WHERE g.client = :client AND g.kind = :kind AND g.item = :item"  # noqa: S608
_OPEN_TO = (
    "SELECT g.client, g.kind, g.item FROM gates g"  # noqa: S608
    " WHERE (:client IS NULL OR g.client = :client) AND (:kind IS NULL OR g.kind = :kind)"
    f" AND {_OPENS} ORDER BY g.client, g.kind, g.item"
)


class Gates:
    """The gates of all clients, each named by its client, its kind and its item as `contract.words` folds them."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def set(self, client: str, kind: str, item: str, keys: Sequence[str]) -> Gate:
        """Say which segments open an item, in the place of what was said before; `NotFoundError` if one is missing."""

        def work(conn: Connection) -> Gate:
            wanted = [_segment_id(conn, client, key) for key in dict.fromkeys(keys)]
            gate_id = _put(conn, client, kind, item, set_at=iso(self._clock()))
            conn.execute(gate_segments.delete().where(gate_segments.c.gate_id == gate_id))
            conn.execute(gate_segments.insert(), [{"gate_id": gate_id, "segment_id": one} for one in wanted])
            return _select(conn, gates.c.id == gate_id)[0]

        return await self._database.write(work)

    async def remove(self, client: str, kind: str, item: str) -> None:
        """Forget a gate; `NotFoundError` if there is none."""

        def work(conn: Connection) -> None:
            gate_id = conn.execute(sa.select(gates.c.id).where(_named(client, kind, item))).scalar()
            if gate_id is None:
                raise _no_gate(client, kind, item)
            conn.execute(gate_segments.delete().where(gate_segments.c.gate_id == gate_id))
            conn.execute(gates.delete().where(gates.c.id == gate_id))

        await self._database.write(work)

    async def gates(
        self,
        *,
        client: str | None = None,
        kind: str | None = None,
        segment_key: str | None = None,
        after: tuple[str, ...] | None = None,
        limit: int | None = None,
    ) -> list[Gate]:
        """List the gates, by client, kind and item; `after` is those of the last one that was seen.

        `segment_key` narrows to those that such a segment opens.
        """
        narrowed = [column == value for column, value in ((gates.c.client, client), (gates.c.kind, kind)) if value]
        if segment_key is not None:
            opened = sa.select(gate_segments.c.gate_id).join(segments, segments.c.id == gate_segments.c.segment_id)
            narrowed.append(gates.c.id.in_(opened.where(segments.c.key == segment_key)))
        if after is not None:
            narrowed.append(sa.tuple_(*_PLACE) > after)
        page = sa.select(gates.c.id).where(*narrowed).order_by(*_PLACE).limit(limit)
        return await self._database.read(lambda conn: _select(conn, gates.c.id.in_(page)))

    async def gate(self, client: str, kind: str, item: str) -> Gate:
        """Tell about one gate; `NotFoundError` if there is none."""
        found = await self._database.read(lambda conn: _select(conn, _named(client, kind, item)))
        if not found:
            raise _no_gate(client, kind, item)
        return found[0]

    async def is_open(self, client: str, kind: str, item: str, ct_user_id: int) -> bool:
        """Tell whether a member may see an item; `NotFoundError` if there is no such gate."""
        parameters = {"client": client, "kind": kind, "item": item, "ct_user_id": ct_user_id}
        found = await self._database.look_up(_IS_OPEN, parameters)
        if not found:
            raise _no_gate(client, kind, item)
        return bool(found[0][0])

    async def open_to(
        self, ct_user_id: int, *, client: str | None = None, kind: str | None = None
    ) -> list[tuple[str, str, str]]:
        """List what a member may see, as client, kind and item."""
        parameters = {"client": client, "kind": kind, "ct_user_id": ct_user_id}
        return await self._database.look_up(_OPEN_TO, parameters)


_PLACE = tuple(in_code_points(column) for column in (gates.c.client, gates.c.kind, gates.c.item))


def gates_of(conn: Connection, client: str, key: str) -> list[str]:
    """List the gates that a segment opens, as words."""
    query = (
        sa.select(gates.c.kind, gates.c.item)
        .join(gate_segments, gate_segments.c.gate_id == gates.c.id)
        .join(segments, segments.c.id == gate_segments.c.segment_id)
        .where(segments.c.client == client, segments.c.key == key)
        .order_by(gates.c.kind, gates.c.item)
    )
    return [f"{kind} {item}" for kind, item in conn.execute(query)]


def _named(client: str, kind: str, item: str) -> sa.ColumnElement[bool]:
    return sa.and_(gates.c.client == client, gates.c.kind == kind, gates.c.item == item)


def _no_gate(client: str, kind: str, item: str) -> NotFoundError:
    return NotFoundError(f"The client {client} has no gate for the {kind} {item}: `ctsftp gate list` shows them all.")


def _segment_id(conn: Connection, client: str, key: str) -> int:
    query = sa.select(segments.c.id).where(segments.c.client == client, segments.c.key == key)
    found = conn.execute(query).scalar()
    if found is None:
        raise NotFoundError(f'The client {client} has no segment "{key}": a gate opens to segments that are there.')
    return int(found)


def _put(conn: Connection, client: str, kind: str, item: str, *, set_at: str) -> int:
    known = conn.execute(sa.select(gates.c.id).where(_named(client, kind, item))).scalar()
    if known is not None:
        conn.execute(gates.update().where(gates.c.id == known).values(set_at=set_at))
        return int(known)
    added = gates.insert().values(client=client, kind=kind, item=item, set_at=set_at).returning(gates.c.id)
    return int(conn.execute(added).scalar_one())


def _select(conn: Connection, *narrowed: sa.ColumnElement[bool]) -> list[Gate]:
    query = (
        sa.select(*gates.c["client", "kind", "item", "set_at"], segments.c.title)
        .join(gate_segments, gate_segments.c.gate_id == gates.c.id)
        .join(segments, segments.c.id == gate_segments.c.segment_id)
        .where(*narrowed)
        .order_by(*_PLACE, in_code_points(segments.c.title))
    )
    return [
        Gate(client=client, kind=kind, item=item, set_at=set_at, segments=[row.title for row in rows])
        for (client, kind, item, set_at), rows in groupby(conn.execute(query), key=lambda row: tuple(row[:4]))
    ]
