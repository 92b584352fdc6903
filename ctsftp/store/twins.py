"""Finds the uploads that duplicates are the same as."""

from collections.abc import Iterable
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy import Connection

from ctsftp.contract.states import State
from ctsftp.model.twins import Twin
from ctsftp.store.tables import uploads
from ctsftp.store.timeline import periods

# What was applied or held: what it is the same as to the judge, or was. The first that there is counts.
_BEFORE = (State.HELD, State.LOADED, State.RECEIVED, State.LOADING, State.FAILED, State.SUPERSEDED, State.DISCARDED)


class File(NamedTuple):
    """By what files are the same."""

    client: str
    filename: str
    sha256: str | None


def twins(conn: Connection, files: Iterable[File]) -> dict[File, Twin]:
    """Find, for each of these files, the upload that was applied or is held: the one that is current, or the newest."""
    return {file: twin for file in set(files) if (twin := _twin(conn, file))}


def _twin(conn: Connection, file: File) -> Twin | None:
    columns = uploads.c
    same = sa.and_(columns.client == file.client, columns.filename == file.filename, columns.sha256 == file.sha256)
    query = sa.select(*columns["id", "state", "code", "reason"]).where(same, columns.state.in_(_BEFORE))
    rows = conn.execute(query.order_by(columns.id)).all()
    had = periods(conn, [row.id for row in rows])
    found = [Twin(id=row.id, state=row.state, code=row.code, reason=row.reason, periods=had[row.id]) for row in rows]
    return max(found, key=lambda one: (-_BEFORE.index(one.state), one.is_current, one.id), default=None)
