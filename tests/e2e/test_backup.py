"""A backup is made while the server works, and going back to it loses no upload that is still on disk."""

import shutil
import sqlite3

from .conftest import Box, wait_for_uploads
from .test_main_job import rows


def test_a_backup_that_is_restored_catches_up_with_what_arrived_after_it(acme: Box) -> None:
    acme.put("acme", "VIP_20261120_0900.csv", rows(1, 2))
    acme.run("backup", "copy.db")
    acme.put("acme", "VIP_20261121_0900.csv", rows(2, 3, 4))
    assert acme.serve is not None
    acme.serve.stop()
    data = acme.folder / "data"
    for name in ("ctsftp.db", "ctsftp.db-wal", "ctsftp.db-shm"):
        (data / name).unlink(missing_ok=True)
    shutil.copy(acme.folder / "copy.db", data / "ctsftp.db")
    assert acme.run("segment", "members", "VIP").stdout == "1\n2\n"
    acme.start()
    newest, _ = wait_for_uploads(acme, 1)
    assert (newest["filename"], newest["state"]) == ("VIP_20261121_0900.csv", "loaded")
    assert acme.run("segment", "members", "VIP").stdout == "2\n3\n4\n"


def test_a_backup_is_whole_and_private_and_never_overwrites(acme: Box) -> None:
    acme.put("acme", "VIP_20261120_0900.csv", rows(1, 2))
    acme.run("backup", "copy.db")
    place = acme.folder / "copy.db"
    assert place.stat().st_mode & 0o077 == 0
    database = sqlite3.connect(place)
    assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert database.execute("SELECT ct_user_id FROM segment_members ORDER BY 1").fetchall() == [(1,), (2,)]
    database.close()
    again = acme.run("backup", "copy.db", check=False)
    assert again.returncode == 1
    assert "is there already" in again.stderr
