"""What a client's home is over SFTP: each trap, said by a stock client or packet by packet."""

import errno
import os
import stat
from collections.abc import Awaitable, Callable
from pathlib import Path

import asyncssh
import pytest
from asyncssh.constants import (
    FILEXFER_ATTR_PERMISSIONS,
    FILEXFER_ATTR_SIZE,
    FX_EOF,
    FX_FAILURE,
    FX_NO_SUCH_FILE,
    FX_OK,
    FX_OP_UNSUPPORTED,
    FX_PERMISSION_DENIED,
    FXF_APPEND,
    FXF_CREAT,
    FXF_EXCL,
    FXF_READ,
    FXF_TRUNC,
    FXF_WRITE,
    FXP_ATTRS,
    FXP_DATA,
    FXP_EXTENDED,
    FXP_FSETSTAT,
    FXP_LSTAT,
    FXP_MKDIR,
    FXP_OPEN,
    FXP_OPENDIR,
    FXP_READ,
    FXP_READLINK,
    FXP_REALPATH,
    FXP_REMOVE,
    FXP_RENAME,
    FXP_RMDIR,
    FXP_SETSTAT,
    FXP_STAT,
    FXP_SYMLINK,
)
from asyncssh.packet import String, UInt32, UInt64
from structlog.testing import capture_logs

from ctsftp.contract.codes import Code, Fault
from ctsftp.errors import StoreError
from ctsftp.spool.spool import StoredUpload

from .raw import NO_ATTRS, RawSftp
from .room import ACME, GOLD, Room
from .stock import StockSftp

SILVER = "Silver_20261101_0001.csv"
LIST = b"CTUserID\n1\n2\n3\n"
OTHER_LIST = b"CTUserID\n4\n5\n"
DISK_FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
NO_COLUMN = Fault(Code.NO_ID_COLUMN, "No column is called CTUserID: add it to the export's columns.")

OK = (FX_OK, "")


async def stat_of(raw: RawSftp, name: str) -> tuple[int, int]:
    """The size and the mode that the client is shown."""
    answer = await raw.ask(FXP_STAT, String(name))
    assert answer.kind == FXP_ATTRS, answer.status()
    attrs = asyncssh.SFTPAttrs.decode(answer.packet, 3)
    assert attrs.size is not None
    assert attrs.permissions is not None
    return attrs.size, attrs.permissions


async def leave_a_partial(room: Room, data: bytes, name: str = GOLD) -> None:
    known = len(room.ended.all)
    raw = await room.raw()
    assert await raw.write(await raw.create(name), 0, data) == OK
    raw.channel.close()
    await room.sessions_ended(known + 1)
    assert room.partial(name) == data


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
    await leave_a_partial(room, LIST[:9])
    raw = await room.raw()
    assert (await stat_of(raw, GOLD))[0] == 9
    handle = await raw.create(GOLD, flags)
    await raw.write(handle, offset, LIST[9:])
    assert await raw.close(handle) == OK
    assert (await room.landed.one()).path.read_bytes() == LIST == room.home(GOLD)
    assert room.partial(GOLD) is None


async def test_a_resumed_upload_that_is_cut_off_again_keeps_all_of_it(room: Room) -> None:
    await leave_a_partial(room, LIST[:9])
    raw = await room.raw()
    handle = await raw.create(GOLD, FXF_WRITE | FXF_CREAT)
    await raw.write(handle, 9, LIST[9:12])
    raw.channel.close()
    await room.sessions_ended(2)
    assert room.partial(GOLD) == LIST[:12]


async def test_a_put_from_the_start_does_not_care_for_what_was_cut_off(room: Room) -> None:
    await leave_a_partial(room, b"something else that is far longer than the list")
    upload = await room.landed_put(GOLD, LIST)
    assert upload.path.read_bytes() == LIST
    assert room.partial(GOLD) is None


async def test_an_overwrite_that_breaks_off_leaves_the_file_that_was_there(room: Room) -> None:
    await room.landed_put(GOLD, LIST)
    await leave_a_partial(room, OTHER_LIST[:5])
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
    (line,) = [line for line in done.out.splitlines() if line.endswith(GOLD)]
    mode, links, owner, group, size = line.split()[:5]
    assert (mode, owner, group, size) == ("-rw-r-----", ACME, ACME, str(len(LIST)))
    assert (stock.folder / "back").read_bytes() == LIST


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


