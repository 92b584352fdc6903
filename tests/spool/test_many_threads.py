"""Calls come from many threads at once: sessions of one client, and the sweep."""

import contextlib
import os
import random
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from ctsftp.errors import CtsftpError
from ctsftp.spool.disk import LocalDisk
from ctsftp.spool.ids import UploadIds

from .bench import Client, at, uploads_of

THREADS = 6


class QuickDisk(LocalDisk):
    """Makes nothing durable; counts the descriptors that are open."""

    def __init__(self) -> None:
        self.open_fds: set[int] = set()

    def fsync(self, fd: int) -> None:
        assert fd in self.open_fds

    def fsync_folder(self, path: Path) -> None:
        self.names(path)

    def create(self, path: Path) -> int:
        return self._noted(super().create(path))

    def open_write(self, path: Path) -> int:
        return self._noted(super().open_write(path))

    def open_read(self, path: Path) -> int:
        return self._noted(super().open_read(path))

    def close(self, fd: int) -> None:
        self.open_fds.remove(fd)
        super().close(fd)

    def _noted(self, fd: int) -> int:
        self.open_fds.add(fd)
        return fd


@pytest.fixture(autouse=True)
def _threads_take_turns_often() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


def at_once(work: Callable[[int], object]) -> list[object]:
    """Start `work` in all threads at the same moment, and wait for them."""
    barrier = Barrier(THREADS)

    def begin(number: int) -> object:
        barrier.wait(10)
        return work(number)

    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(begin, range(THREADS)))


def test_the_home_shows_the_upload_with_the_last_id_whoever_was_quicker(client_on: Callable[..., Client]) -> None:
    client = client_on(QuickDisk())
    at_once(lambda number: [client.put("a.csv", b"%d" % number * (1 + turn)) for turn in range(15)])
    uploads = client.uploads()
    assert len(uploads) == THREADS * 15
    assert client.see("a.csv") == uploads[max(uploads)]
    assert (client.staging(), client.strangers()) == ([], [])


def test_exactly_one_of_many_handles_claims_what_was_cut_off(client_on: Callable[..., Client]) -> None:
    client = client_on(QuickDisk())
    for turn in range(20):
        client.break_off(f"{turn}.csv", b"abc")
        handles = at_once(lambda _, path=f"{turn}.csv": client.resume(path))
        assert sorted(staged.stat().st_size for staged in handles) == [0] * (THREADS - 1) + [3]
        for staged in handles:
            client.cut_off(staged)
    assert client.staging() == []


def test_a_new_client_is_made_once(client_on: Callable[..., Client]) -> None:
    client = client_on(QuickDisk())
    homes = at_once(lambda _: client.home)
    assert len({id(home) for home in homes}) == 1


class LockWatch(LocalDisk):
    """Notes which locks are held when the home changes, and when something is made durable."""

    def __init__(self) -> None:
        self.client: Client | None = None
        self.changes: list[bool] = []
        self.syncs: list[bool] = []

    def _note(self, *paths: Path) -> None:
        if self.client and any(_is_shown(path, self.client.folder) for path in paths):
            self.changes.append(self._is_held())

    def _is_held(self) -> bool:
        """Ask from another thread, since a thread may take a lock twice that it holds."""
        assert self.client
        lock = self.client.home.lock
        with ThreadPoolExecutor(1) as other:
            if other.submit(lock.acquire, blocking=False).result():
                other.submit(lock.release).result()
                return False
        return True

    def rename(self, old: Path, new: Path) -> None:
        self._note(old, new)
        super().rename(old, new)

    def unlink(self, path: Path) -> None:
        self._note(path)
        super().unlink(path)

    def make_folder(self, path: Path) -> None:
        self._note(path)
        super().make_folder(path)

    def remove_folder(self, path: Path) -> None:
        self._note(path)
        super().remove_folder(path)

    def fsync(self, fd: int) -> None:  # noqa: ARG002
        if self.client:
            self.syncs.append(self._is_held())

    def fsync_folder(self, path: Path) -> None:  # noqa: ARG002
        if self.client:
            self.syncs.append(self._is_held())


def _is_shown(path: Path, folder: Path) -> bool:
    return path.relative_to(folder).parts[0] in {"home", "partials"}


