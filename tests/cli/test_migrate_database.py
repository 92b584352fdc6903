"""From a file to PostgreSQL, as an admin does it; the copying itself is tested where it is, in the store."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ctsftp.app.lock import data_lock
from tests.app.bench import rows
from tests.postgres import Postgres

from .shell import Shell


@pytest.fixture
def target(postgres: Postgres) -> Iterator[str]:
    with postgres.database() as url:
        yield url


def source(shell: Shell) -> str:
    return f"sqlite+aiosqlite:///{shell.folder / 'data' / 'ctsftp.db'}"


def test_after_the_copy_one_setting_is_changed_and_everything_is_there(
    shell: Shell, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shell.load("VIP_20260310_0900.csv", rows([1, 2]))
    done = shell.run("migrate-database", source(shell), target)
    assert "Copied and compared: 2 members" in done.err
    before = shell.json("segment", "list"), shell.json("upload", "list")
    monkeypatch.setenv("CTSFTP_DATABASE_URL", target)
    assert (shell.json("segment", "list"), shell.json("upload", "list")) == before
    shell.load("VIP_20260310_0901.csv", rows([2, 3]))
    assert shell.run("segment", "members", "VIP").out == "2\n3\n"


def test_a_server_that_runs_is_to_be_stopped_first(shell: Shell, target: str) -> None:
    with data_lock(shell.folder / "data"):
        assert "stop it first" in shell.refused("migrate-database", source(shell), target, code=2)


def test_a_file_that_is_not_the_servers_own_is_refused_since_another_may_work_on_it(
    shell: Shell, target: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    shell.load("VIP_20260310_0900.csv", rows([1, 2]))
    monkeypatch.setenv("CTSFTP_DATA_DIR", str(tmp_path / "elsewhere"))
    said = shell.refused("migrate-database", source(shell), target, code=2)
    assert "use the server's settings" in said
    assert not (tmp_path / "elsewhere").exists()


def test_a_database_beside_the_data_folder_is_copied_under_the_folders_lock(
    shell: Shell, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shell.load("VIP_20260310_0900.csv", rows([1, 2]))
    (shell.folder / "data" / "ctsftp.db").rename(shell.folder / "x.db")
    url = f"sqlite+aiosqlite:///{shell.folder / 'x.db'}"
    monkeypatch.setenv("CTSFTP_DATABASE_URL", url)
    with data_lock(shell.folder / "data"):
        assert "stop it first" in shell.refused("migrate-database", url, target, code=2)
    assert "Copied and compared: 2 members" in shell.run("migrate-database", url, target).err


def test_two_names_in_the_wrong_order_are_refused(shell: Shell) -> None:
    assert "PostgreSQL second" in shell.refused("migrate-database", source(shell), source(shell), code=1)


def test_a_password_is_never_shown(shell: Shell) -> None:
    line = shell.refused("migrate-database", source(shell), "postgresql://ctsftp:hunter2@127.0.0.1:9/x", code=1)
    assert "127.0.0.1:9/x cannot be reached" in line
    assert "hunter2" not in line
