"""The one mover: every change of an upload's state, in the whole project, is made by `move`."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any, Unpack

import sqlalchemy as sa
from sqlalchemy import Connection

from ctsftp.contract.rows import KEPT_REJECTED, RejectedRow
from ctsftp.contract.states import END_STATES, State, check_move
from ctsftp.errors import NotFoundError
from ctsftp.model.records import Facts, Findings, warnings_out
from ctsftp.model.writing import iso
from ctsftp.store.tables import rejected_rows, uploads
from ctsftp.store.telling import tell_of_move


def move(
    conn: Connection,
    upload_id: str,
    to: State,
    *,
    now: datetime,
    expect: State | None = None,
    quietly: bool = False,
    tell: Mapping[str, int] | None = None,
    **facts: Unpack[Facts],
) -> bool:
    """Move an upload to a state, note the facts and, unless `quietly`, tell of it, in the connection's transaction.

    `tell` is told besides. False, and nothing is done, if the upload is in another state than `expect`. An illegal move
    raises what `check_move` raises, an unknown upload `NotFoundError`, counts that do not add up ValueError.
    """
    state = state_of(conn, upload_id, to_change=True)
    if expect is not None and state is not expect:
        return False
    check_move(state, to)
    is_first = to is not State.FAILED or _has_not_failed(conn, upload_id)
    values: dict[str, Any] = {
        "state": to,
        "code": None,
        "reason": None,
        "retry_at": None,
        "finished_at": iso(now) if to in END_STATES else None,
    }
    if to in {State.RECEIVED, State.FAILED}:
        # It will be read again: what the last reading found is gone.
        values |= dict.fromkeys(Findings.__annotations__) | {"warnings": []}
        conn.execute(rejected_rows.delete().where(rejected_rows.c.upload_id == upload_id))
    conn.execute(uploads.update().where(uploads.c.id == upload_id).values(values | _columns(facts)))
    if not quietly:
        tell_of_move(conn, upload_id, to, now=now, is_first=is_first, besides=tell or {})
    return True


def state_of(conn: Connection, upload_id: str, *, to_change: bool = False) -> State:
    """Tell the state of an upload; `NotFoundError` if there is none. `to_change` keeps other writers off its row."""
    query = sa.select(uploads.c.state).where(uploads.c.id == upload_id)
    state: State | None = conn.execute(query.with_for_update() if to_change else query).scalar_one_or_none()
    if state is None:
        raise NotFoundError(no_upload(upload_id))
    return state


def _has_not_failed(conn: Connection, upload_id: str) -> bool:
    return not conn.execute(sa.select(uploads.c.attempts).where(uploads.c.id == upload_id)).scalar_one()


def no_upload(upload_id: str) -> str:
    """Say that there is no upload of this id, and where to find the right one."""
    return f"There is no upload {upload_id}: `ctsftp upload list` shows them all."


def keep_rejected_rows(conn: Connection, upload_id: str, rows: Sequence[RejectedRow]) -> None:
    """Keep the first of an upload's rejected rows; the ledger has their exact count."""
    if rows:
        conn.execute(
            rejected_rows.insert(),
            [
                {"upload_id": upload_id, "position": position, **asdict(row)}
                for position, row in enumerate(rows[:KEPT_REJECTED])
            ],
        )


def _columns(facts: Facts) -> dict[str, Any]:
    """Write facts as the ledger's columns."""
    if {"rows", "members", "duplicates", "rejected"}.issubset(facts) and (
        facts["rows"] != facts["members"] + facts["duplicates"] + facts["rejected"]
    ):
        raise ValueError(f"Every row must be accounted for, but these do not add up: {facts}.")
    columns: dict[str, Any] = dict(facts)
    if code := facts.get("code"):
        columns["code"] = str(code)
    if "warnings" in facts:
        columns["warnings"] = warnings_out(facts["warnings"])
    if moment := facts.get("retry_at"):
        columns["retry_at"] = iso(moment)
    return columns
