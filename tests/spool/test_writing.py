"""A file while it is being written: holes, order, sizes, appending, and what is never forgiven."""

import errno
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from ctsftp.errors import DiskError, IncompleteError, LimitError, NoSuchPathError, PathRefusedError, PathTakenError
from ctsftp.spool.disk import LocalDisk

from .bench import Client, at

PATIENCE_S = 20.0
SHORT_S = 0.05  # in which what need not wait is done


def test_pieces_may_come_in_any_order(client: Client) -> None:
    staged = client.open("a.csv")
    for offset in (6, 0, 3):
        staged.write(offset, b"abcdefghi"[offset : offset + 3])
    upload = client.publish(staged)
    assert upload.path.read_bytes() == b"abcdefghi"


def test_a_file_with_a_hole_is_refused_and_its_beginning_can_be_resumed(client: Client) -> None:
    staged = client.open("a.csv")
    staged.write(0, b"abc")
    staged.write(6, b"ghi")
    with pytest.raises(IncompleteError, match="hole after byte 3 of 9"):
        client.publish(staged)
    assert client.see("a.csv") == b"abc"
    assert client.uploads() == {}


def test_a_size_that_was_set_beforehand_is_a_hole_until_it_is_written(client: Client) -> None:
    staged = client.open("a.csv")
    staged.truncate(6)
    staged.write(0, b"abc")
    with pytest.raises(IncompleteError):
        client.publish(staged)
    staged = client.open("a.csv")
    staged.truncate(6)
    staged.write(0, b"abcdef")
    assert client.publish(staged).path.read_bytes() == b"abcdef"


def test_bytes_that_were_cut_away_must_be_written_again(client: Client) -> None:
    staged = client.open("a.csv")
    staged.write(0, b"abcdef")
    staged.truncate(2)
    staged.truncate(6)
    with pytest.raises(IncompleteError, match="byte 2 of 6"):
        client.publish(staged)


def test_an_empty_file_is_an_upload(client: Client) -> None:
    assert client.put("a.csv", b"").path.read_bytes() == b""


def test_a_file_can_be_read_back_while_it_is_written(client: Client) -> None:
    staged = client.open("a.csv")
    staged.write(0, b"abc")
    assert staged.read(1, 10) == b"bc"
    assert staged.read((1 << 64) - 1, 10) == b""
    assert staged.stat().st_size == 3


def test_a_file_over_the_limit_is_poisoned_and_not_kept(client: Client) -> None:
    staged = client.open("a.csv", limit=5)
    staged.write(0, b"abcd")
    with pytest.raises(LimitError, match="limit of 5 bytes"):
        staged.write(4, b"ef")
    with pytest.raises(LimitError):
        staged.write(4, b"e")
    with pytest.raises(LimitError):
        client.publish(staged)
    assert (client.names(), client.staging(), client.uploads()) == ([], [], {})


def test_an_offset_beyond_all_limits_is_only_a_limit(client: Client) -> None:
    staged = client.open("a.csv")
    with pytest.raises(LimitError):
        staged.write((1 << 64) - 1, b"x")
    with pytest.raises(LimitError):
        client.open("b.csv").truncate((1 << 64) - 1)


def test_a_closed_file_takes_nothing_more(client: Client) -> None:
    staged = client.open("a.csv")
    staged.write(0, b"abc")
    upload = client.publish(staged)
    with pytest.raises(IncompleteError, match="closed"):
        staged.write(0, b"x")
    with pytest.raises(IncompleteError, match="closed"):
        client.publish(staged)
    assert client.cut_off(staged) == 0
    assert upload.path.read_bytes() == client.see("a.csv") == b"abc"


class ShortDisk(LocalDisk):
    """Takes at most three bytes of each write."""

    def write(self, fd: int, data: bytes, offset: int) -> int:
        return super().write(fd, data[:3], offset)


def test_a_short_write_poisons_the_file(client_on: Callable[..., Client]) -> None:
    client = client_on(ShortDisk())
    staged = client.open("a.csv")
    staged.write(0, b"abc")
    with pytest.raises(DiskError, match="took a part"):
        staged.write(3, b"defg")
    with pytest.raises(DiskError):
        client.publish(staged)
    assert client.see("a.csv") == b"abc"
    assert client.uploads() == {}


class FullDisk(LocalDisk):
    """Has room for the first six bytes of a file."""

    def write(self, fd: int, data: bytes, offset: int) -> int:
        if offset + len(data) > 6:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(fd, data, offset)


def test_what_came_before_a_full_disk_can_be_resumed(client_on: Callable[..., Client]) -> None:
    client = client_on(FullDisk())
    staged = client.open("a.csv")
    staged.write(0, b"abcdef")
    with pytest.raises(DiskError, match="No space left"):
        staged.write(6, b"ghi")
    with pytest.raises(DiskError):
        client.publish(staged)
    assert client.see("a.csv") == b"abcdef"
    assert client.staging() == []


