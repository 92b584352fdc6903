"""A file that came into a home by other means is adopted once it is quiet: a copy, durable, in its place."""

import errno
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ctsftp.errors import CtsftpError, DiskError, LimitError
from ctsftp.spool.disk import LocalDisk
from ctsftp.spool.paths import MAX_DEPTH

from .bench import Client, at


def test_a_stranger_becomes_an_upload_that_its_owner_cannot_change(client: Client) -> None:
    client.by_hand("sub").mkdir()
    by_hand = client.by_hand("sub/a.csv")
    by_hand.write_bytes(b"abc")
    with by_hand.open("r+b") as still_open:
        upload = client.adopt("sub/a.csv")
        still_open.write(b"XYZ")
    assert upload
    assert upload.filename == "a.csv"
    assert client.see("sub/a.csv") == upload.path.read_bytes() == b"abc"
    assert client.strangers() == []
    assert client.adopt("sub/a.csv") is None
    assert (client.staging(), list(client.uploads())) == ([], [upload.id])


def test_only_files_that_are_no_uploads_are_strangers(client: Client) -> None:
    client.put("a.csv", b"abc")
    client.break_off("b.csv", b"ab")
    client.by_hand("c.csv").write_bytes(b"abc")
    client.by_hand("d").mkdir()
    client.by_hand("d/e.csv").write_bytes(b"abc")
    (client.by_hand("d") / os.fsdecode(b"caf\xe9")).write_bytes(b"abc")
    assert sorted(client.strangers()) == ["/c.csv", "/d/e.csv"]


def test_a_stranger_is_quiet_when_nothing_changed_for_a_while_whatever_its_own_times_say(
    client_on: Callable[..., Client],
) -> None:
    now = time.time()
    client = client_on(clock_s=lambda: now)
    for name, modified in (("old.csv", now - 9_999), ("future.csv", now + 9_999)):
        client.by_hand(name).write_bytes(b"abc")
        os.utime(client.by_hand(name), (modified, modified))
    now += 55
    assert client.strangers(quiet_s=60) == []
    now += 10
    assert sorted(client.strangers(quiet_s=60)) == ["/future.csv", "/old.csv"]


def test_a_file_that_is_gone_or_was_published_meanwhile_is_not_adopted(client: Client) -> None:
    client.put("a.csv", b"abc")
    client.by_hand("sub").mkdir()
    assert [client.adopt(path) for path in ("none.csv", "a.csv", "sub")] == [None] * 3
    assert len(client.uploads()) == 1


def test_a_stranger_over_the_limit_is_refused_before_it_is_copied(client: Client) -> None:
    client.by_hand("a.csv").write_bytes(b"abcdef")
    with pytest.raises(LimitError, match="limit of 5 bytes"):
        client.adopt("a.csv", limit=5)
    assert client.by_hand("a.csv").read_bytes() == b"abcdef"
    assert client.staging() == []


class MeanwhileDisk(LocalDisk):
    """Lets something happen just before the first `call` of a kind."""

    def __init__(self, kind: str, happen: Callable[[], object]) -> None:
        self.kind = kind
        self.happen: Callable[[], object] | None = happen

    def _before(self, kind: str) -> None:
        if kind == self.kind and self.happen:
            happen, self.happen = self.happen, None
            happen()

    def create(self, path: Path) -> int:
        self._before("create")
        return super().create(path)

    def read(self, fd: int, size: int, offset: int) -> bytes:
        if offset:
            self._before("read")
        return super().read(fd, size, offset)

    def fsync(self, fd: int) -> None:
        self._before("fsync")
        super().fsync(fd)

    def rename(self, old: Path, new: Path) -> None:
        self._before("rename")
        super().rename(old, new)


def write_more(place: Path) -> None:
    with place.open("ab") as file:
        file.write(b"def")


def write_over(place: Path) -> None:
    before = place.stat()
    with place.open("r+b") as file:
        file.write(b"XYZ")
    os.utime(place, ns=(before.st_mtime_ns + 1, before.st_mtime_ns + 1))  # the clock of a disk may be coarse


