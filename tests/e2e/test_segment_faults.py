"""Faults of ours, made for real: a disk that fails, a database that refuses, a server that dies; the file arrives."""

import asyncio
import signal
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

from ctsftp.contract.codes import Code
from ctsftp.contract.states import State
from ctsftp.demo.connect import ExportFile
from tests.spool.bench import uploads_of

from .conftest import Box, wait_until
from .inprocess import (
    FIXTURES,
    PATIENCE_S,
    Gate,
    Sender,
    exercises,
    ids,
    in_process,
    locked,
    running,
    seen_moves,
    stamp,
    watch_moves,
)

pytest_plugins = FIXTURES

FILE = f"VIP_{stamp(2)}.csv"

READ_BY_THE_LOAD = "refuse_at_close = false\n"  # a short list is else read at its CLOSE, and by its load no more


async def gated(sender: Sender, file: ExportFile) -> Gate:
    """Put a file whose load stops in `loading`, before it has read anything."""
    sender.configure(READ_BY_THE_LOAD)
    await sender.connect()
    async with locked(sender.server):
        assert await sender.send_only(file) == ""
        [upload] = [one for one in uploads_of(sender.engine.spool) if one.client == sender.name]
        gate = Gate(upload.path)
    await gate.reached()
    return gate


@asynccontextmanager
async def trigger(sender: Sender, what: str) -> AsyncIterator[None]:
    """Have the database do something whenever this client's load begins its snapshot."""
    await sender.server.change(
        f"CREATE TRIGGER {sender.name} BEFORE INSERT ON snapshots"  # noqa: S608  the names are the harness's own
        f" WHEN NEW.upload_id IN (SELECT id FROM uploads WHERE client = '{sender.name}') BEGIN {what}; END"
    )
    try:
        yield
    finally:
        await sender.server.change(f"DROP TRIGGER {sender.name}")


@in_process
@exercises(Code.DISK, (State.LOADING, State.FAILED), (State.FAILED, State.RECEIVED))
async def test_a_file_that_the_disk_does_not_give_back_fails_and_loads_when_the_disk_does(sender: Sender) -> None:
    sender.configure(READ_BY_THE_LOAD)
    await sender.connect()
    async with locked(sender.server):
        await sender.send_only(ExportFile(FILE, ids(1, 2)))
        [upload] = [one for one in uploads_of(sender.engine.spool) if one.client == sender.name]
        aside = upload.path.rename(upload.path.with_name("aside"))
        upload.path.mkdir()  # what no open() of a file survives
    await sender.settled()
    row = await sender.newest(FILE)
    assert (row["state"], row["code"]) == (State.FAILED, Code.DISK)
    assert sender.members("VIP") == []
    upload.path.rmdir()
    aside.rename(upload.path)
    assert (await sender.do("upload.retry", upload_id=row["id"]))["state"] == State.LOADED
    assert sender.members("VIP") == [1, 2]


@in_process
@exercises(Code.DATABASE, (State.LOADING, State.FAILED))
async def test_a_database_that_refuses_leaves_the_segment_as_it_was_and_the_file_loads_later(sender: Sender) -> None:
    await sender.put(f"VIP_{stamp(1)}.csv", ids(1, 2))
    async with trigger(sender, "SELECT RAISE(ABORT, 'no more')"):
        row = await sender.put(FILE, ids(3, 4))
        assert (row["state"], row["code"]) == (State.FAILED, Code.DATABASE)
        assert "no more" in row["reason"]
        assert sender.members("VIP") == [1, 2]
        assert (await sender.do("upload.retry", upload_id=row["id"]))["state"] == State.FAILED
    assert (await sender.do("upload.retry", upload_id=row["id"]))["state"] == State.LOADED
    assert sender.members("VIP") == [3, 4]


@in_process
async def test_a_file_that_is_tried_again_never_undoes_the_correction_that_was_applied_meanwhile(
    sender: Sender,
) -> None:
    async with trigger(sender, "SELECT RAISE(ABORT, 'no more')"):
        wrong = await sender.put(FILE, ids(1, 2))
    assert wrong["state"] == State.FAILED
    assert (await sender.put(FILE, ids(1, 3)))["state"] == State.LOADED
    again = await sender.do("upload.retry", upload_id=wrong["id"])
    assert again["state"] == State.SUPERSEDED
    assert "came later" in again["reason"]
    assert sender.members("VIP") == [1, 3]


@in_process
@exercises(Code.INTERNAL)
async def test_what_nobody_expected_fails_the_upload_and_not_the_server(sender: Sender) -> None:
    # What no program writes there: the load stumbles over it when it publishes.
    async with trigger(sender, "UPDATE uploads SET warnings = '{' WHERE id = NEW.upload_id"):
        await sender.send(ExportFile(FILE, ids(1, 2)))
    await sender.server.change("UPDATE uploads SET warnings = '[]' WHERE client = ?", (sender.name,))
    row = await sender.newest(FILE)
    assert (row["state"], row["code"]) == (State.FAILED, Code.INTERNAL)
    assert "log" in row["reason"]
    assert (await sender.do("upload.retry", upload_id=row["id"]))["state"] == State.LOADED
    assert sender.members("VIP") == [1, 2]


