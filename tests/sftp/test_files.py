"""What a client writes lands when it is all there, shows at once, and keeps no mode that a client wishes for."""

import asyncio
import errno
import os
import stat

import asyncssh
import pytest
from asyncssh.constants import (
    FILEXFER_ATTR_PERMISSIONS,
    FILEXFER_ATTR_SIZE,
    FX_FAILURE,
    FX_NO_SUCH_FILE,
    FX_OK,
    FXF_APPEND,
    FXF_CREAT,
    FXF_EXCL,
    FXF_WRITE,
    FXP_ATTRS,
    FXP_EXTENDED,
    FXP_FSETSTAT,
    FXP_MKDIR,
    FXP_OPEN,
    FXP_OPENDIR,
    FXP_SETSTAT,
    FXP_STAT,
    FXP_WRITE,
)
from asyncssh.packet import String, UInt32, UInt64

from ctsftp.contract.codes import Code, Fault
from ctsftp.errors import StoreError
from ctsftp.spool.stored import StoredUpload

from .raw import NO_ATTRS, RawSftp
from .room import ACME, GOLD, Room
from .stock import StockSftp

SILVER = "Silver_20261101_0001.csv"
LIST = b"CTUserID\n1\n2\n3\n"
OTHER_LIST = b"CTUserID\n4\n5\n"
NO_COLUMN = Fault(Code.NO_ID_COLUMN, "No column is called CTUserID: add it to the export's columns.")
OK = (FX_OK, "")
DISK_FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


async def stat_of(raw: RawSftp, name: str) -> tuple[int, int]:
    """The size and the mode that the client is shown."""
    answer = await raw.ask(FXP_STAT, String(name))
    assert answer.kind == FXP_ATTRS, answer.status()
    attrs = asyncssh.SFTPAttrs.decode(answer.packet, 3)
    assert attrs.size is not None
    assert attrs.permissions is not None
    return attrs.size, attrs.permissions


# Writing: only what is all there lands.


@pytest.mark.parametrize("fault", ["the disk is full", "a short write"])
async def test_a_write_that_failed_poisons_the_file_and_its_close_fails(room: Room, fault: str) -> None:
    await room.landed_put(GOLD, OTHER_LIST)
    raw = await room.raw()
    handle = await raw.create(GOLD)
    assert await raw.write(handle, 0, LIST) == OK
    if fault == "a short write":
        room.disk.short_write = True
    else:
        room.disk.faults["write"] = DISK_FULL
    code, reason = await raw.write(handle, len(LIST), b"4\n")
    assert code == FX_FAILURE
    assert GOLD in reason
    room.disk.short_write = False
    room.disk.faults.clear()
    assert await raw.write(handle, len(LIST), b"4\n") == (FX_FAILURE, reason)
    assert await raw.close(handle) == (FX_FAILURE, reason)
    assert len(room.landed.all) == 1
    assert room.home(GOLD) == OTHER_LIST
    assert room.nothing_left_open()


async def test_stock_sftp_reports_a_full_disk_and_what_it_wrote_does_not_land(room: Room, stock: StockSftp) -> None:
    stock.file(GOLD, LIST)
    room.disk.faults["write"] = DISK_FULL
    done = await stock.batch(f"put {GOLD}")
    assert done.code == 1
    assert "could not be written" in done.err
    assert room.landed.all == []


async def test_an_fsync_that_failed_fails_the_close(room: Room) -> None:
    raw = await room.raw()
    handle = await raw.create(GOLD)
    await raw.write(handle, 0, LIST)
    room.disk.faults["fsync"] = OSError(errno.EIO, os.strerror(errno.EIO))
    code, reason = await raw.close(handle)
    assert code == FX_FAILURE
    assert "durable" in reason
    assert room.landed.all == []
    assert room.home(GOLD) is None


async def test_what_was_written_is_synced_while_more_arrives(room: Room) -> None:
    await room.restart(sync_every_bytes=len(LIST))
    raw = await room.raw()
    handle = await raw.create(GOLD)
    gate = room.disk.hold("fsync")
    await raw.write(handle, 0, LIST[:-1])
    assert await raw.write(handle, len(LIST) - 1, LIST[-1:]) == OK
    await gate.reached()
    assert await raw.write(handle, len(LIST), b"4\n") == OK
    closing = asyncio.create_task(raw.close(handle))
    gate.open()
    assert await closing == OK
    assert (await room.landed.one()).path.read_bytes() == LIST + b"4\n"
    assert room.nothing_left_open()