class BrokenDisk(LocalDisk):
    """Cannot make bytes durable, and says so once, as Linux does."""

    def __init__(self) -> None:
        self.asked = 0

    def fsync(self, fd: int) -> None:  # noqa: ARG002
        self.asked += 1
        if self.asked == 1:
            raise OSError(errno.EIO, "Input/output error")


@pytest.mark.parametrize("explicit", [True, False])
def test_bytes_whose_fsync_failed_are_never_kept_nor_synced_again(
    client_on: Callable[..., Client],
    explicit: bool,  # noqa: FBT001
) -> None:
    disk = BrokenDisk()
    client = client_on(disk)
    staged = client.open("a.csv")
    staged.write(0, b"abc")
    with pytest.raises(DiskError, match="durable"):
        staged.sync()
    if explicit:
        with pytest.raises(DiskError, match="durable"):
            client.publish(staged)
    else:
        assert client.cut_off(staged) == 0
    assert disk.asked == 1
    assert (client.names(), client.staging(), client.uploads()) == ([], [], {})


class SlowToFail(BrokenDisk):
    """Takes its time over the first fsync, which fails."""

    def __init__(self) -> None:
        super().__init__()
        self.began, self.may_fail, self.sealing = (threading.Event() for _ in range(3))

    def fstat(self, fd: int) -> os.stat_result:
        self.sealing.set()
        return super().fstat(fd)

    def fsync(self, fd: int) -> None:
        if not self.asked:
            self.began.set()
            self.may_fail.wait(PATIENCE_S)
        super().fsync(fd)


def test_a_publish_waits_for_the_sync_that_runs_beside_it_and_fails_with_it(client_on: Callable[..., Client]) -> None:
    """Linux tells of a failure once: the publish's own fsync would say that all is well."""
    disk = SlowToFail()
    client = client_on(disk)
    staged = client.open("a.csv")
    staged.write(0, b"abc")
    with ThreadPoolExecutor(2) as pool:
        syncing = pool.submit(staged.sync)
        assert disk.began.wait(PATIENCE_S)
        publishing = pool.submit(client.publish, staged)
        assert disk.sealing.wait(PATIENCE_S)
        with pytest.raises(TimeoutError):
            publishing.result(SHORT_S)
        disk.may_fail.set()
        for one in (syncing, publishing):
            with pytest.raises(DiskError, match="durable"):
                one.result(PATIENCE_S)
    assert disk.asked == 1
    assert (client.names(), client.staging(), client.uploads()) == ([], [], {})


def test_a_client_that_appends_may_count_from_the_size_it_was_shown(client: Client) -> None:
    client.put("a.csv", b"abc")
    staged = client.resume("a.csv", append=True)
    staged.write(3, b"def")
    staged.write(6, b"g")
    assert client.publish(staged).path.read_bytes() == b"abcdefg"


def test_a_client_that_appends_may_count_from_0(client: Client) -> None:
    client.put("a.csv", b"abc")
    staged = client.resume("a.csv", append=True)
    staged.write(0, b"def")
    staged.write(3, b"g")
    assert client.publish(staged).path.read_bytes() == b"abcdefg"


def test_an_empty_write_does_not_tell_where_a_client_counts_from(client: Client) -> None:
    client.put("a.csv", b"abc")
    staged = client.resume("a.csv", append=True)
    staged.write(0, b"")
    staged.write(3, b"def")
    assert client.publish(staged).path.read_bytes() == b"abcdef"


def test_a_client_that_empties_the_file_first_appends_to_nothing(client: Client) -> None:
    client.put("a.csv", b"abc")
    staged = client.resume("a.csv", append=True)
    staged.truncate(0)
    staged.write(0, b"xyz")
    assert client.publish(staged).path.read_bytes() == b"xyz"


def test_a_client_that_cuts_the_file_first_appends_to_what_is_left(client: Client) -> None:
    client.put("a.csv", b"abc")
    staged = client.resume("a.csv", append=True)
    staged.truncate(2)
    staged.write(0, b"xyz")
    assert client.publish(staged).path.read_bytes() == b"abxyz"


def test_appending_from_0_to_a_cut_off_file_that_a_whole_one_covers_is_refused(client: Client) -> None:
    client.put("a.csv", b"abcdef")
    client.break_off("a.csv", b"AB")
    staged = client.resume("a.csv", append=True)
    with pytest.raises(IncompleteError, match="send it again whole"):
        staged.write(0, b"ghi")
    with pytest.raises(IncompleteError):
        client.publish(staged)
    assert client.see("a.csv") == b"abcdef"


