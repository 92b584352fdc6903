"""CLOSE and rename are answered with the verdict, and a refused file is not there for who looks."""

import asyncio

import asyncssh
import pytest
from asyncssh.constants import (
    FILEXFER_ATTR_ACMODTIME,
    FILEXFER_ATTR_SIZE,
    FX_FAILURE,
    FX_NO_SUCH_FILE,
    FX_OK,
    FXF_WRITE,
    FXP_ATTRS,
    FXP_CLOSE,
    FXP_FSETSTAT,
    FXP_LSTAT,
    FXP_RENAME,
    FXP_SETSTAT,
    FXP_STAT,
)
from asyncssh.packet import String, UInt32, UInt64

from ctsftp.contract.codes import Code, Fault
from ctsftp.sftp.landing import Answer

from .raw import PATIENCE_S, RawSftp
from .room import ACME, GOLD, Room
from .stock import StockSftp

LIST = b"CTUserID\n1\n2\n3\n"
OTHER_LIST = b"CTUserID\n4\n5\n"
WRONG = b"CTUserID\n1.23E+10\n"
OK = (FX_OK, "")
REASON = "1 of 1 rows with an id were rejected."
EMPTY = Fault(Code.EMPTY_FILE, "The file is empty.")
NOTE = f"Note: {GOLD} is held (shrunk), and not applied."
TEMPORARY = "list.filepart"


def awaited(room: Room, answer: Answer | None = None) -> asyncio.Future[Answer | None]:
    """Have GOLD wait for its answer, which is told at once if it is given."""
    future: asyncio.Future[Answer | None] = asyncio.get_running_loop().create_future()
    room.answers[GOLD] = future
    if answer:
        future.set_result(answer)
    return future


async def written(raw: RawSftp, data: bytes, name: str = GOLD) -> bytes:
    handle = await raw.create(name)
    assert await raw.write(handle, 0, data) == OK
    return handle


async def closing(room: Room, raw: RawSftp, data: bytes = LIST) -> asyncio.Task[tuple[int, str]]:
    """Put GOLD, and give its answer to come when it has landed."""
    seen = len(room.landed.all)
    task = asyncio.create_task(raw.close(await written(raw, data)))
    await room.landed.first(seen + 1)
    return task


async def look(raw: RawSftp, kind: int, name: str = GOLD) -> tuple[int, str]:
    answer = await raw.ask(kind, String(name))
    return OK if answer.kind == FXP_ATTRS else answer.status()


async def modified_s(raw: RawSftp, name: str = GOLD) -> int | None:
    return asyncssh.SFTPAttrs.decode((await raw.ask(FXP_STAT, String(name))).packet, 3).mtime


# The verdict.


@pytest.mark.parametrize("before", [None, OTHER_LIST])
async def test_a_close_waits_for_the_verdict_and_fails_with_its_reason(room: Room, before: bytes | None) -> None:
    if before:
        await room.landed_put(GOLD, before)
    answer = awaited(room)
    raw = await room.raw()
    close = await closing(room, raw, WRONG)
    assert room.server.session_count == 1
    room.spool.hide(room.landed.all[-1])
    answer.set_result(Answer(refusal=REASON))
    assert await close == (FX_FAILURE, REASON)
    assert room.home(GOLD) == before
    assert room.nothing_left_open()


async def test_a_good_file_stands_again_where_two_that_came_after_it_are_refused(room: Room) -> None:
    await room.landed_put(GOLD, LIST)
    awaited(room)
    raws = [await room.raw(), await room.raw()]
    closes = [await closing(room, raw, WRONG + data) for raw, data in zip(raws, (b"a\n", b"b\n"), strict=True)]
    for upload in room.landed.all[1:]:
        room.spool.hide(upload)
    room.answers[GOLD].set_result(Answer(refusal=REASON))
    assert [await close for close in closes] == [(FX_FAILURE, REASON)] * 2
    assert room.home(GOLD) == LIST
    assert room.staging() == []


async def test_a_rename_waits_for_the_verdict_and_leaves_the_home_as_it_was(room: Room) -> None:
    await room.landed_put(TEMPORARY, WRONG)
    await room.landed_put(GOLD, LIST)
    awaited(room, Answer(refusal=REASON))
    raw = await room.raw()
    assert (await raw.ask(FXP_RENAME, String(TEMPORARY), String("x.bin"))).status() == OK
    sftp = await room.sftp()
    with pytest.raises(asyncssh.SFTPFailure, match="rows with an id"):
        await sftp.posix_rename("x.bin", GOLD)
    assert (room.home("x.bin"), room.home(GOLD)) == (WRONG, LIST)
    assert await look(raw, FXP_STAT) == (FX_NO_SUCH_FILE, REASON)


