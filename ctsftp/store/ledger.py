"""The ledger: every upload, what became of it, and what an admin may do about it."""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Unpack

import sqlalchemy as sa
from sqlalchemy import Connection

from ctsftp.contract.codes import Code
from ctsftp.contract.ids import next_tick
from ctsftp.contract.ids import upload_id as id_of
from ctsftp.contract.names import SegmentFile
from ctsftp.contract.places import is_known_folder
from ctsftp.contract.rows import RejectedRow
from ctsftp.contract.states import END_STATES, REFUSED_STATES, State
from ctsftp.errors import RefusedError
from ctsftp.model.records import Clock, Facts, NewUpload, Upload
from ctsftp.model.twins import Twin, say_twin
from ctsftp.model.writing import iso
from ctsftp.store.database import Database
from ctsftp.store.moves import keep_rejected_rows, move, state_of
from ctsftp.store.tables import events, is_mine, rejected_rows, segments, snapshots, uploads
from ctsftp.store.telling import tell_of_move
from ctsftp.store.twins import File, twins

MAX_DEATHS = 3
# Failed uploads that are taken up again in one transaction, and ids that are listed.
AGAIN_AT_ONCE = 1_000
DUE_AT_ONCE = 100_000
# A statement takes at most 999 parameters in old versions of SQLite.
IDS_A_STATEMENT = 500
# Of an id: its first 8 digits are of the same minute, its first 18 of the same millisecond and counter.
SHORTEST_BEGINNING = 8
IGNORED_AT_ONCE = 1_000  # uploads that are looked through for temporary names
# Empty lists that nobody was told of are looked for so far back; events are kept for longer.
QUIET_AT_MOST = timedelta(days=7)
NAMED_AT_ONCE = 1_000  # uploads of one name, or of one beginning


