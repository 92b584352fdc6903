"""What goes when its time has come, and what a restart clears, and nothing else."""

import time
from collections.abc import Callable

import pytest

from ctsftp.errors import DiskError

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
    died_here.mkdir()
    assert client.spool.clear_staging() == 2
    assert client.staging() == ["by hand"]
    assert client.uploads() == {upload.id: b"abc"}
    assert client.names() == ["a.csv", "b.csv"]


def test_an_empty_spool_has_nothing_to_clear(client: Client) -> None:
    assert client.spool.clients() == []
    assert client.spool.clear_staging() == 0
    assert client.spool.drop_old_partials("acme", keep_days=3) == 0
    assert uploads_of(client.spool) == []