def replace(place: Path) -> None:
    new = place.with_suffix(".new")
    new.write_bytes(b"XYZ")
    new.rename(place)


def remove(place: Path) -> None:
    place.unlink()


def make_a_folder_of_it(place: Path) -> None:
    place.unlink()
    place.mkdir()


def make_a_link_of_it(place: Path) -> None:
    place.unlink()
    place.symlink_to("/etc/passwd")


@pytest.mark.parametrize("when", ["create", "read", "fsync", "rename"])
@pytest.mark.parametrize(
    "change",
    [write_more, write_over, replace, remove, make_a_folder_of_it, make_a_link_of_it],
    ids=lambda f: f.__name__,
)
def test_a_stranger_that_changes_meanwhile_is_left_alone(
    client_on: Callable[..., Client], when: str, change: Callable[[Path], None]
) -> None:
    client = client_on(MeanwhileDisk(when, lambda: change(client.by_hand("a.csv"))))
    expected = client_on().folder.parent / "expected"
    for place in (client.by_hand("a.csv"), expected):
        place.write_bytes(b"abc")
    change(expected)
    assert client.adopt("a.csv") is None
    assert client.uploads() == {}
    assert client.staging() == []
    if expected.is_file() and not expected.is_symlink():
        assert client.by_hand("a.csv").read_bytes() == expected.read_bytes()
    assert client.by_hand("a.csv").is_dir() == expected.is_dir()


def test_an_upload_to_the_same_path_meanwhile_wins(client_on: Callable[..., Client]) -> None:
    client = client_on(MeanwhileDisk("fsync", lambda: client.put("a.csv", b"sent")))
    client.by_hand("a.csv").write_bytes(b"by hand")
    assert client.adopt("a.csv") is None
    assert client.see("a.csv") == b"sent"
    assert list(client.uploads().values()) == [b"sent"]


def test_a_rename_of_a_stranger_that_changes_meanwhile_is_refused(client_on: Callable[..., Client]) -> None:
    client = client_on(MeanwhileDisk("fsync", lambda: write_more(client.by_hand("a.tmp"))))
    client.by_hand("a.tmp").write_bytes(b"abc")
    with pytest.raises(Exception, match="still being written"):
        client.publish_renamed("a.tmp", "a.csv")
    assert client.by_hand("a.tmp").read_bytes() == b"abcdef"
    assert (client.staging(), client.uploads()) == ([], {})


def test_a_large_stranger_is_copied_in_blocks(client: Client) -> None:
    data = bytes(range(256)) * 10_000
    client.by_hand("a.csv").write_bytes(data)
    upload = client.adopt("a.csv", limit=len(data))
    assert upload
    assert upload.path.read_bytes() == data


def test_what_was_cut_off_at_the_path_ends_with_the_adoption(client: Client) -> None:
    client.break_off("a.csv", b"ab")
    client.by_hand("a.csv").write_bytes(b"abc")
    assert client.adopt("a.csv")
    assert client.home.find_partial(at("a.csv")) is None


class SecretFolderDisk(LocalDisk):
    """Cannot list one folder: root made it for itself, or its path is too long."""

    def __init__(self, number: int) -> None:
        self.number = number

    def names(self, path: Path) -> list[str]:
        if path.name == "secret":
            raise OSError(self.number, os.strerror(self.number))
        return super().names(path)


@pytest.mark.parametrize("number", [errno.EACCES, errno.ENAMETOOLONG])
def test_a_folder_that_cannot_be_read_does_not_stop_the_sweep(client_on: Callable[..., Client], number: int) -> None:
    client = client_on(SecretFolderDisk(number))
    client.by_hand("secret").mkdir()
    client.by_hand("z.csv").write_bytes(b"abc")
    assert client.strangers() == ["/z.csv"]
    with pytest.raises(CtsftpError, match="secret"):
        client.names("/secret")


def test_a_disk_that_fails_does_stop_the_sweep(client_on: Callable[..., Client]) -> None:
    client = client_on(SecretFolderDisk(errno.EIO))
    client.by_hand("secret").mkdir()
    with pytest.raises(DiskError, match="secret could not be listed"):
        client.strangers()


