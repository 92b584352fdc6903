"""A CLOSE or a rename makes an upload: immutable, shown in the home, and in order."""

from collections.abc import Callable
from pathlib import Path

import pytest

from ctsftp.errors import DiskError, IncompleteError, NoSuchPathError, PathRefusedError, PathTakenError

from .bench import Client, Watcher, at, uploads_of


def test_an_upload_carries_client_id_and_name_in_its_path(client: Client) -> None:
    upload = client.put("Big Spenders_20240131_0930.csv", b"CTUserID\n1\n")
    assert upload.path == client.folder / "uploads" / upload.id / "Big Spenders_20240131_0930.csv"
    assert uploads_of(client.spool) == [upload]
    assert client.spool.upload("acme", upload.id) == upload
    assert client.see("/Big Spenders_20240131_0930.csv") == upload.path.read_bytes() == b"CTUserID\n1\n"
    assert client.staging() == []


def test_an_upload_carries_its_folder_in_its_path(client: Client) -> None:
    client.home.make_folder(at("/in"))
    client.home.make_folder(at("/in/lists"))
    upload = client.put("/in/lists/VIP_20240131_0930.csv", b"CTUserID\n1\n")
    assert upload.path == client.folder / "uploads" / upload.id / "in" / "lists" / "VIP_20240131_0930.csv"
    assert (upload.directory, upload.place) == ("/in/lists", "/in/lists/VIP_20240131_0930.csv")
    assert client.spool.upload("acme", upload.id) == upload
    moved = client.publish_renamed("/in/lists/VIP_20240131_0930.csv", "/VIP_20240131_0930.csv")
    assert (moved.directory, moved.place) == ("/", "/VIP_20240131_0930.csv")
    for one in (moved, upload):
        client.spool.remove_upload(one)
    assert list((client.folder / "uploads").iterdir()) == []


def test_an_overwrite_leaves_the_upload_before_it_as_it_was(client: Client) -> None:
    first, second = client.put("a.csv", b"first"), client.put("a.csv", b"2nd")
    assert first.path.read_bytes() == b"first"
    assert client.see("a.csv") == second.path.read_bytes() == b"2nd"
    assert client.spool.upload_ids("acme") == [first.id, second.id]
    assert client.staging() == []


def test_a_reader_keeps_the_file_that_it_opened(client: Client) -> None:
    client.put("a.csv", b"first")
    reading = client.home.open(at("a.csv"))
    client.put("a.csv", b"2nd")
    assert reading.read(0, 100) == b"first"
    assert reading.stat().st_size == 5
    reading.close()
    reading.close()
    assert reading.read(0, 100) == b""
    with pytest.raises(NoSuchPathError):
        reading.stat()


def test_two_handles_on_one_path_do_not_mix_and_the_last_close_wins(client: Client) -> None:
    one, two = client.open("a.csv"), client.open("a.csv")
    one.write(0, b"1111")
    two.write(0, b"22")
    one.write(4, b"11")
    last = client.publish(two)
    assert client.see("a.csv") == b"22"
    latest = client.publish(one)
    assert client.see("a.csv") == b"111111"
    assert client.uploads() == {last.id: b"22", latest.id: b"111111"}


def test_an_overwrite_that_breaks_off_leaves_the_good_file(client: Client) -> None:
    client.put("a.csv", b"good")
    assert client.break_off("a.csv", b"bro") == 3
    assert client.see("a.csv") == b"good"
    assert client.home.stat(at("a.csv")).size == 4


def test_a_name_of_255_bytes_is_published_cut_off_resumed_and_renamed(client: Client) -> None:
    name, other = "é" * 125 + "a.csv", "b" * 251 + ".csv"
    assert len(name.encode()) == len(other.encode()) == 255
    client.put(name, b"first")
    client.put(name, b"again")
    client.publish_renamed(name, other)
    client.rename(name, other)
    assert client.break_off(name, b"cut") == 3
    staged = client.resume(name)
    staged.write(3, b"ting")
    client.publish(staged)
    assert (client.see(name), client.see(other)) == (b"cutting", b"again")
    assert client.staging() == []


def test_a_file_whose_folder_was_removed_meanwhile_is_refused_and_leaves_nothing(client: Client) -> None:
    client.home.make_folder(at("/sub"))
    closed, broken = client.open("/sub/a.csv"), client.open("/sub/b.csv")
    for staged in (closed, broken):
        staged.write(0, b"abc")
    client.home.remove_folder(at("/sub"))
    with pytest.raises(NoSuchPathError, match="/sub"):
        client.publish(closed)
    assert client.cut_off(broken) == 0
    assert (client.names(), client.staging(), client.uploads()) == ([], [], {})
    client.home.make_folder(at("/sub"))
    assert client.names("/sub") == []


def test_a_file_whose_folder_became_a_link_meanwhile_is_refused(client: Client, tmp_path: Path) -> None:
    client.home.make_folder(at("/sub"))
    closed, broken = client.open("/sub/a.csv"), client.open("/sub/b.csv")
    for staged in (closed, broken):
        staged.write(0, b"abc")
    client.by_hand("/sub").rmdir()
    client.by_hand("/sub").symlink_to(tmp_path)
    with pytest.raises(PathRefusedError, match="link"):
        client.publish(closed)
    assert client.cut_off(broken) == 0
    assert (client.staging(), client.uploads()) == ([], {})
    assert list(tmp_path.iterdir()) == [client.folder.parent]


