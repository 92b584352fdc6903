"""What can happen to one segment, done to the real engine, loader and store and to the model, and compared.

No SSH, for speed; all else is as `serve` runs it. Each history is a client of its own in one server.
"""

import asyncio
import json
import sqlite3
from collections.abc import Callable, Coroutine, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from ctsftp.admin.handlers import perform_on
from ctsftp.app.engine import Engine
from ctsftp.errors import CtsftpError, RefusedError
from ctsftp.ingest.check import check
from ctsftp.model.commands import COMMANDS, ApproveUpload, Command, Sweep
from ctsftp.model.records import Segment, Snapshot
from ctsftp.settings import Settings
from ctsftp.spool.paths import HomePath

from .segment import SHRUNK_FROM, File, Model, RefusedByModelError, Upload

PATIENCE_S = 60
MAX_SIZE_BYTES = 1 << 20
TITLE, KEY = "VIP", "vip"

T = TypeVar("T")

STAMPS = [("20240101_0900", False), ("20240101_0901", False), ("20240102_0000", False), ("20240102_9999", False)]
LISTS: list[tuple[int, ...]] = [
    (),
    (1,),
    (1, 2, 3),
    (4, 5, 6, 7),
    tuple(range(1, 13)),
    tuple(range(7, 19)),
    tuple(range(1, 7)),
    tuple(range(1, 41)),
]
# Rows beside those of the list: repeated ids, empty ids, ids that are none; mostly too few to spoil the file.
SPOILED: list[tuple[str, ...]] = [(), (), (), ("1",), ("1", "1"), ("x",), (" ,",) * 5, ("1.23E+10", "x") * 4]
SPELLINGS = [TITLE] * 5 + ["vip"]
COLUMN_TITLES = ["CTUserID"] * 8 + ["Member"]
SELDOM = [False] * 5 + [True]


class Bench:
    """A running engine, and a loop to run it in between the steps of a history."""

    def __init__(self, folder: Path) -> None:
        self.settings = Settings(
            data_dir=folder / "data",
            keys_dir=folder / "keys",
            ingest={"guards": {"shrunk_from": SHRUNK_FROM}, "retry_first_s": 3600, "retry_most_s": 3600},
        )
        self.database = folder / "data" / "ctsftp.db"
        self.loop = asyncio.new_event_loop()
        self.histories = 0
        self.engine: Engine
        self.start()

    def start(self) -> None:
        self._stop = asyncio.Event()
        opened: asyncio.Future[Engine] = self.loop.create_future()
        self._open = self.loop.create_task(self._keep_open(opened))
        self.engine = self.loop.run_until_complete(opened)

    def stop(self) -> None:
        self._stop.set()
        self.loop.run_until_complete(self._open)

    def close(self) -> None:
        self.stop()
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.close()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(asyncio.wait_for(work, PATIENCE_S))

    async def _keep_open(self, opened: asyncio.Future[Engine]) -> None:
        async with Engine.open(self.settings) as engine:
            opened.set_result(engine)
            await self._stop.wait()

    def sql(self, statement: str, *parameters: object) -> list[Any]:
        with closing(sqlite3.connect(self.database, timeout=PATIENCE_S)) as connection, connection:
            return connection.execute(statement, parameters).fetchall()


