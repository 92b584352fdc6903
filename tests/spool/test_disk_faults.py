"""Whichever call to the disk fails, the caller is told, and nothing that was there before is touched.

Each case runs once on a sound disk to see which calls it makes, then again for each of them with that
call failing: alone, and with all later calls of its kind failing too.
"""

import errno
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest

from ctsftp.errors import CtsftpError, DiskError
from ctsftp.spool.disk import Disk, LocalDisk

from .bench import Client, at, uploads_of

OPENING = {"create", "open_write", "open_read"}
CLEARING = {"unlink", "remove_folder"}  # if these fail, nothing can be cleared away: they have a test of their own
# If these fail for good, what stands in the home cannot be found or put back any more.
ONLY_ONCE = {"lstat"}


class FaultyDisk:
    """A real disk whose `nth` call of a kind fails, alone or with all later ones; notes its calls in `log`."""

    def __init__(self) -> None:
        self.log: list[tuple[str, tuple[Any, ...]]] = []
        self.open_fds: set[int] = set()
        self._real = LocalDisk()
        self._left: Counter[str] = Counter()
        self._fault = OSError()
        self._for_good = False

    def fail(self, kind: str, nth: int, number: int, *, for_good: bool) -> None:
        """Arm one fault, counting from now on."""
        self._left = Counter({kind: nth})
        self._fault = OSError(number, os.strerror(number))
        self._for_good = for_good

    def mend(self) -> None:
        self._left.clear()

    def __getattr__(self, kind: str) -> Callable[..., object]:
        def call(*args: Any) -> object:
            self.log.append((kind, args))
            self._break_if_due(kind, args)
            if kind.startswith("fsync"):
                return None  # the order is what counts here, and it is in the log
            result = getattr(self._real, kind)(*args)
            if kind in OPENING:
                self.open_fds.add(result)
            elif kind == "close":
                self.open_fds.remove(args[0])
            return result

        return call

    def _break_if_due(self, kind: str, args: tuple[Any, ...]) -> None:
        if kind not in self._left:
            return
        self._left[kind] -= 1
        if self._left[kind] == 0 or (self._left[kind] < 0 and self._for_good):
            if kind == "close":  # Linux closes a descriptor also when it reports a fault
                self.open_fds.remove(args[0])
                self._real.close(args[0])
            raise self._fault


@dataclass(frozen=True)
class State:
    """All files of a client, by their places."""

    uploads: dict[str, bytes]
    home: dict[str, bytes]
    partials: dict[str, bytes]

    @classmethod
    def of(cls, client: Client) -> "State":
        return cls(*(files_below(client.folder / name) for name in ("uploads", "home", "partials")))


def files_below(folder: Path) -> dict[str, bytes]:
    return {str(place.relative_to(folder)): place.read_bytes() for place in folder.rglob("*") if place.is_file()}


class Case:
    """Something a session or the sweep does: `prepare` on a sound disk, then `act`."""

    def __init__(self, prepare: Callable[[Client], Callable[[], object]], *, new: bytes | None = None) -> None:
        self.prepare = prepare
        self.new = new  # the bytes of the upload that it makes


def new_file(client: Client) -> Callable[[], object]:
    staged = client.open("sub/new.csv")
    staged.write(0, b"new")
    return lambda: client.publish(staged)


def overwrite(client: Client) -> Callable[[], object]:
    staged = client.open("sub/old.csv")
    staged.write(0, b"new")
    return lambda: client.publish(staged)


def written_during_the_fault(client: Client) -> Callable[[], object]:
    staged = client.open("sub/old.csv")

    def act() -> None:
        try:
            staged.write(0, b"ne")
            staged.write(2, b"w")
        except CtsftpError:
            pass  # as OpenSSH's client does: it sends its CLOSE all the same
        client.publish(staged)

    return act


def overwrite_of_a_strangers_file(client: Client) -> Callable[[], object]:
    client.by_hand("sub/hand.csv").write_bytes(b"by hand")
    staged = client.open("sub/hand.csv")
    staged.write(0, b"new")
    return lambda: client.publish(staged)


def resumed(client: Client) -> Callable[[], object]:
    client.break_off("sub/cut.csv", b"ne")
    staged = client.resume("sub/cut.csv", append=True)
    staged.write(2, b"w")
    return lambda: client.publish(staged)


def renamed(client: Client) -> Callable[[], object]:
    return lambda: client.publish_renamed("sub/old.csv", "sub/new.csv")


def renamed_stranger(client: Client) -> Callable[[], object]:
    client.by_hand("sub/hand.tmp").write_bytes(b"by hand")
    return lambda: client.publish_renamed("sub/hand.tmp", "sub/new.csv")


def adopted(client: Client) -> Callable[[], object]:
    client.by_hand("sub/hand.csv").write_bytes(b"by hand")
    return lambda: client.adopt("sub/hand.csv")


