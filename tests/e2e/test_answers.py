"""What a sender is told at its CLOSE of the verdict, through the real server, and what stands in its home after it."""

import asyncio
from pathlib import Path

import asyncssh

from ctsftp.contract.codes import Code
from ctsftp.contract.states import State
from ctsftp.demo.connect import ExportFile
from ctsftp.demo.push import PushResult

from .inprocess import FIXTURES, Sender, days_ahead, exercises, ids, in_process, stamp

pytest_plugins = FIXTURES
pytestmark = in_process

MANY = range(1, 201)
SPREADSHEET = ids("1.23E+10", "1.24E+10")


def named(day: int, version: int = 900) -> str:
    return f"VIP_{stamp(day, version)}.csv"


async def push(sender: Sender, name: str, content: bytes) -> PushResult:
    return await sender.push(ExportFile(name, content))


def home(sender: Sender) -> dict[str, bytes]:
    return {place.name: place.read_bytes() for place in sender.engine.spool.home(sender.name).files.iterdir()}


def staging(sender: Sender) -> list[Path]:
    return list((sender.engine.spool.root / sender.name / "staging").iterdir())


async def test_a_spreadsheets_ids_fail_the_put_and_the_list_before_stays(sender: Sender) -> None:
    good = ids(*MANY)
    assert (await push(sender, named(1), good)).ok
    refused = await push(sender, named(1), SPREADSHEET)
    assert not refused.ok
    assert (await sender.newest(named(1)))["reason"] in refused.output
    assert home(sender) == {named(1): good}
    assert staging(sender) == []
    assert sender.members("VIP") == list(MANY)


@exercises(Code.SHRUNK)
async def test_a_held_list_is_ok_with_a_line_and_so_is_the_same_again(sender: Sender) -> None:
    assert (await push(sender, named(1), ids(*MANY))).ok
    for _ in range(2):
        held = await push(sender, named(2), ids(1, 2))
        assert held.ok
        assert f"{named(2)} is held (shrunk)" in held.output
        assert f"/receipts/{named(2)}.txt" in held.output
    assert named(2) in home(sender)


@exercises(Code.SHRUNK)
async def test_held_is_failure_fails_a_held_list_and_the_same_again(sender: Sender) -> None:
    sender.configure("held_is_failure = true\n")
    assert (await push(sender, named(1), ids(*MANY))).ok
    for _ in range(2):
        held = await push(sender, named(2), ids(1, 2))
        assert not held.ok
        assert "The file has 2 members, and the segment had 200." in held.output
    assert (await push(sender, named(1), ids(*MANY))).ok
    assert [row["state"] for row in await sender.ledger()] == ["duplicate", "duplicate", "held", "loaded"]


async def test_a_list_of_the_future_is_told_of_though_its_segment_is_new(sender: Sender) -> None:
    held = await push(sender, f"VIP_{days_ahead(9)}.csv", ids(1, 2))
    assert held.ok
    assert "is held (future)" in held.output


async def test_a_clients_first_list_that_may_be_cut_off_is_ok_with_a_line(sender: Sender) -> None:
    cut = await push(sender, named(1), b"CTUserID\n1001\n1002\n10")
    assert cut.ok
    assert f"{named(1)} is taken. The last line does not end with a line break. If the file was cut off" in cut.output
    assert '"10"' in cut.output
    again = await push(sender, named(2), b"CTUserID\n1001\n1002\n10")
    assert (again.ok, "Note" in again.output) == (True, False)  # this client's lists end so


@exercises((State.LOADING, State.SUPERSEDED))
async def test_a_superseded_list_is_ok_with_a_line(sender: Sender) -> None:
    assert (await push(sender, named(2), ids(*MANY))).ok
    old = await push(sender, named(1), ids(*MANY))
    assert old.ok
    assert f"{named(1)} is superseded, and not applied." in old.output


async def test_the_same_list_again_after_a_rollback_is_ok_with_a_line_that_it_is_not_in_use(sender: Sender) -> None:
    for day in (1, 2):
        assert (await push(sender, named(day), ids(*MANY, day))).ok
    again = await push(sender, named(2), ids(*MANY, 2))
    assert (again.ok, "Note" in again.output) == (True, False)
    await sender.on_segment("rollback", "VIP", number=None)
    again = await push(sender, named(2), ids(*MANY, 2))
    assert again.ok
    assert f"{named(2)} is duplicate, and not applied. The same file was applied before." in again.output
    assert "an admin made another list current" in again.output
    assert f"/receipts/{named(2)}.txt" in again.output