async def test_a_bug_of_ours_is_answered_without_its_details_and_logged_with_them(room: Room) -> None:
    raw = await room.raw()
    room.disk.faults["names"] = ValueError("secret detail")
    with capture_logs() as logs:
        code, reason = (await raw.ask(FXP_OPENDIR, String("/"))).status()
    assert code == FX_FAILURE
    assert reason == "The server failed: try again, and tell its admin if it goes on."
    (entry,) = [entry for entry in logs if entry["log_level"] == "error"]
    assert entry["exc_info"]
    assert entry["client"] == ACME
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


# What is not offered.

EXTENSIONS = {
    b"posix-rename@openssh.com",
    b"fsync@openssh.com",
    b"lsetstat@openssh.com",
    b"limits@openssh.com",
    b"statvfs@openssh.com",
    b"fstatvfs@openssh.com",
}


async def test_only_what_is_served_is_advertised(room: Room) -> None:
    assert set((await room.raw()).extensions) == EXTENSIONS


@pytest.mark.parametrize(
    "request_",
    [
        (FXP_SYMLINK, String("/etc/passwd"), String("link")),
        (FXP_READLINK, String("link")),
        (FXP_EXTENDED, String("hardlink@openssh.com"), String(GOLD), String("link")),
        (FXP_EXTENDED, String("copy-data"), String(b"\0\0\0\0"), UInt64(0), UInt64(0), String(b"\0\0\0\1"), UInt64(0)),
        (FXP_EXTENDED, String("ranges@asyncssh.com"), String(b"\0\0\0\0"), UInt64(0), UInt64(1)),
        (FXP_EXTENDED, String("users-groups-by-id@openssh.com"), String(b""), String(b"")),
        (22, String(b"\0\0\0\0"), UInt64(0), UInt64(1), UInt32(0)),  # SSH_FXP_BLOCK of version 6
    ],
    ids=["symlink", "readlink", "hardlink", "copy-data", "ranges", "unknown extension", "byte-range lock"],
)
async def test_links_copies_and_ranges_are_refused(room: Room, request_: tuple[int, bytes]) -> None:
    await room.landed_put(GOLD, LIST)
    raw = await room.raw()
    assert (await raw.ask(*request_)).status()[0] == FX_OP_UNSUPPORTED
    assert os.listdir(room.folder / "spool" / ACME / "home") == [GOLD]


# Paths.

BAD_PATHS = {
    "one up": b"..",
    "up and down": b"../acme/x.csv",
    "from the root": b"/../../etc/passwd",
    "deeper": b"folder/../../x.csv",
    "a NUL": b"x\0.csv",
    "a line break": b"x\n.csv",
    "an escape": b"x\x1b[31m.csv",
    "a C1 control": "x\u009b.csv".encode(),
    "not UTF-8": b"x\xff.csv",
    "a surrogate": b"x\xed\xa0\x80.csv",
    "256 bytes": b"x" * 256,
    "too deep": b"x/" * 40,
    "endless": b"/" * 5000,
}
ASK: dict[str, Callable[[RawSftp, bytes], Awaitable[tuple[int, str]]]] = {}


def _asking(kind: int, *after: bytes) -> Callable[[RawSftp, bytes], Awaitable[tuple[int, str]]]:
    async def ask(raw: RawSftp, path: bytes) -> tuple[int, str]:
        return (await raw.ask(kind, String(path), *after)).status()

    return ask


ASK = {
    "open for writing": _asking(FXP_OPEN, UInt32(FXF_WRITE | FXF_CREAT | FXF_TRUNC), NO_ATTRS),
    "open for reading": _asking(FXP_OPEN, UInt32(FXF_READ), NO_ATTRS),
    "stat": _asking(FXP_STAT),
    "lstat": _asking(FXP_LSTAT),
    "setstat": _asking(FXP_SETSTAT, NO_ATTRS),
    "opendir": _asking(FXP_OPENDIR),
    "realpath": _asking(FXP_REALPATH),
    "mkdir": _asking(FXP_MKDIR, NO_ATTRS),
    "rmdir": _asking(FXP_RMDIR),
    "remove": _asking(FXP_REMOVE),
    "rename to": lambda raw, path: _rename(raw, GOLD.encode(), path),
    "rename from": lambda raw, path: _rename(raw, path, b"x.csv"),
}


async def _rename(raw: RawSftp, old: bytes, new: bytes) -> tuple[int, str]:
    return (await raw.ask(FXP_RENAME, String(old), String(new))).status()


