"""A rename onto a segment file's name is a new upload; any other moves a name and replaces nothing unasked."""

import errno
import os

import asyncssh
import pytest
from asyncssh.constants import (
    FX_OK,
    FXP_RENAME,
)
from asyncssh.packet import String

from ctsftp.contract.codes import Code, Fault
from ctsftp.sftp import landing

from .room import ACME, GOLD, Room
from .stock import StockSftp

SILVER = "Silver_20261101_0001.csv"
LIST = b"CTUserID\n1\n2\n3\n"
OTHER_LIST = b"CTUserID\n4\n5\n"
NO_COLUMN = Fault(Code.NO_ID_COLUMN, "No column is called CTUserID: add it to the export's columns.")
OK = (FX_OK, "")


# Renaming.


async def test_a_temporary_name_is_an_upload_and_its_rename_to_a_segment_files_name_another(
    room: Room, stock: StockSftp
) -> None:
    stock.file("list.filepart", LIST)
    done = await stock.batch("put list.filepart", f"rename list.filepart {GOLD}", "ls -1 *.csv")
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
    await room.leave_partial("list.filepart", LIST[:9])
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


async def test_a_temporary_folder_that_is_renamed_lands_the_lists_in_it(room: Room) -> None:
    sftp = await room.sftp()
    await sftp.makedirs("week.tmp/deeper")
    for name in (GOLD, f"deeper/{SILVER}", "notes.txt"):
        async with sftp.open(f"week.tmp/{name}", "wb") as file:
            await file.write(LIST)
    before = await room.landed.first(3)
    await sftp.rename("week.tmp", "week")
    after = (await room.landed.first(5))[3:]
    assert [upload.place for upload in after] == [f"/week/{GOLD}", f"/week/deeper/{SILVER}"]
    assert all(upload.path.read_bytes() == LIST for upload in [*before, *after])
    assert room.home(f"week/{GOLD}") == LIST
    assert room.home(f"week.tmp/{GOLD}") is None
    await sftp.rename("week", "month")
    assert len(room.landed.all) == 5, "they were lists already"


async def test_a_folder_with_a_list_that_is_refused_stays_where_it_was(room: Room) -> None:
    sftp = await room.sftp()
    await sftp.mkdir("tmp")
    for name in (GOLD, SILVER):
        async with sftp.open(f"tmp/{name}", "wb") as file:
            await file.write(LIST)
    room.faults[SILVER] = NO_COLUMN
    with pytest.raises(asyncssh.SFTPFailure, match="No column is called CTUserID"):
        await sftp.rename("tmp", "week")
    assert (room.home(f"tmp/{GOLD}"), room.home(f"tmp/{SILVER}")) == (LIST, LIST)
    assert [upload.filename for upload in (await room.landed.first(4))[2:]] == [GOLD, SILVER]


@pytest.mark.parametrize(
    ("new", "answer"), [("taken", "there already"), ("none/week", "not there"), ("tmp/in", "itself")]
)
async def test_a_folder_that_cannot_be_moved_lands_nothing(room: Room, new: str, answer: str) -> None:
    sftp = await room.sftp()
    await sftp.mkdir("tmp")
    await room.landed_put("taken", LIST)
    async with sftp.open(f"tmp/{GOLD}", "wb") as file:
        await file.write(LIST)
    with pytest.raises(asyncssh.SFTPError, match=answer):
        await sftp.rename("tmp", new)
    assert len(room.landed.all) == 2


async def test_a_folder_with_more_lists_than_one_rename_lands_is_not_moved(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(landing, "MOST_IN_A_FOLDER", 1)
    sftp = await room.sftp()
    await sftp.mkdir("tmp")
    for name in (GOLD, SILVER):
        async with sftp.open(f"tmp/{name}", "wb") as file:
            await file.write(LIST)
    with pytest.raises(asyncssh.SFTPFailure, match="rename them one by one"):
        await sftp.rename("tmp", "week")
    assert len(room.landed.all) == 2


async def test_a_rename_completes_though_the_connection_is_lost_while_it_is_awaited(room: Room) -> None:
    await room.landed_put("list.tmp", LIST)
    raw = await room.raw()
    gate = room.disk.hold("rename")
    raw.send(FXP_RENAME, String("list.tmp"), String(GOLD))
    await gate.reached()
    raw.channel.get_connection().abort()
    await room.disconnected()
    gate.open()
    await room.sessions_ended(2)
    upload = room.landed.all[-1]
    assert upload.path.read_bytes() == LIST == room.home(GOLD)