@exercises((State.LOADING, State.RETIRED))
async def test_a_list_for_a_retired_segment_fails_and_is_not_shown(sender: Sender) -> None:
    assert (await push(sender, named(1), ids(*MANY))).ok
    await sender.on_segment("retire", "VIP")
    retired = await push(sender, named(2), ids(*MANY))
    assert not retired.ok
    assert "The segment was retired" in retired.output
    assert set(home(sender)) == {named(1)}


async def test_a_client_that_is_not_refused_hears_nothing_and_sees_its_file(sender: Sender) -> None:
    sender.configure("refuse_at_close = false\nheld_is_failure = true\n")
    assert (await push(sender, named(1), SPREADSHEET)).ok
    assert home(sender) == {named(1): SPREADSHEET}


async def test_a_refusal_that_is_known_only_after_the_answer_takes_the_file_out_of_the_home(sender: Sender) -> None:
    limits = sender.server.service.server.settings
    sender.server.service.server.settings = limits.model_copy(update={"verdict_wait_s": 0.0})
    sender.engine.apply(sender.server.service.server.settings)
    try:
        assert (await push(sender, named(1), ids(*MANY))).ok
        good = home(sender)
        assert (await push(sender, named(1), SPREADSHEET)).ok
        assert home(sender) == good
    finally:
        sender.server.service.server.settings = limits
        sender.engine.apply(limits)


async def test_a_list_that_waits_behind_a_slow_one_of_its_segment_is_judged_after_it(sender: Sender) -> None:
    """Alone it would be held; what is before it decides."""
    assert (await sender.put(named(1), ids(*MANY)))["state"] == State.LOADED
    sftp = await sender.connect()
    places: list[asyncio.Task[str]] = []
    for day, members in ((2, range(1, 3)), (3, MANY)):
        places.append(asyncio.create_task(sender.send_only(ExportFile(named(day), ids(*members)))))
    assert sftp is not None
    assert await asyncio.gather(*places) == ["", ""]
    await sender.settled()
    assert [row["state"] for row in await sender.ledger()][:2] == ["loaded", "superseded"]


# Lists without a byte.


async def events(sender: Sender) -> list[str]:
    with sender.server.sql() as connection:
        query = "SELECT kind FROM events WHERE client = ? ORDER BY id"
        return [kind for (kind,) in connection.execute(query, (sender.name,))]


async def touch(sender: Sender, name: str) -> str:
    sftp = await sender.connect()
    try:
        async with sftp.open(name, "wb"):
            pass
    except asyncssh.SFTPError as exc:
        return str(exc.reason)
    return ""


@exercises(Code.EMPTY_FILE)
async def test_a_touch_is_refused_and_nobody_else_is_told_once_its_list_comes(sender: Sender) -> None:
    assert await touch(sender, named(1))
    assert await sender.send(ExportFile(named(1), ids(1, 2))) == ""
    await sender.close()
    await sender.settled()
    assert sorted(row["state"] for row in await sender.ledger()) == ["loaded", "rejected"]
    assert await events(sender) == ["upload.loaded"]


@exercises(Code.EMPTY_FILE)
async def test_a_file_that_stayed_empty_is_told_of_when_its_session_ends(sender: Sender) -> None:
    assert await touch(sender, named(1))
    await sender.settled()
    assert (await sender.newest(named(1)))["code"] == Code.EMPTY_FILE
    assert await events(sender) == []
    await sender.close()
    async with asyncio.timeout(20):
        while not await events(sender):  # noqa: ASYNC110  nothing else tells of it
            await asyncio.sleep(0.01)
    assert await events(sender) == ["upload.rejected"]


@exercises((State.RECEIVED, State.IGNORED))
async def test_touch_first_takes_an_empty_file_and_ignores_it_until_its_list_comes(sender: Sender) -> None:
    sender.configure("touch_first = true\n")
    assert await touch(sender, named(1)) == ""
    await sender.settled()
    assert home(sender) == {named(1): b""}
    sftp = await sender.connect()
    async with sftp.open(named(1), "rb+") as file:
        await file.write(ids(1, 2))
    await sender.settled()
    assert [row["state"] for row in await sender.ledger()] == ["loaded", "ignored"]
    assert sender.members("VIP") == [1, 2]


async def test_a_question_that_opens_the_file_is_no_upload(sender: Sender) -> None:
    assert (await sender.put(named(1), ids(1, 2)))["state"] == State.LOADED
    sftp = await sender.connect()
    async with sftp.open(named(1), asyncssh.FXF_WRITE):
        pass
    assert len(await sender.ledger()) == 1