class Ledger:
    """The uploads; ids are UUIDv7, so their order is the order of the CLOSEs."""

    def __init__(self, database: Database, clock: Clock, node: str | None = None) -> None:
        self._database = database
        self._clock = clock
        self._node = node

    async def receive(self, upload: NewUpload) -> bool:
        """Enter an upload as `received`; False, and nothing is changed, if it is in the ledger.

        It did not come later than now: its id may say so where the clock was ahead once, since ids never go back.
        """
        came = replace(upload, received_at=min(upload.received_at, self._clock()))
        return await self._database.write(lambda conn: _receive(conn, came, self._node))

    async def known_ids(self, ids: Iterable[str]) -> set[str]:
        """Tell which of these ids are in the ledger."""
        wanted = list(ids)
        return await self._database.read(lambda conn: _select_ids(conn, wanted, sa.true()))

    async def move(self, upload_id: str, to: State, *, expect: State | None = None, **facts: Unpack[Facts]) -> bool:
        """Move an upload; False, and nothing is done, if it is in another state than `expect`."""
        return await self._database.write(
            lambda conn: move(conn, upload_id, to, now=self._clock(), expect=expect, **facts)
        )

    async def finish(
        self,
        upload_id: str,
        to: State,
        *,
        rejects: Sequence[RejectedRow] = (),
        quietly: bool = False,
        **facts: Unpack[Facts],
    ) -> None:
        """Move an upload that makes no snapshot to the state in which it ends or waits; `quietly`: tell nobody yet."""

        def work(conn: Connection) -> None:
            move(conn, upload_id, to, now=self._clock(), quietly=quietly, **facts)
            keep_rejected_rows(conn, upload_id, rejects)

        await self._database.write(work)

    async def tell_of_refusal(self, upload_id: str) -> None:
        """Tell of an upload that was rejected quietly, if it is rejected still."""

        def work(conn: Connection) -> None:
            if state_of(conn, upload_id) is State.REJECTED:
                tell_of_move(conn, upload_id, State.REJECTED, now=self._clock(), is_first=True)

        await self._database.write(work)

    async def due(self, now: datetime) -> list[str]:
        """Move failed uploads whose time has come back to `received`; list all that are to be loaded here.

        At most `DUE_AT_ONCE`, in the order of their CLOSE. Among them are those that are loading: of one that is not,
        the failure could not be written down.
        """
        return await self._database.write(lambda conn: _due(conn, now, self._node))

    async def waiting(self, limit: int) -> list[tuple[str, str]]:
        """List uploads that wait to be loaded here, in the order of their CLOSE: the client and the id of each."""
        query = (
            sa.select(uploads.c.client, uploads.c.id)
            .where(uploads.c.state == State.RECEIVED, is_mine(self._node))
            .order_by(uploads.c.id)
            .limit(limit)
        )
        return await self._database.read(lambda conn: [(client, one) for client, one in conn.execute(query)])

    async def recover(self, *, wait_s: float = 0) -> None:
        """Fail what a dead process of this node was loading; call it before anything loads.

        Such an upload is tried again when this process has lived for `wait_s`, and for twice that after its second
        death: what kills servers at random does not let one live so long. After `MAX_DEATHS` it waits for an
        admin: it may be what kills.

        Tells of the lists without a byte whose sessions the process took with it, too.
        """

        def work(conn: Connection) -> None:
            _recover(conn, self._clock(), wait_s, self._node)
            _tell_of_empty(conn, self._clock(), self._node)

        await self._database.write(work)

    async def refused(self, since: datetime) -> list[Upload]:
        """List the uploads here that were refused since a moment, and that nothing of their name has followed."""
        late = sa.and_(uploads.c.state.in_(REFUSED_STATES), uploads.c.finished_at >= iso(since))
        query = sa.select(uploads).where(late, is_mine(self._node), _is_last_of_its_name()).order_by(uploads.c.id)
        rows = await self._database.read(lambda conn: conn.execute(query).mappings().all())
        return [Upload(**row) for row in rows]

    async def twin(self, client: str, filename: str, *, other_than: str) -> str | None:
        """Tell the sha256 of the newest other upload of this name that was applied or is held, if any."""
        return await self._database.read(lambda conn: twin(conn, client, filename, other_than=other_than))

    async def twin_of(self, upload: Upload) -> Twin | None:
        """Find the upload that a duplicate is the same as, as it is now; None where there is none, or it is no such."""
        if upload.state is not State.DUPLICATE:
            return None
        return await self._database.read(lambda conn: _twin_of(conn, upload.id))

    async def same_file(self, client: str, filename: str, sha256: str | None) -> Twin | None:
        """Find the upload of this name and these bytes that was applied or is held."""
        file = File(client, filename, sha256)
        return (await self._database.read(lambda conn: twins(conn, [file]))).get(file)

    async def ends_lines(self, client: str) -> bool:
        """Tell whether lists of this client were applied, each of which ended with a line break."""
        applied = sa.and_(uploads.c.client == client, uploads.c.state == State.LOADED)
        without = sa.cast(uploads.c.warnings, sa.Text).contains(Code.NO_LAST_NEWLINE.value, autoescape=True)

        def work(conn: Connection) -> bool:
            some, other = (
                conn.execute(sa.select(sa.exists().where(*which))).scalar_one()
                for which in ((applied,), (applied, without))
            )
            return bool(some and not other)

        return await self._database.read(work)

    async def has_applied(self, client: str) -> bool:
        """Tell whether any list of this client was applied."""
        applied = sa.exists().where(uploads.c.client == client, uploads.c.state == State.LOADED)
        return await self._database.read(lambda conn: bool(conn.execute(sa.select(applied)).scalar_one()))

    async def came_from(self, client: str, segment_key: str, directory: str) -> bool:
        """Tell whether a list of this segment that was applied came from this very folder, as far as is known."""
        its_own = sa.and_(uploads.c.client == client, uploads.c.segment_key == segment_key)
        folders = sa.select(uploads.c.directory).where(its_own, uploads.c.state == State.LOADED).distinct()
        known = await self._database.read(lambda conn: set(conn.execute(folders).scalars()))
        return is_known_folder(directory, known)

    async def not_renamed(
        self, unfinished: Callable[[Upload], SegmentFile | None], *, since: datetime, until: datetime
    ) -> list[Upload]:
        """List the ignored uploads of a time that are lists but for their temporary names, and never got another.

        `unfinished` reads the name of the list that an upload is to become, if it is to.
        """
        first_id = id_of(next_tick(0, int(since.timestamp() * 1_000) * 1_000_000), 0)
        times = uploads.c.id >= first_id, uploads.c.received_at.between(iso(since), iso(until))
        query = sa.select(uploads).where(uploads.c.state == State.IGNORED, *times).order_by(uploads.c.id.desc())

        def work(conn: Connection) -> list[Upload]:
            ignored = [Upload(**row) for row in conn.execute(query.limit(IGNORED_AT_ONCE)).mappings()]
            named = [(upload, name) for upload in ignored if (name := unfinished(upload))]
            return [upload for upload, name in named if not _came_later(conn, upload, name)]

        return await self._database.read(work)

    async def approve(self, upload_id: str) -> None:
        """Let a held or superseded upload be loaded whatever the guards say."""
        advice = "Only held and superseded uploads can be approved."
        allowed = (State.HELD, State.SUPERSEDED)
        await self._decide(
            upload_id, State.RECEIVED, allowed, advice, approved=True, attempts=0, unless=_segment_is_retired
        )

    async def discard(self, upload_id: str) -> None:
        """Drop a held upload: it will not be loaded."""
        advice = "Only held uploads can be discarded."
        await self._decide(upload_id, State.DISCARDED, (State.HELD,), advice)

    async def retry(self, upload_id: str) -> None:
        """Read an upload again, as if it had just come: a rejected or failed one, or one of a segment that is back."""
        advice = "Only rejected and failed uploads can be tried again, and retired ones."
        allowed = (State.REJECTED, State.FAILED, State.RETIRED)
        await self._decide(upload_id, State.RECEIVED, allowed, advice, attempts=0, deaths=0, unless=_is_retired_still)

    async def uploads(
        self,
        *,
        client: str | None = None,
        state: State | None = None,
        segment_key: str | None = None,
        before: str | None = None,
        limit: int | None = None,
    ) -> list[Upload]:
        """List uploads, newest first; `before` is the id of the last one that was seen."""
        query = sa.select(uploads).order_by(uploads.c.id.desc()).limit(limit)
        if client is not None:
            query = query.where(uploads.c.client == client)
        if state is not None:
            query = query.where(uploads.c.state == state)
        if segment_key is not None:
            query = query.where(uploads.c.segment_key == segment_key)
        if before is not None:
            query = query.where(uploads.c.id < before)
        rows = await self._database.read(lambda conn: conn.execute(query).mappings().all())
        return [Upload(**row) for row in rows]

    async def upload(self, upload_id: str) -> Upload:
        """Tell all about one upload; `NotFoundError` if there is none."""
        return await self._database.read(lambda conn: read_upload(conn, upload_id))

    async def beginning_with(self, beginning: str) -> list[Upload]:
        """List the uploads whose ids begin so, newest first."""
        return await self._select(uploads.c.id.startswith(beginning.lower(), autoescape=True))

    async def named(self, filename: str, *, client: str | None = None) -> list[Upload]:
        """List the uploads of a file's name, newest first."""
        return await self._select(uploads.c.filename == filename, *([uploads.c.client == client] if client else []))

    async def rejects(self, upload_id: str) -> list[RejectedRow]:
        """List the rejected rows of an upload that were kept, by line; `NotFoundError` if there is no upload."""

        def work(conn: Connection) -> list[RejectedRow]:
            state_of(conn, upload_id)
            columns = rejected_rows.c
            query = sa.select(columns.line, columns.value, columns.reason).order_by(columns.line, columns.position)
            rows = conn.execute(query.where(columns.upload_id == upload_id))
            return [RejectedRow(line, value, reason) for line, value, reason in rows]

        return await self._database.read(work)

    async def prunable(self, ids: Iterable[str], *, before: datetime) -> set[str]:
        """Tell which of these uploads ended before a moment, so that their files may be deleted.

        Never one that may yet be read, or whose snapshot is current.
        """
        wanted = list(ids)
        current = sa.select(snapshots.c.upload_id).join(segments, segments.c.current_snapshot_id == snapshots.c.id)
        done = sa.and_(
            uploads.c.state.in_(END_STATES),
            uploads.c.finished_at < iso(before),
            uploads.c.id.not_in(current),
        )
        return await self._database.read(lambda conn: _select_ids(conn, wanted, done))

    async def _select(self, *conditions: sa.ColumnElement[bool]) -> list[Upload]:
        query = sa.select(uploads).where(*conditions).order_by(uploads.c.id.desc()).limit(NAMED_AT_ONCE)
        rows = await self._database.read(lambda conn: conn.execute(query).mappings().all())
        return [Upload(**row) for row in rows]

    async def _decide(
        self,
        upload_id: str,
        to: State,
        allowed: Collection[State],
        advice: str,
        unless: Callable[[Connection, str], str | None] = lambda *_: None,
        **facts: Unpack[Facts],
    ) -> None:
        def work(conn: Connection) -> None:
            state = state_of(conn, upload_id, to_change=True)
            if state not in allowed:
                same = f" {say_twin(_twin_of(conn, upload_id))}" if state is State.DUPLICATE else ""
                raise RefusedError(f"The upload {upload_id} is {state}.{same} {advice}")
            if reason := unless(conn, upload_id):
                raise RefusedError(reason)
            move(conn, upload_id, to, now=self._clock(), **facts)

        await self._database.write(work)


