"""What single senders do beside the table: temporary names, checks, appending, keys of another age."""

from contextlib import AbstractAsyncContextManager

import asyncssh
from asyncssh.constants import FX_OK, FXP_WRITE
from asyncssh.packet import String, UInt64

from ..sftp.raw import RawSftp
from .jsch import Jsch
from .post import HOST, Account, Post, export
from .programs import Lftp, OpenSsh, Rclone, Sshfs

Connecting = AbstractAsyncContextManager[asyncssh.SSHClientConnection]

NAME = "VIP_20261123_0900.csv"
IDS = range(1_000_000, 1_012_000)
HALF = len(IDS) // 2


def test_lftp_with_its_temporary_name_makes_one_segment_and_overwrites_it(account: Account) -> None:
    lftp = Lftp(account)
    for ids in (IDS[:HALF], IDS):
        account.look_on()
        file = account.file("local.csv", export(ids))
        lftp.script("set xfer:use-temp-file true", f"put {file} -o {NAME}")
        assert account.state(NAME) == "loaded"
        assert account.members("VIP") == list(ids)
    assert lftp.list() == {NAME}
    assert [state for name, state in account.states() if name != NAME] == ["ignored", "ignored"]


def test_rclone_copies_a_folder_finds_it_the_same_and_sends_nothing_twice(account: Account) -> None:
    rclone = Rclone(account)
    folder = account.folder / "out"
    folder.mkdir()
    for segment in ("VIP", "Gold"):
        account.file(f"out/{segment}_20261123_0900.csv", export(IDS))
    rclone.run("copy", str(folder), ":sftp:")
    # Whoever compares a whole home leaves the receipts out: they have no counterpart.
    rclone.run("check", "--exclude", "/receipts/**", str(folder), ":sftp:")
    rclone.run("check", "--exclude", "/receipts/**", "--download", str(folder), ":sftp:")
    rclone.run("copy", str(folder), ":sftp:")
    for segment in ("VIP", "Gold"):
        assert account.state(f"{segment}_20261123_0900.csv") == "loaded"
        assert account.members(segment) == list(IDS)
    assert len(account.states()) == 2


def test_the_partial_name_of_a_newer_rclone_is_ignored_until_it_is_renamed(account: Account) -> None:
    partial = f"{NAME}.1a2b3c4d.partial"
    OpenSsh(account).put_and_rename(account.file("local.csv", export(IDS)), partial, NAME)
    assert account.state(NAME) == "loaded"
    assert account.states() == [(partial, "ignored"), (NAME, "loaded")]
    assert account.members("VIP") == list(IDS)


def test_a_file_that_is_moved_right_after_it_was_copied_to_a_mounted_home_loads_each_time(account: Account) -> None:
    """The kernel sends sshfs the CLOSE when it likes: a rename may well come before it."""
    sshfs = Sshfs(account)
    file = account.file("local.csv", export(IDS))
    names = [f"VIP{number}_20261123_0900.csv" for number in range(20)]
    with sshfs.mounted() as home:
        for name in names:
            (home / f"{name}.tmp").write_bytes(file.read_bytes())
            (home / f"{name}.tmp").rename(home / name)
    for number, name in enumerate(names):
        assert account.state(name) == "loaded"
        assert account.members(f"VIP{number}") == list(IDS)
    assert sshfs.list() == set(names)


def test_jsch_appends_what_follows(account: Account) -> None:
    jsch = Jsch(account)
    first = account.file("first.csv", export(IDS[:HALF]))
    rest = account.file("rest.csv", export(IDS[HALF:]).removeprefix(export(())))
    jsch.run("put", str(first), "list.tmp", "append", str(rest), "list.tmp", "rename", "list.tmp", NAME)
    assert account.state(NAME) == "loaded"
    assert account.members("VIP") == list(IDS)


def test_jsch_with_an_rsa_key_signs_with_sha1_which_a_client_must_be_allowed(account: Account) -> None:
    jsch = Jsch(account)
    jsch.key = account.keys.rsa
    jsch.run("list", code=1)
    assert "sha-1" in str(account.event("login refused")["cause"]).lower().replace("sha1", "sha-1")


def test_jsch_with_an_rsa_key_sends_for_a_client_that_allows_sha1_and_its_login_says_so(
    post: Post, account: Account
) -> None:
    old = post.open_account(account.folder, "allow_sha1 = true\n")
    jsch = Jsch(old)
    jsch.key = old.keys.rsa
    jsch.put(old.file("local.csv", export(IDS)), NAME)
    assert old.event("login")["sha1"] is True
    assert old.state(NAME) == "loaded"
    assert old.members("VIP") == list(IDS)


def connect(account: Account) -> Connecting:
    return asyncssh.connect(
        HOST,
        account.port,
        config=None,
        username=account.client,
        client_keys=[str(account.keys.ed25519)],
        known_hosts=None,
        agent_path=None,
    )


async def test_bytes_behind_the_data_of_a_write_are_left_out_as_rclone_sends_them(account: Account) -> None:
    data = export(IDS[:9])
    async with connect(account) as connection:
        raw = await RawSftp.open(connection)
        handle = await raw.create(NAME)
        answer = await raw.ask(FXP_WRITE, String(handle), UInt64(0), String(data), b"7654321\n")
        assert answer.status()[0] == FX_OK
        assert (await raw.close(handle))[0] == FX_OK
    assert account.state(NAME) == "loaded"
    assert account.members("VIP") == list(IDS[:9])


async def test_a_new_file_is_there_for_its_own_session_as_soon_as_it_is_open_as_sshfs_expects(account: Account) -> None:
    data = export(IDS[:9])
    async with (
        connect(account) as connection,
        connection.start_sftp_client() as own,
        connection.start_sftp_client() as other,
    ):
        async with own.open(NAME, "wb") as file:
            assert (await own.lstat(NAME)).size == 0
            await file.write(data)
            assert (await own.stat(NAME)).size == len(data)
            await own.utime(NAME, (1, 1))
            assert not await other.exists(NAME)
        assert (await other.stat(NAME)).size == len(data)
    assert account.state(NAME) == "loaded"
    assert account.members("VIP") == list(IDS[:9])