def tree(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


@pytest.mark.parametrize("request_", ASK)
async def test_paths_out_of_the_home_and_names_that_cannot_be_are_refused(room: Room, request_: str) -> None:
    await room.landed_put(GOLD, LIST)
    raw = await room.raw()
    before = tree(room.folder)
    for label, path in BAD_PATHS.items():
        code, reason = await ASK[request_](raw, path)
        assert code == FX_PERMISSION_DENIED, label
        assert reason, label
    assert tree(room.folder) == before


async def test_a_name_may_have_255_bytes_and_be_in_any_script(room: Room, stock: StockSftp) -> None:
    stamp = "_20261101_0001.csv"
    longest = "ä" * ((255 - len(stamp)) // 2) + stamp
    longest = longest if len(longest.encode()) == 255 else "x" + longest
    assert len(longest.encode()) == 255
    await room.landed_put(longest, LIST)
    await room.landed_put(f"会员 'gold' \"100 %\"; drop table{stamp}", LIST)
    assert [upload.filename for upload in room.landed.all][0] == longest
    done = await stock.batch("ls -1")
    assert longest in done.out.splitlines()


async def test_two_slashes_do_not_lead_out_of_the_home(room: Room) -> None:
    raw = await room.raw()
    for path in ("//etc/passwd", "/etc/passwd", "///etc//passwd"):
        answer = await raw.ask(FXP_OPEN, String(path), UInt32(FXF_READ), NO_ATTRS)
        assert answer.status()[0] == FX_NO_SUCH_FILE
    assert (await raw.ask(FXP_MKDIR, String("//etc"), NO_ATTRS)).status() == OK
    assert (room.folder / "spool" / ACME / "home" / "etc").is_dir()


async def test_a_path_is_written_out_from_the_root(room: Room) -> None:
    sftp = await room.sftp()
    assert await sftp.realpath(".") == "/"
    assert await sftp.realpath("a/./b//../c/") == "/a/c"


async def test_links_that_somebody_planted_in_the_home_are_not_followed(room: Room) -> None:
    await room.landed_put(GOLD, LIST)
    home = room.folder / "spool" / ACME / "home"
    outside = room.folder / "outside"
    outside.mkdir()
    (outside / "secret").write_bytes(b"secret")
    (home / "folder").symlink_to(outside)
    (home / "file").symlink_to(outside / "secret")
    raw = await room.raw()
    before = tree(room.folder)
    for name in (b"folder", b"file", b"folder/secret"):
        for request, ask in ASK.items():
            if request not in {"realpath", "rename to"}:
                assert (await ask(raw, name))[0] in {FX_PERMISSION_DENIED, FX_FAILURE}, (request, name)
    assert (await ASK["rename to"](raw, b"folder/new"))[0] == FX_PERMISSION_DENIED
    assert await (await room.sftp()).listdir("/") == [GOLD]
    assert tree(room.folder) == before
    assert (outside / "secret").read_bytes() == b"secret"


# Folders.


async def test_a_folder_that_is_not_there_cannot_be_opened(room: Room) -> None:
    await room.landed_put(GOLD, LIST)
    raw = await room.raw()
    assert (await raw.ask(FXP_OPENDIR, String("nothing"))).status()[0] == FX_NO_SUCH_FILE
    assert (await raw.ask(FXP_OPENDIR, String(GOLD))).status()[0] == FX_NO_SUCH_FILE


async def test_a_folder_of_many_files_is_listed_whole(room: Room) -> None:
    sftp = await room.sftp()
    names = [f"folder {number}" for number in range(300)]
    for name in names:
        await sftp.mkdir(name)
    assert sorted(await sftp.listdir("/")) == sorted(names)


async def test_a_folder_is_removed_when_it_is_empty(room: Room) -> None:
    sftp = await room.sftp()
    await sftp.mkdir("folder")
    async with sftp.open(f"folder/{GOLD}", "wb") as file:
        await file.write(LIST)
    with pytest.raises(asyncssh.SFTPFailure, match="not empty"):
        await sftp.rmdir("folder")
    await sftp.remove(f"folder/{GOLD}")
    await sftp.rmdir("folder")
    assert await sftp.listdir("/") == []


# Reading.


async def test_a_read_is_answered_with_no_more_than_the_limit(room: Room) -> None:
    await room.restart(max_read_bytes=1024)
    await room.landed_put(GOLD, LIST * 1000)
    raw = await room.raw()
    handle = await raw.read_handle(GOLD)
    answer = await raw.ask(FXP_READ, String(handle), UInt64(0), UInt32(0xFFFFFFFF))
    assert answer.kind == FXP_DATA
    assert answer.packet.get_string() == (LIST * 1000)[:1024]
    assert await raw.close(handle) == OK


@pytest.mark.parametrize("offset", [1 << 20, 1 << 63, (1 << 64) - 1])
async def test_a_read_behind_the_end_is_the_end_of_the_file(room: Room, offset: int) -> None:
    await room.landed_put(GOLD, LIST)
    raw = await room.raw()
    handle = await raw.read_handle(GOLD)
    assert (await raw.ask(FXP_READ, String(handle), UInt64(offset), UInt32(100))).status()[0] == FX_EOF


async def test_a_file_that_is_open_for_reading_cannot_be_written(room: Room) -> None:
    await room.landed_put(GOLD, LIST)
    raw = await room.raw()
    handle = await raw.read_handle(GOLD)
    size = UInt32(FILEXFER_ATTR_SIZE) + UInt64(0)
    assert (await raw.write(handle, 0, b"x"))[0] == FX_PERMISSION_DENIED
    assert (await raw.ask(FXP_FSETSTAT, String(handle), size)).status()[0] == FX_PERMISSION_DENIED
    assert await raw.close(handle) == OK
    assert room.home(GOLD) == LIST
    assert len(room.landed.all) == 1


# Limits.


async def test_a_session_has_so_many_handles_files_and_folders_together(room: Room) -> None:
    await room.restart(max_open_handles=3)
    await room.landed_put(GOLD, LIST)
    raw = await room.raw()
    opening = (
        (FXP_OPENDIR, String("/")),
        (FXP_OPEN, String(GOLD), UInt32(FXF_READ), NO_ATTRS),
        (FXP_OPEN, String(SILVER), UInt32(FXF_WRITE | FXF_CREAT), NO_ATTRS),
    )
    handles = [(await raw.ask(*request)).handle() for request in opening]
    for request in opening:
        code, reason = (await raw.ask(*request)).status()
        assert code == FX_FAILURE
        assert "3 open handles" in reason
    for handle in handles:
        assert await raw.close(handle) == OK
    assert (await raw.ask(*opening[0])).handle()


async def test_a_connection_has_so_many_channels(room: Room) -> None:
    await room.restart(max_channels=2)
    connection = await room.connect()
    first = await room.raw(connection)
    await room.raw(connection)
    with pytest.raises(asyncssh.ChannelOpenError):
        await room.raw(connection)
    first.channel.close()
    await room.sessions_ended()
    await room.raw(connection)


async def test_a_channel_that_never_asked_for_sftp_counts_no_longer_than_it_lives(room: Room) -> None:
    await room.restart(max_channels=1)
    connection = await room.connect()
    for _ in range(3):
        with pytest.raises(asyncssh.ChannelOpenError):
            await connection.run("id")
    await room.sessions_ended(3)
    await room.raw(connection)


async def test_a_file_larger_than_the_limit_is_refused_while_it_is_written(room: Room) -> None:
    await room.restart(max_file_size_bytes=len(LIST))
    raw = await room.raw()
    handle = await raw.create(GOLD)
    assert await raw.write(handle, 0, LIST) == OK
    code, reason = await raw.write(handle, len(LIST), b"4")
    assert code == FX_FAILURE
    assert f"limit of {len(LIST)} bytes" in reason
    assert await raw.close(handle) == (FX_FAILURE, reason)
    assert room.landed.all == []
    size = UInt32(FILEXFER_ATTR_SIZE) + UInt64(1 << 40)
    handle = await raw.create(SILVER)
    assert (await raw.ask(FXP_FSETSTAT, String(handle), size)).status()[0] == FX_FAILURE


async def test_a_client_may_have_a_limit_of_its_own_below_the_servers(room: Room) -> None:
    (room.clients.folder / ACME / "client.toml").write_text(f"max_file_size_bytes = {len(LIST) - 1}\n")
    raw = await room.raw()
    assert (await raw.write(await raw.create(GOLD), 0, LIST))[0] == FX_FAILURE


# Renaming.


async def test_a_temporary_name_is_an_upload_and_its_rename_to_a_segment_files_name_another(
    room: Room, stock: StockSftp
) -> None:
    stock.file("list.filepart", LIST)
    done = await stock.batch("put list.filepart", f"rename list.filepart {GOLD}", "ls -1")
    assert done.code == 0, done.err
    assert done.out.splitlines()[-1] == GOLD
    temporary, complete = await room.landed.first(2)
    assert (temporary.filename, complete.filename) == ("list.filepart", GOLD)
    assert temporary.id < complete.id
    assert complete.path.read_bytes() == LIST == room.home(GOLD)


async def test_a_rename_to_another_name_is_no_upload(room: Room) -> None:
    await room.landed_put(GOLD, LIST)
    sftp = await room.sftp()
    await sftp.rename(GOLD, "old.txt")
    assert room.home("old.txt") == LIST
    assert len(room.landed.all) == 1


@pytest.mark.parametrize("new", ["taken.txt", SILVER])
async def test_a_plain_rename_never_replaces_a_file(room: Room, new: str) -> None:
    await room.landed_put(GOLD, LIST)
    await room.landed_put(new, OTHER_LIST)
    sftp = await room.sftp()
    with pytest.raises(asyncssh.SFTPFailure, match="there already"):
        await sftp.rename(GOLD, new)
    assert (room.home(GOLD), room.home(new)) == (LIST, OTHER_LIST)
    assert len(room.landed.all) == 2


@pytest.mark.parametrize(("new", "uploads"), [("taken.txt", 2), (SILVER, 3)])
async def test_a_posix_rename_replaces_a_file(room: Room, new: str, uploads: int) -> None:
    await room.landed_put(GOLD, LIST)
    await room.landed_put(new, OTHER_LIST)
    sftp = await room.sftp()
    await sftp.posix_rename(GOLD, new)
    assert (room.home(GOLD), room.home(new)) == (None, LIST)
    assert len(room.landed.all) == uploads


async def test_a_cut_off_file_cannot_be_renamed(room: Room) -> None:
    await leave_a_partial(room, LIST[:9], "list.filepart")
    sftp = await room.sftp()
    for new in (GOLD, "list.txt"):
        with pytest.raises(asyncssh.SFTPFailure, match="cut off"):
            await sftp.posix_rename("list.filepart", new)
    assert room.landed.all == []
    assert room.partial("list.filepart") == LIST[:9]


async def test_a_rename_that_is_refused_leaves_the_home_as_it_was_and_the_upload_lands(room: Room) -> None:
    await room.landed_put(GOLD, OTHER_LIST)
    await room.landed_put("list.tmp", b"email\n")
    room.faults[GOLD] = NO_COLUMN
    sftp = await room.sftp()
    with pytest.raises(asyncssh.SFTPFailure, match="No column is called CTUserID"):
        await sftp.posix_rename("list.tmp", GOLD)
    assert (room.home("list.tmp"), room.home(GOLD)) == (b"email\n", OTHER_LIST)
    refused = (await room.landed.first(3))[-1]
    assert (refused.filename, refused.path.read_bytes()) == (GOLD, b"email\n")


async def test_a_rename_that_the_disk_fails_is_answered_with_failure_and_what_is_durable_lands(room: Room) -> None:
    await room.landed_put("list.tmp", LIST)
    sftp = await room.sftp()
    room.disk.faults["rename"] = OSError(errno.EIO, os.strerror(errno.EIO))
    with pytest.raises(asyncssh.SFTPFailure):
        await sftp.rename("list.tmp", GOLD)
    assert room.home("list.tmp") == LIST
    assert (await room.landed.first(2))[-1].path.read_bytes() == LIST


async def test_a_folder_can_be_renamed_and_is_no_upload_whatever_its_name(room: Room) -> None:
    sftp = await room.sftp()
    await sftp.mkdir("folder")
    await sftp.rename("folder", GOLD)
    assert (room.folder / "spool" / ACME / "home" / GOLD).is_dir()
    assert room.landed.all == []


async def test_a_rename_completes_though_the_connection_is_lost_while_it_is_awaited(room: Room) -> None:
    await room.landed_put("list.tmp", LIST)
    raw = await room.raw()
    gate = room.disk.hold("rename")
    raw.send(FXP_RENAME, String("list.tmp"), String(GOLD))
    await gate.reached()
    raw.channel.get_connection().abort()
    await room.disconnected()
    gate.open()
    upload = (await room.landed.first(2))[-1]
    assert upload.path.read_bytes() == LIST == room.home(GOLD)
