"""The doctor: finds what an admin got wrong, says what to do, and touches nothing."""

import os
import shutil
import sqlite3
import subprocess
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ctsftp.app.clock import utc_now
from ctsftp.clients.folder import Clients
from ctsftp.clients.keys import read_public_key
from ctsftp.model.writing import iso
from tests.app.bench import NAME, NEXT, rows
from tests.sftp.conftest import require_program

from .shell import Shell

NOW = datetime.now(UTC)


@pytest.fixture
def sound(shell: Shell) -> Shell:
    """A folder in which all is well: one client with a key, and a list of its."""
    require_program("ssh-keygen")
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(shell.folder / "key")], check=True)
    shell.run("client", "add", "acme", "--key", "key.pub")
    shell.load(NAME, rows(range(1, 201)))
    for folder in ("data", "keys"):
        (shell.folder / folder).chmod(0o750)  # as the server makes them
    return shell


def found(shell: Shell, part: str, *, code: int = 1) -> dict[str, Any]:
    """The one finding of a part that needs attention."""
    [finding] = [one for one in shell.json("doctor", code=code) if one["level"] != "ok"]
    assert finding["part"] == part
    assert finding["do"] != ""
    return dict(finding)


def sql(shell: Shell, statement: str, *values: object) -> None:
    with closing(sqlite3.connect(shell.folder / "data" / "ctsftp.db")) as connection, connection:
        connection.execute(statement, values)


def tree(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {
        str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.read_bytes())
        for path in folder.rglob("*")
        if path.is_file() and not path.name.endswith(("-shm", "-wal"))
    }


def test_where_all_is_well_it_says_so_of_each_part_and_changes_nothing(sound: Shell) -> None:
    before = tree(sound.folder)
    findings = sound.json("doctor")
    assert {one["level"] for one in findings} == {"ok"}
    parts = {one["part"] for one in findings}
    assert parts == {"settings", "server", "data", "disk", "keys", "host keys", "clients", "database", "clock"}
    assert tree(sound.folder) == before
    assert "is whole and up to date" in sound.run("doctor").out


def test_where_nothing_was_ever_done_it_makes_nothing(empty_shell: Shell) -> None:
    findings = empty_shell.json("doctor", code=1)
    assert {(one["part"], one["level"]) for one in findings if one["level"] != "ok"} == {
        ("data", "warn"),
        ("clients", "warn"),
    }
    assert list(empty_shell.folder.iterdir()) == []


@pytest.mark.parametrize(
    ("part", "mode", "level"), [("data", 0o777, "bad"), ("data", 0o755, "warn"), ("keys", 0o777, "bad")]
)
def test_a_folder_that_is_open_to_everybody_is_named(sound: Shell, part: str, mode: int, level: str) -> None:
    (sound.folder / part).chmod(mode)
    finding = found(sound, part)
    assert finding["level"] == level
    assert finding["do"] == f"chmod o-rwx {sound.folder / part}"


def test_public_keys_may_be_read_by_everybody(sound: Shell) -> None:
    (sound.folder / "keys").chmod(0o755)
    assert {one["level"] for one in sound.json("doctor")} == {"ok"}


def test_a_segment_that_was_rolled_back_is_named_until_an_upload_is_approved(sound: Shell) -> None:
    sound.load(NEXT, rows(range(1, 190)))
    sound.run("segment", "rollback", "vip")
    assert "was rolled back" in found(sound, "segments")["text"]
    sound.run("segment", "retire", "vip")
    assert {one["level"] for one in sound.json("doctor")} == {"ok"}