@in_process
async def test_a_segment_that_is_retired_while_its_file_loads_does_not_change(sender: Sender) -> None:
    await sender.put(f"VIP_{stamp(1)}.csv", ids(1))
    for upload in uploads_of(sender.engine.spool):
        if upload.client == sender.name:
            sender.engine.spool.remove_upload(upload)
    gate = await gated(sender, ExportFile(FILE, ids(2)))
    await sender.on_segment("retire", "VIP")
    gate.open()
    await sender.settled()
    assert (await sender.newest(FILE))["state"] == State.RETIRED
    await sender.on_segment("restore", "VIP")
    assert sender.members("VIP") == [1]


@in_process
async def test_a_segment_that_is_rolled_back_while_its_file_loads_holds_it(sender: Sender) -> None:
    for day in (1, 2):
        await sender.put(f"VIP_{stamp(day)}.csv", ids(day))
    for upload in uploads_of(sender.engine.spool):
        if upload.client == sender.name:
            sender.engine.spool.remove_upload(upload)
    gate = await gated(sender, ExportFile(f"VIP_{stamp(3)}.csv", ids(3)))
    await sender.on_segment("rollback", "VIP", number=None)
    gate.open()
    await sender.settled()
    row = await sender.newest(f"VIP_{stamp(3)}.csv")
    assert (row["state"], row["code"]) == (State.HELD, Code.ROLLED_BACK)
    assert sender.members("VIP") == [1]


async def test_a_failed_load_is_tried_again_by_itself(tmp_path: Path) -> None:
    async with running(tmp_path, ingest={"retry_first_s": 0.01, "retry_most_s": 0.01}) as server:
        sender = server.add_sender()
        async with trigger(sender, "SELECT RAISE(ABORT, 'no more')"):
            await sender.send(ExportFile(FILE, ids(1, 2)))
            failed = sender.seen()
        await asyncio.to_thread(wait_until, lambda: sender.members("VIP") == [1, 2])
        assert {Code.DATABASE, (State.LOADING, State.FAILED)} <= failed
        assert (State.FAILED, State.RECEIVED) in sender.seen()
        sender.check_accounts()
        await sender.close()


@exercises((State.LOADING, State.RECEIVED))
async def test_a_load_that_a_stop_interrupts_goes_back_and_the_next_server_takes_it_up(tmp_path: Path) -> None:
    async with running(tmp_path) as server:
        sender = server.add_sender()
        gate = await gated(sender, ExportFile(FILE, ids(1, 2)))
        assert (await sender.newest(FILE))["state"] == State.LOADING
        await sender.close()
    gate.open()  # the thread that still reads ends with this block
    assert (State.LOADING, State.RECEIVED) in sender.seen()
    async with running(tmp_path) as server:
        await server.engine.sweeper.sweep()
        await server.engine.queue.wait_for()
        assert [row.state for row in await server.engine.store.ledger.uploads()] == [State.LOADED]
    sender.check_accounts()
    assert sender.members("VIP") == [1, 2]


@exercises(Code.LOADER_DIED, (State.LOADING, State.FAILED))
def test_a_file_that_kills_three_servers_waits_for_an_admin(box: Box) -> None:
    box.add_client("acme")
    box.env["CTSFTP_INGEST__RETRY_AFTER_DEATH_S"] = "0.01"
    box.start()
    database = box.folder / "data" / "ctsftp.db"
    watch_moves(database)
    # A load that never ends: a trigger cannot count for ever, a view that it reads can.
    with closing(sqlite3.connect(database, timeout=PATIENCE_S)) as connection, connection:
        connection.executescript(
            "CREATE VIEW forever AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n;"
            "CREATE TRIGGER stuck BEFORE INSERT ON snapshots BEGIN SELECT count(*) FROM forever; END;"
        )
    box.file(FILE, ids(1, 2, 2))
    assert box.sftp("acme", f"put {FILE}").returncode == 0
    for deaths in range(3):
        wait_until(lambda: _row(database) == (State.LOADING, deaths, None))  # noqa: B023  it is called at once
        assert box.serve is not None
        box.serve.stop(signal.SIGKILL)
        box.start()
    assert _row(database) == (State.FAILED, 3, Code.LOADER_DIED)
    with closing(sqlite3.connect(database, timeout=PATIENCE_S)) as connection, connection:
        assert {Code.LOADER_DIED, (State.LOADING, State.FAILED)} <= seen_moves(connection, "acme")
        connection.execute("DROP TRIGGER stuck")
        upload_id, members = connection.execute(
            "SELECT id, (SELECT count(*) FROM segment_members) FROM uploads"
        ).fetchone()
    assert members == 0
    retried = box.json("upload", "retry", upload_id)
    assert (retried["state"], retried["rows"], retried["members"]) == ("loaded", 3, 2)


def _row(database: Path) -> tuple[str, int, str | None] | None:
    with closing(sqlite3.connect(database, timeout=PATIENCE_S)) as connection:
        found: tuple[str, int, str | None] | None = connection.execute(
            "SELECT state, deaths, code FROM uploads"
        ).fetchone()
        return found
