"""The rows that mirror lists for SQL: sets of them, of which each segment names the one that readers see.

Parts are the truth; rows follow them. The rows of a list are prepared in one of three ways, by what has changed:

    at most 5,000 rows     the current set is patched in the transaction that publishes the list
    up to a fifth of it    the segment's spare set is brought up in short transactions, and swapped by its pointer
    more, or no spare      a new set is made in chunks, and swapped

    row_sets                                  segments
    id  segment_id  snapshot_id               id  current_snapshot_id  row_set
     4          1           31   the spare     1                   32        7
     7          1           32   current
     9          1         null   being changed; by nobody, if a kill left it: it is deleted

What counts is how many pages of the table a transaction touches, not how many rows: 5,000 changes that are spread
over ten million rows hold the writer as long as 20,000 that lie together.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any, TypeVar

import numpy as np
import sqlalchemy as sa
from sqlalchemy import Connection

from ctsftp.contract.rows import NO_IDS, Ids
from ctsftp.errors import DamagedListError, SnapshotGoneError
from ctsftp.lists import changes
from ctsftp.store.backend import Bulk, bulk, bulk_of
from ctsftp.store.database import Database
from ctsftp.store.parts import NOTHING, open_list
from ctsftp.store.rowsets import (
    Base,
    BaseChangedError,
    Difference,
    Prepared,
    RowsDifferError,
    begin_changing,
    change_rows,
    delete_some_rows,
    end_changing,
    find_abandoned,
    find_base,
    give_up,
    make_set,
    spares_of,
)
from ctsftp.store.tables import snapshots

T = TypeVar("T")

PATCHED_IN_PLACE = 5_000  # changed rows: 0.2 s of the writer's time at worst
PATCHED_SHARE = 5  # of a list: with more than a fifth of it changed, a new set is made sooner
CHANGED_AT_ONCE = 5_000
INSERTED_AT_ONCE = 100_000  # in ascending order: about 40 ms


class RowSets:
    """The registry, and the work on sets that nobody reads."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._bulk = bulk_of(database.backend)
        # Those that this process works on: whatever they look like, nothing was left by a kill.
        self._busy: set[int] = set()
        self._choosing = asyncio.Lock()

    async def publish(
        self,
        client: str,
        key: str | None,
        choose: Callable[[Connection], int],
        work: Callable[[Connection, Prepared], T],
    ) -> T:
        """Run the transaction that makes a list its segment's current one, with the rows prepared.

        `choose` gives the list's snapshot. It begins again if the segment got another list meanwhile, by a rollback or
        another node. The set that was current before should then become the spare: `tidy`.
        """
        is_fresh = False
        while True:
            snapshot_id = await self._database.read(choose)
            try:
                async with self._prepared(client, key, snapshot_id, is_fresh=is_fresh) as prepared:
                    return await self._database.write(partial(_swap, work=work, prepared=prepared))
            except BaseChangedError:
                continue
            except RowsDifferError:
                if is_fresh:
                    raise
                is_fresh = True

    async def tidy(self, client: str, key: str) -> None:
        """Bring the set that was current before up to the current list, as the spare; delete what is left over."""
        base = await self._database.read(lambda conn: find_base(conn, client, key))
        if base is None:
            return
        async with AsyncExitStack() as stack:
            while spare := await self._take_spare(stack, base.segment_id):
                if await self._catch_up(*spare, base.snapshot_id):
                    break
        await self.delete_abandoned()

    async def make(self, snapshot_id: int) -> int:
        """Make a set with the rows of a list; give its id. It is nobody's yet: no other work may go on."""
        async with AsyncExitStack() as stack:
            return await self._make(stack, None, snapshot_id)

    async def mirrors(self, row_set: int, snapshot_id: int) -> bool:
        """Tell whether a set holds the list of a snapshot, and nothing else; it reads all of both."""
        above = 0
        while True:
            page = await self._page(snapshot_id, above=above)
            rows = await self._database.read(partial(_read, row_set=row_set, above=above, limit=len(page) + 1))
            if not page.size:
                return not rows.size
            if not np.array_equal(rows[: len(page)], page):
                return False
            above = int(page[-1])

    async def delete_abandoned(self) -> int:
        """Delete the sets that no segment needs and nobody works on; tell how many."""
        async with self._choosing:
            found = await self._database.read(find_abandoned)
            chosen = [one for one in found if one not in self._busy]
            self._busy.update(chosen)
        try:
            for row_set in chosen:
                async with self._database.alone(_lock_of(row_set)) as mine:
                    while mine and not await self._database.write(partial(delete_some_rows, row_set=row_set)):
                        pass
        finally:
            self._busy.difference_update(chosen)
        return len(chosen)

    @asynccontextmanager
    async def _prepared(
        self, client: str, key: str | None, snapshot_id: int, *, is_fresh: bool
    ) -> AsyncIterator[Prepared]:
        base = await self._database.read(lambda conn: find_base(conn, client, key))
        base_id = base.snapshot_id if base else None
        try:
            difference = await self._compare(base_id or NOTHING, snapshot_id)
        except SnapshotGoneError:
            if base == await self._database.read(lambda conn: find_base(conn, client, key)):
                raise
            raise BaseChangedError("The segment got another list, or was deleted.") from None
        prepared = partial(Prepared, snapshot_id=snapshot_id, base_id=base_id, difference=difference)
        is_whole = base is None or base.row_set is not None
        if is_whole and not is_fresh and difference.changed <= PATCHED_IN_PLACE:
            yield prepared(row_set=None)
            return
        async with AsyncExitStack() as stack:
            row_set = None
            if base and not is_fresh:
                row_set = await self._bring_up_spare(stack, base, snapshot_id, difference)
            if row_set is None:
                row_set = await self._make(stack, base, snapshot_id)
            yield prepared(row_set=row_set)

    async def _compare(self, old_id: int, new_id: int) -> Difference:
        return await self._database.read_page(lambda conn: _compare(conn, self._bulk, old_id, new_id))

    async def _take_spare(self, stack: AsyncExitStack, segment_id: int) -> tuple[int, int] | None:
        """Take a segment's spare set for this process, until the stack is unwound; give its id and its list's."""
        async with self._choosing:
            spares = await self._database.read(lambda conn: spares_of(conn, segment_id))
            spare = next((one for one in spares if one[0] not in self._busy), None)
            if spare is None:
                return None
            self._busy.add(spare[0])
            stack.callback(self._busy.discard, spare[0])
        mine = await stack.enter_async_context(self._database.alone(_lock_of(spare[0])))
        return spare if mine else None

    async def _bring_up_spare(
        self, stack: AsyncExitStack, base: Base, snapshot_id: int, difference: Difference
    ) -> int | None:
        """Have the spare hold the list; None where there is none, or a new set is made sooner."""
        spare = await self._take_spare(stack, base.segment_id)
        if spare is None:
            return None
        row_set, its_list = spare
        if its_list == snapshot_id:
            return row_set
        try:
            own = difference if its_list == base.snapshot_id else await self._compare(its_list, snapshot_id)
        except (SnapshotGoneError, DamagedListError):
            return None
        return row_set if await self._patch(row_set, its_list, snapshot_id, own) else None

    async def _catch_up(self, row_set: int, its_list: int, snapshot_id: int) -> bool:
        """Bring a spare up to a list; False where that is not worth it, and it is given up."""
        try:
            difference = await self._compare(its_list, snapshot_id)
        except (SnapshotGoneError, DamagedListError):
            difference = None
        if difference and difference.changed <= PATCHED_IN_PLACE:
            return True  # the next list does that with its own
        if difference and await self._patch(row_set, its_list, snapshot_id, difference):
            return True
        await self._database.write(partial(give_up, row_set=row_set))
        return False

    async def _patch(self, row_set: int, its_list: int, snapshot_id: int, difference: Difference) -> bool:
        """Change a set from its list to another, in short transactions; False where it is not worth it, or wrong."""
        if difference.came is None:
            return False
        if not await self._database.write(partial(begin_changing, row_set=row_set, its_list=its_list)):
            return False
        try:
            for came, went in difference.pieces():
                await self._database.write(partial(change_rows, row_set=row_set, came=came, went=went))
        except RowsDifferError:
            return False
        await self._database.write(partial(end_changing, row_set=row_set, snapshot_id=snapshot_id))
        return True

    async def _make(self, stack: AsyncExitStack, base: Base | None, snapshot_id: int) -> int:
        """Make a new set with the rows of a list, in chunks."""
        segment_id = base.segment_id if base else None
        chunk = await self._page(snapshot_id, above=0)
        async with self._choosing:
            row_set = await self._database.write(
                lambda conn: make_set(conn, _members_of(conn, snapshot_id), segment_id=segment_id)
            )
            self._busy.add(row_set)
            stack.callback(self._busy.discard, row_set)
        await stack.enter_async_context(self._database.alone(_lock_of(row_set)))
        while chunk.size:
            await self._database.write(partial(change_rows, row_set=row_set, came=chunk, went=NO_IDS))
            chunk = await self._page(snapshot_id, above=int(chunk[-1]))
        await self._database.write(partial(end_changing, row_set=row_set, snapshot_id=snapshot_id))
        return row_set

    async def _page(self, snapshot_id: int, *, above: int) -> Ids:
        def read(conn: Any) -> Ids:
            members = open_list(conn, self._bulk, snapshot_id, unpublished=True)
            return next(members.pages(above, INSERTED_AT_ONCE), NO_IDS)

        return await self._database.read_page(read)


