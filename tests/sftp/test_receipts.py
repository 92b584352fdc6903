"""The virtual folder of receipts: truthful about sizes, read-only, and a client's own alone."""

import asyncssh
import pytest
from asyncssh.constants import FX_PERMISSION_DENIED

from ctsftp.sftp.receipts import ReceiptFile

from .room import ACME, GOLD, Room
from .stock import StockSftp

NAME = f"{GOLD}.txt"
PATH = f"/receipts/{NAME}"
TEXT = b"State       loaded\n" * 40_000
TIME_S = 1_790_000_000.0


@pytest.fixture(autouse=True)
def _receipt(room: Room) -> None:
    room.receipts[ACME] = [ReceiptFile(NAME, TEXT, TIME_S)]
    room.receipts["other"] = [ReceiptFile("Secret.txt", b"theirs", TIME_S)]


async def test_the_folder_is_there_from_the_start_and_nothing_of_it_is_on_the_disk(room: Room) -> None:
    sftp = await room.sftp()
    assert await sftp.listdir("/") == ["receipts"]
    assert await sftp.isdir("/receipts")
    assert (await sftp.stat("receipts")).permissions == 0o40550
    (root,) = await sftp.readdir("/")
    assert root.attrs.permissions == 0o40550
    assert room.home("receipts") is None
    assert list((room.folder / "spool" / ACME / "home").iterdir()) == []


async def test_listing_stat_and_handle_tell_the_size_that_is_read(room: Room) -> None:
    sftp = await room.sftp()
    listed, _ = await sftp.readdir("/receipts")
    looked = await sftp.stat(PATH)
    async with sftp.open(PATH, "rb") as file:
        opened = await file.stat()
        data = await file.read()
    assert data == TEXT
    assert {listed.attrs.size, looked.size, opened.size} == {len(TEXT)}
    assert {listed.attrs.mtime, looked.mtime, opened.mtime} == {int(TIME_S)}
    assert {listed.attrs.permissions, looked.permissions, opened.permissions} == {0o100440}
    assert listed.filename == NAME


async def test_the_other_forms_stand_in_a_folder_below_and_can_be_asked_for_in_either(room: Room) -> None:
    room.receipt_details[ACME] = [ReceiptFile(f"{GOLD}.json", b"{}", TIME_S)]
    sftp = await room.sftp()
    assert await sftp.listdir("/receipts") == [NAME, "details"]
    assert await sftp.listdir("/receipts/details") == [f"{GOLD}.json"]
    assert (await sftp.stat("/receipts/details")).permissions == 0o40550
    for folder in ("/receipts", "/receipts/details"):
        async with sftp.open(f"{folder}/{GOLD}.json", "rb") as file:
            assert await file.read() == b"{}"
    with pytest.raises(asyncssh.SFTPPermissionDenied):
        await sftp.remove(f"/receipts/details/{GOLD}.json")


async def test_an_open_gives_the_bytes_whose_size_was_told_and_the_next_look_the_new_ones(room: Room) -> None:
    sftp = await room.sftp()
    told = (await sftp.stat(PATH)).size
    room.receipts[ACME] = [ReceiptFile(NAME, b"changed meanwhile", TIME_S)]
    async with sftp.open(PATH, "rb") as file:
        assert len(await file.read()) == told
        assert (await file.stat()).size == told
    async with sftp.open(PATH, "rb") as file:
        assert await file.read() == b"changed meanwhile"


async def test_a_look_at_one_receipt_is_not_given_for_another(room: Room) -> None:
    room.receipts[ACME].append(ReceiptFile("Other.txt", b"the other", TIME_S))
    sftp = await room.sftp()
    await sftp.stat(PATH)
    async with sftp.open("/receipts/Other.txt", "rb") as file:
        assert await file.read() == b"the other"


async def test_stock_sftp_gets_a_receipt(room: Room, stock: StockSftp) -> None:
    done = await stock.batch("ls -l", "ls -l receipts", "cd receipts", f'get "{NAME}"')
    assert done.code == 0, done.err
    assert "dr-xr-x---" in done.out
    assert str(len(TEXT)) in done.out
    assert (stock.folder / NAME).read_bytes() == TEXT


@pytest.mark.parametrize("path", ["/receipts/Secret.txt", "/receipts/nothing", f"{PATH}/deeper", "/receipts/a/b"])
async def test_what_is_not_a_receipt_of_one_s_own_is_not_there(room: Room, path: str) -> None:
    sftp = await room.sftp()
    with pytest.raises(asyncssh.SFTPNoSuchFile):
        await sftp.stat(path)
    with pytest.raises(asyncssh.SFTPNoSuchFile):
        await sftp.open(path, "rb")
    with pytest.raises(asyncssh.SFTPNoSuchFile):
        await sftp.listdir(path)


@pytest.mark.parametrize("path", ["/receipts", "receipts/", "./a/../receipts", PATH, "/receipts/new", "/receipts/a/b"])
async def test_nothing_can_be_changed_there_and_the_answer_says_why(room: Room, path: str) -> None:
    await room.landed_put(GOLD, b"CTUserID\n1\n")
    sftp = await room.sftp()
    tries = [
        sftp.mkdir(path),
        sftp.rmdir(path),
        sftp.remove(path),
        sftp.rename(path, "/elsewhere"),
        sftp.posix_rename(path, "/elsewhere"),
        sftp.rename(GOLD, path),
        sftp.posix_rename(GOLD, path),
        sftp.setstat(path, asyncssh.SFTPAttrs(size=0)),
        sftp.utime(path, (1, 1)),
        *(sftp.open(path, mode) for mode in ("wb", "ab", "r+b", "xb")),
    ]
    for attempt in tries:
        with pytest.raises(asyncssh.SFTPPermissionDenied, match="read-only: put files elsewhere"):
            await attempt
    assert room.home(GOLD) is not None
    assert len(room.landed.all) == 1


async def test_a_handle_of_a_receipt_takes_no_writes(room: Room) -> None:
    raw = await room.raw()
    handle = await raw.read_handle(PATH)
    assert (await raw.write(handle, 0, b"x"))[0] == FX_PERMISSION_DENIED


async def test_a_folder_that_a_local_user_made_is_covered(room: Room) -> None:
    await room.landed_put(GOLD, b"CTUserID\n1\n")
    local = room.folder / "spool" / ACME / "home" / "receipts"
    local.mkdir()
    (local / NAME).write_bytes(b"a forgery")
    sftp = await room.sftp()
    assert sorted(await sftp.listdir("/")) == [GOLD, "receipts"]
    async with sftp.open(PATH, "rb") as file:
        assert await file.read() == TEXT
