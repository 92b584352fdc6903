"""What goes when its time has come, and what a restart clears, and nothing else."""

import os
import time
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from ctsftp.errors import DiskError
from ctsftp.spool.disk import LocalDisk
from ctsftp.spool.ids import UploadIds
from ctsftp.spool.paths import HomePath
from ctsftp.spool.stored import StoredUpload

from .bench import Client, at, uploads_of

DAY_S = 86_400


def test_an_upload_goes_with_its_name_in_the_home(client: Client) -> None:
    upload = client.put("a.csv", b"abc")
    client.spool.remove_upload(upload)
    assert (client.names(), client.strangers(), client.uploads()) == ([], [], {})
    assert client.spool.upload("acme", upload.id) is None
    client.spool.remove_upload(upload)


def test_an_upload_that_was_overwritten_leaves_the_home_as_it_is(client: Client) -> None:
    first, second = client.put("a.csv", b"first"), client.put("a.csv", b"2nd")
    client.spool.remove_upload(first)
    assert client.see("a.csv") == b"2nd"
    assert client.uploads() == {second.id: b"2nd"}


def test_an_upload_that_was_renamed_in_the_home_goes_with_its_new_name(client: Client) -> None:
    client.home.make_folder(at("sub"))
    upload = client.put("a.tmp", b"abc")
    client.rename("a.tmp", "sub/b.txt")
    client.spool.remove_upload(upload)
    assert (client.names("sub"), client.strangers()) == ([], [])


@pytest.mark.parametrize("first_to_go", [0, 1])
def test_of_two_uploads_with_the_same_bytes_the_last_takes_the_name_in_the_home_along(
    client: Client, first_to_go: int
) -> None:
    part = client.put("a.tmp", b"abc")
    upload = client.publish_renamed("a.tmp", "a.csv")
    client.rename("a.tmp", "a.csv")
    pair = [part, upload]
    client.spool.remove_upload(pair.pop(first_to_go))
    assert client.see("a.csv") == b"abc"
    assert client.uploads() == {pair[0].id: b"abc"}
    assert client.strangers() == []
    client.spool.remove_upload(pair[0])
    assert (client.names(), client.strangers(), client.uploads()) == ([], [], {})


def test_a_hard_link_from_elsewhere_does_not_keep_the_name_in_the_home(client: Client) -> None:
    upload = client.put("a.csv", b"abc")
    backup = client.folder.parent / "backup"
    backup.hardlink_to(upload.path)
    client.spool.remove_upload(upload)
    backup.unlink()
    assert (client.names(), client.strangers()) == ([], [])


def test_what_was_put_beside_an_upload_by_hand_is_not_deleted(client: Client) -> None:
    upload = client.put("a.csv", b"abc")
    (upload.path.parent / "z").mkdir()
    with pytest.raises(DiskError, match="not empty"):
        client.spool.remove_upload(upload)
    assert not upload.path.exists()


def test_partials_go_after_their_days_whatever_times_their_client_gave_them(client_on: Callable[..., Client]) -> None:
    now = time.time()
    client = client_on(clock_s=lambda: now)
    client.home.make_folder(at("sub"))
    client.put("whole.csv", b"abc")
    for path, modified_s in (("a.csv", 0), ("sub/b.csv", now + 1_000 * DAY_S)):
        client.break_off(path, b"ab")
        client.home.set_times(at(path), modified_s, modified_s)
    now += 3 * DAY_S - 60
    assert client.spool.drop_old_partials("acme", keep_days=3) == 0
    now += 120
    assert client.spool.drop_old_partials("acme", keep_days=3) == 2
    assert (client.names(), client.names("sub")) == (["sub", "whole.csv"], [])


def test_a_restart_throws_away_what_was_being_written_and_nothing_else(client: Client) -> None:
    upload = client.put("a.csv", b"abc")
    client.break_off("b.csv", b"ab")
    client.open("c.csv").write(0, b"abc")
    client.resume("a.csv")
    (client.folder / "staging" / "by hand").mkdir()
    died_here = client.folder / "uploads" / "018bcfe5-687b-7fff-bfff-ffffffffffff"
    (died_here / "in" / "lists").mkdir(parents=True)
    assert client.spool.clear_staging() == 2
    assert client.staging() == ["by hand"]
    assert client.uploads() == {upload.id: b"abc"}
    assert client.names() == ["a.csv", "b.csv"]


def test_an_empty_spool_has_nothing_to_clear(client: Client) -> None:
    assert client.spool.clients() == []
    assert client.spool.clear_staging() == 0
    assert client.spool.drop_old_partials("acme", keep_days=3) == 0
    assert uploads_of(client.spool) == []


class CountingDisk(LocalDisk):
    """Counts what is asked of it, and the looks at one folder."""

    def __init__(self) -> None:
        self.calls = 0
        self.looks: Counter[str] = Counter()

    def names(self, path: Path) -> list[str]:
        self.calls += 1
        self.looks[path.name] += 1
        return super().names(path)

    def lstat(self, path: Path) -> os.stat_result:
        self.calls += 1
        return super().lstat(path)