def test_guards_for_a_segment_that_is_not_there_are_named(sound: Shell) -> None:
    config = sound.folder / "keys" / "clients" / "acme" / "client.toml"
    config.write_text('[segments."vip"]\nshrunk_ratio = 0.9\n')
    assert {one["level"] for one in sound.json("doctor")} == {"ok"}
    config.write_text('[segments."VIPs"]\nshrunk_ratio = 0.9\n')
    finding = found(sound, "clients")
    assert finding["text"] == 'client.toml of acme has guards for [segments."VIPs"], which is no segment yet.'
    assert "ctsftp segment list --client acme" in finding["do"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_file_of_another_account_among_the_data_is_named(sound: Shell) -> None:
    os.chown(sound.folder / "data" / "lock", 12345, 12345)
    assert "belongs to the uid 12345" in found(sound, "data")["text"]


def test_a_line_of_authorized_keys_that_grants_nothing_is_named_with_its_number(sound: Shell) -> None:
    keys = sound.folder / "keys" / "clients" / "acme" / "authorized_keys"
    keys.write_bytes(keys.read_bytes() + b"ssh-ed25519 nonsense\n")
    assert f"{keys}:2: " in found(sound, "clients")["text"]


def test_what_is_wrong_with_a_whole_file_is_mended_by_the_command_that_is_named(sound: Shell) -> None:
    keys = sound.folder / "keys" / "clients" / "acme" / "authorized_keys"
    keys.chmod(0o666)
    findings = [one for one in sound.json("doctor", code=1) if one["level"] != "ok"]
    assert {one["do"] for one in findings} == {f"chmod o-w {keys}"}
    assert "acme cannot sign in: no line of its authorized_keys is valid." in {one["text"] for one in findings}
    refused = "INSERT INTO client_logins (client, refusal_at, refusal_address, refusal_cause) VALUES (?, ?, ?, ?)"
    sql(sound, refused, "acme", "2026-03-10T12:00:00.000Z", "192.0.2.7", "unknown_key")
    says = sound.json("client", "show", "acme")["refusal_says"]
    assert "ctsftp key add" not in says
    assert says.endswith(f"chmod o-w {keys}")
    keys.chmod(0o640)
    sound.run("doctor")


def test_what_is_no_client_s_has_a_remedy_that_fits(sound: Shell) -> None:
    clients = sound.folder / "keys" / "clients"
    (clients / "Not A Client").mkdir()
    assert found(sound, "clients")["do"] == "Rename it, or move it away."
    (clients / "Not A Client").rmdir()
    (clients / "notes").write_text("")
    assert found(sound, "clients")["do"] == "Move it away."
    (clients / "notes").unlink()
    (clients / "acme" / "client.toml").write_text("enabled = 5\n")
    assert found(sound, "clients")["do"] == f"Correct {clients / 'acme' / 'client.toml'}."


def test_a_line_has_its_own_remedy_and_no_answer_leads_to_a_page_that_is_not_installed(sound: Shell) -> None:
    keys = sound.folder / "keys" / "clients" / "acme" / "authorized_keys"
    keys.write_bytes(keys.read_bytes() + b"ssh-ed25519 nonsense\n")
    assert found(sound, "clients")["do"] == "Correct the line, or remove it."
    sql(sound, "UPDATE alembic_version SET version_num = '0000'")
    assert "deploy/" not in sound.run("doctor", code=1).out


def test_a_client_that_has_no_key_cannot_sign_in(sound: Shell) -> None:
    sound.run("client", "add", "globex")
    finding = found(sound, "clients")
    assert finding["text"] == "globex cannot sign in: it has no key."
    sound.run("client", "disable", "globex")
    sound.run("doctor")


@pytest.mark.parametrize(
    ("days", "text"), [(-1, "expired on"), (29, "expires on"), (31, None)], ids=["past", "soon", "later"]
)
def test_a_key_is_named_before_it_expires_and_after(sound: Shell, days: int, text: str | None) -> None:
    clients = Clients(sound.folder / "keys")
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(sound.folder / "other")], check=True)
    key = read_public_key((sound.folder / "other.pub").read_bytes())
    clients.add_key("acme", key, expires=NOW + timedelta(days=days))
    if text is None:
        sound.run("doctor")
    else:
        finding = found(sound, "clients")
        assert text in finding["text"]
        assert key.fingerprint in finding["do"]


def test_a_missing_host_key_is_bad_where_senders_have_been(sound: Shell) -> None:
    (sound.folder / "keys" / "host" / "ssh_host_ecdsa_key").unlink()
    finding = found(sound, "host keys")
    assert finding["level"] == "bad"
    assert "may have pinned them: ssh_host_ecdsa_key." in finding["text"]
    assert not (sound.folder / "keys" / "host" / "ssh_host_ecdsa_key").exists()
    shutil.rmtree(sound.folder / "data")
    sound.json("doctor", code=1)  # now only the data are missing
    assert "host keys" not in {one["part"] for one in sound.json("doctor", code=1)}


def test_a_host_key_that_others_may_read_is_named(sound: Shell) -> None:
    (sound.folder / "keys" / "host" / "ssh_host_rsa_key").chmod(0o644)
    assert "chmod 600" in found(sound, "host keys")["text"]


