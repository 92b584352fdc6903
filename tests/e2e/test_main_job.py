"""The main job, through the real server and the stock sftp: a pushed file becomes a segment."""

import sqlite3
import subprocess

from .conftest import Box, start_process, wait_for_uploads, wait_until

HEADER = "RIID_,CTUserID,CITY_\r\n"


def rows(*ids: int) -> str:
    return HEADER + "".join(f"{100 + index},{ct_user_id},Basel\r\n" for index, ct_user_id in enumerate(ids))


def test_a_put_file_is_a_segment_that_the_command_line_and_plain_sql_show(box: Box) -> None:
    box.add_client("acme")
    box.launch = start_process
    box.start()
    event = box.put("acme", "VIP_Members_20261123_0900.csv", rows(30, 7, 9223372036854775807, 7))
    assert event["state"] == "loaded"
    assert box.run("segment", "members", "vip members").stdout == "7\n30\n9223372036854775807\n"
    with sqlite3.connect(box.folder / "data" / "ctsftp.db") as database:
        found = database.execute("SELECT client, segment, ct_user_id FROM segment_members ORDER BY 3").fetchall()
    database.close()
    assert found == [
        ("acme", "VIP Members", 7),
        ("acme", "VIP Members", 30),
        ("acme", "VIP Members", 9223372036854775807),
    ]


def test_the_ledger_and_the_segment_list_tell_scripts_all_that_is_promised(acme: Box) -> None:
    acme.put("acme", "VIP_20261123_0900.csv", rows(1, 2, 2) + "9,x,Basel\r\n", refused=True)
    [upload] = acme.json("upload", "list")
    assert {name: upload[name] for name in ("client", "filename", "segment", "stamp", "state", "code", "reason")} == {
        "client": "acme",
        "filename": "VIP_20261123_0900.csv",
        "segment": "VIP",
        "stamp": "20261123_0900",
        "state": "rejected",
        "code": "too_many_rejected",
        "reason": upload["reason"],
    }
    assert (upload["rows"], upload["members"], upload["duplicates"], upload["rejected"]) == (4, 2, 1, 1)
    assert acme.json("segment", "list") == []
    acme.put("acme", "VIP_20261123_0901.csv", rows(1, 2, 2))
    [segment] = acme.json("segment", "list")
    newest = acme.json("upload", "list")[0]
    assert segment == {
        "client": "acme",
        "segment": "VIP",
        "members": 2,
        "stamp": "20261123_0901",
        "loaded_at": newest["finished_at"],
        "upload_id": newest["id"],
        "number": 1,
        "entered": 2,
        "left": 0,
        "retired": False,
        "heard_at": newest["received_at"],
        "expect_every_s": None,
        "expect_grace_s": None,
        "overdue_at": None,
        "rolled_back": False,
    }


def test_a_file_that_is_overwritten_at_once_loads_and_so_does_the_one_that_overwrote_it(acme: Box) -> None:
    acme.file("a.csv", rows(1, 2, 3))
    acme.file("b.csv", rows(4, 5))
    name = "VIP_20261123_0900.csv"
    done = acme.sftp("acme", f"put a.csv {name}", f"put b.csv {name}")
    assert done.returncode == 0, done.stderr
    newest, oldest = wait_for_uploads(acme, 2)
    assert [oldest["state"], newest["state"]] == ["loaded", "loaded"]
    assert [oldest["members"], newest["members"]] == [3, 2]
    assert acme.run("segment", "members", "VIP").stdout == "4\n5\n"


def test_a_file_that_its_sender_removes_right_after_the_put_still_loads(acme: Box) -> None:
    acme.file("a.csv", rows(1, 2, 3))
    name = "VIP_20261123_0900.csv"
    done = acme.sftp("acme", f"put a.csv {name}", f"rm {name}")
    assert done.returncode == 0, done.stderr
    [upload] = wait_for_uploads(acme, 1)
    assert upload["state"] == "loaded"
    assert acme.run("segment", "members", "VIP").stdout == "1\n2\n3\n"


def test_a_temporary_name_is_ignored_and_the_rename_makes_the_segment(acme: Box) -> None:
    acme.file("a.csv", rows(1, 2))
    name = "VIP_20261123_0900.csv"
    done = acme.sftp("acme", f"put a.csv {name}.filepart", f"rename {name}.filepart {name}", f"ls -l {name}")
    assert done.returncode == 0, done.stderr
    assert name in done.stdout
    newest, oldest = wait_for_uploads(acme, 2)
    assert (oldest["filename"], oldest["state"]) == (f"{name}.filepart", "ignored")
    assert (newest["filename"], newest["state"]) == (name, "loaded")


def test_a_newer_stamp_replaces_the_list_an_older_one_does_not_and_the_same_file_again_changes_nothing(
    acme: Box,
) -> None:
    assert acme.put("acme", "VIP_20261123_0900.csv", rows(1, 2))["state"] == "loaded"
    assert acme.put("acme", "vip_20261124_0001.csv", rows(2, 3))["state"] == "loaded"
    assert acme.put("acme", "VIP_20261123_0959.csv", rows(9))["state"] == "superseded"
    assert acme.put("acme", "vip_20261124_0001.csv", rows(2, 3))["state"] == "duplicate"
    assert acme.put("acme", "vip_20261124_0001.csv", rows(2, 4))["state"] == "loaded"
    assert acme.run("segment", "members", "VIP").stdout == "2\n4\n"
    [segment] = acme.json("segment", "list")
    assert (segment["segment"], segment["number"], segment["stamp"]) == ("VIP", 3, "20261124_0001")


def test_a_refused_file_fails_the_senders_put_and_is_kept_with_its_reason(acme: Box) -> None:
    name = "VIP_20261123_0900.csv"
    acme.file(name, "EMAIL,CITY\r\na@b.example,Basel\r\n")
    done = acme.sftp("acme", f"put {name}")
    assert done.returncode != 0
    [upload] = wait_for_uploads(acme, 1)
    assert (upload["state"], upload["code"]) == ("rejected", "no_id_column")
    assert "EMAIL" in upload["reason"]
    assert acme.json("segment", "list") == []


def test_an_upload_that_a_stop_cuts_off_never_loads_and_reput_completes_it(acme: Box) -> None:
    text = rows(*range(1, 400_001))
    name = "VIP_20261123_0900.csv"
    acme.file(name, text)
    assert acme.serve is not None
    acme.serve.stop()
    acme.env["CTSFTP_SFTP__DRAIN_TIMEOUT_S"] = "0"
    serve = acme.start()
    command = acme.sftp_command("acme")
    slow = subprocess.Popen(
        [command[0], "-l", "20000", *command[1:]], cwd=acme.folder, stdin=subprocess.PIPE, text=True
    )
    assert slow.stdin is not None
    slow.stdin.write(f"put {name}\n")
    slow.stdin.flush()
    serve.wait_for("login")
    clients = acme.folder / "data" / "clients"
    wait_until(lambda: any(place.stat().st_size for place in clients.glob("acme/staging/*")))
    assert serve.stop() == 0
    slow.stdin.close()
    assert slow.wait() != 0
    acme.start()
    assert acme.json("upload", "list") == []
    done = acme.sftp("acme", f"reput {name}")
    assert done.returncode == 0, done.stderr
    [upload] = wait_for_uploads(acme, 1)
    assert (upload["state"], upload["members"]) == ("loaded", 400_000)
