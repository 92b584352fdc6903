"""What a client sees and does in its home, where a local user may have put anything."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from ctsftp.errors import NoSuchPathError, PathRefusedError, PathTakenError, PeerError
from ctsftp.spool.disk import LocalDisk
from ctsftp.spool.paths import MAX_DEPTH, MAX_PATH_BYTES, HomePath

from .bench import Client, at


def test_a_folder_lists_its_folders_files_and_what_was_cut_off_in_it_by_name(client: Client) -> None:
    client.home.make_folder(at("/sub"))
    client.put("b.csv", b"whole")
    client.break_off("b.csv", b"bro")
    client.break_off("a.csv", b"ab")
    client.break_off("/sub/c.csv", b"abc")
    shown = [(entry.name, entry.is_folder, entry.size) for entry in client.home.entries(at("/")) if not entry.is_folder]
    assert shown == [("a.csv", False, 2), ("b.csv", False, 5)]
    assert client.names("/") == ["a.csv", "b.csv", "sub"]
    assert client.names("/sub") == ["c.csv"]


def plant_link(place: Path) -> None:
    place.symlink_to("/etc")


def plant_fifo(place: Path) -> None:
    os.mkfifo(place)


@pytest.mark.parametrize("plant", [plant_link, plant_fifo])
def test_what_is_neither_file_nor_folder_is_not_shown_and_every_call_refuses_it(
    client: Client, plant: Callable[[Path], None]
) -> None:
    client.put("a.csv", b"abc")
    plant(client.by_hand("x"))
    assert client.names() == ["a.csv"]
    calls: list[Callable[[], object]] = [
        lambda: client.home.stat(at("x")),
        lambda: client.home.open(at("x")),
        lambda: client.home.entries(at("x")),
        lambda: client.home.remove(at("x")),
        lambda: client.home.remove_folder(at("x")),
        lambda: client.home.make_folder(at("x")),
        lambda: client.home.set_times(at("x"), 0, 0),
        lambda: client.rename("x", "b.csv", replace=True),
        lambda: client.rename("a.csv", "x", replace=True),
        lambda: client.publish_renamed("x", "b.csv"),
        lambda: client.publish_renamed("a.csv", "x", replace=True),
        lambda: client.open("x"),
        lambda: client.adopt("x"),
    ]
    for call in calls:
        with pytest.raises(PathRefusedError):
            call()
    assert client.strangers() == []
    assert client.staging() == []


def test_no_path_leads_through_a_link(client: Client, tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "key").write_bytes(b"secret")
    client.by_hand("x").symlink_to(tmp_path / "secret")
    client.put("a.csv", b"abc")
    calls: list[Callable[[], object]] = [
        lambda: client.home.stat(at("x/key")),
        lambda: client.see("x/key"),
        lambda: client.open("x/new.csv"),
        lambda: client.home.make_folder(at("x/sub")),
        lambda: client.home.remove(at("x/key")),
        lambda: client.rename("x/key", "key"),
        lambda: client.rename("a.csv", "x/a.csv"),
        lambda: client.publish_renamed("x/key", "b.csv"),
    ]
    for call in calls:
        with pytest.raises(PathRefusedError, match="link"):
            call()
    assert [place.name for place in (tmp_path / "secret").iterdir()] == ["key"]
    assert client.strangers() == []


class QuickHands(LocalDisk):
    """A local user who replaces a file between the look at it and the act."""

    def __init__(self) -> None:
        self.replace: Callable[[], None] | None = None

    def _now(self) -> None:
        replace, self.replace = self.replace, None
        if replace:
            replace()

    def open_read(self, path: Path) -> int:
        self._now()
        return super().open_read(path)

    def link(self, old: Path, new: Path) -> None:
        self._now()
        super().link(old, new)


@pytest.mark.parametrize("plant", [plant_link, plant_fifo])
def test_a_file_that_is_replaced_after_the_look_is_neither_read_nor_taken(
    client_on: Callable[..., Client], plant: Callable[[Path], None]
) -> None:
    client = client_on(disk := QuickHands())
    client.put("a.csv", b"abc")

    def replace() -> None:
        client.by_hand("a.csv").unlink()
        plant(client.by_hand("a.csv"))

    disk.replace = replace
    with pytest.raises(PathRefusedError):
        client.home.open(at("a.csv"))
    kept = client.put("b.csv", b"abc")
    disk.replace = lambda: (client.by_hand("b.csv").unlink(), plant(client.by_hand("b.csv")))  # type: ignore[assignment, func-returns-value]
    with pytest.raises(PeerError, match="replaced"):
        client.publish_renamed("b.csv", "c.csv")
    assert kept.id in client.uploads()
    assert len(client.uploads()) == 2


def test_a_move_onto_another_name_of_the_same_file_leaves_one_name(client: Client) -> None:
    client.put("a.csv", b"abc")
    client.by_hand("b.csv").hardlink_to(client.by_hand("a.csv"))
    client.rename("a.csv", "b.csv", replace=True)
    assert client.names() == ["b.csv"]
    assert client.see("b.csv") == b"abc"


def test_a_place_moved_onto_itself_is_still_there(client: Client) -> None:
    client.home.make_folder(at("sub"))
    client.put("sub/a.csv", b"abc")
    place = client.by_hand("sub/a.csv")
    client.home.move(place, place)
    client.rename("sub", "sub")
    client.rename("sub/a.csv", "sub/a.csv", replace=True)
    assert client.see("sub/a.csv") == b"abc"


def test_a_folder_cannot_be_moved_into_itself_nor_the_home_anywhere(client: Client) -> None:
    client.home.make_folder(at("sub"))
    for old, new in (("sub", "sub/deeper"), ("/", "sub/home"), ("/", "/")):
        with pytest.raises(PathRefusedError, match="into itself"):
            client.rename(old, new)
    with pytest.raises(PathRefusedError):
        client.home.remove_folder(at("/"))


def test_a_file_renamed_away_takes_what_was_cut_off_under_its_name_along(client: Client) -> None:
    client.put("a.csv", b"abc")
    client.break_off("a.csv", b"ab")
    client.rename("a.csv", "b.csv")
    assert client.names() == ["b.csv"]


def test_a_folder_is_replaced_by_nothing_and_replaces_nothing(client: Client) -> None:
    client.home.make_folder(at("sub"))
    client.home.make_folder(at("other"))
    client.put("a.csv", b"abc")
    for old, new in (("sub", "a.csv"), ("a.csv", "sub"), ("sub", "other")):
        with pytest.raises(PathTakenError):
            client.rename(old, new, replace=True)
    for path in ("/", "sub", "a.csv"):
        with pytest.raises(PathTakenError):
            client.home.make_folder(at(path))


def test_a_folder_is_removed_only_if_nothing_at_all_is_in_it(client: Client) -> None:
    for folder in ("link", "fifo", "odd"):
        client.home.make_folder(at(folder))
    plant_link(client.by_hand("link/x"))
    plant_fifo(client.by_hand("fifo/x"))
    (client.by_hand("odd") / os.fsdecode(b"caf\xe9")).touch()
    for folder in ("link", "fifo", "odd"):
        assert client.names(folder) == []
        with pytest.raises(PathTakenError, match="not empty"):
            client.home.remove_folder(at(folder))


def test_removing_a_file_leaves_its_upload(client: Client) -> None:
    upload = client.put("a.csv", b"abc")
    client.break_off("a.csv", b"ab")
    client.home.remove(at("a.csv"))
    assert client.names() == []
    assert upload.path.read_bytes() == b"abc"
    with pytest.raises(NoSuchPathError):
        client.home.remove(at("a.csv"))
    client.home.make_folder(at("sub"))
    with pytest.raises(PathRefusedError, match="rmdir"):
        client.home.remove(at("sub"))


def test_times_are_set_on_what_is_shown_and_on_nothing_else(client: Client) -> None:
    client.put("a.csv", b"abc")
    client.break_off("b.csv", b"ab")
    for path in ("a.csv", "b.csv"):
        client.home.set_times(at(path), 1_000, 2_000)
        assert client.home.stat(at(path)).modified_s == 2_000
    with pytest.raises(NoSuchPathError):
        client.home.set_times(at("none"), 1_000, 2_000)


def test_a_path_too_long_for_the_disk_is_not_there(client: Client) -> None:
    path = HomePath(("x" * 200,) * 30)
    with pytest.raises(NoSuchPathError):
        client.home.stat(path)
    with pytest.raises(PathRefusedError, match="too long"):
        client.home.make_folder(HomePath(("x" * 256,)))


def test_reading_behind_all_ends_gives_nothing(client: Client) -> None:
    client.put("a.csv", b"abc")
    opened = client.home.open(at("a.csv"))
    assert [opened.read(offset, 9) for offset in (3, 1 << 62, (1 << 64) - 1)] == [b""] * 3
    opened.close()


def test_the_room_of_the_disk_can_be_asked_for(client: Client) -> None:
    assert client.home.room().f_blocks > 0


def test_a_folder_and_a_file_have_their_modes(client: Client) -> None:
    client.home.make_folder(at("sub"))
    assert stat.S_ISDIR(client.by_hand("sub").stat().st_mode)
    assert client.by_hand("sub").stat().st_mode & 0o7777 & ~0o750 == 0


@pytest.mark.parametrize("put", [Client.put, Client.break_off])
@pytest.mark.parametrize("name", ["d", "x" * 200])
def test_a_folder_moves_nowhere_that_a_path_cannot_reach(
    client: Client, put: Callable[[Client, str, bytes], object], name: str
) -> None:
    """There it would take room that is not counted, and outlive its upload's file, to be taken for a new one later."""
    names = [name] * min(MAX_DEPTH - 1, (MAX_PATH_BYTES - len("/a.csv")) // (len(name) + 1))
    for depth in range(1, len(names) + 1):
        client.home.make_folder(HomePath(tuple(names[:depth])))
    deepest = f"/{'/'.join(names)}/a.csv"
    put(client, deepest, b"abc")
    client.home.make_folder(at(f"/{'z' * len(name)}"))
    with pytest.raises(PathRefusedError, match="too deep, or too long"):
        client.rename(f"/{name}", f"/{'z' * len(name)}/{name}")
    assert client.see(deepest) == b"abc"
    client.rename(f"/{name}", f"/{'y' * len(name)}")
    assert client.see(deepest.replace(f"/{name}", f"/{'y' * len(name)}", 1)) == b"abc"


def test_a_name_is_found_in_either_unicode_form(client: Client) -> None:
    composed, split = "/Caf\u00e9/\u00fcber.csv", "/Cafe\u0301/u\u0308ber.csv"
    client.home.make_folder(at("/Cafe\u0301"))
    client.put(split, b"abc")
    client.break_off("/Cafe\u0301/cut-o\u0308ff.csv", b"ab")
    for path in (composed, split, "/Cafe\u0301/\u00fcber.csv"):
        assert client.home.stat(at(path)).size == 3
        assert client.see(path) == b"abc"
    assert client.see("/Caf\u00e9/cut-\u00f6ff.csv") == b"ab"
    for path in ("/Caf\u00e9/uber.csv", "/Ca\u0301fe/\u00fcber.csv"):
        with pytest.raises(NoSuchPathError):
            client.home.stat(at(path))