async def test_a_sync_that_failed_while_more_arrived_fails_the_close(room: Room) -> None:
    """The system tells of it once: the fsync of the CLOSE would say that all is well."""
    await room.restart(sync_every_bytes=len(LIST))
    raw = await room.raw()
    handle = await raw.create(GOLD)
    gate = room.disk.hold("fsync")
    await raw.write(handle, 0, LIST)
    await gate.reached()
    room.disk.fail_once["fsync"] = OSError(errno.EIO, os.strerror(errno.EIO))
    assert await raw.write(handle, len(LIST), b"4\n") == OK
    closing = asyncio.create_task(raw.close(handle))
    gate.open()
    code, reason = await closing
    assert code == FX_FAILURE
    assert "durable" in reason
    assert room.landed.all == []
    assert (room.home(GOLD), room.partial(GOLD)) == (None, None)
    assert room.nothing_left_open()


async def test_what_is_cut_off_during_a_sync_is_kept_when_that_has_ended(room: Room) -> None:
    await room.restart(sync_every_bytes=len(LIST))
    raw = await room.raw()
    gate = room.disk.hold("fsync")
    await raw.write(await raw.create(GOLD), 0, LIST)
    await gate.reached()
    raw.channel.get_connection().abort()
    await room.disconnected()
    assert room.cut_offs.all == []
    gate.open()
    await room.sessions_ended()
    assert room.partial(GOLD) == LIST
    assert room.nothing_left_open()


async def test_a_file_with_a_hole_is_refused_and_its_beginning_kept(room: Room) -> None:
    raw = await room.raw()
    handle = await raw.create(GOLD)
    await raw.write(handle, 0, LIST)
    await raw.write(handle, len(LIST) + 1, b"4\n")
    code, reason = await raw.close(handle)
    assert code == FX_FAILURE
    assert f"hole after byte {len(LIST)}" in reason
    assert room.landed.all == []
    assert room.partial(GOLD) == LIST


async def test_a_file_that_was_only_extended_is_full_of_holes(room: Room) -> None:
    raw = await room.raw()
    handle = await raw.create(GOLD)
    size = UInt32(FILEXFER_ATTR_SIZE) + UInt64(100)
    assert (await raw.ask(FXP_FSETSTAT, String(handle), size)).status() == OK
    assert (await raw.close(handle))[0] == FX_FAILURE


async def test_writes_may_overlap_and_come_in_any_order(room: Room) -> None:
    raw = await room.raw()
    handle = await raw.create(GOLD)
    for start, end in ((9, 15), (0, 5), (3, 12)):
        assert await raw.write(handle, start, LIST[start:end]) == OK
    assert await raw.close(handle) == OK
    assert (await room.landed.one()).path.read_bytes() == LIST


async def test_what_stands_behind_the_data_of_a_write_is_let_be(room: Room) -> None:
    raw = await room.raw()
    handle = await raw.create(GOLD)
    answer = await raw.ask(FXP_WRITE, String(handle), UInt64(0), String(LIST), b"the rest of a buffer")
    assert answer.status() == OK
    assert await raw.close(handle) == OK
    assert (await room.landed.one()).path.read_bytes() == LIST


async def test_a_write_to_an_unknown_handle_is_refused(room: Room) -> None:
    raw = await room.raw()
    assert (await raw.write(b"\xff\xff\xff\xff", 0, LIST))[0] == FX_FAILURE


async def test_a_file_can_be_cut_while_it_is_written(room: Room) -> None:
    raw = await room.raw()
    handle = await raw.create(GOLD)
    await raw.write(handle, 0, LIST + b"a false start")
    size = UInt32(FILEXFER_ATTR_SIZE) + UInt64(len(LIST))
    assert (await raw.ask(FXP_FSETSTAT, String(handle), size)).status() == OK
    assert await raw.close(handle) == OK
    assert (await room.landed.one()).path.read_bytes() == LIST


async def test_a_client_may_ask_for_fsync_while_it_writes(room: Room) -> None:
    raw = await room.raw()
    handle = await raw.create(GOLD)
    await raw.write(handle, 0, LIST)
    assert (await raw.ask(FXP_EXTENDED, String("fsync@openssh.com"), String(handle))).status() == OK
    assert await raw.close(handle) == OK


@pytest.mark.parametrize(
    ("flags", "offset"),
    [(FXF_WRITE | FXF_CREAT, 9), (FXF_WRITE | FXF_CREAT | FXF_APPEND, 9), (FXF_WRITE | FXF_CREAT | FXF_APPEND, 0)],
    ids=["JSch and WinSCP", "OpenSSH", "libssh2"],
)
async def test_a_cut_off_upload_is_resumed_as_each_client_does_it(room: Room, flags: int, offset: int) -> None:
    await room.leave_partial(GOLD, LIST[:9])
    raw = await room.raw()
    assert (await stat_of(raw, GOLD))[0] == 9
    handle = await raw.create(GOLD, flags)
    await raw.write(handle, offset, LIST[9:])
    assert await raw.close(handle) == OK
    assert (await room.landed.one()).path.read_bytes() == LIST == room.home(GOLD)
    assert room.partial(GOLD) is None