def test_a_file_deeper_than_a_client_could_ask_for_is_left_alone(client: Client) -> None:
    deepest = client.by_hand("/").joinpath(*["d"] * (MAX_DEPTH - 1))
    (deepest / "too").mkdir(parents=True)
    for folder in (deepest, deepest / "too"):
        (folder / "a.csv").write_bytes(b"abc")
    assert client.strangers() == ["/d" * (MAX_DEPTH - 1) + "/a.csv"]


class NotMineDisk(LocalDisk):
    """May not link what a local user owns (fs.protected_hardlinks)."""

    def link(self, old: Path, new: Path) -> None:
        if old.stat().st_nlink == 1 and "uploads" not in {folder.name for folder in old.parents[:2]}:
            raise PermissionError(errno.EPERM, "Operation not permitted")
        super().link(old, new)


def test_a_local_users_file_that_may_not_be_linked_is_adopted_overwritten_and_renamed(
    client_on: Callable[..., Client],
) -> None:
    client = client_on(NotMineDisk())
    for name in ("a.csv", "b.csv", "c.tmp"):
        client.by_hand(name).write_bytes(b"by hand")
    assert client.adopt("a.csv")
    client.put("b.csv", b"sent")
    assert client.publish_renamed("c.tmp", "c.csv")
    assert [client.see(name) for name in ("a.csv", "b.csv", "c.tmp")] == [b"by hand", b"sent", b"by hand"]
    assert client.strangers() == client.staging() == []


def test_a_file_that_is_linked_into_a_home_becomes_an_upload_of_its_own_bytes(client: Client) -> None:
    client.put("b.csv", b"sent")
    outside = client.folder.parent / "outside.csv"
    outside.write_bytes(b"abc")
    client.by_hand("a.csv").hardlink_to(outside)
    assert client.strangers() == ["/a.csv"]
    upload = client.adopt("a.csv")
    assert upload
    outside.write_bytes(b"changed")
    assert client.see("a.csv") == upload.path.read_bytes() == b"abc"
    assert (client.strangers(), client.adopt("a.csv"), client.staging()) == ([], None, [])


@pytest.mark.parametrize("new", ["b.csv", "b.tmp"])
def test_an_upload_by_the_rename_of_a_linked_file_is_a_copy(client: Client, new: str) -> None:
    place, outside = client.by_hand("a.tmp"), client.folder.parent / "outside.csv"
    outside.write_bytes(b"abc")
    place.hardlink_to(outside)
    upload = client.publish_renamed("a.tmp", new)
    client.rename("a.tmp", new)
    outside.write_bytes(b"changed")
    assert client.see(new) == upload.path.read_bytes() == b"abc"
    assert client.strangers() == []


@pytest.mark.parametrize("remembered", [True, False], ids=["of this process", "of an earlier one"])
def test_an_upload_that_is_linked_elsewhere_as_well_is_no_stranger(
    client_on: Callable[..., Client], *, remembered: bool
) -> None:
    client = client_on()
    upload = client.put("a.tmp", b"abc")
    (client.folder.parent / "backup").hardlink_to(upload.path)
    client = client if remembered else client_on()
    renamed = client.publish_renamed("a.tmp", "a.csv")
    assert renamed.path.samefile(upload.path)
    assert (client.strangers(), client.adopt("a.tmp")) == ([], None)


def test_an_upload_too_old_to_be_looked_for_is_renamed_as_a_copy(
    client_on: Callable[..., Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    old = client_on().put("a.tmp", b"abc")
    monkeypatch.setattr("ctsftp.spool.catalogue.RECENT_UPLOADS", 2)
    client = client_on()
    for name in ("1.csv", "2.csv", "3.csv"):
        client.put(name, b"x")
    upload = client.publish_renamed("a.tmp", "a.csv")
    assert (upload.path.read_bytes(), upload.path.samefile(old.path)) == (b"abc", False)
    assert len(client.spool._catalogue._recent_uploads) == 2