def test_resuming_behind_the_whole_file_that_covers_a_shorter_part_leaves_a_hole(client: Client) -> None:
    client.put("a.csv", b"abcdef")
    client.break_off("a.csv", b"AB")
    staged = client.resume("a.csv", append=True)
    staged.write(6, b"GHI")
    with pytest.raises(IncompleteError, match="hole after byte 2"):
        client.publish(staged)
    assert client.see("a.csv") == b"abcdef"


@pytest.mark.parametrize("part", [b"AB", b"ABCDEFGHIJKL"])
def test_a_part_that_a_whole_file_covers_is_not_published_by_who_did_not_see_it(client: Client, part: bytes) -> None:
    client.put("a.csv", b"abcdef")
    client.break_off("a.csv", part)
    with pytest.raises(IncompleteError, match=f"cut off after byte {len(part)} .* send it again whole"):
        client.publish(client.resume("a.csv"))
    assert client.see("a.csv") == b"abcdef"


def test_a_line_that_is_added_to_what_is_shown_does_not_change_a_longer_part_behind_it(client: Client) -> None:
    client.put("a.csv", b"abcdef")
    client.break_off("a.csv", b"ABCDEFGHIJKL")
    staged = client.resume("a.csv", append=True)
    staged.write(6, b"xyz")
    with pytest.raises(IncompleteError):
        client.publish(staged)
    assert client.see("a.csv") == b"abcdef"


@pytest.mark.parametrize("part", [b"ABCDEFGHIJKL", b"ABCDEFGHIJKLMNOP"])
def test_a_file_that_is_resumed_from_the_size_of_the_whole_one_before_it_is_completed(
    client: Client, part: bytes
) -> None:
    client.put("a.csv", b"abcdef")
    client.break_off("a.csv", part)
    staged = client.resume("a.csv", append=True)
    staged.write(6, b"GHIJ")
    staged.write(10, b"KLMNOP")
    assert client.publish(staged).path.read_bytes() == client.see("a.csv") == b"ABCDEFGHIJKLMNOP"


def test_a_smaller_file_that_is_sent_whole_and_then_cut_to_its_size_is_taken(client: Client) -> None:
    """OpenSSH's scp writes from the beginning, and cuts at the end."""
    client.put("a.csv", b"abcdef")
    client.break_off("a.csv", b"ABCDEFGHIJKL")
    staged = client.resume("a.csv")
    staged.write(0, b"xyz")
    staged.write(3, b"XYZ")
    staged.truncate(6)
    assert client.publish(staged).path.read_bytes() == client.see("a.csv") == b"xyzXYZ"


def test_a_file_that_is_cut_to_what_is_shown_and_added_to_is_no_mixture(client: Client) -> None:
    client.put("a.csv", b"abcdef")
    client.break_off("a.csv", b"ABCDEFGHIJKL")
    staged = client.resume("a.csv")
    staged.truncate(6)
    staged.write(6, b"xyz")
    with pytest.raises(IncompleteError):
        client.publish(staged)
    assert client.see("a.csv") == b"abcdef"


def test_who_empties_the_file_begins_anew_whatever_was_cut_off_behind_it(client: Client) -> None:
    client.put("a.csv", b"abcdef")
    client.break_off("a.csv", b"ABCDEFGHIJKL")
    staged = client.resume("a.csv")
    staged.truncate(0)
    staged.write(0, b"xyz")
    assert client.publish(staged).path.read_bytes() == b"xyz"


def test_opening_without_truncating_changes_a_copy(client: Client) -> None:
    first = client.put("a.csv", b"abcdef")
    staged = client.resume("a.csv")
    staged.write(2, b"XY")
    second = client.publish(staged)
    assert first.path.read_bytes() == b"abcdef"
    assert second.path.read_bytes() == client.see("a.csv") == b"abXYef"


def test_the_open_flags_are_kept(client: Client) -> None:
    with pytest.raises(NoSuchPathError):
        client.open("a.csv", create=False)
    client.put("a.csv", b"abc")
    client.break_off("b.csv", b"abc")
    for path in ("a.csv", "b.csv"):
        with pytest.raises(PathTakenError):
            client.open(path, exclusive=True)
        client.cut_off(client.open(path, create=False))
    assert client.staging() == []


def test_a_file_cannot_be_opened_where_a_folder_stands_or_none_holds_it(client: Client) -> None:
    client.put("a.csv", b"abc")
    client.home.make_folder(at("/sub"))
    with pytest.raises(PathRefusedError):
        client.open("/")
    with pytest.raises(PathRefusedError):
        client.open("/sub")
    for path in ("/none/a.csv", "/a.csv/b.csv"):
        with pytest.raises(NoSuchPathError):
            client.open(path)
    assert client.staging() == []


def test_a_mode_is_0640_and_a_folder_0750(client: Client) -> None:
    upload = client.put("a.csv", b"abc")
    assert upload.path.stat().st_mode & 0o7777 & ~0o640 == 0
    assert upload.path.parent.stat().st_mode & 0o7777 & ~0o750 == 0