def test_a_host_key_that_was_made_after_a_client_s_last_login_names_the_client(sound: Shell) -> None:
    login = "INSERT INTO client_logins (client, login_at) VALUES ('acme', ?)"
    sql(sound, login, "2024-01-01T00:00:00.000Z")
    finding = found(sound, "host keys")
    assert finding["text"].endswith("after the last login of: acme.")
    sql(sound, "UPDATE client_logins SET login_at = '2999-01-01T00:00:00.000Z'")
    sound.run("doctor")


def test_a_clock_that_went_back_is_bad_unless_it_is_known_to_be_right_now(
    sound: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    sql(sound, "UPDATE uploads SET received_at = '2999-01-01T00:00:00.000Z'")
    monkeypatch.setattr("ctsftp.admin.doctor.is_synchronised", lambda: False)
    finding = found(sound, "clock")
    assert finding["level"] == "bad"
    assert "it was ahead when that came" in finding["text"]
    assert "If it is right, do nothing." in finding["do"]
    monkeypatch.setattr("ctsftp.admin.doctor.is_synchronised", lambda: True)
    assert "It was ahead once" in sound.run("doctor").out


def test_too_little_room_is_told(sound: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr("ctsftp.admin.doctor.FREE_DISK_RATIO", 1)
        assert found(sound, "disk")["level"] == "warn"
    monkeypatch.setenv("CTSFTP_SFTP__MAX_FILE_SIZE_BYTES", str(1 << 60))
    assert found(sound, "disk")["level"] == "bad"


def test_an_upload_that_is_not_loaded_is_named(sound: Shell) -> None:
    sql(sound, "UPDATE uploads SET state = 'received', received_at = '2026-03-10T12:00:00.000Z', finished_at = NULL")
    finding = found(sound, "uploads")
    assert (finding["level"], "waits to be loaded" in finding["text"]) == ("bad", True)
    assert sound.json("upload", "list")[0]["id"] in finding["do"]


def test_of_many_uploads_that_are_not_loaded_the_first_are_named_and_the_others_counted(sound: Shell) -> None:
    for number in range(6):
        sound.load(f"ready{number}.flag", "")
    sql(sound, "UPDATE uploads SET state = 'received', received_at = '2026-03-10T12:00:00.000Z', finished_at = NULL")
    *first, rest = [one for one in sound.json("doctor", code=1) if one["part"] == "uploads"]
    assert (len(first), rest["text"]) == (5, "2 more are received.")
    assert len(sound.json(*rest["do"].split()[1:])) == 7


def test_a_list_with_a_temporary_name_is_named_after_an_hour(sound: Shell) -> None:
    for number in range(6):
        sound.load(f"tmp.VIP_20260310_090{number}.csv", "CTUserID\n1\n")
    assert "temporary name" not in sound.run("doctor").out
    an_hour_ago = iso(utc_now() - timedelta(minutes=61))
    sql(sound, f"UPDATE uploads SET received_at = '{an_hour_ago}' WHERE state = 'ignored'")  # noqa: S608  a time
    findings = [one for one in sound.json("doctor", code=1) if "temporary name" in one["text"]]
    assert [one["level"] for one in findings] == ["warn"] * 6
    assert findings[-1]["text"] == "1 more have temporary names."


def test_a_copy_without_its_hard_links_is_told_before_the_sweep_takes_it_for_new_files(sound: Shell) -> None:
    home = sound.folder / "data" / "clients" / "acme" / "home"
    shutil.copytree(home, sound.folder / "copy")
    shutil.rmtree(home)
    (sound.folder / "copy").rename(home)
    finding = found(sound, "data")
    assert (finding["level"], finding["text"].startswith("1 file in a client's home is no upload")) == ("warn", True)
    assert "cp -a" in finding["do"]


def test_what_stands_where_a_clients_folder_should_be_is_named(sound: Shell) -> None:
    uploads = sound.folder / "data" / "clients" / "acme" / "uploads"
    uploads.rename(sound.folder / "kept")
    uploads.write_text("")
    finding = found(sound, "data")
    assert finding["text"].startswith(f"{uploads} cannot be listed (Not a directory)")


def test_an_upload_that_is_held_waits_for_a_person(sound: Shell) -> None:
    upload = sound.load(NEXT, rows([1, 2]))
    assert upload.state == "held"
    finding = found(sound, "uploads")
    assert finding["text"] == f'"{NEXT}" of acme is held.'
    assert upload.id in finding["do"]
    sound.run("upload", "discard", upload.id)
    sound.run("doctor")


def test_of_many_that_are_held_some_are_named_and_all_counted(sound: Shell) -> None:
    for version in range(901, 908):
        sound.load(f"VIP_20260310_{version:04}.csv", rows([version]))
    texts = [one["text"] for one in sound.json("doctor", code=1) if one["part"] == "uploads"]
    assert len(texts) == 6
    assert texts[-1] == "2 more are held."


def test_an_upload_that_failed_for_good_is_worse_than_one_that_is_tried_again(sound: Shell) -> None:
    sql(sound, "UPDATE uploads SET state = 'failed', code = 'loader_died', finished_at = NULL")
    assert found(sound, "uploads")["level"] == "bad"
    sql(sound, "UPDATE uploads SET retry_at = '2999-01-01T00:00:00.000Z'")
    assert found(sound, "uploads")["text"].startswith("1 failed by a fault of this machine")


def test_a_hook_that_took_nothing_for_so_long_that_events_were_given_up_is_named(sound: Shell) -> None:
    sound.run("hook", "add", "https://example.com/events", "--no-test")
    sound.load(NEXT, rows(range(1, 200)))
    assert "hooks" not in [one["part"] for one in sound.json("doctor")]
    sql(sound, "UPDATE deliveries SET state = 'dead'")
    finding = found(sound, "hooks")
    assert "Hook 1" in finding["text"]
    assert "ctsftp hook deliveries --retry 1" in finding["do"]


def test_a_hook_that_fails_for_a_while_is_named(sound: Shell) -> None:
    sound.run("hook", "add", "https://example.com/events", "--no-test")
    sound.load(NEXT, rows(range(1, 200)))
    failed = "UPDATE deliveries SET attempts = 3, last_error = 'it answered 500'"
    sql(sound, failed)
    assert {one["level"] for one in sound.json("doctor")} == {"ok"}
    sql(sound, "UPDATE events SET at = ?", (NOW - timedelta(minutes=16)).isoformat())
    finding = found(sound, "hooks")
    assert finding["text"].endswith("has been failing for over 15 minutes (it answered 500); 1 event waits.")
    assert finding["do"] == "ctsftp hook test 1"


def test_a_database_that_is_damaged_or_of_another_version_is_bad(sound: Shell) -> None:
    sql(sound, "UPDATE alembic_version SET version_num = '0000'")
    assert "made by an older ctsftp" in found(sound, "database")["text"]
    (sound.folder / "data" / "ctsftp.db").write_bytes(b"no database " * 1000)
    for log in (sound.folder / "data").glob("ctsftp.db-*"):
        log.unlink()
    assert "is not an SQLite database" in found(sound, "database")["text"]


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        ("DELETE FROM member_rows WHERE ct_user_id = 1", "The rows that SQL reads"),
        ("INSERT INTO member_rows SELECT row_set, 999 FROM segments", "The rows that SQL reads"),
        ("UPDATE snapshot_parts SET blob = substr(blob, 1, 20)", "is damaged. Of the snapshot 1: The part 0"),
        ("UPDATE snapshot_parts SET digest = 'x'", "is damaged. Of the snapshot 1: The part 0"),
        ("DELETE FROM snapshot_parts", "is damaged. The list of the snapshot 1 lacks parts"),
    ],
)
def test_a_list_that_is_damaged_and_rows_that_are_not_its_own_are_bad(sound: Shell, harm: str, told: str) -> None:
    sound.load("VIP_20260310_0900.csv", "CTUserID\n1\n2\n")
    sql(sound, harm)
    [finding] = [one for one in sound.json("doctor", code=1) if one["part"] == "database"]
    assert finding["level"] == "bad"
    assert told in finding["text"]


def test_damage_among_the_members_is_found(sound: Shell) -> None:
    sql(sound, "PRAGMA wal_checkpoint(TRUNCATE)")
    place = sound.folder / "data" / "ctsftp.db"
    with closing(sqlite3.connect(place)) as connection:
        query = "SELECT rootpage, (SELECT page_size FROM pragma_page_size) FROM sqlite_master WHERE name = ?"
        page, size = connection.execute(query, ("member_rows",)).fetchone()
    content = bytearray(place.read_bytes())
    content[(page - 1) * size : page * size] = bytes(size)
    place.write_bytes(content)
    assert "It is damaged" in found(sound, "database")["text"]
