"""Several nodes over one database: each loads what it received, and what one decides holds for all."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ctsftp.admin.handlers import perform_on
from ctsftp.app.engine import Engine
from ctsftp.cluster import node
from ctsftp.cluster.node import node_name
from ctsftp.contract.states import State
from ctsftp.errors import SettingsError
from ctsftp.model.commands import ApproveUpload, RetryUpload, RollBackSegment
from ctsftp.settings import Settings

from .bench import NAME, NEXT, PATIENCE_S, Door, load, members, put, rows

DATABASE_KINDS = ("postgresql",)


@pytest.fixture
def first(settings: Settings, database_url: str) -> Settings:
    return settings.model_copy(update={"database_url": database_url})


@pytest.fixture
def second(first: Settings, tmp_path: Path) -> Settings:
    return first.model_copy(update={"data_dir": tmp_path / "second"})


def test_a_nodes_name_stays(tmp_path: Path) -> None:
    assert node_name(tmp_path) == node_name(tmp_path)


@pytest.mark.parametrize("wrong", ["", "two words\n", "x" * 200])
def test_a_name_that_was_spoilt_is_an_error_and_no_new_one(tmp_path: Path, wrong: str) -> None:
    (tmp_path / "node").write_text(wrong)
    with pytest.raises(SettingsError, match="put back what it was"):
        node_name(tmp_path)


async def test_what_one_node_loaded_is_seen_by_the_other(first: Settings, second: Settings) -> None:
    async with Engine.open(first) as one, Engine.open(second) as two:
        row = await load(one, NAME, rows([1, 2]))
        assert await members(two) == [1, 2]
        assert (await two.store.ledger.upload(row.id)).node == one.store.node != two.store.node


async def test_a_node_that_starts_leaves_alone_what_another_is_loading(
    first: Settings, second: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    door = Door()
    async with Engine.open(first) as one:
        monkeypatch.setattr(one.loader, "_config_of", door.config_of)
        upload = put(one.spool, NAME, rows([1]))
        one.landed(upload)
        await door.reached()
        async with Engine.open(second) as two:
            await two.sweeper.sweep()
            row = await two.store.ledger.upload(upload.id)
            assert (row.state, row.deaths) == (State.LOADING, 0)
            door.open()
            await one.queue.wait_for()
            assert await members(two) == [1]


async def test_a_node_that_died_finishes_its_uploads_when_it_is_back(first: Settings, second: Settings) -> None:
    async with Engine.open(first) as one:
        upload = put(one.spool, NAME, rows([1]))  # acknowledged, and then it dies
    async with Engine.open(second) as two:
        await two.sweeper.sweep()
        assert await two.store.ledger.uploads() == []
        async with Engine.open(first) as one:
            assert (await one.sweeper.sweep()).queued == [upload.id]
            await one.queue.wait_for()
        assert await members(two) == [1]


async def test_two_versions_of_a_segment_that_two_nodes_receive_at_once_end_with_the_newer(
    first: Settings, second: Settings
) -> None:
    async with Engine.open(first) as one, Engine.open(second) as two:
        for number in range(10):
            names = [f"S{number}_20260310_000{version}.csv" for version in (1, 2)]
            older, newer = await asyncio.gather(
                *(
                    load(engine, name, rows([n]))
                    for n, (engine, name) in enumerate(zip((one, two), names, strict=True), 1)
                )
            )
            assert newer.state is State.LOADED
            assert older.state in {State.LOADED, State.SUPERSEDED}
            assert await members(one, f"s{number}") == [2]


async def test_the_same_file_to_two_nodes_at_once_counts_once(first: Settings, second: Settings) -> None:
    async with Engine.open(first) as one, Engine.open(second) as two:
        for number in range(10):
            name = f"S{number}_20260310_0001.csv"
            ends = await asyncio.gather(*(load(engine, name, rows([1])) for engine in (one, two)))
            assert sorted(row.state for row in ends) == [State.DUPLICATE, State.LOADED]


async def test_an_admin_may_approve_at_any_node(first: Settings, second: Settings) -> None:
    async with Engine.open(first) as one, Engine.open(second) as two:
        await load(one, NAME, rows([1]))
        held = await load(one, NEXT, rows([]))
        assert held.state is State.HELD
        async with asyncio.timeout(PATIENCE_S):
            assert (await perform_on(two, ApproveUpload(held.id)))["state"] == State.LOADED
        assert await members(two) == []


async def test_an_approval_is_kept_for_a_node_that_is_down(
    first: Settings, second: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node, "TAKEN_UP_WITHIN_S", 0.1)
    async with Engine.open(first) as one:
        await load(one, NAME, rows([1]))
        held = await load(one, NEXT, rows([]))
    async with Engine.open(second) as two:
        assert (await perform_on(two, ApproveUpload(held.id)))["state"] == State.RECEIVED
        async with Engine.open(first) as one:
            await one.sweeper.sweep()
            await one.queue.wait_for()
        assert await members(two) == []


async def test_a_rejected_file_is_read_again_by_the_node_that_has_it(first: Settings, second: Settings) -> None:
    async with Engine.open(first) as one, Engine.open(second) as two:
        row = await load(one, NAME, "nothing,here\n1,2\n")
        assert row.state is State.REJECTED
        async with asyncio.timeout(PATIENCE_S):
            assert (await perform_on(two, RetryUpload(row.id)))["state"] == State.REJECTED


async def test_a_rollback_at_one_node_holds_the_uploads_of_the_other(first: Settings, second: Settings) -> None:
    async with Engine.open(first) as one, Engine.open(second) as two:
        await load(one, NAME, rows([1]))
        await load(two, NEXT, rows([2]))
        await perform_on(one, RollBackSegment("VIP", "acme", 1))
        assert (await load(two, "VIP_20260310_0902.csv", rows([3]))).state is State.HELD
        assert await members(two) == [1]


@pytest.mark.parametrize(("off_s", "how"), [(3600, "ahead of"), (-3600, "behind")])
async def test_a_node_whose_clock_is_off_does_not_start(
    first: Settings, monkeypatch: pytest.MonkeyPatch, off_s: int, how: str
) -> None:
    monkeypatch.setattr("ctsftp.app.engine.utc_now", lambda: datetime.now(UTC) + timedelta(seconds=off_s))
    with pytest.raises(SettingsError, match=rf"clock is 3,\d+ s {how} the database's: set it"):
        async with Engine.open(first):
            pass
