"""What an admin asks for: done by the engine, whoever runs it."""

import asyncio
import sqlite3

import pytest

from ctsftp.admin.handlers import HANDLERS, LIVE_HANDLERS, perform_on, require_role
from ctsftp.app.engine import Engine
from ctsftp.contract.states import State
from ctsftp.errors import AmbiguousError, NotFoundError, RefusedError
from ctsftp.ingest.settings import IngestSettings
from ctsftp.ingest.sweeper import Swept
from ctsftp.model.commands import (
    COMMANDS,
    ApproveUpload,
    Command,
    DeleteSegment,
    DiscardUpload,
    LiveCommand,
    RestoreSegment,
    RetireSegment,
    RetryUpload,
    Role,
    RollBackSegment,
    Sweep,
    decode,
)
from ctsftp.settings import Settings
from ctsftp.spool.paths import HomePath
from tests.app.bench import NAME, NEXT, Door, load, members, put, rows
from tests.model.test_commands import EXAMPLES

LAST = "VIP_20260310_0902.csv"

Decision = type[RetryUpload | ApproveUpload | DiscardUpload]


async def test_a_sweep_loads_what_it_finds_before_it_answers(settings: Settings) -> None:
    async with Engine.open(settings) as engine:
        upload = put(engine.spool, NAME, rows([1, 2]))
        swept = await perform_on(engine, Sweep())
        assert swept == {
            "adopted": 0,
            "queued": [upload.id],
            "uploads_deleted": 0,
            "partials_deleted": 0,
            "snapshots_deleted": 0,
        }
        assert await members(engine) == [1, 2]


async def test_a_sweep_by_hand_loads_also_what_does_not_fit_into_the_queue_at_once(settings: Settings) -> None:
    small = settings.model_copy(update={"ingest": IngestSettings(queue_size=2)})
    async with Engine.open(small) as engine:
        uploads = [put(engine.spool, f"List {number}_20260310_0900.csv", rows([number])) for number in range(1, 8)]
        swept = await perform_on(engine, Sweep())
        assert swept["queued"] == [upload.id for upload in uploads]
        assert {row.state for row in await engine.store.ledger.uploads()} == {State.LOADED}