def _swap(conn: Connection, work: Callable[[Connection, Prepared], T], prepared: Prepared) -> T:
    return work(conn, prepared)


def _compare(conn: Any, bulk: Bulk, old_id: int, new_id: int) -> Difference:
    """Compare two lists part by part; who they are is kept as long as they are few enough to be patched."""
    old = open_list(conn, bulk, old_id)
    new = open_list(conn, bulk, new_id, unpublished=True)
    most = max(PATCHED_IN_PLACE, max(old.members, new.members) // PATCHED_SHARE)
    entered = left = 0
    came, went = [NO_IDS], [NO_IDS]
    for change in changes(old, new):
        entered += change.entered.size
        left += change.left.size
        if entered + left <= most:
            came.append(change.entered)
            went.append(change.left)
        else:
            came, went = [NO_IDS], [NO_IDS]
    if entered + left > most:
        return Difference(entered=entered, left=left, came=None, went=None, bounds=NO_IDS)
    all_came, all_went = np.concatenate(came), np.concatenate(went)
    bounds = np.sort(np.concatenate([all_came, all_went]))[CHANGED_AT_ONCE - 1 :: CHANGED_AT_ONCE]
    return Difference(entered=entered, left=left, came=all_came, went=all_went, bounds=bounds)


def _members_of(conn: Connection, snapshot_id: int) -> int:
    return int(conn.execute(sa.select(snapshots.c.members).where(snapshots.c.id == snapshot_id)).scalar_one())


def _read(conn: Connection, *, row_set: int, above: int, limit: int) -> Ids:
    return bulk(conn).read_rows(conn, row_set, above=above, limit=limit)


def _lock_of(row_set: int) -> str:
    return f"row set {row_set}"