class Histories(RuleBasedStateMachine):
    """One client: everything is done to the model and to the server, and compared."""

    def __init__(self, bench: Bench) -> None:
        super().__init__()
        self.bench = bench
        bench.histories += 1
        self.client = f"client{bench.histories}"
        self.model = Model()
        self.ids: list[str] = []

    @initialize()
    def begin(self) -> None:
        (self.bench.settings.keys_dir / "clients" / self.client).mkdir(parents=True)

    @rule(
        stamp=st.sampled_from([*STAMPS, ("future", True)]),
        members=st.sampled_from(LISTS),
        spoiled=st.sampled_from(SPOILED),
        spelling=st.sampled_from(SPELLINGS),
        title=st.sampled_from(COLUMN_TITLES),
        database_refuses=st.sampled_from(SELDOM),
    )
    def send(
        self,
        stamp: tuple[str, bool],
        members: tuple[int, ...],
        spoiled: tuple[str, ...],
        spelling: str,
        title: str,
        *,
        database_refuses: bool,
    ) -> None:
        written, is_future = stamp
        if is_future:
            written = f"{datetime.now(UTC) + timedelta(days=30):%Y%m%d}_0000"
        lines = (*map(str, members), *spoiled)
        file = File(f"{spelling}_{written}.csv", spelling, written, is_future, title, lines)
        self._send(file, database_refuses=database_refuses)

    @precondition(lambda self: self.model.uploads)
    @rule(which=st.integers(0, 100), database_refuses=st.sampled_from(SELDOM))
    def send_again(self, which: int, *, database_refuses: bool) -> None:
        self._send(self._upload(which).file, database_refuses=database_refuses)

    @precondition(lambda self: self.model.uploads)
    @rule(which=st.integers(0, 100), members=st.sampled_from(LISTS), database_refuses=st.sampled_from(SELDOM))
    def send_a_correction(self, which: int, members: tuple[int, ...], *, database_refuses: bool) -> None:
        file = replace(self._upload(which).file, title="CTUserID", lines=tuple(map(str, members)))
        self._send(file, database_refuses=database_refuses)

    @precondition(lambda self: self._waiting())
    @rule(which=st.integers(0, 100), database_refuses=st.sampled_from(SELDOM))
    def approve_one_that_waits(self, which: int, *, database_refuses: bool) -> None:
        self._approve(self._waiting()[which % len(self._waiting())], database_refuses=database_refuses)

    @precondition(lambda self: self._waiting())
    @rule(which=st.integers(0, 100))
    def discard_one_that_waits(self, which: int) -> None:
        self._decide("discard", self._waiting()[which % len(self._waiting())])

    @precondition(lambda self: self.model.uploads)
    @rule(which=st.integers(0, 100), operation=st.sampled_from(["approve", "discard", "retry", "retry"]))
    def decide_about_any(self, which: int, operation: str) -> None:
        self._decide(operation, self._upload(which))

    @precondition(lambda self: self.model.segment)
    @rule(
        operation=st.sampled_from(["rollback", "rollback", "rollback", "retire", "restore", "delete"]),
        number=st.one_of(st.none(), st.integers(1, 6)),
    )
    def act_on_the_segment(self, operation: str, number: int | None) -> None:
        arguments = {"number": number} if operation == "rollback" else {}
        on_model: Callable[..., None] = getattr(self.model, operation)
        kind = COMMANDS[f"segment.{operation}"]
        self._both(kind(TITLE, self.client, **arguments), lambda: on_model(**arguments))

    @rule(how=st.sampled_from(["sweep", "restart", "know the title", "know the title", "forget the title"]))
    def change_the_server(self, how: str) -> None:
        if how == "sweep":
            self.bench.run(perform_on(self.bench.engine, Sweep()))
            self.model.sweep()
        elif how == "restart":
            self.bench.stop()
            self.bench.start()
        else:
            self.model.knows_own_title = how == "know the title"
            toml = 'id_columns = ["Member"]\n' if self.model.knows_own_title else ""
            (self.bench.settings.keys_dir / "clients" / self.client / "client.toml").write_text(toml)

    @invariant()
    def the_ledger_agrees(self) -> None:
        rows = self.bench.sql(
            "SELECT id, state, code, approved, rows, members, duplicates, rejected, warnings"
            " FROM uploads WHERE client = ? ORDER BY id",
            self.client,
        )
        expected = [
            (upload_id, upload.state, upload.code, upload.approved, *(upload.counts or (None,) * 4))
            for upload_id, upload in zip(self.ids, self.model.uploads, strict=True)
        ]
        assert [row[:8] for row in rows] == expected
        warned = [[warning["code"] for warning in json.loads(row[8])] for row in rows]
        assert warned == [upload.warnings for upload in self.model.uploads]
        assert all(counts[0] is None or counts[0] == sum(counts[1:]) for counts in (row[4:8] for row in rows))

    @invariant()
    def the_members_agree(self) -> None:
        found = self.bench.sql("SELECT segment, ct_user_id FROM segment_members WHERE client = ?", self.client)
        assert sorted(ct_user_id for _, ct_user_id in found) == sorted(self.model.members)
        if self.model.segment:
            assert {title for title, _ in found} <= {self.model.segment.spelling}

    @invariant()
    def the_segment_and_its_history_agree(self) -> None:
        segment = self.model.segment
        if segment is None:
            assert self.bench.sql("SELECT * FROM segments WHERE client = ?", self.client) == []
            return
        row, history = self.bench.run(self._segment())
        current = segment.current
        assert (row.title, row.number, row.members, row.stamp) == (
            segment.spelling,
            current.number,
            len(current.members),
            current.upload.file.stamp,
        )
        saw = len(current.members - segment.before), len(segment.before - current.members)
        assert (row.entered, row.left) in ([saw, (None, None)] if segment.rolled_back else [saw])
        assert (row.newest_stamp, row.rolled_back, row.retired_at is not None) == (
            segment.newest[0],
            segment.rolled_back,
            segment.retired,
        )
        assert [(one.number, one.upload_id, one.members, one.current) for one in reversed(history)] == [
            (one.number, self.ids[one.upload.place], len(one.members), one is current) for one in segment.snapshots
        ]

    async def _segment(self) -> tuple[Segment, list[Snapshot]]:
        segments = self.bench.engine.store.segments
        return await segments.segment(self.client, KEY), await segments.history(self.client, KEY)

    def _waiting(self) -> list[Upload]:
        return [upload for upload in self.model.uploads if upload.state in {"held", "superseded"}]

    def _upload(self, which: int) -> Upload:
        return self.model.uploads[which % len(self.model.uploads)]

    def _send(self, file: File, *, database_refuses: bool) -> None:
        said = self.bench.run(self._check(file))
        upload = self.model.send(file, database_refuses=database_refuses)
        if upload.state != "failed":
            assert said == (upload.state, upload.code, upload.counts, upload.warnings)
        with self._refusing(on=database_refuses):
            self.ids.append(self.bench.run(self._land(file)))

    @contextmanager
    def _refusing(self, *, on: bool) -> Iterator[None]:
        """Have the database refuse to begin a list."""
        if on:
            self.bench.sql("CREATE TRIGGER refuse BEFORE INSERT ON snapshots BEGIN SELECT RAISE(ABORT, 'no'); END")
        try:
            yield
        finally:
            if on:
                self.bench.sql("DROP TRIGGER refuse")

    async def _land(self, file: File) -> str:
        """Land a file as the listener does, and wait until it is done."""
        engine = self.bench.engine
        staged = engine.spool.stage(
            self.client,
            HomePath((file.name,)),
            truncate=True,
            create=True,
            exclusive=False,
            append=False,
            max_size_bytes=MAX_SIZE_BYTES,
        )
        staged.write(0, file.content)
        upload = engine.spool.publish(self.client, staged)
        engine.landed(upload)
        await engine.queue.wait_for()
        return upload.id

    async def _check(self, file: File) -> tuple[str, str | None, tuple[int | None, ...] | None, list[str]]:
        engine = self.bench.engine
        place = self.bench.settings.data_dir / file.name
        place.write_bytes(file.content)
        found = await check(
            place,
            client=self.client,
            config=engine.config_of(self.client),
            settings=engine.settings.ingest,
            today=datetime.now(UTC).date(),
            store=engine.store,
        )
        said = found.as_json()
        place.unlink()
        counts = tuple(said[name] for name in ("rows", "members", "duplicates", "rejected"))
        return said["state"], said["code"], counts, [one["code"] for one in said["warnings"]]

    def _approve(self, upload: Upload, *, database_refuses: bool) -> None:
        command = ApproveUpload(self.ids[upload.place])
        with self._refusing(on=database_refuses):
            self._both(command, lambda: self.model.approve(upload, database_refuses=database_refuses))

    def _decide(self, operation: str, upload: Upload) -> None:
        on_model: Callable[[Upload], None] = getattr(self.model, operation)
        kind = COMMANDS[f"upload.{operation}"]
        self._both(kind(self.ids[upload.place]), lambda: on_model(upload))

    def _both(self, command: Command[object], on_model: Callable[[], None]) -> None:
        """Do the same to both: either both refuse it, or neither."""
        try:
            on_model()
        except RefusedByModelError:
            with pytest.raises(RefusedError):
                self.bench.run(perform_on(self.bench.engine, command))
        else:
            try:
                self.bench.run(perform_on(self.bench.engine, command))
            except CtsftpError as exc:
                pytest.fail(f"{command} was refused: {exc}")