async def test_a_sweep_by_hand_waits_while_the_queue_is_full_of_what_others_sent(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    door, sweeps, second = Door(), 0, asyncio.Event()
    monkeypatch.setattr(Engine, "config_of", lambda _engine, client: door.config_of(client))
    async with Engine.open(settings.model_copy(update={"ingest": IngestSettings(queue_size=1, workers=1)})) as engine:
        sweep = engine.sweeper.sweep

        async def counted() -> Swept:
            nonlocal sweeps
            sweeps += 1
            if sweeps == 2:
                second.set()
            return await sweep()

        monkeypatch.setattr(engine.sweeper, "sweep", counted)
        engine.landed(put(engine.spool, NAME, rows([1])))
        await door.reached()
        waits = put(engine.spool, NEXT, rows([2]))
        asked = asyncio.create_task(perform_on(engine, Sweep()))
        await second.wait()
        for _ in range(100):  # time enough for many sweeps
            await engine.store.ledger.uploads()
        assert sweeps == 2
        door.open()
        assert (await asked)["queued"] == [waits.id]


@pytest.mark.parametrize("kind", [RetryUpload, ApproveUpload])
async def test_a_decision_waits_while_old_files_are_deleted_so_that_none_loses_its_file(
    settings: Settings, kind: Decision
) -> None:
    async with Engine.open(settings) as engine:
        await load(engine, NEXT, rows([1, 2]))
        row = await load(engine, NAME, rows([1] if kind is ApproveUpload else ["x"]))
        stored = await engine.find_file(row.id)
        await engine.sweeper.deleting.acquire()
        decision = asyncio.create_task(_refused(engine, kind(row.id)))
        await engine.store.ledger.upload(row.id)  # the decision has had its turn meanwhile, and waits
        engine.spool.remove_upload(stored)
        engine.sweeper.deleting.release()
        await decision
        assert (await engine.store.ledger.upload(row.id)).state is row.state


async def _refused(engine: Engine, command: Command[object]) -> None:
    with pytest.raises(RefusedError, match="send it again"):
        await perform_on(engine, command)


async def test_a_retry_reads_the_file_again_before_it_answers(settings: Settings) -> None:
    async with Engine.open(settings) as engine:
        row = await load(engine, NAME, rows(["x"]))
        assert row.state is State.REJECTED
        (await engine.find_file(row.id)).path.write_text(rows([1]))
        answer = await perform_on(engine, RetryUpload(upload_id=row.id))
        assert (answer["id"], answer["state"], answer["members"]) == (row.id, "loaded", 1)
        with pytest.raises(RefusedError, match="is loaded"):
            await perform_on(engine, RetryUpload(upload_id=row.id))


async def test_an_approval_applies_a_held_file_before_it_answers(settings: Settings) -> None:
    async with Engine.open(settings) as engine:
        await load(engine, NAME, rows([1, 2]))
        row = await load(engine, NEXT, rows([]))
        assert row.state is State.HELD
        answer = await perform_on(engine, ApproveUpload(upload_id=row.id))
        assert (answer["state"], await members(engine)) == ("loaded", [])


async def test_a_held_file_can_be_discarded(settings: Settings) -> None:
    async with Engine.open(settings) as engine:
        await load(engine, NAME, rows([1, 2]))
        row = await load(engine, NEXT, rows([]))
        assert (await perform_on(engine, DiscardUpload(upload_id=row.id)))["state"] == "discarded"
        assert await members(engine) == [1, 2]


@pytest.mark.parametrize(("kind", "state"), [(ApproveUpload, "superseded"), (RetryUpload, "rejected")])
async def test_an_upload_whose_file_is_no_longer_kept_stays_as_it_is(
    settings: Settings, kind: Decision, state: str
) -> None:
    """It would be `received` for ever: nothing is there to be read."""
    async with Engine.open(settings) as engine:
        await load(engine, NEXT, rows([1, 2]))
        row = await load(engine, NAME, rows([1] if state == "superseded" else ["x"]))
        engine.spool.remove_upload(await engine.find_file(row.id))
        with pytest.raises(RefusedError, match=r"kept for 14 days.*send it again"):
            await perform_on(engine, kind(row.id))
        assert (await engine.store.ledger.upload(row.id)).state == state


@pytest.mark.parametrize("kind", [RetryUpload, ApproveUpload, DiscardUpload])
async def test_an_upload_that_never_was_is_not_found(settings: Settings, kind: Decision) -> None:
    async with Engine.open(settings) as engine:
        with pytest.raises(NotFoundError):
            await perform_on(engine, kind("../../../etc/passwd"))


async def test_a_segment_goes_back_is_retired_restored_and_deleted(settings: Settings) -> None:
    async with Engine.open(settings) as engine:
        for name, ids in ((NAME, [1, 2]), (NEXT, [2, 3]), (LAST, [3, 4])):
            await load(engine, name, rows(ids))
        assert (await perform_on(engine, RollBackSegment("vip")))["number"] == 2
        assert (await perform_on(engine, RollBackSegment("vip", number=1)))["number"] == 1
        assert await members(engine) == [1, 2]
        with pytest.raises(RefusedError, match="segment retire"):
            await perform_on(engine, DeleteSegment("vip"))
        assert (await perform_on(engine, RetireSegment("vip")))["retired"] is True
        assert (await perform_on(engine, RestoreSegment("vip")))["retired"] is False
        await perform_on(engine, RetireSegment("vip"))
        assert (await perform_on(engine, DeleteSegment("vip")))["segment"] == "VIP"
        with pytest.raises(NotFoundError):
            await perform_on(engine, RestoreSegment("vip"))


async def test_a_name_that_fits_several_segments_needs_its_client(settings: Settings) -> None:
    async with Engine.open(settings) as engine:
        await load(engine, NAME, rows([1]))
        await load(engine, NAME, rows([2]), client="zeta")
        with pytest.raises(AmbiguousError, match="acme, zeta"):
            await perform_on(engine, RetireSegment(name="vip"))
        answer = await perform_on(engine, RetireSegment(name="vip", client="zeta"))
        assert (answer["client"], answer["retired"]) == ("zeta", True)


def test_each_command_has_one_handler() -> None:
    """That a handler takes its command and gives its answer, mypy holds."""
    assert {*HANDLERS, *LIVE_HANDLERS} == set(COMMANDS.values())
    assert not HANDLERS.keys() & LIVE_HANDLERS.keys()
    assert all(issubclass(kind, LiveCommand) is (kind in LIVE_HANDLERS) for kind in COMMANDS.values())


@pytest.mark.parametrize("kind", COMMANDS.values(), ids=list(COMMANDS))
def test_a_command_is_for_those_of_its_role_and_above(kind: type[Command[object]]) -> None:
    command = decode({"do": kind.wire, "with": EXAMPLES[kind.wire]})
    entry = HANDLERS.get(kind) or LIVE_HANDLERS[kind]
    for role in Role:
        if role >= entry.role:
            require_role(command, role)
        else:
            with pytest.raises(RefusedError, match=f"{kind.wire} is for .* alone"):
                require_role(command, role)


def test_a_token_that_may_only_read_changes_nothing() -> None:
    assert all(entry.role > Role.READER for entry in (*HANDLERS.values(), *LIVE_HANDLERS.values()) if entry.changes)


async def test_an_upload_is_loaded_though_its_sender_removed_it_from_its_home(settings: Settings) -> None:
    async with Engine.open(settings) as engine:
        upload = put(engine.spool, NAME, rows([1, 2]))
        engine.spool.home("acme").remove(HomePath((NAME,)))
        engine.landed(upload)
        await engine.queue.wait_for()
        assert await members(engine) == [1, 2]
        with sqlite3.connect(settings.data_dir / "ctsftp.db") as database:
            found = database.execute("SELECT client, segment, ct_user_id FROM segment_members").fetchall()
        database.close()
        assert found == [("acme", "VIP", 1), ("acme", "VIP", 2)]