async def test_stock_sftp_shows_the_note_of_a_held_list_and_ends_well(room: Room, stock: StockSftp) -> None:
    awaited(room, Answer(note=NOTE))
    stock.file(GOLD, LIST)
    done = await stock.batch(f"put {GOLD}")
    assert (done.code, NOTE in done.err) == (0, True)
    assert room.home(GOLD) == LIST


@pytest.mark.parametrize("wait_s", [0, 0.05])
async def test_an_answer_that_does_not_come_in_time_is_ok(room: Room, wait_s: float) -> None:
    await room.restart(verdict_wait_s=wait_s)
    awaited(room)
    raw = await room.raw()
    assert await raw.close(await written(raw, LIST)) == OK
    assert room.home(GOLD) == LIST


async def test_a_server_that_stops_answers_ok_at_once(room: Room) -> None:
    await room.restart(verdict_wait_s=600)
    awaited(room)
    raw = await room.raw()
    close = await closing(room, raw)
    async with asyncio.timeout(PATIENCE_S):  # far less than the drain's limit
        await room.server.stop()
    assert await close == OK


async def test_a_connection_that_breaks_while_its_close_waits_changes_nothing(room: Room) -> None:
    answer = awaited(room)
    raw = await room.raw()
    raw.send(FXP_CLOSE, String(await written(raw, LIST)))
    upload = await room.landed.one()
    raw.channel.get_connection().abort()
    await room.disconnected()
    answer.set_result(None)
    await room.sessions_ended()
    assert upload.path.read_bytes() == LIST == room.home(GOLD)
    assert room.cut_offs.all == []
    assert room.errors() == []


async def test_a_close_that_waits_holds_up_no_other_session_whatever_their_number(room: Room) -> None:
    await room.restart(max_threads_per_client=1, idle_timeout_s=30, verdict_wait_s=600)
    answer = awaited(room)
    raws = [await room.raw() for _ in range(5)]
    closes = [await closing(room, raw) for raw in raws]
    for turn in range(3):
        await room.landed_put(f"Silver_20261101_{turn:04}.csv", LIST)
    for later_s in (0, 60):
        room.server.look(room.server.clock_s() + later_s)
    answer.set_result(None)
    assert [await close for close in closes] == [OK] * 5


# Who looks at a refused name.


async def test_a_refused_name_is_not_there_with_the_reason_until_it_is_put_anew(room: Room) -> None:
    awaited(room, Answer(refusal=REASON))
    raw, other = await room.raw(), await room.raw()
    assert await raw.close(await written(raw, WRONG)) == (FX_FAILURE, REASON)
    for session in (raw, other):
        for kind in (FXP_STAT, FXP_LSTAT):
            assert await look(session, kind) == (FX_NO_SUCH_FILE, REASON)
            assert await look(session, kind, f"./x/../{GOLD}") == (FX_NO_SUCH_FILE, REASON)
    del room.answers[GOLD]
    handle = await written(other, LIST)
    assert await look(other, FXP_STAT) == OK
    assert await other.close(handle) == OK
    assert await look(raw, FXP_STAT) == OK


async def test_a_refused_name_is_forgotten_after_an_hour(room: Room) -> None:
    awaited(room, Answer(refusal=REASON))
    raw = await room.raw()
    await raw.close(await written(raw, WRONG))
    refusals = room.server._refusals[ACME]
    (name, (until_s, reason)) = refusals._refused.popitem()
    assert until_s - room.server.clock_s() == pytest.approx(3600, abs=PATIENCE_S)
    refusals._refused[name] = (room.server.clock_s(), reason)
    room.spool.hide(room.landed.all[0])
    code, text = await look(raw, FXP_STAT)
    assert code == FX_NO_SUCH_FILE
    assert text != REASON


# Files without a byte.


async def test_a_touch_is_refused_and_the_good_file_stays(room: Room) -> None:
    await room.landed_put(GOLD, LIST)
    room.faults[GOLD] = EMPTY
    raw = await room.raw()
    assert await raw.close(await raw.create(GOLD)) == (FX_FAILURE, EMPTY.reason)
    assert room.home(GOLD) == LIST
    assert [upload.path.read_bytes() for upload in room.landed.all] == [LIST, b""]