def test_a_folder_that_took_the_place_meanwhile_stays(client: Client) -> None:
    staged = client.open("a.csv")
    staged.write(0, b"abc")
    client.home.make_folder(at("a.csv"))
    with pytest.raises(PathRefusedError, match="is a folder"):
        client.publish(staged)
    assert client.home.stat(at("a.csv")).is_folder
    assert (client.staging(), client.uploads()) == ([], {})


def test_two_uploads_of_one_id_would_be_a_fault_and_the_first_stays(client_on: Callable[..., Client]) -> None:
    client = client_on(next_id=lambda: "018bcfe5-687b-7fff-bfff-ffffffffffff")
    first = client.put("a.csv", b"first")
    with pytest.raises(DiskError, match="File exists"):
        client.put("a.csv", b"second")
    assert client.uploads() == {first.id: b"first"}
    assert client.see("a.csv") == b"first"


def test_a_rename_makes_a_second_upload_of_the_same_bytes(client: Client) -> None:
    part = client.put("a.filepart", b"abc")
    upload = client.publish_renamed("a.filepart", "a.csv")
    assert client.names() == ["a.filepart"]
    client.rename("a.filepart", "a.csv")
    assert client.names() == ["a.csv"]
    assert upload.filename == "a.csv"
    assert upload.path.samefile(part.path)
    assert client.uploads() == {part.id: b"abc", upload.id: b"abc"}


def test_a_rename_onto_itself_is_a_second_upload_and_moves_nothing(client: Client) -> None:
    first = client.put("a.csv", b"abc")
    client.break_off("a.csv", b"ab")
    again = client.publish_renamed("a.csv", "a.csv")
    client.rename("a.csv", "a.csv")
    assert client.see("a.csv") == b"abc"
    assert client.home.find_partial(at("a.csv"))
    assert client.uploads() == {first.id: b"abc", again.id: b"abc"}


def test_a_rename_that_may_not_replace_makes_no_upload(client: Client) -> None:
    client.put("a.tmp", b"new")
    old = client.put("a.csv", b"old")
    with pytest.raises(PathTakenError):
        client.publish_renamed("a.tmp", "a.csv", replace=False)
    with pytest.raises(PathTakenError):
        client.rename("a.tmp", "a.csv", replace=False)
    assert len(client.uploads()) == 2
    upload = client.publish_renamed("a.tmp", "a.csv", replace=True)
    client.rename("a.tmp", "a.csv", replace=True)
    assert client.see("a.csv") == upload.path.read_bytes() == b"new"
    assert old.path.read_bytes() == b"old"


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("none", "a.csv", NoSuchPathError),
        ("sub", "a.csv", NoSuchPathError),
        ("cut", "a.csv", IncompleteError),
        ("whole", "none/a.csv", NoSuchPathError),
        ("whole", "sub", PathTakenError),
    ],
)
def test_a_rename_that_cannot_be_makes_no_upload(client: Client, old: str, new: str, fault: type[Exception]) -> None:
    client.home.make_folder(at("sub"))
    client.break_off("cut", b"ab")
    whole = client.put("whole", b"abc")
    with pytest.raises(fault):
        client.publish_renamed(old, new, replace=True)
    assert client.uploads() == {whole.id: b"abc"}


def test_a_rename_of_a_local_users_file_makes_an_upload_that_he_cannot_change(client: Client) -> None:
    by_hand = client.by_hand("a.tmp")
    by_hand.write_bytes(b"abc")
    with by_hand.open("r+b") as still_open:
        upload = client.publish_renamed("a.tmp", "a.csv")
        still_open.write(b"XYZ")
    assert upload.filename == "a.csv"
    client.rename("a.tmp", "a.csv")
    assert client.see("a.csv") == upload.path.read_bytes() == b"abc"
    assert client.strangers() == []
    assert list(client.uploads()) == [upload.id]


def test_an_upload_on_its_way_is_found_by_nobody(client_on: Callable[..., Client]) -> None:
    found: list[object] = []
    client = client_on(disk := Watcher())
    disk.watch = lambda: found.extend(uploads_of(client.spool))
    upload = client.put("a.csv", b"abc")
    assert disk.watched > 2
    assert found == []
    assert uploads_of(client.spool) == [upload]


def test_files_that_were_put_beside_an_upload_by_hand_are_not_taken_for_it(client: Client) -> None:
    upload = client.put("b.csv", b"abc")
    (upload.path.parent / "a").mkdir()
    (upload.path.parent / "0.csv").symlink_to("/etc/passwd")
    (client.folder / "uploads" / "lost+found").mkdir()
    (client.folder / "uploads" / "notes.txt").write_text("x")
    assert uploads_of(client.spool) == [upload]


def test_only_folders_with_a_home_are_clients(client: Client) -> None:
    client.put("a.csv", b"abc")
    (client.folder.parent / "lost+found").mkdir()
    (client.folder.parent / ".notes").write_text("x")
    (client.folder.parent / "closed").symlink_to("closed")  # as good as a folder that may not be looked into
    assert client.spool.clients() == ["acme"]
    assert client.spool.clear_staging() == 0


def test_a_client_that_was_removed_by_hand_gets_its_folders_back(client: Client) -> None:
    client.put("a.csv", b"abc")
    client.folder.rename(client.folder.with_name("old-acme"))
    client.put("b.csv", b"def")
    assert client.names() == ["b.csv"]


def test_the_folder_of_all_clients_may_be_a_link_to_another_disk(client: Client) -> None:
    root = client.folder.parent
    (root.parent / "elsewhere").mkdir()
    root.symlink_to(root.parent / "elsewhere")
    again = Client(root, client.spool._disk)
    upload = again.put("a.csv", b"abc")
    assert uploads_of(again.spool) == [upload]