def test_the_home_changes_only_under_its_lock_and_nothing_is_made_durable_under_it(
    client_on: Callable[..., Client],
) -> None:
    client = client_on(disk := LockWatch())
    client.home  # noqa: B018  make its folders
    disk.client = client
    client.home.make_folder(at("in"))
    client.put("in/a.csv", b"abc")
    client.break_off("in/a.csv", b"ab")
    resumed = client.resume("in/a.csv")
    resumed.write(2, b"c")
    client.publish(resumed)
    client.by_hand("b.tmp").write_bytes(b"abc")
    client.adopt("b.tmp")
    client.rename("in", "out")
    client.publish_renamed("b.tmp", "out/a.csv", replace=True)
    client.rename("b.tmp", "out/a.csv", replace=True)
    client.break_off("c.csv", b"ab")
    client.spool.drop_old_partials("acme", keep_days=0)
    for upload in uploads_of(client.spool):
        client.spool.remove_upload(upload)
    client.put("c.csv", b"abc")
    client.home.remove(at("c.csv"))
    client.home.remove_folder(at("out"))
    assert len(disk.changes) > 10
    assert all(disk.changes)
    assert len(disk.syncs) > 10
    assert not any(disk.syncs)


def test_an_id_is_made_when_no_other_upload_to_its_path_is_on_its_way(client_on: Callable[..., Client]) -> None:
    held: list[bool] = []

    def next_id() -> str:
        held.append(client.spool._place_lock("acme", at("a.csv")).locked())
        return ids.next()

    ids = UploadIds()
    client = client_on(next_id=next_id)
    client.put("a.csv", b"abc")
    assert held == [True]


class OneLook(LocalDisk):
    """Lets something happen right after the first look at a place."""

    def __init__(self) -> None:
        self.then: dict[Path, Callable[[], object]] = {}

    def lstat(self, path: Path) -> os.stat_result:
        try:
            return super().lstat(path)
        finally:
            if then := self.then.pop(path, None):
                then()


@pytest.mark.parametrize("look", ["home", "partials"])
def test_a_file_that_is_completed_during_a_look_is_never_gone(client_on: Callable[..., Client], look: str) -> None:
    client = client_on(disk := OneLook())
    client.break_off("a.csv", b"ab")
    disk.then[client.folder / look / "a.csv"] = lambda: client.put("a.csv", b"abc")
    assert client.home.stat(at("a.csv")).size in {2, 3}
    assert disk.then == {}
    assert client.see("a.csv") == b"abc"


PATHS = ("a.csv", "b.tmp", "in/a.csv", "in/b.tmp", "out/a.csv")
FOLDERS = ("in", "out")
TAG_BYTES = 64


def do_something(client: Client, dice: random.Random) -> None:
    path, other, folder, another = dice.choice(PATHS), dice.choice(PATHS), *dice.choices(FOLDERS, k=2)
    data = bytes([dice.randrange(256)]) * TAG_BYTES
    actions: list[Callable[[], object]] = [
        lambda: client.put(path, data),
        lambda: client.put(path, data),
        lambda: client.break_off(path, data[: TAG_BYTES // 2]),
        lambda: client.cut_off(client.resume(path)),
        lambda: client.publish(client.resume(path)),
        lambda: client.cut_off(client.open(path, exclusive=True)),
        lambda: (client.publish_renamed(path, other, replace=True), client.rename(path, other, replace=True)),
        lambda: client.rename(path, other, replace=dice.random() < 0.5),
        lambda: client.rename(folder, another),
        lambda: client.home.make_folder(at(folder)),
        lambda: client.home.remove(at(path)),
        lambda: client.home.remove_folder(at(folder)),
        lambda: client.home.set_times(at(path), 1, 2),
        lambda: (client.names(), client.names(folder), client.see(path)),
        lambda: client.adopt(path),
        lambda: [client.adopt(stranger) for stranger in client.strangers()],
        lambda: client.spool.remove_upload(dice.choice(uploads_of(client.spool) or [client.put(path, data)])),
        lambda: client.spool.drop_old_partials("acme", keep_days=0),
    ]
    with contextlib.suppress(CtsftpError):  # that something is not there, or there already, is an answer
        dice.choice(actions)()


@pytest.mark.parametrize("seed", range(2))
def test_whatever_is_done_at_once_no_upload_is_harmed(client_on: Callable[..., Client], seed: int) -> None:
    client = client_on(disk := QuickDisk())

    def work(number: int) -> None:
        dice = random.Random(seed * THREADS + number)  # noqa: S311  the same throws in each run
        for _ in range(60):
            do_something(client, dice)

    at_once(work)
    client.put("last.csv", b"x" * TAG_BYTES)
    for data in client.uploads().values():
        assert len(data) in {0, TAG_BYTES // 2, TAG_BYTES}  # nothing, or a half, was resumed and closed
        assert len(set(data)) <= 1
    inodes = {upload.path.stat().st_ino for upload in uploads_of(client.spool)}
    shown = [place for place in client.by_hand("/").rglob("*") if place.is_file()]
    assert all(place.stat().st_ino in inodes for place in shown)
    assert (client.staging(), disk.open_fds) == ([], set())
