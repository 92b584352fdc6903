"""What was cut off can be resumed: by one handle, without holes, and only its own bytes."""

import pytest

from ctsftp.errors import IncompleteError, NoSuchPathError

from .bench import Client, at


def test_a_cut_off_file_shows_with_its_size_and_is_resumed_to_the_whole(client: Client) -> None:
    assert client.break_off("a.csv", b"abc") == 3
    assert client.home.stat(at("a.csv")).size == 3
    assert client.see("a.csv") == b"abc"
    assert client.uploads() == {}
    staged = client.resume("a.csv", append=True)
    staged.write(3, b"def")
    assert client.publish(staged).path.read_bytes() == b"abcdef"
    assert client.home.find_partial(at("a.csv")) is None
    assert client.staging() == []


def test_only_the_bytes_before_the_first_hole_are_kept(client: Client) -> None:
    staged = client.open("a.csv")
    staged.write(0, b"abc")
    staged.write(5, b"fgh")
    assert client.cut_off(staged) == 3
    assert client.see("a.csv") == b"abc"


def test_a_file_without_its_first_byte_is_not_kept(client: Client) -> None:
    staged = client.open("a.csv")
    staged.write(1, b"bc")
    assert client.cut_off(staged) == 0
    assert (client.names(), client.staging()) == ([], [])


def test_an_upload_can_break_off_many_times(client: Client) -> None:
    client.break_off("a.csv", b"ab")
    for part in (b"cd", b"", b"ef"):
        staged = client.resume("a.csv")
        staged.write(staged.stat().st_size, part)
        client.cut_off(staged)
        assert client.cut_off(staged) == 0
    assert client.see("a.csv") == b"abcdef"


def test_one_handle_claims_what_was_cut_off_and_the_next_begins_anew(client: Client) -> None:
    client.break_off("a.csv", b"abc")
    one, two = client.resume("a.csv", append=True), client.resume("a.csv", append=True)
    two.write(0, b"xyz")
    one.write(3, b"def")
    client.publish(two)
    assert client.publish(one).path.read_bytes() == b"abcdef"


def test_a_new_put_that_breaks_off_replaces_what_was_cut_off_before(client: Client) -> None:
    client.break_off("a.csv", b"abcdef")
    assert client.break_off("a.csv", b"xy") == 2
    assert client.see("a.csv") == b"xy"


def test_a_whole_file_ends_what_was_cut_off_before(client: Client) -> None:
    client.break_off("a.csv", b"abc")
    client.put("a.csv", b"x")
    assert client.home.find_partial(at("a.csv")) is None
    assert client.see("a.csv") == b"x"


def test_a_cut_off_file_cannot_be_renamed_but_can_be_removed(client: Client) -> None:
    client.break_off("a.csv", b"abc")
    with pytest.raises(IncompleteError, match="cut off"):
        client.rename("a.csv", "b.csv")
    client.home.remove(at("a.csv"))
    with pytest.raises(NoSuchPathError):
        client.home.stat(at("a.csv"))


def test_partials_follow_their_folder_also_to_another_depth(client: Client) -> None:
    for folder in ("/in", "/in/deep", "/x", "/x/y"):
        client.home.make_folder(at(folder))
    client.break_off("/in/deep/a.csv", b"abc")
    client.rename("/in", "/x/y/z")
    assert client.see("/x/y/z/deep/a.csv") == b"abc"
    assert list((client.folder / "partials").iterdir()) == [client.folder / "partials" / "x"]


def test_a_folder_may_be_renamed_to_where_something_was_cut_off(client: Client) -> None:
    client.home.make_folder(at("/in"))
    client.break_off("/in/a.csv", b"abc")
    client.break_off("/out", b"xyz")
    client.rename("/in", "/out")
    assert client.names("/") == ["out"]
    assert client.see("/out/a.csv") == b"abc"


def test_a_mirror_that_a_local_user_left_behind_does_not_stop_a_rename(client: Client) -> None:
    for folder in ("/old", "/new"):
        client.home.make_folder(at(folder))
        client.break_off(f"{folder}/a.csv", folder.encode())
    client.by_hand("/new").rmdir()
    client.rename("/old", "/new")
    assert client.names("/") == ["new"]


def test_a_folder_in_which_something_was_cut_off_is_not_empty(client: Client) -> None:
    client.home.make_folder(at("/in"))
    client.break_off("/in/a.csv", b"abc")
    with pytest.raises(Exception, match="not empty"):
        client.home.remove_folder(at("/in"))
    client.home.remove(at("/in/a.csv"))
    client.home.remove_folder(at("/in"))
    assert client.names() == []
    assert list((client.folder / "partials").iterdir()) == []
