"""Whose account does the work that root asks for in another account's folders."""

import multiprocessing
import os
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

import pytest

from ctsftp.admin import account as module
from ctsftp.admin.account import Account, account_for, acting_as, become
from ctsftp.app.lock import data_lock
from ctsftp.errors import RefusedError, SettingsError

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another account")

UID = 12345
OTHER = 23456


def let_the_program_be_readable() -> None:
    """These tests run wherever the repository lies, which may be a folder of root's."""
    vars(module).update(__file__="/etc/passwd", sysconfig=SimpleNamespace(get_path=lambda _: "/usr"))


@pytest.fixture(autouse=True)
def _readable_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "__file__", "/etc/passwd")
    monkeypatch.setattr(module, "sysconfig", SimpleNamespace(get_path=lambda _: "/usr"))


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that every account may enter; pytest's own may not be."""
    with TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def owned(folder: Path, uid: int) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    os.chown(folder, uid, uid)
    return folder


def owner(*folders: Path) -> tuple[int, Path] | None:
    found = account_for(*folders)
    return (found.uid, found.owns) if found else None


def in_a_process(work: Callable[..., Any], *args: object) -> Any:
    """Do something in a process of its own, since what it becomes it stays; give its answer, or raise its error."""
    context = multiprocessing.get_context("forkserver")
    with ProcessPoolExecutor(1, mp_context=context, initializer=let_the_program_be_readable) as process:
        return process.submit(work, *args).result()


def become_and_lock(account: Account, data: Path) -> list[object]:
    become(account)
    with data_lock(data):
        made = (data / "lock").stat()
    return [made.st_uid, made.st_gid, os.getresuid(), os.getresgid(), os.getgroups(), os.environ["HOME"]]


def become_one_after_another(first: int, second: Account) -> None:
    os.setuid(first)
    become(second)


def become_with_a_hidden_program(account: Account, program: str) -> None:
    vars(module)["__file__"] = program
    become(account)


def test_the_owner_of_the_folder_does_the_work(place: Path) -> None:
    assert owner(owned(place / "data", UID)) == (UID, place / "data")


def test_in_a_folder_of_root_s_root_does_it_whoever_owns_the_others(place: Path) -> None:
    (place / "data").mkdir()
    assert owner(place / "data", owned(place / "keys", UID)) is None


def test_where_the_folder_is_not_there_yet_the_nearest_above_it_counts_then_the_others(place: Path) -> None:
    nowhere, keys, config = place / "data" / "here", place / "keys", place / "etc"
    assert owner(nowhere, keys, config) is None
    owned(config, OTHER)
    assert owner(nowhere, keys, config) == (OTHER, config)
    owned(keys, UID)
    assert owner(nowhere, keys, config) == (UID, keys)
    owned(place / "data", OTHER)
    assert owner(nowhere, keys, config) == (OTHER, place / "data")
    assert not nowhere.exists()


def test_a_place_that_cannot_be_is_nobody_s(place: Path) -> None:
    assert owner(place / ("x" * 300)) is None


def test_an_account_is_known_by_its_name_and_its_home_where_it_has_them(place: Path) -> None:
    nobody = account_for(owned(place / "data", 65534))
    assert nobody
    assert (nobody.name, nobody.home is None) == ("nobody", False)
    assert nobody.announcement == f"Working as nobody, the account that owns {place}/data."
    number = account_for(owned(place / "data", UID))
    assert number
    assert (number.name, number.home) == (f"the uid {UID}", None)


def test_what_is_made_is_the_account_s_and_it_is_root_no_more(place: Path) -> None:
    data = owned(place / "data", UID)
    found = account_for(data)
    assert found
    assert in_a_process(become_and_lock, found, data) == [UID, UID, (UID, UID, UID), (UID, UID, UID), [UID], "/"]


def test_within_a_block_it_is_the_account_and_behind_it_root_again(place: Path) -> None:
    data = owned(place / "data", UID)
    groups = os.getgroups()
    with pytest.raises(PermissionError), acting_as(account_for(data)):
        (place / "elsewhere").touch()
    assert (os.geteuid(), os.getegid(), os.getgroups()) == (0, 0, groups)
    with acting_as(account_for(data)):
        (data / "made").touch()
    assert (data / "made").stat().st_uid == UID
    assert (os.geteuid(), os.getegid(), os.getgroups()) == (0, 0, groups)
    with acting_as(None):
        assert os.geteuid() == 0


def test_a_root_that_may_not_become_another_says_so(place: Path) -> None:
    found = account_for(owned(place / "data", UID))
    assert found
    with pytest.raises(RefusedError, match=r"belongs to the uid 12345, which this root may not become"):
        in_a_process(become_one_after_another, OTHER, found)


def test_a_program_that_the_account_cannot_read_is_named(place: Path) -> None:
    (place / "hidden").mkdir(mode=0o700)
    found = account_for(owned(place / "data", UID))
    assert found
    with pytest.raises(SettingsError, match=r"cannot read .*/hidden/account\.py: install ctsftp where every account"):
        in_a_process(become_with_a_hidden_program, found, str(place / "hidden" / "account.py"))


def test_a_lock_that_root_left_behind_is_named_with_the_command_that_mends_it(place: Path) -> None:
    data = owned(place / "data", UID)
    (data / "lock").touch(mode=0o600)
    found = account_for(data)
    assert found
    assert found.uid == UID
    with pytest.raises(SettingsError, match=f"As root: chown -R --reference={data} {data}"):
        in_a_process(become_and_lock, found, data)


def test_a_data_folder_that_the_account_cannot_make_is_to_be_made_for_it(place: Path) -> None:
    found = Account(UID, UID, "x", None, place)
    with pytest.raises(SettingsError, match=r"make it, for the account that the server runs as"):
        in_a_process(become_and_lock, found, place / "data")


def test_root_s_reading_of_another_account_s_database_leaves_nothing_of_root_s(place: Path) -> None:
    """`check` and commands on the keys read it so: SQLite gives its files to the owner of the database."""
    data = owned(place / "data", UID)
    database = sqlite3.connect(data / "ctsftp.db")
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("CREATE TABLE t (x)")
    database.close()
    os.chown(data / "ctsftp.db", UID, UID)
    database = sqlite3.connect(data / "ctsftp.db")
    database.execute("SELECT * FROM t").fetchall()
    assert {path.stat().st_uid for path in data.iterdir()} == {UID}
    assert len(list(data.iterdir())) == 3
    database.close()