def remove_all(client: Client, uploads: Iterable[StoredUpload], between: Callable[[], object] = lambda: None) -> int:
    deleted, left = 0, [upload.id for upload in uploads]
    with client.spool.removal("acme", left) as removal:
        while left:
            between()
            gone, left = removal.remove(left, for_s=0)  # one at a time
            deleted += gone
    return deleted


@pytest.mark.parametrize("kind", ["put", "renamed", "backed up elsewhere"])
def test_many_uploads_go_with_one_look_at_the_home(client_on: Callable[..., Client], kind: str) -> None:
    def calls_for(count: int, folder: str) -> int:
        disk = CountingDisk()
        client = client_on(disk, folder=folder)
        uploads = [client.put(f"{number}.tmp", b"x") for number in range(count)]
        for number, upload in enumerate(uploads[:count]):
            if kind == "renamed":
                uploads.append(client.publish_renamed(f"{number}.tmp", f"{number}.csv"))
                client.rename(f"{number}.tmp", f"{number}.csv")
            elif kind == "backed up elsewhere":
                (client.folder.parent.parent / f"{folder}-{number}").hardlink_to(upload.path)
        disk.calls, disk.looks = 0, Counter()
        assert remove_all(client, uploads) == len(uploads)
        assert disk.looks["home"] == 1
        assert disk.looks["uploads"] <= 1
        assert (client.names(), client.strangers(), client.uploads()) == ([], [], {})
        return disk.calls

    few, many = calls_for(20, "few"), calls_for(80, "many")
    assert many <= 4 * few, "four times as many take four times as long"


@pytest.mark.parametrize("how", ["file", "folder", "twice"])
def test_a_name_that_was_moved_after_the_look_goes_as_well(client: Client, how: str) -> None:
    client.home.make_folder(at("in"))
    client.home.make_folder(at("in/deep"))
    upload, other = client.put("in/deep/a.txt", b"abc"), client.put("b.txt", b"other")

    def move() -> None:
        if how == "folder":
            client.rename("in", "out")
        else:
            client.rename("in/deep/a.txt", "c.txt")
            if how == "twice":
                client.rename("c.txt", "d.txt")
                client.home.remove_folder(at("in/deep"))

    assert remove_all(client, [upload], between=move) == 1
    assert client.strangers() == []
    assert client.uploads() == {other.id: b"other"}
    assert [name for name in client.names() if name.endswith(".txt")] == ["b.txt"]


def test_a_file_that_became_another_upload_after_the_look_keeps_its_name(client: Client) -> None:
    upload, second = client.put("a.tmp", b"abc"), client.put("b.tmp", b"abc")
    client.publish_renamed("b.tmp", "b.csv")  # so that who shares bytes is found out at the first of them
    made: list[StoredUpload] = []

    def publish() -> None:
        if not made:
            made.append(client.publish_renamed("a.tmp", "a.csv"))
            client.rename("a.tmp", "a.csv")

    assert remove_all(client, [second, upload], between=publish) == 2
    assert client.see("a.csv") == client.uploads()[made[0].id] == b"abc"
    assert client.strangers() == []


def test_the_spool_stops_between_files(client: Client) -> None:
    uploads = [client.put(f"{number}.csv", b"x") for number in range(3)]
    client.break_off("cut.csv", b"x")
    client.spool.stop()
    with client.spool.removal("acme", [upload.id for upload in uploads]) as removal:
        assert removal.remove([upload.id for upload in uploads], for_s=1) == (0, [])
    assert len(client.uploads()) == 3
    assert client.spool.drop_old_partials("acme", keep_days=0) == 0
    assert client.strangers() == []
    client.by_hand("z.csv").write_bytes(b"abc")
    assert client.adopt("z.csv") is None
    assert list(client.spool.of_each_client("look", len)) == []


@pytest.mark.alone
def test_a_hundred_thousand_uploads_expire_within_a_minute() -> None:
    """In memory: of a disk, its own speed would be measured, and what else uses it."""
    with TemporaryDirectory(dir="/dev/shm") as folder:
        client = Client(Path(folder), LocalDisk())
        ids, home = UploadIds(), client.home
        old = [ids.next() for _ in range(100_000)]
        for number, upload_id in enumerate(old):
            place = client.folder / "uploads" / upload_id / f"{number}.csv"
            place.parent.mkdir()
            place.touch()
            home.file(HomePath((place.name,))).hardlink_to(place)
        began = time.monotonic()
        with client.spool.removal("acme", old) as removal:
            left = old
            while left:
                _, rest = removal.remove(left[:500], for_s=0.2)
                left = rest + left[500:]
        assert time.monotonic() - began < 60
        assert (client.uploads(), client.names()) == ({}, [])
