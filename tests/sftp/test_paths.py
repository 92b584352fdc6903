"""No path leads out of a home, no link is made or followed, and folders are ordinary folders."""

import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import asyncssh
import pytest
from asyncssh.constants import (
    FX_FAILURE,
    FX_NO_SUCH_FILE,
    FX_OK,
    FX_OP_UNSUPPORTED,
    FX_PERMISSION_DENIED,
    FXF_CREAT,
    FXF_READ,
    FXF_TRUNC,
    FXF_WRITE,
    FXP_EXTENDED,
    FXP_LSTAT,
    FXP_MKDIR,
    FXP_OPEN,
    FXP_OPENDIR,
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

from ctsftp.contract.codes import Code, Fault

from .raw import NO_ATTRS, RawSftp
from .room import ACME, GOLD, Room
from .stock import StockSftp

SILVER = "Silver_20261101_0001.csv"
LIST = b"CTUserID\n1\n2\n3\n"
OTHER_LIST = b"CTUserID\n4\n5\n"
NO_COLUMN = Fault(Code.NO_ID_COLUMN, "No column is called CTUserID: add it to the export's columns.")
OK = (FX_OK, "")


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
    assert tree(room.folder / "spool" / ACME / "home") == {GOLD}


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
OUT_OF_THE_HOME = {"one up", "up and down", "from the root", "deeper"}
LOOKS = {"stat", "lstat", "realpath"}  # for which the root's parent is the root
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
        if request_ in LOOKS and label in OUT_OF_THE_HOME:
            continue
        code, reason = await ASK[request_](raw, path)
        assert code == FX_PERMISSION_DENIED, label
        assert reason, label
    assert tree(room.folder) == before


async def test_above_the_root_is_the_root_for_who_only_looks(room: Room) -> None:
    await room.landed_put(GOLD, LIST)
    sftp = await room.sftp()
    for up in ("/..", "..", "folder/../..", "/../.."):
        assert await sftp.realpath(up) == "/"
        for look in (sftp.stat, sftp.lstat):
            assert (await look(up)).type == asyncssh.FILEXFER_TYPE_DIRECTORY
            assert (await look(f"{up}/{GOLD}")).size == len(LIST)
    with pytest.raises(asyncssh.SFTPNoSuchFile):
        await sftp.stat("/../etc/passwd")


async def test_stock_sftp_shows_why_a_path_is_refused(room: Room, stock: StockSftp) -> None:
    done = await stock.batch("mkdir ../other")
    assert done.code == 1
    assert "The path leads out of your home folder" in done.err


async def test_stock_sftp_is_told_no_more_than_it_says_itself_of_a_file_that_is_not_there(
    room: Room, stock: StockSftp
) -> None:
    done = await stock.batch("rm nothing")
    assert done.err.splitlines() == ["remote delete /nothing: No such file or directory"]


async def test_a_name_may_have_255_bytes_and_be_in_any_script(room: Room, stock: StockSftp) -> None:
    stamp = "_20261101_0001.csv"
    longest = "ä" * ((255 - len(stamp)) // 2) + stamp
    longest = longest if len(longest.encode()) == 255 else "x" + longest
    assert len(longest.encode()) == 255
    await room.landed_put(longest, LIST)
    await room.landed_put(f"会员 'gold' \"100 %\"; drop table{stamp}", LIST)
    assert room.landed.all[0].filename == longest
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
    assert await (await room.sftp()).listdir("/") == ["receipts", GOLD]
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
    assert sorted(await sftp.listdir("/")) == sorted([*names, "receipts"])


async def test_a_folder_is_removed_when_it_is_empty(room: Room) -> None:
    sftp = await room.sftp()
    await sftp.mkdir("folder")
    async with sftp.open(f"folder/{GOLD}", "wb") as file:
        await file.write(LIST)
    with pytest.raises(asyncssh.SFTPFailure, match="not empty"):
        await sftp.rmdir("folder")
    await sftp.remove(f"folder/{GOLD}")
    await sftp.rmdir("folder")
    assert await sftp.listdir("/") == ["receipts"]


@pytest.mark.parametrize("seconds", [-1, 1 << 33], ids=["before 1970", "after 2106"])
async def test_a_file_with_an_impossible_time_can_be_listed(room: Room, seconds: int) -> None:
    upload = await room.landed_put(GOLD, LIST)
    os.utime(upload.path, (seconds, seconds))
    sftp = await room.sftp()
    (entry,) = [entry for entry in await sftp.readdir("/") if entry.filename == GOLD]
    assert entry.attrs.mtime == min(max(seconds, 0), 0xFFFFFFFF)