def read_upload(conn: Connection, upload_id: str) -> Upload:
    """Read a row of the ledger; `NotFoundError` if there is none."""
    state_of(conn, upload_id)
    return Upload(**conn.execute(sa.select(uploads).where(uploads.c.id == upload_id)).mappings().one())


def _twin_of(conn: Connection, upload_id: str) -> Twin | None:
    upload = read_upload(conn, upload_id)
    file = File(upload.client, upload.filename, upload.sha256)
    return twins(conn, [file]).get(file)


def _segment_is_retired(conn: Connection, upload_id: str) -> str | None:
    """Say that the segment of an upload is to be restored first; None where it is in use."""
    upload = read_upload(conn, upload_id)
    its_segment = sa.and_(segments.c.client == upload.client, segments.c.key == upload.segment_key)
    retired = sa.select(segments.c.id).where(its_segment, segments.c.retired_at.is_not(None))
    if conn.execute(retired).first() is None:
        return None
    return say_retired(upload.client, upload.segment_title)


def say_retired(client: str, title: str | None) -> str:
    """Say that a segment is to be restored first."""
    return f'The segment "{title}" of {client} is retired: first ctsftp segment restore "{title}" --client {client}'


def _is_retired_still(conn: Connection, upload_id: str) -> str | None:
    """Say the same of an upload that is retired with its segment; others may be tried again."""
    return _segment_is_retired(conn, upload_id) if state_of(conn, upload_id) is State.RETIRED else None


