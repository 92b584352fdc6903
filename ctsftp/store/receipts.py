"""What receipts are rendered from: a client's own uploads, with who entered and left by each."""

import unicodedata
from collections.abc import Iterable
from dataclasses import replace
from typing import TypedDict

import sqlalchemy as sa
from sqlalchemy import Connection

from ctsftp.contract.rows import RejectedRow
from ctsftp.contract.states import State
from ctsftp.model.receipt import Receipt
from ctsftp.store.database import Database
from ctsftp.store.tables import rejected_rows, snapshots, uploads
from ctsftp.store.timeline import periods
from ctsftp.store.twins import File, twins

_NO_FILE = File("", "", None)


class _Changes(TypedDict, total=False):
    entered: int | None
    left: int | None


class ReceiptBook:
    """Reads receipts; every method is asked for one client, and tells nothing of another's."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def newest(self, client: str, limit: int) -> list[Receipt]:
        """List the receipts of a client's newest uploads, the newest first."""
        return await self._database.read(lambda conn: _read(conn, client, sa.true(), limit))

    async def of_name(self, client: str, filename: str) -> Receipt | None:
        """Find the receipt of the newest upload of a file name, in whichever Unicode form it was sent."""
        forms = {filename, *(unicodedata.normalize(form, filename) for form in ("NFC", "NFD"))}
        found = await self._database.read(lambda conn: _read(conn, client, uploads.c.filename.in_(forms), 1))
        return found[0] if found else None

    async def of_id(self, client: str, upload_id: str) -> Receipt | None:
        """Find the receipt of an upload."""
        found = await self._database.read(lambda conn: _read(conn, client, uploads.c.id == upload_id, 1))
        return found[0] if found else None

    async def rejected_rows(self, receipts: Iterable[Receipt]) -> dict[str, list[RejectedRow]]:
        """Give the rejected rows of these receipts that were kept, by the upload's id, in their order."""
        wanted = [receipt.id for receipt in receipts if receipt.rejected]
        return await self._database.read(lambda conn: {upload_id: _rejects(conn, upload_id) for upload_id in wanted})


def _read(conn: Connection, client: str, condition: sa.ColumnElement[bool], limit: int) -> list[Receipt]:
    query = sa.select(uploads).where(uploads.c.client == client, condition).order_by(uploads.c.id.desc()).limit(limit)
    found = [Receipt(**row) for row in conn.execute(query).mappings()]
    changes, had = _changes(conn, [one.id for one in found]), periods(conn, [one.id for one in found])
    same = {one.id: File(client, one.filename, one.sha256) for one in found if one.state is State.DUPLICATE}
    twin_of = twins(conn, same.values())
    return [
        replace(one, **changes.get(one.id, {}), periods=had[one.id], twin=twin_of.get(same.get(one.id, _NO_FILE)))
        for one in found
    ]


def _changes(conn: Connection, upload_ids: list[str]) -> dict[str, _Changes]:
    """Tell who entered and left with the last list that each upload made, while that list is kept."""
    columns = snapshots.c
    query = (
        sa.select(columns.upload_id, columns.entered, columns["left"])
        .where(columns.upload_id.in_(upload_ids), columns.segment_id.is_not(None))
        .order_by(columns.id)
    )
    return {upload_id: {"entered": entered, "left": left} for upload_id, entered, left in conn.execute(query)}


def _rejects(conn: Connection, upload_id: str) -> list[RejectedRow]:
    columns = rejected_rows.c
    query = sa.select(columns.line, columns.value, columns.reason).order_by(columns.line, columns.position)
    return [RejectedRow(*row) for row in conn.execute(query.where(columns.upload_id == upload_id))]