async def test_a_file_that_is_opened_and_closed_is_no_upload(room: Room) -> None:
    await room.landed_put(GOLD, LIST)
    raw = await room.raw()
    assert await raw.close(await raw.create(GOLD, FXF_WRITE)) == OK
    assert len(room.landed.all) == 1
    assert room.home(GOLD) == LIST
    assert room.nothing_left_open()


async def test_a_file_whose_size_is_set_is_an_upload(room: Room) -> None:
    await room.landed_put(GOLD, LIST)
    raw = await room.raw()
    handle = await raw.create(GOLD, FXF_WRITE)
    size = UInt32(FILEXFER_ATTR_SIZE) + UInt64(9)
    assert (await raw.ask(FXP_FSETSTAT, String(handle), size)).status() == OK
    assert await raw.close(handle) == OK
    assert len(room.landed.all) == 2
    assert room.home(GOLD) == LIST[:9]


async def test_what_was_cut_off_stays_so_where_the_whole_file_before_it_is_opened_and_closed(room: Room) -> None:
    await room.landed_put(GOLD, LIST)
    await room.leave_partial(GOLD, OTHER_LIST[:9])
    raw = await room.raw()
    assert await raw.close(await raw.create(GOLD, FXF_WRITE)) == OK
    assert (room.home(GOLD), room.partial(GOLD)) == (LIST, OTHER_LIST[:9])
    assert len(room.landed.all) == 1


# Times and names that come before the CLOSE.

TIMES = UInt32(FILEXFER_ATTR_ACMODTIME) + UInt32(1_700_000_000) + UInt32(1_700_000_001)


@pytest.mark.parametrize("kind", [FXP_FSETSTAT, FXP_SETSTAT])
async def test_times_that_are_set_before_the_close_are_kept(room: Room, kind: int) -> None:
    await room.landed_put(GOLD, OTHER_LIST)
    raw = await room.raw()
    handle = await written(raw, LIST[:9])
    assert (await raw.ask(kind, String(handle if kind == FXP_FSETSTAT else GOLD), TIMES)).status() == OK
    await raw.write(handle, 9, LIST[9:])
    assert await raw.close(handle) == OK
    assert await modified_s(raw) == 1_700_000_001


async def test_an_open_file_is_published_where_it_was_renamed_to(room: Room) -> None:
    raw = await room.raw()
    handle = await written(raw, LIST[:9], ".list.tmp")
    assert (await raw.ask(FXP_RENAME, String(".list.tmp"), String(GOLD))).status() == OK
    assert await look(raw, FXP_STAT) == OK
    assert (await look(raw, FXP_STAT, ".list.tmp"))[0] == FX_NO_SUCH_FILE
    await raw.write(handle, 9, LIST[9:])
    assert await raw.close(handle) == OK
    assert (await room.landed.one()).filename == GOLD
    assert room.home(GOLD) == LIST


async def test_an_open_file_is_renamed_to_no_place_that_is_taken_or_not_there(room: Room) -> None:
    await room.landed_put(GOLD, OTHER_LIST)
    raw, other = await room.raw(), await room.raw()
    handle = await written(raw, LIST, ".list.tmp")
    for name, code in ((GOLD, FX_FAILURE), (f"none/{GOLD}", FX_NO_SUCH_FILE)):
        assert (await raw.ask(FXP_RENAME, String(".list.tmp"), String(name))).status()[0] == code
    assert (await other.ask(FXP_RENAME, String(".list.tmp"), String("x"))).status()[0] == FX_NO_SUCH_FILE
    assert await raw.close(handle) == OK
    assert (room.home(".list.tmp"), room.home(GOLD)) == (LIST, OTHER_LIST)


async def test_the_target_of_an_open_file_is_checked_again_at_its_close(room: Room) -> None:
    raw = await room.raw()
    sftp = await room.sftp()
    await sftp.mkdir("out")
    handle = await written(raw, LIST, ".list.tmp")
    assert (await raw.ask(FXP_RENAME, String(".list.tmp"), String(f"out/{GOLD}"))).status() == OK
    await sftp.rmdir("out")
    assert (await raw.close(handle))[0] == FX_NO_SUCH_FILE
    assert room.landed.all == []
