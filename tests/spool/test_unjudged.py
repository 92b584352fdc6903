"""An upload shows before it is judged; one that is refused goes, and what it replaced stands there again."""

import pytest

from ctsftp.spool.disk import LocalDisk
from ctsftp.spool.ids import UploadIds
from ctsftp.spool.spool import Spool
from ctsftp.spool.stored import StoredUpload

from .bench import Client, at

GOOD, WRONG = b"CTUserID\n1\n", b"CTUserID\nx\n"


def shown(client: Client, path: str, data: bytes) -> StoredUpload:
    """Publish a file whose verdict is yet to come."""
    staged = client.open(path)
    staged.write(0, data)
    return client.spool.publish("acme", staged)


def test_what_a_refused_upload_replaced_stands_there_again(client: Client) -> None:
    client.put("a.csv", GOOD)
    upload = shown(client, "a.csv", WRONG)
    assert client.see("a.csv") == WRONG
    client.spool.hide(upload)
    assert client.see("a.csv") == GOOD
    assert upload.path.read_bytes() == WRONG
    assert client.staging() == []
    assert client.strangers() == []


def test_a_refused_upload_that_replaced_nothing_is_gone_from_its_folder(client: Client) -> None:
    client.home.make_folder(at("in"))
    client.spool.hide(shown(client, "in/a.csv", WRONG))
    assert client.names("/in") == []


def test_an_upload_that_is_not_refused_stays_and_nothing_is_left_of_what_it_replaced(client: Client) -> None:
    client.put("a.csv", WRONG)
    client.spool.settle(shown(client, "a.csv", GOOD))
    assert client.see("a.csv") == GOOD
    assert client.staging() == []


def test_a_newer_file_stays_where_the_one_before_it_is_refused(client: Client) -> None:
    client.put("a.csv", GOOD)
    refused = shown(client, "a.csv", WRONG)
    newer = shown(client, "a.csv", GOOD + b"2\n")
    client.spool.hide(refused)
    client.spool.settle(newer)
    assert client.see("a.csv") == GOOD + b"2\n"
    assert client.staging() == []


def test_the_good_file_stands_again_in_whichever_order_two_after_it_are_refused(client: Client) -> None:
    for backwards in (False, True):
        client.put("a.csv", GOOD)
        refused = [shown(client, "a.csv", WRONG + bytes([65 + number])) for number in range(3)]
        for upload in reversed(refused) if backwards else refused:
            client.spool.hide(upload)
        assert client.see("a.csv") == GOOD
        assert client.staging() == []


@pytest.mark.parametrize("folder", ["", "in/lists/"])
def test_a_restarted_spool_takes_a_refused_file_out_of_the_folder_that_it_was_put_into(
    client: Client, folder: str
) -> None:
    client.by_hand(f"{folder}b.csv").parent.mkdir(parents=True, exist_ok=True)
    upload = shown(client, f"{folder}a.csv", WRONG)
    client.put(f"{folder}b.csv", GOOD)
    spool = Spool(client.spool.root, disk=LocalDisk(), next_id=UploadIds().next)
    assert spool.hide(upload)
    assert client.names(f"/{folder}") == ["b.csv"]
    assert not spool.hide(upload)


def test_a_file_that_a_local_user_put_in_a_refused_ones_place_stays(client: Client) -> None:
    upload = shown(client, "a.csv", WRONG)
    client.by_hand("a.csv").unlink()
    client.by_hand("a.csv").write_bytes(GOOD)
    client.spool.hide(upload)
    assert client.see("a.csv") == GOOD


def test_only_so_many_are_remembered_and_nothing_is_left_of_the_others(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ctsftp.spool.unjudged.MOST_REMEMBERED", 2)
    for number in range(4):
        client.put(f"{number}.csv", GOOD)
        shown(client, f"{number}.csv", WRONG)
    assert len(client.staging()) == 2


def test_times_are_kept_by_a_file_that_is_published(client: Client) -> None:
    staged = client.open("a.csv")
    staged.write(0, GOOD)
    staged.set_times(1_000, 2_000)
    staged.write(len(GOOD), b"2\n")
    upload = client.publish(staged)
    assert upload.path.stat().st_mtime == 2_000
