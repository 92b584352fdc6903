"""0: done; 1: the answer is no, or the thing is not there; 2: wrong usage. One line, and never a traceback."""

import io
import sys

import pytest

from ctsftp import errors
from ctsftp.app.lock import data_lock
from ctsftp.cli import main as package_main
from ctsftp.errors import CtsftpError, UsageError
from tests.app.bench import rows

from .shell import Shell

NAME = "VIP_20260310_0900.csv"
KINDS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, CtsftpError)]


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_is_one_line_and_its_exit_code(
    empty_shell: Shell, monkeypatch: pytest.MonkeyPatch, kind: type[CtsftpError]
) -> None:
    def fail(*_: object) -> None:
        raise kind("It cannot be: \x1b[2J\nsee elsewhere.")

    monkeypatch.setattr("ctsftp.clients.folder.Clients.names", fail)
    code = 2 if issubclass(kind, UsageError) else 1
    assert empty_shell.refused("client", "list", code=code) == r"It cannot be: \x1b[2J\nsee elsewhere."


def test_a_fault_of_the_system_is_one_line(empty_shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise PermissionError(13, "Permission denied", "/srv/data/ctsftp.db")

    monkeypatch.setattr("ctsftp.clients.folder.Clients.names", fail)
    assert empty_shell.refused("client", "list", code=1) == "Permission denied: /srv/data/ctsftp.db."


@pytest.mark.parametrize(
    "args",
    [
        ("segment", "show", "VIP"),
        ("segment", "members", "VIP"),
        ("segment", "history", "VIP"),
        ("segment", "diff", "VIP"),
        ("segment", "rollback", "VIP"),
        ("segment", "retire", "VIP"),
        ("segment", "restore", "VIP"),
        ("segment", "delete", "VIP"),
        ("segment", "rollback", "VIP", str(2**70)),
        ("segment", "retire", "\udcff"),
        ("upload", "show", "x"),
        ("upload", "rejects", "x"),
        ("upload", "retry", "x"),
        ("upload", "approve", "x"),
        ("upload", "discard", "x"),
        ("client", "show", "acme"),
        ("client", "show", "../acme"),
        ("client", "disable", "acme"),
        ("client", "enable", "acme"),
        ("client", "remove", "acme"),
        ("key", "list", "acme"),
        ("key", "revoke", "acme", "SHA256:x"),
        ("key", "add", "acme", "nowhere.pub"),
        ("check", "nowhere.csv"),
        ("check", "nowhere.csv", "--client", "acme"),
        ("check", "."),
    ],
)
def test_what_is_not_there_is_exit_code_1(shell: Shell, args: tuple[str, ...]) -> None:
    assert shell.refused(*args, code=1)


@pytest.mark.parametrize(
    "args",
    [
        ("fly",),
        ("segment", "fly"),
        ("segment", "show"),
        ("segment", "show", "VIP", "--color"),
        ("segment", "diff", "VIP", "1"),
        ("segment", "diff", "VIP", "1", "2", "3"),
        ("segment", "rollback", "VIP", "first"),
        ("upload", "list", "--state", "lost"),
        ("member", "segments", "me"),
        ("key", "add", "acme", "a.pub", "--expires", "soon"),
        ("serve", "--log-format", "xml"),
        ("--config", ".", "client", "list"),
    ],
)
def test_what_cannot_be_understood_is_exit_code_2(shell: Shell, args: tuple[str, ...]) -> None:
    done = shell.run(*args, code=2)
    assert "Error: " in done.err
    assert done.out == ""


@pytest.mark.parametrize(
    "args",
    [
        ("client", "add", "Acme Inc."),
        ("client", "add", "\udcff"),
        ("segment", "show", "VIP", "--client", "\udcff"),
        ("--config", "nowhere.toml", "client", "list"),
    ],
)
def test_what_cannot_be_is_exit_code_2(shell: Shell, args: tuple[str, ...]) -> None:
    assert shell.refused(*args, code=2)


@pytest.mark.parametrize(
    "args",
    [
        ("client", "list"),
        ("segment", "list"),
        ("upload", "list"),
        ("upload", "list", "--state", "held"),
        ("member", "segments", "7"),
        ("member", "segments", "0"),
        ("member", "segments", str(2**70)),
        ("sweep",),
    ],
)
def test_where_nothing_is_yet_lists_are_empty(shell: Shell, args: tuple[str, ...]) -> None:
    assert shell.run(*args).err == ""
    assert shell.json(*args) in (
        [],
        {"adopted": 0, "queued": [], "uploads_deleted": 0, "partials_deleted": 0, "snapshots_deleted": 0},
    )


@pytest.mark.parametrize(
    ("args", "code"),
    [
        (("client", "list"), 0),
        (("segment", "list"), 1),
        (("upload", "list"), 1),
        (("segment", "show", "VIP"), 1),
        (("upload", "show", "x"), 1),
        (("upload", "retry", "x"), 1),
        (("sweep",), 1),
        (("client", "disable", "acme"), 1),
    ],
)
def test_a_command_in_the_wrong_folder_makes_nothing_there(
    empty_shell: Shell, args: tuple[str, ...], code: int
) -> None:
    done = empty_shell.run(*args, code=code)
    assert len((done.out + done.err).splitlines()) == 1
    assert list(empty_shell.folder.iterdir()) == []


def test_the_wrong_folder_is_named(empty_shell: Shell) -> None:
    assert f"no data folder {empty_shell.folder}/data" in empty_shell.refused("sweep", code=1)
    assert f"no database in {empty_shell.folder}/data" in empty_shell.refused("segment", "list", code=1)


def test_a_bad_setting_is_one_line(shell: Shell) -> None:
    shell.file("ctsftp.toml", "[sftp]\nport = 'ssh'\n")
    assert "CTSFTP_SFTP__PORT" in shell.refused("client", "list", code=2)


@pytest.mark.parametrize("command", [("serve",), ("sweep",), ("doctor",), ("client", "list")], ids=" ".join)
def test_a_variable_that_is_no_setting_stops_every_command(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    monkeypatch.setenv("CTSFTP_SFTP_PORT", "2222")
    said = shell.refused(*command, code=2)
    assert said == "The environment variable CTSFTP_SFTP_PORT is not a setting. Did you mean CTSFTP_SFTP__PORT?"


@pytest.mark.parametrize(
    ("typed", "meant"), [("segmnt", "segment"), ("clients", "client"), ("docter", "doctor"), ("uplaod", "upload")]
)
def test_a_command_that_is_not_there_is_answered_by_the_one_that_was_meant(
    empty_shell: Shell, typed: str, meant: str
) -> None:
    assert f"No such command '{typed}'. Did you mean {meant}" in empty_shell.run(typed, "list", code=2).err


def test_a_backup_goes_to_a_pipe_and_to_a_file_and_says_so_to_scripts(shell: Shell) -> None:
    done = shell.json("backup", "copy.db")
    assert done == {"file": f"{shell.folder}/copy.db", "size": (shell.folder / "copy.db").stat().st_size}
    assert not (shell.folder / "-").exists()
    assert "leave out --json" in shell.refused("backup", "-", "--json", code=2)


def test_a_backup_of_what_is_not_there_says_so_and_leaves_nothing(empty_shell: Shell) -> None:
    said = empty_shell.refused("backup", "copy.db", code=1)
    assert said == f"There is no database {empty_shell.folder}/data/ctsftp.db yet: there is nothing to back up."
    assert list(empty_shell.folder.iterdir()) == []


def test_a_path_that_cannot_be_is_one_line(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CTSFTP_DATA_DIR", "x" * 300)
    assert "File name too long" in shell.refused("segment", "list", code=1)


def test_a_busy_data_folder_is_exit_code_2(shell: Shell) -> None:
    with data_lock(shell.folder / "data"):
        assert "is held by another ctsftp" in shell.refused("sweep", code=2)
        assert "is held by another ctsftp" in shell.refused("serve", code=2)


def test_a_damaged_database_is_one_line(shell: Shell) -> None:
    (shell.folder / "data" / "ctsftp.db").write_bytes(b"This is no database. " * 1000)
    for command in (("segment", "list"), ("upload", "list"), ("sweep",), ("serve",)):
        assert "is not an SQLite database" in shell.refused(*command, code=1)


def test_ctrl_c_is_exit_code_130_and_no_traceback(empty_shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("ctsftp.clients.folder.Clients.names", interrupt)
    assert empty_shell.run("client", "list", code=130).err.strip() == "ctsftp: interrupted."


def test_a_terminal_without_utf8_shows_names_as_escapes(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    shell.load("Größe_Ω_20260310_0900.csv", rows([1]))
    out = io.TextIOWrapper(io.BytesIO(), "ascii", write_through=True)
    monkeypatch.setattr(sys, "stdout", out)
    for command, shown in (
        (["segment", "list"], rb"Gr\xf6\xdfe \u03a9"),
        (["segment", "list", "--json"], "Größe Ω".encode()),
    ):
        monkeypatch.setattr(sys, "argv", ["ctsftp", *command])
        with pytest.raises(SystemExit) as ended:
            package_main()
        assert ended.value.code == 0
        buffer = out.buffer
        assert isinstance(buffer, io.BytesIO)
        assert shown in buffer.getvalue()


def test_a_bug_shows_its_traceback_since_nobody_could_act_on_less(
    empty_shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("ctsftp.clients.folder.Clients.names", fail)
    with pytest.raises(ZeroDivisionError):
        empty_shell.run("client", "list")