def cut_off(client: Client) -> Callable[[], object]:
    staged = client.open("sub/old.csv")
    staged.write(0, b"new")
    staged.write(9, b"behind a hole")
    return lambda: client.cut_off(staged)


def cut_off_again(client: Client) -> Callable[[], object]:
    client.break_off("sub/cut.csv", b"ne")
    staged = client.resume("sub/cut.csv")
    return lambda: client.cut_off(staged)


def opened(client: Client) -> Callable[[], object]:
    return lambda: client.cut_off(client.open("sub/new.csv"))


def opened_to_change(client: Client) -> Callable[[], object]:
    return lambda: client.cut_off(client.resume("sub/old.csv"))


CASES = {
    "new file": Case(new_file, new=b"new"),
    "overwrite": Case(overwrite, new=b"new"),
    "written during the fault": Case(written_during_the_fault, new=b"new"),
    "overwrite of a stranger's file": Case(overwrite_of_a_strangers_file, new=b"new"),
    "resumed": Case(resumed, new=b"new"),
    "renamed": Case(renamed, new=b"old"),
    "renamed stranger": Case(renamed_stranger, new=b"by hand"),
    "adopted": Case(adopted, new=b"by hand"),
    "cut off": Case(cut_off),
    "cut off again": Case(cut_off_again),
    "opened": Case(opened),
    "opened to change": Case(opened_to_change),
}


def begin(root: Path, case: Case) -> tuple[Client, FaultyDisk, Callable[[], object]]:
    """Make a client with a folder and an old file, and get ready to act."""
    disk = FaultyDisk()
    client = Client(root, cast("Disk", disk))
    client.home.make_folder(at("sub"))
    client.put("sub/old.csv", b"old")
    return client, disk, case.prepare(client)


def calls_of(root: Path, case: Case) -> list[tuple[str, int]]:
    """List the calls that a case makes on a sound disk: the first, second, ... of each kind."""
    _, disk, act = begin(root, case)
    before = len(disk.log)
    act()
    made = Counter(kind for kind, _ in disk.log[before:] if kind not in CLEARING)
    assert made.total() > 3
    return [(kind, nth) for kind, count in made.items() for nth in range(1, count + 1)]