async def test_a_resumed_upload_that_is_cut_off_again_keeps_all_of_it(room: Room) -> None:
    await room.leave_partial(GOLD, LIST[:9])
    raw = await room.raw()
    handle = await raw.create(GOLD, FXF_WRITE | FXF_CREAT)
    await raw.write(handle, 9, LIST[9:12])
    raw.channel.close()
    await room.sessions_ended(2)
    assert room.partial(GOLD) == LIST[:12]


async def test_a_put_from_the_start_does_not_care_for_what_was_cut_off(room: Room) -> None:
    await room.leave_partial(GOLD, b"something else that is far longer than the list")
    upload = await room.landed_put(GOLD, LIST)
    assert upload.path.read_bytes() == LIST
    assert room.partial(GOLD) is None


async def test_an_overwrite_that_breaks_off_leaves_the_file_that_was_there(room: Room) -> None:
    await room.landed_put(GOLD, LIST)
    await room.leave_partial(GOLD, OTHER_LIST[:5])
    assert room.home(GOLD) == LIST
    raw = await room.raw()
    assert (await stat_of(raw, GOLD))[0] == len(LIST)
    assert len(room.landed.all) == 1


async def test_of_two_handles_on_one_path_the_one_that_is_closed_last_wins_and_both_are_uploads(room: Room) -> None:
    raw = await room.raw()
    first, second = await raw.create(GOLD), await raw.create(GOLD)
    await raw.write(first, 0, LIST)
    await raw.write(second, 0, OTHER_LIST)
    assert await raw.close(second) == OK
    assert await raw.close(first) == OK
    uploads = await room.landed.first(2)
    assert [upload.path.read_bytes() for upload in uploads] == [OTHER_LIST, LIST]
    assert uploads[0].id < uploads[1].id
    assert room.home(GOLD) == LIST


async def test_an_exclusive_open_of_a_file_that_is_there_fails(room: Room) -> None:
    await room.landed_put(GOLD, LIST)
    raw = await room.raw()
    flags = UInt32(FXF_WRITE | FXF_CREAT | FXF_EXCL)
    code, reason = (await raw.ask(FXP_OPEN, String(GOLD), flags, NO_ATTRS)).status()
    assert code == FX_FAILURE
    assert "there already" in reason


async def test_a_file_that_is_not_there_is_not_made_unless_that_is_asked_for(room: Room) -> None:
    raw = await room.raw()
    answer = await raw.ask(FXP_OPEN, String(GOLD), UInt32(FXF_WRITE), NO_ATTRS)
    assert answer.status()[0] == FX_NO_SUCH_FILE


# What a client sees after its CLOSE.


async def test_a_file_shows_with_its_name_and_size_right_after_its_close(room: Room, stock: StockSftp) -> None:
    stock.file(GOLD, LIST)
    done = await stock.batch(f"put {GOLD}", "ls -l", f"get {GOLD} back")
    assert done.code == 0, done.err
    (line,) = [line for line in done.out.splitlines() if line.startswith("-")]
    mode, _, owner, group, size = line.split()[:5]
    assert (mode, owner, group, size) == ("-rw-r-----", ACME, ACME, str(len(LIST)))
    assert (stock.folder / "back").read_bytes() == LIST


async def test_a_new_file_is_there_for_its_own_session_while_it_is_written_and_for_no_other(room: Room) -> None:
    raw, other = await room.raw(), await room.raw()
    handle = await raw.create(GOLD)
    await raw.write(handle, 0, LIST)
    assert (await stat_of(raw, GOLD))[0] == len(LIST)
    size = UInt32(FILEXFER_ATTR_SIZE) + UInt64(9)
    assert (await raw.ask(FXP_SETSTAT, String(GOLD), size)).status() == OK
    assert (await other.ask(FXP_STAT, String(GOLD))).status()[0] == FX_NO_SUCH_FILE
    assert await raw.close(handle) == OK
    assert (await room.landed.one()).path.read_bytes() == LIST[:9]
    assert (await stat_of(other, GOLD))[0] == 9