def twin(conn: Connection, client: str, filename: str, *, other_than: str) -> str | None:
    """Tell the sha256 of the last other upload of this name that was applied, or of one that came later and is held.

    What was applied to a segment that was then deleted no longer counts: sent again, it makes the segment anew.
    Which was the last of those whose snapshots are kept is told by their numbers: an older file may have been approved
    after a newer one was loaded, and clocks may go back.
    """
    same_name = sa.and_(uploads.c.client == client, uploads.c.filename == filename, uploads.c.id != other_than)
    if not conn.execute(sa.select(sa.exists().where(same_name))).scalar_one():
        return None  # as of nearly every file
    same_segment = sa.and_(segments.c.client == uploads.c.client, segments.c.key == uploads.c.segment_key)
    its_snapshot = sa.and_(snapshots.c.segment_id == segments.c.id, snapshots.c.upload_id == uploads.c.id)
    newest_first = (uploads.c.finished_at.desc(), uploads.c.id.desc())
    some = sa.select(uploads.c.id, uploads.c.sha256, uploads.c.finished_at).where(same_name).limit(1)
    applied = (
        some.join(segments, same_segment).outerjoin(snapshots, its_snapshot).where(uploads.c.state == State.LOADED)
    )
    is_kept = snapshots.c.id.is_not(None)
    kept = conn.execute(applied.where(is_kept).order_by(snapshots.c.number.desc())).first()
    of_this_segment = uploads.c.finished_at >= segments.c.created_at
    gone = conn.execute(applied.where(~is_kept, of_this_segment).order_by(*newest_first)).first()
    held = conn.execute(some.where(uploads.c.state == State.HELD).order_by(*newest_first)).first()
    last = gone if kept is None or (gone and gone.finished_at > kept.finished_at) else kept
    found = [row for row in (last, held) if row]
    return max(found, key=lambda row: row.id).sha256 if found else None


def _came_later(conn: Connection, upload: Upload, name: SegmentFile) -> bool:
    """Tell whether a list came since: the upload under its final name, or the same list sent anew."""
    its_own = (uploads.c.client == upload.client, uploads.c.segment_key == name.key, uploads.c.stamp == name.stamp)
    return bool(conn.execute(sa.select(sa.exists().where(*its_own, uploads.c.id > upload.id))).scalar())


