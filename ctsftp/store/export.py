"""Long lists on their way out: a snapshot's ids as text, and the differences of two, a page at a time.

A page is read by statements that also say whether the snapshot is still there, so that one that is being deleted is
never taken for a shorter one. Between pages nothing is held.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from ctsftp.contract.rows import MAX_ID, NO_IDS, Ids
from ctsftp.errors import SnapshotGoneError
from ctsftp.store import sqlite
from ctsftp.store.database import Database

PAGE_IDS = 100_000
# Pages of both lists that one page of changes may look through: about half a second.
PAGES_COMPARED = 10

NOTHING = 0  # where a snapshot's id stands: the list without members


@dataclass(frozen=True, slots=True, kw_only=True)
class PageForm:
    """How a page of ids is written: what stands before and after each."""

    before: str = ""
    after: str = "\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """Who entered and who left, ascending, up to and with the id `until`; the last page's is `MAX_ID`."""

    entered: Ids
    exited: Ids
    until: int


class Export:
    """Reads snapshots by their id; every method may raise `SnapshotGoneError`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._page = database.backend.page_as_text

    async def pages(self, snapshot_id: int, form: PageForm) -> AsyncIterator[tuple[bytes, int]]:
        """Write a snapshot's ids, ascending: the text of each page, and how many ids it has."""
        above, count = 0, PAGE_IDS
        while count == PAGE_IDS:
            read = partial(_read_text, self._page, snapshot_id=snapshot_id, above=above, form=form)
            text, above, count = await self._database.read_page(read)
            if count:
                yield text, count

    async def changes(self, old_id: int, new_id: int, *, above: int, limit: int) -> Changes:
        """Compare two snapshots (or `NOTHING`) from the id after `above` on; at most `limit` ids, maybe none."""
        if old_id == new_id:
            return Changes(entered=NO_IDS, exited=NO_IDS, until=MAX_ID)
        return await self._database.read_page(
            lambda conn: _compare(self._page, conn, old_id, new_id, above=above, limit=limit)
        )


def _read_text(statement: str, conn: Any, *, snapshot_id: int, above: int, form: PageForm) -> tuple[bytes, int, int]:
    text, last, count = _read(statement, conn, snapshot_id, above=above, before=form.before, after=form.after)
    return (text + form.after).encode() if text else b"", last, count


def _read_ids(statement: str, conn: Any, snapshot_id: int, *, above: int) -> Ids:
    if snapshot_id == NOTHING:
        return NO_IDS
    text, _, _ = _read(statement, conn, snapshot_id, above=above, before="", after=",")
    return sqlite.ids_of(text)


def _read(
    statement: str, conn: Any, snapshot_id: int, *, above: int, before: str, after: str
) -> tuple[str | None, int, int]:
    parameters = {"snapshot_id": snapshot_id, "above": above, "limit": PAGE_IDS, "before": before, "after": after}
    is_there, text, last, count = conn.execute(statement, parameters).fetchone()
    if not is_there:
        raise SnapshotGoneError(f"The snapshot {snapshot_id} is not kept any more: begin again with the members.")
    return text, last, count


def _compare(statement: str, conn: Any, old_id: int, new_id: int, *, above: int, limit: int) -> Changes:
    entered, exited = NO_IDS, NO_IDS
    for _ in range(PAGES_COMPARED):
        before, after = (_read_ids(statement, conn, one, above=above) for one in (old_id, new_id))
        # What lies above the lower of two full pages' ends was not read from both.
        above = min(int(page[-1]) if page.size == PAGE_IDS else MAX_ID for page in (before, after))
        before, after = before[before <= above], after[after <= above]
        entered = np.concatenate([entered, np.setdiff1d(after, before, assume_unique=True)])
        exited = np.concatenate([exited, np.setdiff1d(before, after, assume_unique=True)])
        if entered.size + exited.size > limit:
            above = int(np.sort(np.concatenate([entered, exited]))[limit - 1])
            return Changes(entered=entered[entered <= above], exited=exited[exited <= above], until=above)
        if above == MAX_ID:
            break
    return Changes(entered=entered, exited=exited, until=above)