async def test_an_upload_stays_though_its_client_removes_the_file_at_once(room: Room, stock: StockSftp) -> None:
    stock.file(GOLD, LIST)
    done = await stock.batch(f"put {GOLD}", f"rm {GOLD}", "ls")
    assert done.code == 0, done.err
    assert GOLD not in done.out.splitlines()
    assert room.home(GOLD) is None
    assert (await room.landed.one()).path.read_bytes() == LIST


async def test_a_file_in_a_folder_lands_under_its_own_name(room: Room, stock: StockSftp) -> None:
    stock.file(GOLD, LIST)
    done = await stock.batch("mkdir outbox", f"put {GOLD} outbox/{GOLD}", "ls outbox")
    assert done.code == 0, done.err
    assert (await room.landed.one()).filename == GOLD
    assert room.home(f"outbox/{GOLD}") == LIST


async def test_a_file_that_is_refused_at_its_close_lands_and_the_sender_is_told_why(
    room: Room, stock: StockSftp
) -> None:
    room.faults[GOLD] = NO_COLUMN
    stock.file(GOLD, b"email\n")
    done = await stock.batch(f"put {GOLD}")
    assert done.code == 1
    assert NO_COLUMN.reason in done.err
    assert (await room.landed.one()).path.read_bytes() == b"email\n"


@pytest.mark.parametrize("fault", [OSError(errno.EIO, "Input/output error"), StoreError("locked"), ValueError("a bug")])
async def test_a_fault_of_ours_while_a_file_is_looked_at_does_not_fail_the_close(room: Room, fault: Exception) -> None:
    def inspect(upload: StoredUpload) -> Fault | None:
        raise fault

    room.inspect = inspect
    await room.landed_put(GOLD, LIST)
    (error,) = room.errors()
    assert error["event"] == "upload could not be inspected"
    assert error.get("error") == (str(fault) if isinstance(fault, StoreError) else None)


async def test_a_bug_of_ours_is_answered_without_its_details_and_logged_with_them(room: Room) -> None:
    raw = await room.raw()
    room.disk.faults["names"] = ValueError("secret detail")
    code, reason = (await raw.ask(FXP_OPENDIR, String("/"))).status()
    assert code == FX_FAILURE
    assert reason == "The server failed: try again, and tell its admin if it goes on."
    (error,) = room.errors()
    assert error["exc_info"]
    assert error["client"] == ACME
    room.disk.faults.clear()
    assert await stat_of(raw, "/")  # the session goes on


# Modes, owners and times.


async def test_modes_that_a_client_wishes_for_are_ignored(room: Room) -> None:
    raw = await room.raw()
    everything = UInt32(FILEXFER_ATTR_PERMISSIONS) + UInt32(0o777)
    flags = UInt32(FXF_WRITE | FXF_CREAT)
    handle = (await raw.ask(FXP_OPEN, String(GOLD), flags, everything)).handle()
    assert (await raw.ask(FXP_FSETSTAT, String(handle), everything)).status() == OK
    assert await raw.close(handle) == OK
    assert (await raw.ask(FXP_SETSTAT, String(GOLD), everything)).status() == OK
    assert (await raw.ask(FXP_MKDIR, String("folder"), everything)).status() == OK
    upload = await room.landed.one()
    assert stat.S_IMODE(upload.path.stat().st_mode) == 0o640
    assert (await stat_of(raw, GOLD))[1] == stat.S_IFREG | 0o640
    assert (await stat_of(raw, "folder"))[1] == stat.S_IFDIR | 0o750


async def test_chmod_chown_and_times_are_answered_with_ok_and_only_times_change(room: Room, stock: StockSftp) -> None:
    source = stock.file(GOLD, LIST)
    os.utime(source, (1_000_000_000, 1_000_000_000))
    done = await stock.batch(f"put -p {GOLD}", f"chmod 777 {GOLD}", f"chown 0 {GOLD}", f"chgrp 0 {GOLD}")
    assert done.code == 0, done.err
    sftp = await room.sftp()
    await sftp.utime(GOLD, (1_100_000_000, 1_200_000_000))
    attrs = await sftp.stat(GOLD)
    assert attrs.mtime == 1_200_000_000
    assert attrs.permissions == stat.S_IFREG | 0o640
    with pytest.raises(asyncssh.SFTPNoSuchFile):
        await sftp.chmod("nothing", 0o777)


async def test_a_complete_file_cannot_be_cut(room: Room) -> None:
    await room.landed_put(GOLD, LIST)
    sftp = await room.sftp()
    with pytest.raises(asyncssh.SFTPPermissionDenied, match="complete"):
        await sftp.truncate(GOLD, 5)
    assert room.home(GOLD) == LIST


async def test_df_is_answered(room: Room, stock: StockSftp) -> None:
    assert (await stock.batch("df")).code == 0
