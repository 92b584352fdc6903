"""Long lists on their way out: a snapshot's ids as text, and the differences of two, a page at a time.

Each page opens the list anew, so that one that is being deleted is never taken for a shorter one. Between pages
nothing is held.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import orjson

from ctsftp.contract.rows import MAX_ID, NO_IDS, Ids
from ctsftp.lists import changes
from ctsftp.store.backend import Bulk, bulk_of
from ctsftp.store.database import Database
from ctsftp.store.parts import NOTHING, open_list

__all__ = ["NOTHING", "Changes", "Export", "PageForm"]

PAGE_IDS = 100_000
# Parts of both lists that one page of changes may look through: about a tenth of a second.
PARTS_COMPARED = 20


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
        self._bulk = bulk_of(database.backend)

    async def pages(self, snapshot_id: int, form: PageForm) -> AsyncIterator[tuple[bytes, int]]:
        """Write a snapshot's ids, ascending: the text of each page, and how many ids it has."""
        above = 0
        while True:
            text, above, count = await self._database.read_page(
                partial(_read_text, bulk=self._bulk, snapshot_id=snapshot_id, above=above, form=form)
            )
            if not count:
                return
            yield text, count

    async def changes(self, old_id: int, new_id: int, *, above: int, limit: int) -> Changes:
        """Compare two snapshots (or `NOTHING`) from the id after `above` on; at most `limit` ids, maybe none."""
        if old_id == new_id:
            return Changes(entered=NO_IDS, exited=NO_IDS, until=MAX_ID)
        return await self._database.read_page(
            lambda conn: _compare(conn, self._bulk, old_id, new_id, above=above, limit=limit)
        )


def _read_text(conn: Any, *, bulk: Bulk, snapshot_id: int, above: int, form: PageForm) -> tuple[bytes, int, int]:
    ids = next(open_list(conn, bulk, snapshot_id).pages(above, PAGE_IDS), NO_IDS)
    if not ids.size:
        return b"", above, 0
    before, after = form.before.encode(), form.after.encode()
    text = orjson.dumps(ids, option=orjson.OPT_SERIALIZE_NUMPY)[1:-1]
    return before + text.replace(b",", after + before) + after, int(ids[-1]), ids.size


def _compare(conn: Any, bulk: Bulk, old_id: int, new_id: int, *, above: int, limit: int) -> Changes:
    entered, exited = [NO_IDS], [NO_IDS]
    found = 0
    coming = changes(open_list(conn, bulk, old_id), open_list(conn, bulk, new_id), above=above)
    for place, change in enumerate(coming, start=1):
        entered.append(change.entered)
        exited.append(change.left)
        found += change.entered.size + change.left.size
        if found > limit:
            return _cut(np.concatenate(entered), np.concatenate(exited), limit)
        if place == PARTS_COMPARED:
            return Changes(entered=np.concatenate(entered), exited=np.concatenate(exited), until=change.until)
    return Changes(entered=np.concatenate(entered), exited=np.concatenate(exited), until=MAX_ID)


def _cut(entered: Ids, exited: Ids, limit: int) -> Changes:
    """Leave away what is more than a page may have."""
    until = int(np.sort(np.concatenate([entered, exited]))[limit - 1])
    return Changes(entered=entered[entered <= until], exited=exited[exited <= until], until=until)