@pytest.mark.parametrize("for_good", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_a_call_that_fails_leaves_all_that_was_there(tmp_path: Path, name: str, for_good: bool) -> None:  # noqa: FBT001
    case = CASES[name]
    for kind, nth in calls_of(tmp_path / "sound", case):
        if for_good and kind in ONLY_ONCE:
            continue
        number = errno.ENOSPC if kind in {"write", "create", "make_folder", "link"} else errno.EIO
        client, disk, act = begin(tmp_path / f"{kind}-{nth}", case)
        before = State.of(client)
        disk.fail(kind, nth, number, for_good=for_good)
        fault = attempt(act)
        disk.mend()
        check(case, before, client, fault)
        assert client.staging() == []
        assert disk.open_fds == set()


def attempt(act: Callable[[], object]) -> CtsftpError | None:
    """Act; only an error of ours may come out."""
    try:
        act()
    except CtsftpError as exc:
        return exc
    return None


def check(case: Case, before: State, client: Client, fault: CtsftpError | None) -> None:
    after = State.of(client)
    if fault or case.new is None:
        assert after.uploads == before.uploads
        assert after.home == before.home
        assert fault is None or isinstance(fault, DiskError)
    else:
        made = {place: data for place, data in after.uploads.items() if place not in before.uploads}
        assert before.uploads == {place: after.uploads[place] for place in before.uploads}
        assert list(made.values()) == [case.new]
    assert all(b"new".startswith(data) or data == b"old" for data in after.partials.values())
    assert {place.name for place in (client.folder / "uploads").iterdir()} == {
        place.split("/")[0] for place in after.uploads
    }


@pytest.mark.parametrize("kind", sorted(CLEARING))
@pytest.mark.parametrize("name", CASES)
def test_what_cannot_be_cleared_away_does_no_harm(tmp_path: Path, name: str, kind: str) -> None:
    case = CASES[name]
    client, disk, act = begin(tmp_path, case)
    before = State.of(client)
    disk.fail(kind, 1, errno.EIO, for_good=True)
    attempt(act)
    disk.mend()
    after = State.of(client)
    assert before.uploads.items() <= after.uploads.items()
    assert all(data == case.new for place, data in after.uploads.items() if place not in before.uploads)
    client.spool.clear_staging()
    assert client.staging() == []


def test_a_partial_that_cannot_be_opened_stays_for_the_next_try(tmp_path: Path) -> None:
    for kind in ("open_write", "rename"):
        disk = FaultyDisk()
        client = Client(tmp_path / kind, cast("Disk", disk))
        client.break_off("a.csv", b"abc")
        disk.fail(kind, 1, errno.EIO, for_good=True)
        with pytest.raises(DiskError, match="could not be opened"):
            client.resume("a.csv")
        disk.mend()
        assert client.see("a.csv") == b"abc"
        assert client.staging() == []
        assert disk.open_fds == set()


def test_a_file_of_a_failed_fsync_is_never_synced_again(tmp_path: Path) -> None:
    for name, case in CASES.items():
        client, disk, act = begin(tmp_path / name, case)
        before = len(disk.log)
        disk.fail("fsync", 1, errno.EIO, for_good=False)
        attempt(act)
        synced = [args[0] for kind, args in disk.log[before:] if kind == "fsync"]
        assert len(synced) <= 1
        if synced:
            assert State.of(client).partials == {}


def test_an_upload_is_made_durable_step_by_step_before_it_shows(tmp_path: Path) -> None:
    client, disk, act = begin(tmp_path, CASES["overwrite"])
    before = len(disk.log)
    upload = cast("Any", act())
    uploads, home = client.folder / "uploads", client.folder / "home"
    steps = [
        (kind, args[-1] if kind != "fsync" else None)
        for kind, args in disk.log[before:]
        if kind in {"fsync", "fsync_folder", "rename"}
    ]
    assert steps == [
        ("fsync", None),
        ("rename", upload.path),
        ("fsync_folder", uploads / upload.id / "sub"),
        ("fsync_folder", uploads / upload.id),
        ("fsync_folder", uploads),
        ("rename", home / "sub" / "old.csv"),
        ("fsync_folder", home / "sub"),
    ]


def test_the_folders_of_a_client_are_durable_before_anything_is_in_them(tmp_path: Path) -> None:
    for made_before in (False, True):
        disk = FaultyDisk()
        client = Client(tmp_path / "clients", cast("Disk", disk))
        if made_before:  # by a process that died before it could make them durable
            assert (tmp_path / "clients" / "acme" / "home").is_dir()
        client.put("a.csv", b"abc")
        synced = [args[0] for kind, args in disk.log if kind == "fsync_folder"]
        assert synced[:2] == [client.folder, client.folder.parent]


def test_a_new_folder_in_the_home_is_durable_before_it_is_told(tmp_path: Path) -> None:
    disk = FaultyDisk()
    client = Client(tmp_path, cast("Disk", disk))
    client.home.make_folder(at("sub"))
    client.home.make_folder(at("sub/deep"))
    assert [args[0].name for kind, args in disk.log if kind == "fsync_folder"][-2:] == ["home", "sub"]


def test_a_name_that_is_taken_out_of_the_home_is_gone_for_good_before_its_upload_goes(tmp_path: Path) -> None:
    disk = FaultyDisk()
    client = Client(tmp_path, cast("Disk", disk))
    upload = client.put("a.csv", b"abc")
    before = len(disk.log)
    client.spool.remove_upload(upload)
    steps = [(kind, args[0]) for kind, args in disk.log[before:] if kind in {"unlink", "fsync_folder"}]
    assert steps == [
        ("unlink", client.folder / "home" / "a.csv"),
        ("fsync_folder", client.folder / "home"),
        ("unlink", upload.path),
    ]


HOME_CALLS: dict[str, Callable[[Client], object]] = {
    "stat": lambda client: client.home.stat(at("a.csv")),
    "entries": lambda client: client.names(),
    "open": lambda client: client.see("a.csv"),
    "set_times": lambda client: client.home.set_times(at("a.csv"), 1, 2),
    "room": lambda client: client.home.room(),
    "make_folder": lambda client: client.home.make_folder(at("sub")),
    "remove_folder": lambda client: client.home.remove_folder(at("empty")),
    "remove": lambda client: client.home.remove(at("a.csv")),
    "rename": lambda client: client.rename("a.csv", "b.csv"),
    "rename a folder": lambda client: client.rename("empty", "sub"),
    "strangers": lambda client: client.strangers(),
    "uploads": lambda client: uploads_of(client.spool),
    "clear_staging": lambda client: client.spool.clear_staging(),
    "drop_old_partials": lambda client: client.spool.drop_old_partials("acme", keep_days=0),
    "remove_upload": lambda client: [client.spool.remove_upload(one) for one in uploads_of(client.spool)],
}


@pytest.mark.parametrize("name", HOME_CALLS)
def test_no_call_lets_a_bare_error_of_the_disk_out(tmp_path: Path, name: str) -> None:
    sound = FaultyDisk()
    HOME_CALLS[name](prepared(tmp_path / "sound", sound))
    for kind in {kind for kind, _ in sound.log}:
        for nth in range(1, 1 + sum(called == kind for called, _ in sound.log)):
            disk = FaultyDisk()
            client = prepared(tmp_path / f"{kind}-{nth}", disk)
            disk.fail(kind, nth, errno.EIO, for_good=False)
            attempt(lambda client=client: HOME_CALLS[name](client))
            assert disk.open_fds == set()


def prepared(root: Path, disk: FaultyDisk) -> Client:
    client = Client(root, cast("Disk", disk))
    client.home.make_folder(at("empty"))
    client.put("a.csv", b"abc")
    client.break_off("c.csv", b"ab")
    disk.log.clear()
    return client