def _receive(conn: Connection, upload: NewUpload, node: str | None) -> bool:
    known = sa.select(uploads.c.id).where(uploads.c.id == upload.id)
    if conn.execute(known).first():
        return False
    conn.execute(
        uploads.insert().values(
            id=upload.id,
            client=upload.client,
            filename=upload.filename,
            segment_title=upload.segment_title,
            segment_key=upload.segment_key,
            stamp=upload.stamp,
            state=State.RECEIVED,
            warnings=[],
            size=upload.size,
            received_at=iso(upload.received_at),
            approved=False,
            attempts=0,
            deaths=0,
            node=node,
            directory=upload.directory,
        )
    )
    return True


def _due(conn: Connection, now: datetime, node: str | None) -> list[str]:
    oldest_first = sa.select(uploads.c.id).where(is_mine(node)).order_by(uploads.c.id)
    again = oldest_first.where(uploads.c.state == State.FAILED, uploads.c.retry_at <= iso(now))
    for upload_id in conn.execute(again.limit(AGAIN_AT_ONCE)).scalars().all():
        move(conn, upload_id, State.RECEIVED, now=now, expect=State.FAILED)
    waiting = oldest_first.where(uploads.c.state.in_((State.RECEIVED, State.LOADING)))
    return list(conn.execute(waiting.limit(DUE_AT_ONCE)).scalars())


def _recover(conn: Connection, now: datetime, wait_s: float, node: str | None) -> None:
    def retry_at(deaths: int) -> datetime:
        return now + timedelta(seconds=wait_s * 2 ** (deaths - 1))

    waiting = sa.and_(uploads.c.code == Code.LOADER_DIED, uploads.c.retry_at.is_not(None), is_mine(node))
    for upload_id, deaths in conn.execute(sa.select(uploads.c.id, uploads.c.deaths).where(waiting)).all():
        again = {"retry_at": iso(retry_at(deaths))}  # the process that it waited in did not live so long
        conn.execute(uploads.update().where(uploads.c.id == upload_id).values(again))
    loading = sa.select(uploads.c.id, uploads.c.deaths).where(uploads.c.state == State.LOADING, is_mine(node))
    for upload_id, earlier in conn.execute(loading).all():
        deaths = earlier + 1
        again_at = retry_at(deaths) if deaths < MAX_DEATHS else None
        advice = "it is retried automatically" if again_at else "`ctsftp upload retry` tries again"
        reason = f"The server died while it loaded this file, {deaths} of {MAX_DEATHS} times: {advice}."
        facts: Facts = {"deaths": deaths, "code": Code.LOADER_DIED, "reason": reason, "retry_at": again_at}
        move(conn, upload_id, State.FAILED, now=now, **facts)


def _tell_of_empty(conn: Connection, now: datetime, node: str | None) -> None:
    """Tell of the lists without a byte that were rejected quietly, and of which nobody was told before this start."""
    since = iso(now - QUIET_AT_MOST)
    told = sa.select(events.c.upload_id).where(events.c.at >= since, events.c.upload_id.is_not(None))
    empty = sa.and_(
        uploads.c.state == State.REJECTED, uploads.c.code == Code.EMPTY_FILE.value, uploads.c.finished_at >= since
    )
    quiet = sa.select(uploads.c.id).where(empty, is_mine(node), _is_last_of_its_name(), uploads.c.id.not_in(told))
    for upload_id in conn.execute(quiet.order_by(uploads.c.id)).scalars().all():
        tell_of_move(conn, upload_id, State.REJECTED, now=now, is_first=True)


def _is_last_of_its_name() -> sa.ColumnElement[bool]:
    """Tell of an upload that none was put to its place after it."""
    later = uploads.alias("later")
    same = sa.and_(later.c.client == uploads.c.client, later.c.filename == uploads.c.filename)
    folders = (sa.func.coalesce(one.c.directory, "/") for one in (later, uploads))
    return ~sa.exists().where(same, later.c.id > uploads.c.id, next(folders) == next(folders))


def _select_ids(conn: Connection, ids: Sequence[str], condition: sa.ColumnElement[bool]) -> set[str]:
    """Tell which of these ids are in the ledger and meet a condition; any number of ids."""
    found: set[str] = set()
    for start in range(0, len(ids), IDS_A_STATEMENT):
        some = uploads.c.id.in_(ids[start : start + IDS_A_STATEMENT])
        found.update(conn.execute(sa.select(uploads.c.id).where(some, condition)).scalars())
    return found
